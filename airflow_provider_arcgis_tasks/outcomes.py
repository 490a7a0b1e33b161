"""What passes between triggers, operators and sensors, and how it ends: events, returned values, errors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from airflow_provider_arcgis_tasks.portal.effects import DeadlinePassed
from airflow_provider_arcgis_tasks.portal.errors import ArcGISTasksError, SignInRefused, error_from_dict
from airflow_provider_arcgis_tasks.portal.models import PortalRun, RunStatus

try:
    from airflow.sdk.exceptions import (
        AirflowFailException,
        AirflowSkipException,
        TaskDeferralTimeout,
    )
except ImportError:  # before Airflow 3.2
    from airflow.exceptions import (  # type: ignore[no-redef]
        AirflowFailException,
        AirflowSkipException,
        TaskDeferralTimeout,
    )

__all__ = [
    "AirflowFailException",
    "AirflowSkipException",
    "TaskDeferralTimeout",
    "check_event",
    "returned",
    "run_event",
    "run_told_by",
    "sign_in_once",
]


def run_event(run: PortalRun) -> dict[str, Any]:
    """The payload of a trigger's event that tells of a run."""
    return {
        "outcome": "run",
        "portal_task_id": run.portal_task_id,
        "portal_run_id": run.id,
        "status": run.status_text,
        "result": run.result,
    }


def run_told_by(event: Mapping[str, Any]) -> PortalRun:
    """The run that `run_event` told of."""
    return PortalRun(
        id=event["portal_run_id"],
        status=RunStatus(event["status"]),
        status_text=event["status"],
        result=event["result"],
        portal_task_id=event["portal_task_id"],
    )


def check_event(event: Mapping[str, Any] | None, expected: str) -> Mapping[str, Any]:
    """Return a trigger's event if it is the expected one.

    Raises `DeadlinePassed` for a timeout, and the error that the event tells of for an error.
    """
    outcome = (event or {}).get("outcome")
    if event is not None and outcome == expected:
        return event
    if outcome == "timeout":
        raise DeadlinePassed
    if event is not None and outcome == "error":
        raise error_from_dict(event.get("error") or {})
    raise ArcGISTasksError(f"The trigger fired an event that means nothing here: {event!r}.")


def returned(run: PortalRun) -> dict[str, Any]:
    """What operators and sensors return of a run, in every mode."""
    return {
        "portal_task_id": run.portal_task_id,
        "portal_run_id": run.id,
        "status": run.status.value,
        "result": run.result,
    }


@contextmanager
def sign_in_once() -> Iterator[None]:
    """Fail the Airflow task for good when the sign-in is refused: retries would lock the account."""
    try:
        yield
    except SignInRefused as refusal:
        raise AirflowFailException(str(refusal)) from None
