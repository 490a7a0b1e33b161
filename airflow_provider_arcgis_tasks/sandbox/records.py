"""What the portal keeps records of. Times are epoch seconds unless said otherwise."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_arcgis_tasks.sandbox.quartz import Schedule

OVER = frozenset({"succeeded", "failed", "skipped", "submitfailed"})
UNEXECUTED = frozenset({"skipped", "submitfailed"})
UNLIMITED = -1

Result = str | Mapping[str, Any] | Callable[[Mapping[str, Any]], Any]


@dataclass(slots=True, eq=False)
class Run:
    """One execution of a portal task."""

    id: str
    status: str
    created: float
    modified: float
    result: str = ""


@dataclass(frozen=True, slots=True)
class Definition:
    """What a portal task is to be.

    Attributes:
        fields: the five cron texts.
        schedule: the same, understood.
        max_occurrences: -1: no limit.
        starts_at: epoch milliseconds, as on the wire.
        ends_at: epoch milliseconds.
    """

    type: str
    item_id: str | None
    title: str | None
    fields: dict[str, str]
    schedule: Schedule
    parameters: dict[str, Any] | None
    task_url: str | None
    max_occurrences: int
    starts_at: int | None
    ends_at: int | None


@dataclass(slots=True, eq=False)
class Task:
    """A schedule stored on the portal.

    Attributes:
        state: the text for `taskState`.
        interval: seconds between its fire times.
        under_way: how many of its runs are not over.
        generation: changes whenever what has been put on the scheduler's list no longer holds.
    """

    id: str
    owner: str
    definition: Definition
    created: float
    updated: float
    active: bool = True
    state: str = "active"
    occurrences: int = 0
    failures_in_row: int = 0
    interval: int | None = None
    last_start: float | None = None
    next_start: float | None = None
    deleted: bool = False
    generation: int = 0
    under_way: int = 0
    runs: dict[str, Run] = field(default_factory=dict)

    @property
    def exhausted(self) -> bool:
        """Whether the last occurrence has been used up."""
        most = self.definition.max_occurrences
        return most != UNLIMITED and self.occurrences >= most


@dataclass(frozen=True, slots=True)
class Plan:
    """What the coming runs of one item will do."""

    outcome: str = "succeeded"
    duration: float = 30.0
    result: Result = ""


@dataclass(frozen=True, slots=True)
class Fired:
    """A real execution, remembered even when the portal task and its run have been deleted.

    Attributes:
        parameters: as stored on the portal.
        inputs: as the executed thing sees them: for a notebook, the content of `notebookParameters`.
        scheduled_for: the fire time.
        end: when it ends or would have ended; infinite for a run that never ends.
    """

    task_id: str
    run_id: str
    item_id: str | None
    type: str
    title: str | None
    owner: str
    parameters: Mapping[str, Any] | None
    inputs: Mapping[str, Any]
    scheduled_for: float
    start: float
    end: float
    outcome: str
    result: str
