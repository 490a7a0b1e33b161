"""Asynchronous waits, as operations carried out in the triggerer. All times are epoch seconds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from datetime import datetime
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_arcgis_tasks.hooks import ArcGISTasksHook
from airflow_provider_arcgis_tasks.outcomes import run_event
from airflow_provider_arcgis_tasks.portal import oneshot
from airflow_provider_arcgis_tasks.portal.effects import DeadlinePassed, Operation, pause, until
from airflow_provider_arcgis_tasks.portal.errors import ArcGISTasksError
from airflow_provider_arcgis_tasks.portal.oneshot import Job, Mark
from airflow_provider_arcgis_tasks.portal.session import Session
from airflow_provider_arcgis_tasks.portal.verdict import Criteria
from airflow_provider_arcgis_tasks.portal.watch import FIRST_POLL_SECONDS, WhichRun, jittered, wait_for_run

_KILL_SECONDS = 28.0  # Airflow allows 30
_OVER = frozenset({None, "success", "failed", "skipped", "upstream_failed", "removed"})

_SECONDS_PER_SHARER = 0.005
_SETTLING_SECONDS = 6.5
"""Airflow's executor may tell the scheduler that late (`[workers] min_heartbeat_interval`) of a deferral."""

FOREVER = float("inf")


class PortalTrigger(BaseTrigger):
    """Carries out one operation on a portal and fires one event with what came of it."""

    def __init__(
        self,
        *,
        arcgis_conn_id: str,
        portal_owner: str | None = None,
        poll_interval: float = 30.0,
        deadline: float | None = None,
        **_from_another_version: Any,
    ) -> None:
        """Wait until `deadline` (epoch seconds; None: without end), looking every `poll_interval` seconds."""
        super().__init__()  # type: ignore[no-untyped-call]
        self.arcgis_conn_id = arcgis_conn_id
        self.portal_owner = portal_owner
        self.poll_interval = poll_interval
        self.deadline = deadline

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class and the arguments that make this trigger again; JSON only, and no secrets."""
        return f"{type(self).__module__}.{type(self).__qualname__}", {
            "arcgis_conn_id": self.arcgis_conn_id,
            "portal_owner": self.portal_owner,
            "poll_interval": self.poll_interval,
            "deadline": self.deadline,
            **self.arguments(),
        }

    def arguments(self) -> dict[str, Any]:
        """The arguments of the subclass."""
        return {}

    def operation(self, session: Session) -> Operation[dict[str, Any]]:
        """What to carry out; its result is the event's payload."""
        raise NotImplementedError

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Fire one event: the operation's payload, `timeout`, or `error`, for the worker to raise."""
        payload = {"version": 1, **await self._outcome()}
        yield TriggerEvent(payload)  # type: ignore[no-untyped-call]

    async def _outcome(self) -> dict[str, Any]:
        try:
            async with self._hook() as hook:
                moment = FIRST_POLL_SECONDS if self.task_instance is None else _SETTLING_SECONDS
                crowd = hook.sharers * _SECONDS_PER_SHARER
                return await hook.arun(self._bounded(hook.session, moment, crowd))
        except DeadlinePassed:
            return {"outcome": "timeout"}
        except ArcGISTasksError as problem:
            return {"outcome": "error", "error": problem.to_dict()}
        except ValueError as problem:
            return {"outcome": "error", "error": {"type": "ArcGISTasksError", "message": str(problem)}}

    def _bounded(
        self, session: Session, moment: float = FIRST_POLL_SECONDS, crowd: float = 0.0
    ) -> Operation[dict[str, Any]]:
        return until(self.deadline or FOREVER, self._after_a_moment(session, moment, crowd))

    def _after_a_moment(self, session: Session, moment: float, crowd: float) -> Operation[dict[str, Any]]:
        """Begin late enough for the scheduler to have noted the deferral, and not all at once.

        An event that comes sooner would get lost. `crowd`: seconds over which many waits spread, as after a
        restart of the triggerer.
        """
        yield from pause(jittered(session, moment) + session.random_fraction() * crowd)
        return (yield from self.operation(session))

    def _hook(self) -> ArcGISTasksHook:
        return ArcGISTasksHook(self.arcgis_conn_id, owner=self.portal_owner)


class ArcGISTaskRunTrigger(PortalTrigger):
    """Waits for a run of a portal task; which one, and which statuses end the wait, as the sensor says."""

    def __init__(
        self,
        *,
        arcgis_conn_id: str,
        portal_task_id: str,
        portal_run_id: str | None = None,
        newer_than: str | None = None,
        success_statuses: Iterable[str] | None = None,
        failure_statuses: Iterable[str] | None = None,
        portal_owner: str | None = None,
        poll_interval: float = 30.0,
        deadline: float | None = None,
        **from_another_version: Any,
    ) -> None:
        """As `ArcGISTaskRunSensor`; `newer_than` is ISO 8601 text with a zone."""
        super().__init__(
            arcgis_conn_id=arcgis_conn_id,
            portal_owner=portal_owner,
            poll_interval=poll_interval,
            deadline=deadline,
            **from_another_version,
        )
        self.portal_task_id = portal_task_id
        self.portal_run_id = portal_run_id
        self.newer_than = newer_than
        self.success_statuses = None if success_statuses is None else sorted(success_statuses)
        self.failure_statuses = None if failure_statuses is None else sorted(failure_statuses)

    def arguments(self) -> dict[str, Any]:
        """Which run, and what ends the wait."""
        return {
            "portal_task_id": self.portal_task_id,
            "portal_run_id": self.portal_run_id,
            "newer_than": self.newer_than,
            "success_statuses": self.success_statuses,
            "failure_statuses": self.failure_statuses,
        }

    def operation(self, session: Session) -> Operation[dict[str, Any]]:
        """Wait for the run."""
        newer_than = None if self.newer_than is None else datetime.fromisoformat(self.newer_than)
        which = WhichRun(self.portal_task_id, self.portal_run_id, newer_than)
        criteria = Criteria.of(self.success_statuses, self.failure_statuses)
        run = yield from wait_for_run(session, which, criteria, self.poll_interval)
        return run_event(run)


class ArcGISOneShotTrigger(PortalTrigger):
    """Waits for the run of a one-shot task; `mark` says whose it is, `job` what it runs (`Job.to_dict`)."""

    def __init__(
        self,
        *,
        arcgis_conn_id: str,
        portal_task_id: str,
        job: Mapping[str, Any],
        mark: str,
        cancel_on_kill: bool = True,
        portal_owner: str | None = None,
        poll_interval: float = 30.0,
        deadline: float | None = None,
        **from_another_version: Any,
    ) -> None:
        """Wait for the run of the one-shot task `portal_task_id`, or of another with its `mark`."""
        super().__init__(
            arcgis_conn_id=arcgis_conn_id,
            portal_owner=portal_owner,
            poll_interval=poll_interval,
            deadline=deadline,
            **from_another_version,
        )
        self.portal_task_id = portal_task_id
        self.job = dict(job)
        self.mark = mark
        self.cancel_on_kill = cancel_on_kill

    def arguments(self) -> dict[str, Any]:
        """Which one-shot task."""
        return {
            "portal_task_id": self.portal_task_id,
            "job": self.job,
            "mark": self.mark,
            "cancel_on_kill": self.cancel_on_kill,
        }

    def operation(self, session: Session) -> Operation[dict[str, Any]]:
        """Wait for its run."""
        job, mark = Job.from_dict(self.job), Mark.parse(self.mark)
        run = yield from oneshot.wait(session, self.portal_task_id, job, mark, self.poll_interval)
        return run_event(run)

    async def on_kill(self) -> None:
        """Remove the one-shot task if the Airflow task has ended.

        Airflow calls this also when the task was cleared, or moved to another triggerer: then somebody
        goes on with the one-shot task, or settles it, and it is left alone.
        """
        if not self.cancel_on_kill:
            return
        # Airflow cancels this trigger again in each of its rounds, also while it waits here.
        work = asyncio.create_task(self._remove_if_over())
        ends = asyncio.get_running_loop().time() + _KILL_SECONDS
        while not work.done():
            try:
                await asyncio.shield(work)
            except asyncio.CancelledError:
                if asyncio.get_running_loop().time() > ends:
                    raise

    async def _remove_if_over(self) -> None:
        state = await self._task_state()
        if state not in _OVER:
            self.log.info("The Airflow task is %s: leaving its one-shot task to whoever goes on", state)
            return
        async with self._hook() as hook:
            await hook.arun(oneshot.give_up(hook.session, Mark.parse(self.mark)))

    async def _task_state(self) -> str | None:
        from airflow.sdk.execution_time.comms import GetTaskStates
        from airflow.sdk.execution_time.task_runner import SUPERVISOR_COMMS

        ti = self.task_instance
        if ti is None:  # as in `dag.test()`, where nothing is ever killed
            return None
        answer = await SUPERVISOR_COMMS.asend(
            GetTaskStates(
                dag_id=ti.dag_id, map_index=ti.map_index, task_ids=[ti.task_id], run_ids=[ti.run_id]
            )
        )
        states = getattr(answer, "task_states", {}).get(ti.run_id, {})
        name = ti.task_id if ti.map_index < 0 else f"{ti.task_id}_{ti.map_index}"
        state = states.get(name)
        return None if state is None else str(state)


class ArcGISStartTrigger(PortalTrigger):
    """Waits until a one-shot task can be started: a slot is free, and no run from before a clear goes on."""

    def __init__(self, *, mark: str, **others: Any) -> None:
        """Wait on behalf of `mark`; for the other arguments see `PortalTrigger`."""
        super().__init__(**others)
        self.mark = mark

    def arguments(self) -> dict[str, Any]:
        """On whose behalf."""
        return {"mark": self.mark}

    def operation(self, session: Session) -> Operation[dict[str, Any]]:
        """Wait until it can be started."""
        yield from oneshot.until_startable(session, Mark.parse(self.mark), self.poll_interval)
        return {"outcome": "startable"}
