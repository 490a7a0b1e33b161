"""The life of one Airflow task instance, as the scheduler, worker and triggerer play it.

What runs in it are the provider's own operator, sensor and triggers; only their hook is another, which has
the world in place of the network.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache, partial
from types import SimpleNamespace
from typing import Any

from airflow.sdk.bases.operator import ExecutorSafeguard
from airflow.sdk.exceptions import AirflowSensorTimeout, TaskDeferralTimeout, TaskDeferred

from airflow_provider_arcgis_tasks.hooks import ArcGISTasksHook
from airflow_provider_arcgis_tasks.operators import ArcGISTriggerTaskOperator
from airflow_provider_arcgis_tasks.portal import oneshot
from airflow_provider_arcgis_tasks.portal.effects import DeadlinePassed, Pause
from airflow_provider_arcgis_tasks.portal.errors import ArcGISTasksError
from airflow_provider_arcgis_tasks.portal.oneshot import Mark
from airflow_provider_arcgis_tasks.sensors import ArcGISTaskRunSensor
from airflow_provider_arcgis_tasks.transport import perform
from tests.simulation.world import Actor, World

ExecutorSafeguard.test_mode = True

GONE = "the worker is gone"
RETRY_DELAY = 5.0
TRIGGER_START = 1.5
TRIGGER_RESTART = 8.0
RESUME = 2.0
TIMEOUT = 1800.0
AFTER_DEADLINE = 400.0
PARAMETERS = {"region": "north"}


class SimulatedHook(ArcGISTasksHook):
    """The hook, with the world in place of the network."""

    world: World

    def _opened(self) -> Any:
        if self._own is None:
            self._own = self.world.session(), self.world.handle  # type: ignore[assignment]
        return self._own

    def close(self) -> None:
        pass


class SimulatedOperator(ArcGISTriggerTaskOperator):
    """The operator, with that hook and without a log."""

    world: World
    log = logging.getLogger("simulation")  # type: ignore[assignment]

    @contextmanager
    def _hook(self) -> Iterator[ArcGISTasksHook]:
        yield hook_of(self.world)


class SimulatedSensor(ArcGISTaskRunSensor):
    """The sensor, likewise; while it pokes, it pauses in the world's time."""

    world: World
    _mark = None
    _session = None

    def execute(self, context: Any) -> Any:
        if self.deferrable:
            return super().execute(context)
        ends = self.world.now + self.timeout
        while not (told := self.poke(context)).is_done:
            if self.world.now > ends:
                raise AirflowSensorTimeout
            self.world.handle(Pause(self.poke_interval))
        return told.xcom_value

    @contextmanager
    def _hook(self) -> Iterator[ArcGISTasksHook]:
        yield hook_of(self.world)


def hook_of(world: World) -> SimulatedHook:
    hook = SimulatedHook()
    hook.world = world
    return hook


@cache
def operator(*, deferrable: bool, keep: str) -> SimulatedOperator:
    """Making an operator takes longer than playing a schedule, so they are used again."""
    return SimulatedOperator(
        task_id=f"go_{deferrable}_{keep}",
        item_id="0" * 32,
        parameters=PARAMETERS,
        deferrable=deferrable,
        timeout=TIMEOUT,
        keep_task=keep,  # type: ignore[arg-type]
        poll_interval=30,
    )


@cache
def sensor(*, deferrable: bool) -> SimulatedSensor:
    return SimulatedSensor(
        task_id=f"wait_{deferrable}",
        portal_task_id="0" * 32,
        deferrable=deferrable,
        timeout=TIMEOUT,
        poke_interval=30,
    )


class Life:
    """A task instance from its first try to its end."""

    def __init__(
        self,
        world: World,
        operator: SimulatedOperator | SimulatedSensor,
        *,
        retries: int = 3,
        second_triggerer: bool = False,
    ) -> None:
        self.world = world
        self.operator = operator
        self.operator.world, self.operator._mark = world, None
        self.operator._session = None
        self.retries = retries
        self.max_tries = retries
        self.try_number = 0
        self.state = "scheduled"
        self.result: Any = None
        self.problem: BaseException | None = None
        self.second_triggerer = second_triggerer
        self.started = world.now
        self.cleared: float | None = None
        self.kill_lost = False
        self._actor: Actor | None = None
        self._trigger: Any = None
        self._epoch = 0

    # --- worker --------------------------------------------------------------------------------------

    def start_try(self) -> None:
        self.try_number += 1
        self.started = self.world.now
        self.state = "running"
        self._work("try", lambda context: self.operator.execute(context))

    def _work(self, what: str, do: Any) -> None:
        context = {"ti": self._ti()}
        self._begin(f"{what} {self.try_number}", partial(do, context), self._worker_done, self._worker_died)

    def _ti(self) -> Any:
        return SimpleNamespace(
            dag_id="d",
            run_id="r",
            task_id="t",
            map_index=-1,
            try_number=self.try_number,
            max_tries=self.max_tries,
            start_date=datetime.fromtimestamp(self.started, UTC),
            xcom_push=lambda *_: None,
        )

    def _begin(self, name: str, work: Any, done: Any, died: Any, delay: float = 0.0) -> None:
        self._epoch += 1
        epoch = self._epoch

        def only_now(react: Any) -> Any:
            return lambda *told: react(*told) if epoch == self._epoch else None

        self._actor = self.world.start(Actor(name, work, only_now(done), only_now(died)), delay)

    def _worker_done(self, result: Any, problem: BaseException | None) -> None:
        if isinstance(problem, TaskDeferred):
            self.state = "deferred"
            kind = type(problem.trigger)
            self._trigger = kind(**problem.trigger.serialize()[1])
            self._method = problem.method_name
            self._watch(TRIGGER_START)
        elif problem is None:
            self._end("success", result)
        else:
            self._failed(problem)

    def _worker_died(self) -> None:
        self._failed(RuntimeError(GONE))

    def _failed(self, problem: BaseException) -> None:
        self._check_time()
        self.problem = problem
        self.world.tell(f"try {self.try_number} failed: {type(problem).__name__}: {str(problem)[:100]}")
        timed_out = isinstance(problem, AirflowSensorTimeout | TaskDeferralTimeout)
        if self.try_number <= self.max_tries and not timed_out:
            self.state = "up_for_retry"
            self._later(RETRY_DELAY, self.start_try)
        else:
            self._end("failed")

    def _end(self, state: str, result: Any = None) -> None:
        self._check_time()
        self.state, self.result = state, result
        self.world.tell(f"task instance {state}")

    def _check_time(self) -> None:
        if self.world.now > self.started + TIMEOUT + AFTER_DEADLINE:
            self.world.fail(
                "G3", f"a try took {self.world.now - self.started:.0f} s with a timeout of {TIMEOUT} s"
            )

    # --- triggerer -----------------------------------------------------------------------------------

    def _watch(self, delay: float) -> None:
        trigger = self._trigger

        def work() -> dict[str, Any]:
            session = self.world.session()
            try:
                return perform(trigger._bounded(session), self.world.handle)
            except DeadlinePassed:
                return {"outcome": "timeout"}
            except ArcGISTasksError as problem:
                return {"outcome": "error", "error": problem.to_dict()}

        self._begin("trigger", work, self._event, partial(self._watch, TRIGGER_RESTART), delay)
        if self.second_triggerer:
            epoch, self.second_triggerer = self._epoch, False

            def event(told: Any, problem: BaseException | None) -> None:
                if epoch == self._epoch:
                    self._event(told, problem)

            self.world.start(Actor("second trigger", work, event, lambda: None), delay + 0.5)

    def _event(self, event: Any, problem: BaseException | None) -> None:
        if problem is not None:
            self.world.fail("G2", f"the trigger raised {problem!r}")
        self._epoch += 1
        self.state = "running"
        method = getattr(self.operator, self._method)
        self._later(RESUME, lambda: self._work("resumed try", lambda context: method(context, event=event)))

    def _later(self, delay: float, act: Callable[[], None]) -> None:
        """Do it then, unless a user or a newer event has come in between."""
        epoch = self._epoch
        self.world.at(delay, lambda: act() if epoch == self._epoch else None)

    # --- what users do -------------------------------------------------------------------------------

    def _interrupt(self) -> bool:
        """Airflow takes the work away; returns whether it was a trigger's."""
        self._epoch += 1
        if self._actor is not None:
            self.world.kill(self._actor)
        deferred = self.state == "deferred"
        return deferred

    def mark_failed(self) -> None:
        """A user marks the task failed."""
        if self.state in ("success", "failed"):
            return
        self._interrupt()
        self.world.tell("a user marks the task failed")
        self.state = "failed"
        self._on_kill(1.0)

    def clear(self, *, kill_first: bool) -> None:
        """A user clears the task; `kill_first`: the old trigger hears of it before the new try starts."""
        was_deferred = self._interrupt()
        self.world.tell(f"a user clears the task ({self.state})")
        if self.state != "running":
            self.max_tries = self.try_number + self.retries
            self.cleared = self.world.now
        if was_deferred and kill_first:
            self._on_kill(0.5)
        self.state = "scheduled"
        self.world.at(3.0 if kill_first else 0.5, self.start_try)

    def _on_kill(self, delay: float) -> None:
        mark = self.operator._mark
        if mark is None:
            return
        mark = Mark(mark.key, mark.generation, mark.attempt)

        def work() -> None:
            perform(oneshot.give_up(self.world.session(), mark), self.world.handle)

        def done(_: object, problem: BaseException | None) -> None:
            if problem is not None:
                self.world.fail("G4", f"on_kill raised {problem!r}")

        def died() -> None:
            self.kill_lost = True

        self.world.start(Actor("on_kill", work, done, died), delay)
