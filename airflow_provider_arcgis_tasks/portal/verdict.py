"""What a run's status means for whoever waits for it: decided here, and nowhere else."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto

from airflow_provider_arcgis_tasks.portal.errors import RunFailed
from airflow_provider_arcgis_tasks.portal.models import PortalRun, RunStatus


class Verdict(Enum):
    """How a wait for a run stands."""

    WAITING = auto()
    SUCCEEDED = auto()
    FAILED = auto()


@dataclass(frozen=True, slots=True)
class Criteria:
    """Which statuses end a wait well, and which end it badly. Any other means: keep waiting."""

    success: frozenset[RunStatus] = frozenset({RunStatus.SUCCEEDED})
    failure: frozenset[RunStatus] = frozenset({RunStatus.FAILED, RunStatus.SKIPPED, RunStatus.SUBMITFAILED})

    @classmethod
    def of(
        cls,
        success_statuses: Iterable[RunStatus | str] | None = None,
        failure_statuses: Iterable[RunStatus | str] | None = None,
    ) -> Criteria:
        """Read both lists; a status that is listed as success does not count as failure by default.

        Raises `ValueError` for an unknown status, or for one that is on both lists.
        """
        default = cls()
        success = _statuses("success_statuses", success_statuses) or default.success
        failure = _statuses("failure_statuses", failure_statuses)
        if failure is None:
            failure = default.failure - success
        if both := success & failure:
            raise ValueError(
                f"failure_statuses: {', '.join(sorted(both))} can't mean success and failure at once"
            )
        return cls(success, failure)

    def verdict(self, run: PortalRun) -> Verdict:
        """How a wait for this run stands."""
        if run.status in self.success:
            return Verdict.SUCCEEDED
        return Verdict.FAILED if run.status in self.failure else Verdict.WAITING

    def check(self, run: PortalRun) -> PortalRun:
        """Return a run that ended well; raise `RunFailed` for any other."""
        if self.verdict(run) is Verdict.SUCCEEDED:
            return run
        raise RunFailed(describe(run), run)


def describe(run: PortalRun) -> str:
    """One line on a run, the same wherever it is told."""
    where = f" of portal task {run.portal_task_id}" if run.portal_task_id else ""
    said = f": {_shorten(run.result)}" if run.result else ""
    return f"Portal run {run.id}{where} is {run.status_text or run.status}{said}"


def _shorten(text: str, length: int = 500) -> str:
    text = " ".join(text.split())
    return text if len(text) <= length else f"{text[:length]}..."


def _statuses(name: str, given: Iterable[RunStatus | str] | None) -> frozenset[RunStatus] | None:
    if given is None:
        return None
    try:
        statuses = [given] if isinstance(given, str) else list(given)
    except TypeError:
        raise ValueError(f"{name}: {given!r} is no list of statuses") from None
    for status in statuses:
        if RunStatus(status) is RunStatus.UNKNOWN:
            allowed = ", ".join(known for known in RunStatus if known is not RunStatus.UNKNOWN)
            raise ValueError(f"{name}: {status!r} is no status of a portal run; write some of {allowed}")
    return frozenset(map(RunStatus, statuses))
