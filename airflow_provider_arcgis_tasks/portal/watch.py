"""Waiting for the runs of a portal task that has a schedule of its own."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from airflow_provider_arcgis_tasks.portal.effects import Operation, pause
from airflow_provider_arcgis_tasks.portal.errors import PortalError
from airflow_provider_arcgis_tasks.portal.models import PortalRun, RunStatus, check_aware, check_id
from airflow_provider_arcgis_tasks.portal.session import Session
from airflow_provider_arcgis_tasks.portal.tasks import get_run, get_runs, get_task
from airflow_provider_arcgis_tasks.portal.verdict import Criteria, Verdict, describe

log = logging.getLogger(__name__)

FIRST_POLL_SECONDS = 2.0
LATE_RECORD_SECONDS = 180.0
"""A run may have begun that long, on the portal's clock, before its record shows."""
_LONGEST_SLEEP_SECONDS = 900.0
"""A schedule may be changed while we sleep until its next start."""


@dataclass(frozen=True, slots=True)
class WhichRun:
    """Which run of a portal task is meant.

    The one named by `portal_run_id`; else the first that was created at or after `newer_than` (an aware
    datetime, on the portal's clock); else the newest one.
    """

    portal_task_id: str
    portal_run_id: str | None = None
    newer_than: datetime | None = None

    def __post_init__(self) -> None:
        """Check the fields."""
        check_id("portal_task_id", self.portal_task_id)
        if self.portal_run_id is not None:
            check_id("portal_run_id", self.portal_run_id)
        check_aware("newer_than", self.newer_than)

    def look(self, session: Session) -> Operation[PortalRun | None]:
        """Ask the portal once. None: there is no such run yet."""
        if self.portal_run_id is not None:
            return (yield from get_run(session, self.portal_task_id, self.portal_run_id))
        return self._choose((yield from get_runs(session, self.portal_task_id)))

    def _choose(self, runs: list[PortalRun]) -> PortalRun | None:
        if self.newer_than is None:
            return runs[0] if runs else None
        if runs and all(run.created is None for run in runs):
            raise PortalError(
                0,
                "This portal does not tell when its runs began, so none can be found by time.",
                advice="Name the run by portal_run_id, or leave newer_than out to wait for the newest run.",
            )
        late_enough = [run for run in runs if run.created is not None and run.created >= self.newer_than]
        return late_enough[-1] if late_enough else None


def wait_for_run(
    session: Session, which: WhichRun, criteria: Criteria, poll_interval: float
) -> Operation[PortalRun]:
    """Wait until the run is there and has a status that `criteria` decide on; return it.

    Has no end of its own: bound it with `effects.until`. `poll_interval`: most seconds between two looks.
    """
    story = Story()
    delays = growing_delays(session, poll_interval)
    expected: float | None = None
    while True:
        run = yield from which.look(session)
        story.tell(run)
        if run is not None and criteria.verdict(run) is not Verdict.WAITING:
            return run
        if expected is None:  # only now: the first answer has told the portal's time
            expected = yield from _first_possible_start(session, which)
        if run is None and (yield from session.portal_time()) > expected + LATE_RECORD_SECONDS:
            expected = yield from _next_start(session, which)
        early = 0.0 if run is not None else (yield from _seconds_until(session, expected))
        yield from pause(max(next(delays), early))


def _first_possible_start(session: Session, which: WhichRun) -> Operation[float]:
    present = yield from session.portal_time()
    if which.portal_run_id is not None or which.newer_than is None:
        return present
    return max(present, which.newer_than.timestamp())


def _next_start(session: Session, which: WhichRun) -> Operation[float]:
    """When the schedule starts the next run, on the portal's clock; now, if that is not known."""
    task = yield from get_task(session, which.portal_task_id)
    if task.next_start is None:
        return (yield from session.portal_time())
    return task.next_start.timestamp()


def _seconds_until(session: Session, portal_moment: float) -> Operation[float]:
    if not session.clock.knows_pace:
        return 0.0
    left = portal_moment - (yield from session.portal_time())
    return min(session.clock.local_seconds(max(left, 0.0)), _LONGEST_SLEEP_SECONDS)


def growing_delays(session: Session, poll_interval: float) -> Iterator[float]:
    """Seconds to wait before each further look: short at first, then up to `poll_interval`, with jitter."""
    delay = min(FIRST_POLL_SECONDS, poll_interval)
    while True:
        yield jittered(session, delay)
        delay = min(delay * 3, poll_interval)


def jittered(session: Session, seconds: float) -> float:
    """`seconds`, a tenth more or less, so that many waits do not ask in step."""
    return seconds * (0.9 + 0.2 * session.random_fraction())


@dataclass(slots=True)
class Story:
    """Tells a run's changes of state to the log, each of them once."""

    _told: object = field(default=None)

    def tell(self, run: PortalRun | None) -> None:
        """Log the run's state if it has changed since the last time."""
        state = None if run is None else (run.id, run.status_text)
        if run is None or state == self._told:
            return
        self._told = state
        if run.status is RunStatus.UNKNOWN:
            log.warning("%s, which is no status known here: waiting on", describe(run))
        else:
            log.info("%s", describe(run))
