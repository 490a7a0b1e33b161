"""Portal tasks and portal runs as Python sees them: frozen, typed, tolerant of what a portal leaves out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from airflow_provider_arcgis_tasks.portal.cron import CronFields, to_portal

_K8S_TIME = "%b %d, %Y, %I:%M:%S %p"


class TaskType(StrEnum):
    """What a portal task runs. REST: createTask, `type` (case-sensitive)."""

    EXECUTE_NOTEBOOK = "ExecuteNotebook"
    UPDATE_INSIGHTS_WORKBOOK = "UpdateInsightsWorkbook"
    EXECUTE_SCENE_COOK = "ExecuteSceneCook"
    EXECUTE_WORKFLOW_MANAGER = "ExecuteWorkflowManager"
    EXECUTE_REPORT = "ExecuteReport"
    GP_SERVICE = "GPService"
    RUN_DATA_PIPELINE = "RunDataPipeline"

    @classmethod
    def _missing_(cls, value: object) -> TaskType:
        raise ValueError(
            f"task_type: {value!r} is none of the portal's; write one of {', '.join(cls)} (case matters)"
        )


class RunStatus(StrEnum):
    """How far a portal run is. REST: runs/update, `status`; anything else reads as `UNKNOWN`."""

    SCHEDULED = "scheduled"
    EXECUTING = "executing"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"
    SUBMITFAILED = "submitfailed"
    UNKNOWN = "unknown"

    @classmethod
    def _missing_(cls, value: object) -> RunStatus:
        text = str(value).strip().lower()
        return next((status for status in cls if status.value == text), cls.UNKNOWN)

    @property
    def finished(self) -> bool:
        """Whether the portal will do no more for this run. An unknown status counts as not finished."""
        return self in _FINISHED


_FINISHED = frozenset({RunStatus.SUCCEEDED, RunStatus.FAILED, RunStatus.SKIPPED, RunStatus.SUBMITFAILED})


@dataclass(frozen=True, slots=True)
class PortalTask:
    """A schedule stored on the portal. REST: the task object of community/users/<user>/tasks.

    Times are aware datetimes in UTC, or None where the portal does not tell. `raw` is the object as it
    came, with whatever this class does not know.
    """

    id: str
    type: str
    title: str | None = None
    item_id: str | None = None
    """The portal item that it runs."""
    owner: str | None = None
    """The user name of the owner (`userId` on the wire)."""
    schedule: str = "* * * * *"
    """The five cron fields in the portal's own dialect, in UTC as far as is known."""
    active: bool | None = None
    state: str | None = None
    """`taskState` as the portal words it: active, paused, ..."""
    max_occurrences: int | None = None
    """None means without limit, or not told."""
    parameters: Mapping[str, Any] = field(default_factory=dict, repr=False)
    task_url: str | None = None
    """The geoprocessing tool that it runs; GPService only."""
    next_start: datetime | None = None
    """When it fires next; as a rule only active portal tasks tell."""
    last_start: datetime | None = None
    """When it last fired; no proof that a run began."""
    starts_at: datetime | None = None
    """When its schedule begins (`startDate` on the wire)."""
    ends_at: datetime | None = None
    """When its schedule ends (`endDate` on the wire)."""
    created: datetime | None = None
    updated: datetime | None = None
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def from_wire(cls, body: Mapping[str, Any]) -> PortalTask:
        """Read the portal's JSON object. Raises `ValueError` if it has no usable id."""
        cron = body.get("cronSchedule")
        occurrences = _integer(body.get("maxOccurrences", body.get("maxOccurences")))
        return cls(
            id=_id(body, "id", "taskId"),
            type=_text(body.get("type")) or "",
            title=_text(body.get("title")),
            item_id=_text(body.get("itemId")),
            owner=_text(body.get("userId")),
            schedule=str(CronFields.from_wire(cron if isinstance(cron, Mapping) else {})),
            active=_boolean(body.get("active")),
            state=_text(body.get("taskState")),
            max_occurrences=occurrences if occurrences is not None and occurrences >= 0 else None,
            parameters=_mapping(body.get("parameters")),
            task_url=_text(body.get("taskUrl") or body.get("taskURL")),
            next_start=parse_time(body.get("nextStart")),
            last_start=parse_time(body.get("lastStart")),
            starts_at=parse_time(body.get("startDate")),
            ends_at=parse_time(body.get("endDate")),
            created=parse_time(body.get("created")),
            updated=parse_time(body.get("updated")),
            raw=dict(body),
        )


@dataclass(frozen=True, slots=True)
class PortalRun:
    """One execution of a portal task. REST: the run object of .../tasks/<task>/runs.

    `result` is what the portal says of the outcome, as text: a message, JSON or a link, by task type.
    """

    id: str
    status: RunStatus
    status_text: str
    """The status as the portal words it, also when it is `RunStatus.UNKNOWN` here."""
    result: str | None = None
    portal_task_id: str | None = None
    created: datetime | None = None
    modified: datetime | None = None
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def from_wire(cls, body: Mapping[str, Any], portal_task_id: str | None = None) -> PortalRun:
        """Read the portal's JSON object. Raises `ValueError` if it has no usable id."""
        text = _text(body.get("status")) or ""
        return cls(
            id=_id(body, "runId", "id"),
            status=RunStatus(text),
            status_text=text,
            result=_as_text(body.get("result")),
            portal_task_id=portal_task_id,
            created=parse_time(body.get("created")),
            modified=parse_time(body.get("modified")),
            raw=dict(body),
        )


@dataclass(frozen=True, slots=True)
class TaskPage:
    """One page of a list of portal tasks. REST: community/users/<user>/tasks."""

    tasks: tuple[PortalTask, ...]
    total: int | None
    next_start: int
    """Where the next page begins; -1 on the last one."""
    free_slots: int | None
    """How many more active portal tasks the user may have (`activeTasksAvailable`), if told."""

    @classmethod
    def from_wire(cls, body: Mapping[str, Any]) -> TaskPage:
        """Read the portal's JSON object."""
        tasks = body.get("tasks")
        next_start = _integer(body.get("nextStart"))
        return cls(
            tasks=tuple(PortalTask.from_wire(task) for task in objects(tasks)),
            total=_integer(body.get("total")),
            next_start=-1 if next_start is None else next_start,
            free_slots=_integer(body.get("activeTasksAvailable")),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskDefinition:
    """What to schedule on the portal, checked when it is made.

    Args:
        task_type: What it runs.
        item_id: The portal item; only ExecuteReport can do without.
        schedule: Standard cron in UTC (five fields, or `@daily` and friends), or the portal's own dialect.
        title: Its title on the portal.
        parameters: Input of each run: for ExecuteNotebook the notebook's parameters by name, for GPService
            the tool's inputs.
        task_url: GPService only: the URL of one asynchronous tool (.../GPServer/<tool>).
        max_occurrences: Runs after which the portal stops; None for no limit.
        starts_at: When the schedule begins, an aware datetime.
        ends_at: When it ends, likewise.

    Raises `ValueError` that names the field, its value and what to write instead.
    """

    task_type: TaskType | str
    item_id: str | None = None
    schedule: str
    title: str | None = None
    parameters: Mapping[str, Any] | None = None
    task_url: str | None = None
    max_occurrences: int | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None

    def __post_init__(self) -> None:
        """Check every field."""
        object.__setattr__(self, "task_type", TaskType(self.task_type))
        check_text("schedule", self.schedule)
        for name in ("title", "task_url"):
            if getattr(self, name) is not None:
                check_text(name, getattr(self, name))
        to_portal(self.schedule)
        self._check_item()
        self._check_parameters()
        self._check_task_url()
        self._check_window()
        check_occurrences(self.max_occurrences)

    @property
    def cron(self) -> CronFields:
        """The schedule in the portal's five fields."""
        return to_portal(self.schedule)

    def _check_item(self) -> None:
        if self.item_id is not None:
            check_id("item_id", self.item_id)
        elif self.task_type != TaskType.EXECUTE_REPORT:
            raise ValueError(f"item_id: {self.task_type} needs the id of the portal item that it runs")

    def _check_parameters(self) -> None:
        check_parameters(self.parameters)
        needed = _REQUIRED_PARAMETERS.get(TaskType(self.task_type), ())
        missing = [name for name in needed if name not in (self.parameters or {})]
        if missing:
            raise ValueError(
                f"parameters: {self.task_type} needs {', '.join(map(repr, missing))}; "
                f"write parameters={{{', '.join(f'{name!r}: ...' for name in needed)}}}"
            )

    def _check_task_url(self) -> None:
        if self.task_type == TaskType.GP_SERVICE:
            if not self.task_url or "/GPServer/" not in self.task_url:
                raise ValueError(
                    f"task_url: {self.task_url!r} is no URL of a geoprocessing task; write one such as "
                    "https://gis.example.com/server/rest/services/Tools/GPServer/Buffer (asynchronous)"
                )
        elif self.task_url is not None:
            raise ValueError(f"task_url: only GPService has one, and this is {self.task_type}; leave it out")

    def _check_window(self) -> None:
        for name in ("starts_at", "ends_at"):
            check_aware(name, getattr(self, name))
        if self.starts_at and self.ends_at and self.starts_at >= self.ends_at:
            raise ValueError(
                f"ends_at: {self.ends_at.isoformat()} is not after starts_at {self.starts_at.isoformat()}"
            )


_REQUIRED_PARAMETERS: Mapping[TaskType, tuple[str, ...]] = {
    TaskType.EXECUTE_SCENE_COOK: ("service_url", "num_of_caching_service_instances", "update_mode"),
    TaskType.EXECUTE_REPORT: ("reportType",),
}


def check_id(name: str, value: object) -> str:
    """Return `value` if it can be a portal's id; else raise `ValueError` that names the field.

    Ids are 32 hexadecimal digits as a rule. Letters, digits, `-` and `_` are let through, and nothing that
    could change a URL.
    """
    if (
        isinstance(value, str)
        and 0 < len(value) <= 128
        and value.isascii()
        and value.replace("-", "").replace("_", "").isalnum()
        and value.lower() not in _NOTHING
    ):
        return value
    raise ValueError(
        f"{name}: {_shown(value)} is not a portal id; write one such as '029b61ca770e428d9468a2a55f40b9fb'"
    )


_NOTHING = frozenset({"none", "null", "nan", "undefined"})
"""What templates make of nothing."""


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}..."


def check_user_name(name: str, value: object) -> str:
    """Return `value` if it can be a user name of a portal; else raise `ValueError` that names the field."""
    usable = isinstance(value, str) and value.strip() and value not in (".", "..") and encodable(value)
    if not usable:
        raise ValueError(f"{name}: {_shown(value)} is not the name of a portal user")
    return str(value)


def check_text(name: str, value: object) -> str:
    """Return `value` if it is text that can be sent; else raise `ValueError` that names the field."""
    if not isinstance(value, str):
        raise ValueError(f"{name}: {_shown(value)} is not text")  # noqa: TRY004 - as for any other value
    if not encodable(value):
        raise ValueError(f"{name}: {_shown(value)} holds half a character, which can't be sent")
    return value


def check_parameters(value: object) -> None:
    """Raise `ValueError` if `value` is neither a mapping that JSON can hold, nor None for no parameters."""
    if value is not None and not isinstance(value, Mapping):
        raise ValueError(f"parameters: {_shown(value)} is not a mapping; write a dict by name")
    json_text(value)


def encodable(text: str) -> bool:
    """Whether the text can be sent: JSON may hold halves of characters, UTF-8 can't."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def json_text(parameters: object) -> str:
    """`parameters` as JSON. Raises `ValueError` if they hold what JSON can't."""
    try:
        return json.dumps(parameters)
    except (TypeError, ValueError, RecursionError) as problem:
        raise ValueError(
            f"parameters: can't be written as JSON ({problem}); use text, numbers, lists, dicts"
        ) from None


def check_occurrences(value: object) -> None:
    """Raise `ValueError` if `value` is not a number of runs, nor None for no limit."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise ValueError(
            f"max_occurrences: {value!r} is not a number of runs; write 1 or more, or None for no limit"
        )


def check_aware(name: str, moment: datetime | None) -> None:
    """Raise `ValueError` that names the field if `moment` has no time zone."""
    if moment is not None and (not isinstance(moment, datetime) or moment.utcoffset() is None):
        raise ValueError(
            f"{name}: {moment!r} is not a time with a zone; write pendulum.datetime(2026, 1, 31, tz='UTC')"
        )


def to_milliseconds(moment: datetime) -> int:
    """The portal's form of a time: milliseconds since the epoch."""
    return round(moment.timestamp() * 1000)


def parse_time(value: object) -> datetime | None:
    """Read a time as portals write it; None for whatever is none.

    Milliseconds since the epoch, as a number or as text; also the text of portals on Kubernetes
    ("Apr 21, 2021, 10:42:17 PM") and ISO 8601. -1 and 0 mean: no time.
    """
    if isinstance(value, str):
        return _parse_text(value.strip())
    if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
        return None
    try:
        return datetime.fromtimestamp(value / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return None


def _parse_text(text: str) -> datetime | None:
    try:
        return parse_time(float(text))
    except ValueError:
        pass
    try:
        moment = datetime.strptime(text, _K8S_TIME)
    except ValueError:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            return None
    try:
        return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    except OverflowError:
        return None


def _id(body: Mapping[str, Any], *names: str) -> str:
    value = next((body[name] for name in names if body.get(name)), None)
    return check_id(names[0], value)


def _text(value: object) -> str | None:
    return value.encode(errors="replace").decode() if isinstance(value, str) else None


def _as_text(value: object) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value)


def _integer(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    try:
        return int(value)  # type: ignore[call-overload, no-any-return]  # whatever the portal sent
    except (TypeError, ValueError, OverflowError):
        return None


def _boolean(value: object) -> bool | None:
    if isinstance(value, str):
        return {"true": True, "false": False}.get(value.lower())
    return value if isinstance(value, bool) else None


def _mapping(value: object) -> Mapping[str, Any]:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return {}
    return value if isinstance(value, Mapping) else {}


def objects(value: object) -> list[Mapping[str, Any]]:
    """The objects in a list of the portal's. Raises `ValueError` for more than any portal would send."""
    if not isinstance(value, list):
        return []
    if len(value) > _MOST_ENTRIES:
        raise ValueError(f"there are {len(value)} entries in one list")
    return [entry for entry in value if isinstance(entry, Mapping)]


_MOST_ENTRIES = 10_000
"""So many at once, though 100 were asked for; reading millions would hold up a triggerer."""
