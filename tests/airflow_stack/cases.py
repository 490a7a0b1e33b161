"""One row of the kill matrix while it is played: a DAG run of its own, on a portal of its own."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from threading import Lock

import psutil

from scripts.airflow_api import FINISHED, AirflowApi, DagRun
from scripts.airflow_stack import AirflowStack
from tests.airflow_stack.matrix import ARMED, TRIGGERER, Outcome, Row
from tests.airflow_stack.stepped import SteppedPortal

TASK = "run"
PATIENCE = 120.0
_PAUSE = 0.2
_A_DAY = 86_400.0
_SIGNS = ("generateToken", "task")
_ONE_CHANGE = Lock()
"""An api-server on SQLite blocks itself when it logs a user's action while another request writes."""


@dataclass(frozen=True)
class TaskState:
    """What Airflow's database says of the task instance, and of its DAG run."""

    state: str | None = None
    tries: int = 0
    pid: int | None = None
    trigger_id: int | None = None
    dag_run: str | None = None


class Case:
    """Plays one row: does things to its DAG run, waits for what comes of them, and sums up.

    Every wait is for something to be so, and none for a time to go by.
    """

    def __init__(self, row: Row, stack: AirflowStack, portal: SteppedPortal) -> None:
        self.row = row
        self.portal = portal
        self.seconds = 0.0
        self._stack = stack
        self._api = AirflowApi(stack.api.url)
        self._run = DagRun(row.name, "")
        self._began = 0.0
        self._seen: Counter[str] = Counter()

    # --- the life of a one-shot task -----------------------------------------------------------------

    def begin(self) -> None:
        """Start the DAG run."""
        self._began = time.monotonic()
        with _ONE_CHANGE:
            self._run = self._api.trigger(self.row.name)

    def reach_moment(self) -> None:
        """Begin, and go on until it is armed or executes as the row says, and somebody waits for its run."""
        if self.row.moment == ARMED:
            self.begin()
            self.until_done("createTask")
        else:
            self.portal.let_fire()
            self.begin()
            self.until(lambda: bool(self.portal.fired), "it has fired")
        self.until_somebody_waits()

    def fire(self) -> None:
        """Let what is armed, or will be, fire."""
        runs = len(self.portal.fired)
        self.portal.let_fire()
        self.until(lambda: len(self.portal.fired) > runs, "it has fired")

    def finish(self, state: str = "success") -> None:
        """Let the run end, and wait until the task has noticed."""
        self.portal.let_end()
        self.until_state(state)

    # --- what people do in Airflow -------------------------------------------------------------------

    def mark(self, state: str) -> None:
        """Mark the task as `success` or `failed`."""
        with _ONE_CHANGE:
            self._api.set_task_state(self._run, TASK, state)

    def fail_the_dag_run(self) -> None:
        """Mark the DAG run as failed."""
        with _ONE_CHANGE:
            self._api.set_state(self._run, "failed")

    def clear(self) -> None:
        """Clear the task."""
        with _ONE_CHANGE:
            self._api.clear_task(self._run, TASK)

    def pause(self) -> None:
        """Pause the DAG."""
        with _ONE_CHANGE:
            self._api.pause(self._run.dag_id)

    def unpause(self) -> None:
        """Let the DAG go on."""
        with _ONE_CHANGE:
            self._api.unpause(self._run.dag_id)

    # --- what happens to processes -------------------------------------------------------------------

    def stop_worker(self) -> None:
        """Tell the worker to stop, as whoever evicts it does."""
        self._supervisor().terminate()

    def kill_worker(self) -> None:
        """Kill the process that carries out the task."""
        self._kill(self._task_process())

    def lose_machine(self) -> None:
        """Kill that process and the one that watches over it, so that nobody can report."""
        supervisor, process = self._supervisor(), self._task_process()
        supervisor.kill()
        self._kill(process)

    def _task_process(self) -> psutil.Process:
        pid = self.task().pid
        assert pid is not None
        return psutil.Process(pid)

    def _supervisor(self) -> psutil.Process:
        supervisor = self._task_process().parent()
        assert supervisor is not None
        return supervisor

    def _kill(self, process: psutil.Process) -> None:
        process.kill()
        self.until(lambda: not _is_alive(process.pid), "the worker is dead")
        self._take_note()

    # --- waiting -------------------------------------------------------------------------------------

    def until(self, reached: Callable[[], bool], what: str) -> None:
        """Wait until it is so."""
        deadline = time.monotonic() + PATIENCE
        while not reached():
            self._stack.check()
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.row.name}: waited in vain until {what}.\n{self.describe()}")
            time.sleep(_PAUSE)

    def until_state(self, state: str) -> None:
        """Wait until the task instance is in this state."""
        self.until(lambda: self.task().state == state, f"it is {state}")

    def until_second_try(self) -> None:
        """Wait until the second try has begun."""
        begun = ("running", "deferred")
        self.until(lambda: self.task().tries == 2 and self.task().state in begun, "the second try has begun")

    def until_logged(self, text: str) -> None:
        """Wait until the log of the task says so."""
        self.until(lambda: text in self.log(), f"the log says {text!r}")

    def until_done(self, operation: str) -> None:
        """Wait until the portal has done this."""
        self.until(lambda: self.portal.done(operation) > 0, operation)

    def until_somebody_waits(self) -> None:
        """Wait until somebody waits for the run who did not before: a new try, or another triggerer."""
        if self.row.mode == TRIGGERER:
            self.until_state("deferred")
        if self.row.mode == TRIGGERER or self.portal.armed():
            self._until_asked_again("task", self._seen)
        else:
            self._until_asked_again("generateToken", self._seen)
            self._until_asked_again("runs", Counter(runs=self.portal.done("runs")))
        self._take_note()

    def until_given_up(self) -> None:
        """Wait until a kill has done what it can on the portal."""
        if self.portal.fired:
            self.until_logged("Can't be stopped")
        else:
            self.until(lambda: not self.portal.tasks, "the one-shot task is removed")

    def until_at_rest(self) -> None:
        """Wait until nobody works for the task any more, the scheduler included."""
        self.until(lambda: _is_over(self.task()), "all is over")

    def _until_asked_again(self, operation: str, before: Counter[str]) -> None:
        self.until(lambda: self.portal.done(operation) > before[operation], f"{operation} is asked again")

    def _take_note(self) -> None:
        self._seen = Counter({operation: self.portal.done(operation) for operation in _SIGNS})

    # --- looking -------------------------------------------------------------------------------------

    def task(self) -> TaskState:
        """Look at the task instance."""
        rows = self._stack.query(
            "select task.state, try_number, pid, trigger_id, dag_run.state "
            "from task_instance as task join dag_run using (dag_id, run_id) where dag_id = ? and run_id = ?",
            self._run.dag_id,
            self._run.id,
        )
        return TaskState(*rows[0]) if rows else TaskState()

    def log(self) -> str:
        """All that the tries and their triggers have logged."""
        folder = self._stack.folder / "logs" / f"dag_id={self._run.dag_id}"
        return "\n".join(file.read_text(errors="replace") for file in sorted(folder.rglob("*.log")))

    def sum_up(self) -> Outcome:
        """Say how it ended, when it has; what must be so in every row is checked here."""
        self.until_at_rest()
        self.seconds = time.monotonic() - self._began
        task, portal = self.task(), self.portal
        runs = list(portal.fired)
        portal.stepped.jump(_A_DAY)
        assert not portal.armed()
        assert list(portal.fired) == runs, "a day later, something has fired"
        assert not portal.overlapping()
        if task.state == "success" and self.row.event != "mark success":
            assert self._api.returned(self._run, TASK) == {
                "portal_task_id": runs[-1].task_id,
                "portal_run_id": runs[-1].run_id,
                "status": "succeeded",
                "result": "told",
            }
        return Outcome(
            state=task.state,
            tries=task.tries,
            made=portal.done("createTask"),
            runs=len(runs),
            removed=portal.done("deleteTask"),
            left=len(portal.tasks),
        )

    def describe(self) -> str:
        """All that helps to understand what has gone wrong."""
        asked = " ".join(f"{exchange.operation}{exchange.fault and '!'}" for exchange in self.portal.journal)
        log = "\n".join(self.log().splitlines()[-40:])
        return f"{self.task()}\n{asked}\n{self.portal.tasks}\n{log}"


def _is_over(task: TaskState) -> bool:
    finished = task.state in FINISHED and task.dag_run in FINISHED
    return finished and task.trigger_id is None and not _is_alive(task.pid)


def _is_alive(pid: int | None) -> bool:
    with suppress(psutil.NoSuchProcess):
        return pid is not None and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False
