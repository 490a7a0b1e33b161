"""What a DAG does with the official client: `list` or `create`. Needs `arcgis`, nothing of the provider."""

import json
import logging
import sys
import warnings
from typing import Any

from arcgis.gis import GIS  # type: ignore[import-not-found]

from benchmarks.programs.stopwatch import REPEATS, seconds


def list_everything(gis: Any, portal_task_id: str) -> dict[str, Any]:
    """Read all portal tasks with all properties; read the runs of one of them."""
    tasks = gis.users.me.tasks.all
    busy = next(task for task in tasks if task._url.endswith(portal_task_id))
    titles = {task.properties["title"] for task in tasks if task.properties["cronSchedule"]}
    results = {run.properties["runId"] for run in busy.runs}
    return {
        "tasks": seconds(lambda: [task.properties for task in gis.users.me.tasks.all], repeats=REPEATS - 1),
        "runs": seconds(lambda: [run.properties for run in busy.runs], repeats=REPEATS - 1),
        "found": [len(titles), len(results)],
    }


def create(gis: Any, item_id: str) -> dict[str, Any]:
    """Make a portal task that runs an item once."""
    told = []

    def act() -> None:
        try:
            told.append(
                gis.users.me.tasks.create(
                    item=item_id, cron="0 4 * * ?", task_type="ExecuteNotebook", occurences=1
                )
            )
        except OSError as problem:  # what requests raises for a broken connection
            told.append(type(problem).__name__)

    return {"seconds": seconds(act, repeats=1), "told": str(told[0])}


def main(act: str, subject: str, url: str, username: str, password: str) -> None:
    """Sign in, act, and print the figures."""
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    opened: list[Any] = []
    connecting = seconds(lambda: opened.append(GIS(url, username, password, verify_cert=False)), repeats=1)
    figures = {"list": list_everything, "create": create}[act](opened[0], subject)
    print(json.dumps({"connecting": connecting, **figures}))


main(*sys.argv[1:])
