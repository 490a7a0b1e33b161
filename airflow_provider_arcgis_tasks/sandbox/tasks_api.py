"""The resources of scheduled tasks: `community/users/<user>/tasks` and `portals/<id>/allScheduledTasks`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from airflow_provider_arcgis_tasks.sandbox.accounts import User
from airflow_provider_arcgis_tasks.sandbox.accounts_api import check_portal
from airflow_provider_arcgis_tasks.sandbox.definition import NOTHING, read_definition, read_flag
from airflow_provider_arcgis_tasks.sandbox.records import OVER, Run, Task
from airflow_provider_arcgis_tasks.sandbox.refusals import Refusal, bad_parameter, forbidden, unknown
from airflow_provider_arcgis_tasks.sandbox.rules import NeverFires, RunsOrder
from airflow_provider_arcgis_tasks.sandbox.state import Request, State, TaskType

Json = dict[str, Any]

_EDITABLE_STATUSES = OVER | {"scheduled", "executing"}
_SORT_KEYS: Mapping[str, Callable[[Task], Any]] = {
    "type": lambda task: task.definition.type,
    "title": lambda task: task.definition.title or "",
    "created": lambda task: task.created,
    "updated": lambda task: task.updated,
    "nextstart": lambda task: task.next_start or 0.0,
}


def list_tasks(state: State, request: Request, username: str) -> Json:
    """List one user's portal tasks (REST page "All user scheduled tasks")."""
    owner = _owner(state, request, username)
    body = _page(state, request, _mine(state, owner))
    if "list.activeTasksAvailable" not in state.hidden:
        body["activeTasksAvailable"] = _slots(state, owner)
    return body


def list_all_tasks(state: State, request: Request, portal_id: str) -> Json:
    """List everyone's portal tasks, for administrators (REST page "All scheduled tasks")."""
    check_portal(portal_id)
    _check_token_reaches_tasks(state, request)
    if not request.user.is_admin:
        raise forbidden()
    tasks: Iterable[Task] = state.scheduler.tasks.values()
    if username := request.params.get("userFilter"):
        tasks = (task for task in tasks if task.owner == username)
    return _page(state, request, tasks)


def get_task(state: State, request: Request, username: str, task_id: str) -> Json:
    """Show one portal task (REST page "Get specific task")."""
    return task_json(state, _find(state, request, username, task_id))


def create_task(state: State, request: Request, username: str) -> Json:
    """Make a portal task (REST page "Create new scheduled task")."""
    owner = _owner(state, request, username)
    definition = read_definition(state, request, owner, NOTHING)
    _check_slot(state, owner)
    task = Task(state.new_id(), owner.username, definition, request.now, request.now)
    _check_fires(state, task, request.now)
    task.interval = _interval(state, task, request.now)
    state.scheduler.add(task, request.now)
    return _done(task)


def update_task(state: State, request: Request, username: str, task_id: str) -> Json:
    """Change a portal task (REST page "Update a scheduled task")."""
    task = _find(state, request, username, task_id)
    owner = _owner(state, request, username)
    active = read_flag(request.params, "isActive")
    kept = task.definition if state.rules.update_keeps_omitted else NOTHING
    definition = read_definition(state, request, owner, kept)
    if active and not task.active:
        _check_slot(state, owner)
    task.definition = definition
    task.interval = _interval(state, task, request.now)
    task.updated = request.now
    _switch(state, task, task.active if active is None else active, request.now)
    return _done(task)


def delete_task(state: State, request: Request, username: str, task_id: str) -> Json:
    """Remove a portal task and its runs (REST page "Delete task")."""
    task = _find(state, request, username, task_id)
    state.scheduler.delete(task)
    return _done(task)


def enable_task(state: State, request: Request, username: str, task_id: str) -> Json:
    """Put a portal task into service (REST page "Enable task")."""
    task = _find(state, request, username, task_id)
    if not task.active:
        _check_slot(state, _owner(state, request, username))
        task.updated = request.now
        _switch(state, task, True, request.now)
    return _done(task)


def disable_task(state: State, request: Request, username: str, task_id: str) -> Json:
    """Take a portal task out of service (REST page "Disable task")."""
    task = _find(state, request, username, task_id)
    if task.active:
        task.updated = request.now
        _switch(state, task, False, request.now)
    return _done(task)


def list_runs(state: State, request: Request, username: str, task_id: str) -> Json:
    """List the runs of a portal task (REST page "Runs for task")."""
    task = _find(state, request, username, task_id)
    runs = list(task.runs.values())
    if state.rules.runs_order is RunsOrder.NEWEST:
        runs.reverse()
    elif state.rules.runs_order is RunsOrder.SHUFFLED:
        state.rng.shuffle(runs)
    shown = task_json(state, task)
    return {"runs": [run_json(state, run, shown) for run in runs]}


def get_run(state: State, request: Request, username: str, task_id: str, run_id: str) -> Json:
    """Show one run."""
    task = _find(state, request, username, task_id)
    return run_json(state, _run(task, run_id), task_json(state, task))


def update_run(state: State, request: Request, username: str, task_id: str, run_id: str) -> Json:
    """Change the record of a run, not what it does (REST page "Edit run")."""
    task = _find(state, request, username, task_id)
    run = _run(task, run_id)
    status = request.params.get("status", "")
    if status not in _EDITABLE_STATUSES:
        raise bad_parameter("status", f"{status!r} is not a status of a run")
    run.status, run.modified = status, request.now
    run.result = request.params.get("result", run.result)
    return {**_done(task), "runId": run.id}


def delete_run(state: State, request: Request, username: str, task_id: str, run_id: str) -> Json:
    """Remove the record of a run (REST page "Delete run")."""
    task = _find(state, request, username, task_id)
    del task.runs[_run(task, run_id).id]
    return {**_done(task), "runId": run_id}


def task_json(state: State, task: Task) -> Json:
    """Show a portal task as the portal does; times in epoch milliseconds."""
    definition = task.definition
    fields: Json = {
        "id": task.id,
        "itemId": definition.item_id,
        "type": definition.type,
        "title": definition.title,
        "userId": task.owner,
        "cronSchedule": definition.fields,
        "runIntervalSeconds": task.interval,
        "lastStart": _ms(task.last_start),
        "nextStart": _ms(task.next_start),
        "maxOccurrences": definition.max_occurrences,
        "parameters": definition.parameters,
        "created": _ms(task.created),
        "updated": _ms(task.updated),
        "startDate": definition.starts_at,
        "endDate": definition.ends_at,
        "active": task.active,
        "taskState": task.state,
    }
    if definition.type == TaskType.GP_SERVICE:
        fields[state.rules.task_url_key] = definition.task_url
    return _shown(state, "task.", fields)


def run_json(state: State, run: Run, task: Json) -> Json:
    """Show a run as the portal does; times in epoch milliseconds."""
    empty = "" if state.nullable else None
    fields = {
        "runId": run.id,
        "status": run.status,
        "result": run.result or empty,
        "created": _ms(run.created),
        "modified": _ms(run.modified),
        "url": "",
        "task": task,
    }
    return _shown(state, "run.", fields)


def _shown(state: State, prefix: str, fields: Json) -> Json:
    if not state.nulls:
        fields = {
            name: value for name, value in fields.items() if value is not None or name in state.nullable
        }
    if state.hidden:
        fields = {name: value for name, value in fields.items() if prefix + name not in state.hidden}
    return fields


def _ms(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1000)


def _done(task: Task) -> Json:
    return {"success": True, "taskId": task.id}


def _check_token_reaches_tasks(state: State, request: Request) -> None:
    if request.token is not None and request.token.of_app and not state.rules.app_tokens_reach_tasks:
        raise forbidden()


def _owner(state: State, request: Request, username: str) -> User:
    _check_token_reaches_tasks(state, request)
    return request.acting_for(state, username)


def _find(state: State, request: Request, username: str, task_id: str) -> Task:
    owner = _owner(state, request, username)
    task = state.scheduler.tasks.get(task_id)
    if task is None or task.owner != owner.username:
        raise unknown("Task")
    return task


def _run(task: Task, run_id: str) -> Run:
    if run_id not in task.runs:
        raise unknown("Run")
    return task.runs[run_id]


def _mine(state: State, owner: User) -> Iterable[Task]:
    return (task for task in state.scheduler.tasks.values() if task.owner == owner.username)


def _slots(state: State, owner: User) -> int:
    return max(0, state.rules.active_task_limit - state.scheduler.active_tasks(owner.username))


def _check_slot(state: State, owner: User) -> None:
    if _slots(state, owner) == 0:
        limit = state.rules.active_task_limit
        raise Refusal(
            400,
            "Unable to activate the task.",
            f"{owner.username} has {limit} active tasks, the most allowed.",
        )


def _check_fires(state: State, task: Task, now: float) -> None:
    if state.rules.never_fires is NeverFires.REFUSE and state.scheduler.first_fire(task, now) is None:
        raise bad_parameter("endDate", "the schedule never fires before it")


def _interval(state: State, task: Task, now: float) -> int | None:
    interval = task.definition.schedule.interval(now, state.scheduler.zone)
    return None if interval is None else round(interval)


def _switch(state: State, task: Task, active: bool, now: float) -> None:
    if active and task.active:
        state.scheduler.arm(task, now)
    elif active:
        state.scheduler.activate(task, now)
    elif task.active:
        state.scheduler.deactivate(task, "paused")


def _page(state: State, request: Request, tasks: Iterable[Task]) -> Json:
    start = request.number("start", 1)
    num = min(request.number("num", state.rules.page_size), state.rules.page_size_max)
    found = _sorted(request, _filtered(state, request, tasks))
    page = found[start - 1 : start - 1 + num]
    return {
        "total": len(found),
        "start": start,
        "num": len(page),
        "nextStart": start + num if start - 1 + num < len(found) else -1,
        "tasks": [task_json(state, task) for task in page],
    }


def _filtered(state: State, request: Request, tasks: Iterable[Task]) -> list[Task]:
    params = request.params
    item_id, active = params.get("itemId"), read_flag(params, "active")
    types, states = params.get("types", ""), params.get("taskState", "").lower()
    latest = request.now - state.rules.list_lag
    return [
        task
        for task in tasks
        if task.created <= latest
        and (not item_id or task.definition.item_id == item_id)
        and active in (None, task.active)
        and _listed(types, task.definition.type)
        and _listed(states, task.state)
    ]


def _listed(texts: str, value: str) -> bool:
    return not texts or value in [text.strip() for text in texts.split(",")]


def _sorted(request: Request, tasks: list[Task]) -> list[Task]:
    name = request.params.get("sortField", "").lower()
    order = request.params.get("sortOrder", "asc").lower()
    if order not in ("asc", "desc"):
        raise bad_parameter("sortOrder", "has to be asc or desc")
    if not name:
        return tasks
    if name not in _SORT_KEYS:
        raise bad_parameter("sortField", f"{name!r} is not a field to sort by")
    return sorted(tasks, key=_SORT_KEYS[name], reverse=order == "desc")
