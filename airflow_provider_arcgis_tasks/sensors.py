"""The sensor: waits for a run of a portal task."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.configuration import conf
from airflow.sdk import BaseSensorOperator, PokeReturnValue

from airflow_provider_arcgis_tasks.arguments import moment
from airflow_provider_arcgis_tasks.hooks import ArcGISTasksHook
from airflow_provider_arcgis_tasks.outcomes import (
    AirflowFailException,
    AirflowSkipException,
    TaskDeferralTimeout,
    check_event,
    returned,
    run_told_by,
    sign_in_once,
)
from airflow_provider_arcgis_tasks.portal.effects import DeadlinePassed
from airflow_provider_arcgis_tasks.portal.models import PortalRun, RunStatus
from airflow_provider_arcgis_tasks.portal.verdict import Criteria, Verdict, describe
from airflow_provider_arcgis_tasks.portal.watch import WhichRun

if TYPE_CHECKING:
    from airflow.sdk import Context

_BACKSTOP_SECONDS = 60.0


class ArcGISTaskRunSensor(BaseSensorOperator):
    """Waits for a run of a portal task; returns the same as `ArcGISTriggerTaskOperator`.

    Poking, rescheduling and deferring behave alike, `timeout` and `soft_fail` included.

    Args:
        portal_task_id: The portal task.
        portal_run_id: The run; by default see `newer_than`.
        newer_than: Wait for the first run that was created at or after this time (an aware datetime, or
            ISO 8601 text with a zone; `{{ data_interval_end }}`, say), on the portal's clock. Without it:
            the newest run.
        success_statuses: Statuses that end the wait well; by default `succeeded`.
        failure_statuses: Statuses that end it with `RunFailed`; by default `failed`, `skipped` and
            `submitfailed`.
        deferrable: Whether to wait in the triggerer; by default as Airflow's `[operators]
            default_deferrable` says.
        poke_interval: Seconds between two looks; deferred, the first ones come sooner.
        timeout: Seconds for the whole wait; Airflow's default is seven days.
        arcgis_conn_id: The Airflow connection.
        portal_owner: Whose portal task it is, as a user name of the portal.

    Raises:
        RunFailed: The run has one of `failure_statuses`.
        AirflowSensorTimeout: `timeout` is over.
        NotFound: There is no such portal task or portal run.
        PortalUnreachable: The portal could not be asked for as long as the connection allows.
    """

    template_fields: Sequence[str] = (
        "arcgis_conn_id",
        "portal_owner",
        "portal_task_id",
        "portal_run_id",
        "newer_than",
        "success_statuses",
        "failure_statuses",
    )
    ui_color = "#e3f1df"

    def __init__(
        self,
        *,
        portal_task_id: str,
        portal_run_id: str | None = None,
        newer_than: datetime | str | None = None,
        success_statuses: Iterable[RunStatus | str] | None = None,
        failure_statuses: Iterable[RunStatus | str] | None = None,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        arcgis_conn_id: str = "arcgis_default",
        portal_owner: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.portal_task_id = portal_task_id
        self.portal_run_id = portal_run_id
        self.newer_than = newer_than
        self.success_statuses = success_statuses
        self.failure_statuses = failure_statuses
        self.deferrable = deferrable
        self.arcgis_conn_id = arcgis_conn_id
        self.portal_owner = portal_owner

    def execute(self, context: Context) -> Any:
        """Look once, and defer if that was too early; or poke as Airflow does."""
        if not self.deferrable:
            return super().execute(context)
        with self._skipping_as_when_poking():
            run = self._look()
        return self._defer(context) if run is None else returned(run)

    def poke(self, context: Context) -> PokeReturnValue:
        """Look once."""
        run = self._look()
        return PokeReturnValue(is_done=run is not None, xcom_value=None if run is None else returned(run))

    def execute_complete(self, context: Context, event: dict[str, Any] | None = None) -> dict[str, Any]:
        """Go on after the triggerer's wait."""
        with self._skipping_as_when_poking(), sign_in_once():
            try:
                run = run_told_by(check_event(event, "run"))
            except DeadlinePassed:
                raise TaskDeferralTimeout("The sensor's timeout is over.") from None
            return returned(self._criteria().check(run))

    @contextmanager
    def _skipping_as_when_poking(self) -> Iterator[None]:
        """Treat `soft_fail` and `never_fail` as Airflow does when a sensor pokes."""
        try:
            yield
        except TaskDeferralTimeout:
            raise  # Airflow itself makes a sensor's timeout of it
        except Exception as problem:
            if self.never_fail or (self.soft_fail and isinstance(problem, AirflowFailException)):
                raise AirflowSkipException(f"Skipping, for soft_fail or never_fail: {problem}") from problem
            raise

    def _look(self) -> PortalRun | None:
        """The run, if it ended well; None while it goes on. Raises `RunFailed`."""
        which, criteria = self._which(), self._criteria()
        with self._hook() as hook:
            run = hook.run(which.look(hook.session))
        self.log.info("%s", "There is no such portal run yet" if run is None else describe(run))
        if run is None or criteria.verdict(run) is Verdict.WAITING:
            return None
        return criteria.check(run)

    @contextmanager
    def _hook(self) -> Iterator[ArcGISTasksHook]:
        with sign_in_once(), ArcGISTasksHook(self.arcgis_conn_id, owner=self.portal_owner) as hook:
            yield hook

    def _which(self) -> WhichRun:
        return WhichRun(
            self.portal_task_id, self.portal_run_id or None, moment("newer_than", self.newer_than)
        )

    def _criteria(self) -> Criteria:
        return Criteria.of(self.success_statuses, self.failure_statuses)

    def _defer(self, context: Context) -> NoReturn:
        from airflow_provider_arcgis_tasks.triggers import ArcGISTaskRunTrigger

        started = context["ti"].start_date
        deadline = (started.timestamp() if started else time.time()) + self.timeout
        newer_than = moment("newer_than", self.newer_than)
        criteria = self._criteria()
        self.defer(
            trigger=ArcGISTaskRunTrigger(
                arcgis_conn_id=self.arcgis_conn_id,
                portal_task_id=self.portal_task_id,
                portal_run_id=self.portal_run_id or None,
                newer_than=newer_than.isoformat() if newer_than else None,
                success_statuses=sorted(criteria.success),
                failure_statuses=sorted(criteria.failure),
                portal_owner=self.portal_owner,
                poll_interval=self.poke_interval,
                deadline=deadline,
            ),
            method_name="execute_complete",
            timeout=timedelta(seconds=max(deadline - time.time(), 0.0) + _BACKSTOP_SECONDS),
        )
