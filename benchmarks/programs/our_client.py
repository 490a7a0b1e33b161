"""What a DAG does with our hook, over the connection `arcgis_default`: `list` or `create`."""

import json
import sys
from collections.abc import Callable
from typing import Any

from airflow_provider_arcgis_tasks.hooks import ArcGISTasksHook
from airflow_provider_arcgis_tasks.portal import TaskType, oneshot
from benchmarks.programs.stopwatch import REPEATS, seconds


def list_everything(hook: ArcGISTasksHook, portal_task_id: str) -> dict[str, Any]:
    """Sign in; read all portal tasks with all properties; read the runs of one of them."""
    connecting = seconds(hook.who_am_i, repeats=1)
    titles = {task.title for task in hook.search_tasks() if task.schedule and task.item_id}
    results = {run.id for run in hook.get_runs(portal_task_id) if run.status.finished}
    return {
        "connecting": connecting,
        "tasks": seconds(hook.search_tasks, repeats=REPEATS - 1),
        "runs": seconds(lambda: hook.get_runs(portal_task_id), repeats=REPEATS - 1),
        "found": [len(titles), len(results)],
    }


def create(hook: ArcGISTasksHook, item_id: str) -> dict[str, Any]:
    """Make a portal task that runs an item once, as the trigger operator does."""
    job = oneshot.Job(task_type=TaskType.EXECUTE_NOTEBOOK, item_id=item_id, title="once")
    mark = oneshot.Mark.of("benchmark")
    told: list[str] = []
    taken = seconds(
        lambda: told.append(hook.run(oneshot.start(hook.session, job, mark)).portal_task_id), repeats=1
    )
    return {"seconds": taken, "told": "the task's id" if told else "nothing"}


ACTS: dict[str, Callable[[ArcGISTasksHook, str], dict[str, Any]]] = {
    "list": list_everything,
    "create": create,
}

with ArcGISTasksHook() as the_hook:
    print(json.dumps(ACTS[sys.argv[1]](the_hook, sys.argv[2])))
