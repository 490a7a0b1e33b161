"""One operation for each resource of the portal's task API. REST: community/users/<user>/tasks.

Each takes a `Session` and is carried out by `transport.perform` or `transport.aperform`. Beside what its
docstring names, each raises what `Session.fetch` raises.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import quote

from airflow_provider_arcgis_tasks.portal.cron import to_portal
from airflow_provider_arcgis_tasks.portal.effects import Operation, pause
from airflow_provider_arcgis_tasks.portal.envelope import JSON
from airflow_provider_arcgis_tasks.portal.errors import (
    InvalidRequest,
    NotFound,
    PermissionDenied,
    PortalError,
    WriteUnanswered,
)
from airflow_provider_arcgis_tasks.portal.models import (
    PortalRun,
    PortalTask,
    RunStatus,
    TaskDefinition,
    TaskPage,
    TaskType,
    check_aware,
    check_id,
    check_occurrences,
    check_parameters,
    check_text,
    check_user_name,
    encodable,
    json_text,
    objects,
    to_milliseconds,
)
from airflow_provider_arcgis_tasks.portal.session import Session

T = TypeVar("T")

PAGE_SIZE = 100
_MOST_PAGES = 1000
_PAUSE_BEFORE_LOOKING = (1.0, 4.0)
_LOST_CLOCK_SECONDS = 2.0
"""`Date` headers are cut to whole seconds, so `created` may seem to lie that much before them."""


@dataclass(frozen=True, slots=True)
class WhoAmI:
    """Who signed in, where. REST: community/self, portals/self."""

    username: str | None
    role: str | None
    privileges: frozenset[str]
    portal_name: str | None
    version: str | None
    org_id: str | None

    @property
    def is_administrator(self) -> bool:
        """Whether other users' portal tasks may be seen, too."""
        return self.role == "org_admin" or any(":admin:" in name for name in self.privileges)


# --- lists -------------------------------------------------------------------------------------------


def list_tasks(
    session: Session,
    *,
    item_id: str | None = None,
    active: bool | None = None,
    task_types: Iterable[TaskType | str] | None = None,
) -> Operation[list[PortalTask]]:
    """All portal tasks of the owner that match, over all pages; one request a page of 100."""
    filters = _filters(item_id, active, task_types)
    pages = yield from _pages(session, (yield from _tasks_path(session)), filters)
    return [task for page in pages for task in page.tasks]


def survey(session: Session) -> Operation[tuple[list[PortalTask], int | None]]:
    """All portal tasks of the owner, and how many more may be active (None if the portal does not tell)."""
    pages = yield from _pages(session, (yield from _tasks_path(session)), {})
    return [task for page in pages for task in page.tasks], pages[-1].free_slots


def count_with_slots(session: Session) -> Operation[tuple[int, int | None]]:
    """How many portal tasks the owner has, and how many more may be active (None if not told)."""
    page = yield from _page(session, (yield from _tasks_path(session)), {}, start=1, size=1)
    total = page.total if page.total is not None else len((yield from list_tasks(session)))
    return total, page.free_slots


def count_tasks(session: Session) -> Operation[int]:
    """How many portal tasks the owner has, by one small request."""
    total, _ = yield from count_with_slots(session)
    return total


def search_org_tasks(
    session: Session,
    *,
    owner: str | None = None,
    item_id: str | None = None,
    active: bool | None = None,
    task_types: Iterable[TaskType | str] | None = None,
) -> Operation[list[PortalTask]]:
    """Portal tasks of the whole organization, or of one `owner`. For administrators.

    REST: portals/self/allScheduledTasks. Raises `PermissionDenied` for anybody else.
    """
    filters = _filters(item_id, active, task_types)
    if owner is not None:
        filters["userFilter"] = check_user_name("owner", owner)
    pages = yield from _pages(session, "/portals/self/allScheduledTasks", filters)
    return [task for page in pages for task in page.tasks]


def _filters(
    item_id: str | None, active: bool | None, task_types: Iterable[TaskType | str] | None
) -> dict[str, str]:
    filters = {}
    if item_id is not None:
        filters["itemId"] = check_id("item_id", item_id)
    if active is not None:
        filters["active"] = _flag(active)
    if task_types is not None:
        names = [task_types] if isinstance(task_types, str) else task_types
        filters["types"] = ",".join(TaskType(name).value for name in names)
    return filters


def _pages(session: Session, path: str, filters: Mapping[str, str]) -> Operation[list[TaskPage]]:
    pages: list[TaskPage] = []
    start, count = 1, 0
    while len(pages) < _MOST_PAGES and count < _MOST_PAGES * PAGE_SIZE:
        page = yield from _page(session, path, filters, start, PAGE_SIZE)
        pages.append(page)
        if page.next_start <= start or not page.tasks:
            return pages
        start, count = page.next_start, count + len(page.tasks)
    raise PortalError(0, f"The portal's list of tasks does not end: there are {count} on {len(pages)} pages.")


def _page(
    session: Session, path: str, filters: Mapping[str, str], start: int, size: int
) -> Operation[TaskPage]:
    body = yield from session.fetch("GET", path, {**filters, "start": str(start), "num": str(size)})
    return _understand(TaskPage.from_wire, body)


# --- tasks -------------------------------------------------------------------------------------------


def get_task(session: Session, portal_task_id: str) -> Operation[PortalTask]:
    """One portal task. Raises `NotFound`."""
    body = yield from session.fetch("GET", (yield from _task_path(session, portal_task_id)))
    return _understand(PortalTask.from_wire, body)


def post_task(session: Session, definition: TaskDefinition) -> Operation[str]:
    """Send createTask once and return the new portal task's id.

    Raises `WriteUnanswered` if no answer came: the task may then exist. `create_task` finds out.
    """
    path = f"{(yield from _tasks_path(session))}/createTask"
    body = yield from session.fetch("POST", path, create_form(definition), repeatable=False)
    return _new_id(_succeeded(body))


def create_task(session: Session, definition: TaskDefinition) -> Operation[str]:
    """Create a portal task and return its id.

    If the answer is lost, the new task is looked for by everything that was sent and by its time of
    creation; never is the request simply repeated. Raises `WriteUnanswered` if the portal does not show it.
    """
    yield from session.owner()
    asked_at = yield from session.portal_time()
    try:
        return (yield from post_task(session, definition))
    except WriteUnanswered as unanswered:
        for seconds in _PAUSE_BEFORE_LOOKING:
            yield from pause(seconds)
            found = yield from _find_created(session, definition, asked_at - _LOST_CLOCK_SECONDS)
            if found is not None:
                return found
        raise WriteUnanswered(
            f"{unanswered} createTask for {definition.title or definition.item_id!r} may or may not have "
            "been carried out, and no such portal task shows so far: look before creating it again."
        ) from None


def _find_created(session: Session, definition: TaskDefinition, since: float) -> Operation[str | None]:
    tasks = yield from list_tasks(session, item_id=definition.item_id, task_types=[definition.task_type])
    return next(
        (
            task.id
            for task in tasks
            if task.title == definition.title
            and task.schedule == str(definition.cron)
            and task.created is not None
            and task.created.timestamp() >= since
        ),
        None,
    )


def update_task(session: Session, portal_task_id: str, **changes: Any) -> Operation[PortalTask]:
    """Change what is named and leave everything else as it is; return the portal task as it was before.

    The portal's update replaces the whole task, so the task is read first and sent back with the changes.
    `changes`: `schedule`, `title`, `parameters`, `task_url`, `item_id`, `task_type`, `max_occurrences`
    (None: no limit), `starts_at`, `ends_at` (aware datetimes). They take effect from the next run on.
    Raises `ValueError` for an unknown name or an unusable value, before anything is sent.
    """
    changed = changes_form(changes)
    task = yield from get_task(session, portal_task_id)
    if task.type == TaskType.EXECUTE_NOTEBOOK and isinstance(changes.get("parameters"), Mapping):
        changed["parameters"] = json.dumps(notebook_parameters(changes["parameters"], task.parameters))
    yield from send_changes(session, task, changed)
    return task


def send_changes(session: Session, task: PortalTask, changed: Mapping[str, str]) -> Operation[None]:
    """Send a portal task back as it was read, but for the form fields in `changed`."""
    path = f"{(yield from _task_path(session, task.id))}/update"
    _succeeded((yield from session.fetch("POST", path, {**_present_form(task), **changed})))


def delete_task(session: Session, portal_task_id: str) -> Operation[bool]:
    """Delete a portal task with all its run records. Returns False if there was none.

    If an answer was lost, a portal task that is no longer there counts as deleted.
    """
    try:
        yield from _act(session, portal_task_id, "delete")
    except NotFound as missing:
        return missing.may_have_acted
    return True


def enable_task(session: Session, portal_task_id: str) -> Operation[None]:
    """Make a portal task active: it runs as scheduled."""
    yield from _act(session, portal_task_id, "enable")


def disable_task(session: Session, portal_task_id: str) -> Operation[None]:
    """Make a portal task inactive: it does not run until it is enabled."""
    yield from _act(session, portal_task_id, "disable")


def _act(session: Session, portal_task_id: str, verb: str) -> Operation[None]:
    path = f"{(yield from _task_path(session, portal_task_id))}/{verb}"
    _succeeded((yield from session.fetch("POST", path)))


# --- runs --------------------------------------------------------------------------------------------


def get_runs(session: Session, portal_task_id: str) -> Operation[list[PortalRun]]:
    """The runs that the portal still keeps (30 as a rule), newest first."""
    body = yield from session.fetch("GET", f"{(yield from _task_path(session, portal_task_id))}/runs")

    def read(body: JSON) -> list[PortalRun]:
        if not isinstance(body.get("runs"), list):
            raise ValueError("there is no list of runs in it")  # noqa: TRY004 - of the portal's making
        return [PortalRun.from_wire(run, portal_task_id) for run in objects(body["runs"])]

    return newest_first(_understand(read, body))


def get_run(session: Session, portal_task_id: str, portal_run_id: str) -> Operation[PortalRun]:
    """One run. Raises `NotFound`."""
    body = yield from session.fetch("GET", (yield from _run_path(session, portal_task_id, portal_run_id)))
    return _understand(lambda body: PortalRun.from_wire(body, portal_task_id), body)


def update_run(
    session: Session,
    portal_task_id: str,
    portal_run_id: str,
    *,
    status: RunStatus | str | None = None,
    result: str | None = None,
) -> Operation[None]:
    """Edit the record of a run; work that is going on is not touched by it.

    What is not given stays as it is. Raises `ValueError` for an unknown status or if nothing is given.
    """
    if status is None and result is None:
        raise ValueError("status, result: give at least one of them")
    form = {} if result is None else {"result": check_text("result", result)}
    if status is not None:
        form["status"] = _writable_status(status)
    path = yield from _run_path(session, portal_task_id, portal_run_id)
    if status is None:
        form["status"] = (yield from get_run(session, portal_task_id, portal_run_id)).status_text
    _succeeded((yield from session.fetch("POST", f"{path}/update", form)))


def delete_run(session: Session, portal_task_id: str, portal_run_id: str) -> Operation[bool]:
    """Delete the record of a run. Returns False if there was none; see `delete_task`."""
    path = yield from _run_path(session, portal_task_id, portal_run_id)
    try:
        _succeeded((yield from session.fetch("POST", f"{path}/delete")))
    except NotFound as missing:
        return missing.may_have_acted
    return True


def newest_first(runs: Iterable[PortalRun]) -> list[PortalRun]:
    """Sort by creation; the portal promises no order. Runs without a time come last."""
    return sorted(runs, key=lambda run: run.created.timestamp() if run.created else 0.0, reverse=True)


def _writable_status(status: RunStatus | str) -> str:
    known = RunStatus(status)
    if known is RunStatus.UNKNOWN:
        allowed = ", ".join(name for name in RunStatus if name is not RunStatus.UNKNOWN)
        raise ValueError(f"status: {status!r} is none of the portal's; write one of {allowed}")
    return known.value


# --- who ---------------------------------------------------------------------------------------------


def who_am_i(session: Session) -> Operation[WhoAmI]:
    """Who is signed in, and at which portal."""
    portal = yield from session.fetch("GET", "/portals/self")
    try:
        user = yield from session.fetch("GET", "/community/self")
    except (NotFound, PermissionDenied, InvalidRequest):
        user = {}
    nested = portal.get("user")
    user = user if user.get("username") or not isinstance(nested, dict) else nested
    privileges = user.get("privileges")
    version = portal.get("enterpriseVersion") or portal.get("currentVersion")
    username, role = user.get("username"), user.get("role")
    return WhoAmI(
        username=username if isinstance(username, str) else None,
        role=role if isinstance(role, str) else None,
        privileges=frozenset(map(str, privileges)) if isinstance(privileges, list) else frozenset(),
        portal_name=portal.get("portalName") or portal.get("name"),
        version=str(version) if version is not None else None,
        org_id=portal.get("id"),
    )


# --- paths -------------------------------------------------------------------------------------------


def _tasks_path(session: Session) -> Operation[str]:
    owner = check_user_name("owner", (yield from session.owner()))
    return f"/community/users/{quote(owner, safe='')}/tasks"


def _task_path(session: Session, portal_task_id: str) -> Operation[str]:
    portal_task_id = check_id("portal_task_id", portal_task_id)
    return f"{(yield from _tasks_path(session))}/{portal_task_id}"


def _run_path(session: Session, portal_task_id: str, portal_run_id: str) -> Operation[str]:
    portal_run_id = check_id("portal_run_id", portal_run_id)
    return f"{(yield from _task_path(session, portal_task_id))}/runs/{portal_run_id}"


# --- forms -------------------------------------------------------------------------------------------


def create_form(definition: TaskDefinition) -> dict[str, str]:
    """The form of createTask. REST: create-new-scheduled-task; `parameters` are JSON as text."""
    parameters = definition.parameters
    if definition.task_type == TaskType.EXECUTE_NOTEBOOK and parameters is not None:
        parameters = notebook_parameters(parameters)
    return _form(
        title=definition.title,
        task_type=TaskType(definition.task_type),
        parameters=parameters,
        item_id=definition.item_id,
        schedule=definition.schedule,
        task_url=definition.task_url,
        max_occurrences=definition.max_occurrences,
        starts_at=definition.starts_at,
        ends_at=definition.ends_at,
    )


def changes_form(changes: Mapping[str, Any]) -> dict[str, str]:
    """The part of the update form that `changes` make. Raises `ValueError`, see `update_task`."""
    if not changes:
        raise ValueError("nothing to change: name at least one of " + ", ".join(_CHANGEABLE))
    for name, value in changes.items():
        if name not in _CHANGEABLE:
            raise ValueError(f"{name}: can't be changed; what can be is {', '.join(_CHANGEABLE)}")
        if value is None and name != "max_occurrences":
            raise ValueError(
                f"{name}: the portal knows no way to take it away; give a new value, or leave it out"
            )
    occurrences = changes.get("max_occurrences")
    check_occurrences(occurrences)
    check_parameters(changes.get("parameters"))
    check_aware("starts_at", changes.get("starts_at"))
    check_aware("ends_at", changes.get("ends_at"))
    form = _form(**{name: value for name, value in changes.items() if name != "max_occurrences"})
    if "max_occurrences" in changes:
        form["maxOccurrences"] = "-1" if occurrences is None else str(occurrences)
    return form


_CHANGEABLE = (
    "schedule",
    "title",
    "parameters",
    "task_url",
    "item_id",
    "task_type",
    "max_occurrences",
    "starts_at",
    "ends_at",
)


def _form(
    *,
    title: str | None = None,
    task_type: TaskType | str | None = None,
    parameters: Mapping[str, Any] | None = None,
    item_id: str | None = None,
    schedule: str | None = None,
    task_url: str | None = None,
    max_occurrences: int | None = None,
    starts_at: datetime | None = None,
    ends_at: datetime | None = None,
) -> dict[str, str]:
    form: dict[str, str] = {}
    for name, value in (("schedule", schedule), ("title", title), ("task_url", task_url)):
        if value is not None:
            check_text(name, value)
    if title is not None:
        form["title"] = title
    if task_type is not None:
        form["type"] = TaskType(task_type).value
    if parameters is not None:
        form["parameters"] = json_text(parameters)
    if item_id is not None:
        form["itemId"] = check_id("item_id", item_id)
    if schedule is not None:
        form |= to_portal(schedule).as_form()
    if task_url is not None:
        # The official client creates with one spelling and updates with the other.
        form |= {"taskUrl": task_url, "taskURL": task_url}
    if max_occurrences is not None:
        form["maxOccurrences"] = str(max_occurrences)
    if starts_at is not None:
        form["startDate"] = str(to_milliseconds(starts_at))
    if ends_at is not None:
        form["endDate"] = str(to_milliseconds(ends_at))
    return form


def differing_fields(task: PortalTask, definition: TaskDefinition) -> dict[str, str]:
    """The form fields that the definition gives and that the portal task has otherwise, or not at all."""
    wanted = create_form(definition)
    if task.type == TaskType.EXECUTE_NOTEBOOK and definition.parameters is not None:
        wanted["parameters"] = json.dumps(notebook_parameters(definition.parameters, task.parameters or None))
    present = _present_form(task)
    return {name: value for name, value in wanted.items() if not _same(name, value, present.get(name))}


def _same(name: str, wanted: str, present: str | None) -> bool:
    if name != "parameters" or present is None:
        return wanted == present
    return bool(_without_nested_text(wanted) == _without_nested_text(present))


def _without_nested_text(parameters: str) -> Any:
    """The parameters as values, JSON text inside them read, too: the order of keys is no difference."""
    read = json.loads(parameters)
    if isinstance(read.get("notebookParameters"), str):
        with suppress(ValueError):
            read["notebookParameters"] = json.loads(read["notebookParameters"])
    return read


def _present_form(task: PortalTask) -> dict[str, str]:
    """The form that leaves a portal task as it is, made from what the portal told of it."""
    form = _form(
        title=task.title,
        parameters=task.parameters or None,
        task_url=task.task_url,
        starts_at=task.starts_at,
        ends_at=task.ends_at,
    )
    if task.item_id is not None:
        form["itemId"] = task.item_id
    cron = task.raw.get("cronSchedule")
    if isinstance(cron, Mapping):
        form |= {name: str(cron[name]) for name in _CRON_FIELDS if cron.get(name) is not None}
    form["type"] = task.type
    occurrences = task.raw.get("maxOccurrences", task.raw.get("maxOccurences"))
    if occurrences is not None:
        form["maxOccurrences"] = str(occurrences)
    return {name: value for name, value in form.items() if encodable(value)}


_CRON_FIELDS = ("minute", "hour", "dayOfMonth", "month", "dayOfWeek")


def notebook_parameters(
    parameters: Mapping[str, Any], present: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """A notebook's parameters in the form that the portal keeps: JSON as text, inside JSON.

    `parameters` are those of the notebook, by name, or already the whole form (with the key
    `notebookParameters`). `present`: the form that is there already; its other keys are kept. Without
    it, injected parameters are not saved into the notebook, and the notebook's item is updated.
    """
    whole = dict(present or {"updatePortalItem": True, "saveInjectedParameters": False})
    if "notebookParameters" in parameters:
        whole |= parameters
    else:
        whole["notebookParameters"] = dict(parameters)
    if not isinstance(whole["notebookParameters"], str):
        whole["notebookParameters"] = json.dumps(whole["notebookParameters"])
    return whole


def merged_parameters(task: PortalTask, overriding: Mapping[str, Any]) -> dict[str, Any]:
    """A portal task's parameters with some of them replaced; for notebooks, the notebook's own."""
    if task.type != TaskType.EXECUTE_NOTEBOOK or "notebookParameters" in overriding:
        return {**task.parameters, **overriding}
    inner = task.parameters.get("notebookParameters") or {}
    if isinstance(inner, str):
        try:
            inner = json.loads(inner)
        except (ValueError, RecursionError):
            inner = {}
    if not isinstance(inner, Mapping):
        inner = {}
    return notebook_parameters({**inner, **overriding}, task.parameters or None)


# --- answers -----------------------------------------------------------------------------------------


def _understand(read: Callable[[JSON], T], body: JSON) -> T:
    try:
        return read(body)
    except ValueError as problem:
        raise PortalError(0, f"The portal's answer makes no sense: {problem}.") from None


def _succeeded(body: JSON) -> JSON:
    if body.get("success") is True or body.get("status") == "success":
        return body
    holds = ", ".join(body)[:200]
    raise InvalidRequest(0, f"The portal did not carry it out and gave no reason; its answer holds: {holds}.")


def _new_id(body: JSON) -> str:
    return _understand(lambda body: check_id("taskId", body.get("taskId")), body)


def _flag(value: bool) -> str:
    return "true" if value else "false"
