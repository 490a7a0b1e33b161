"""The kill matrix: what happens, in which mode, at which moment, and what must come of it."""

from __future__ import annotations

from dataclasses import dataclass

WORKER = "worker"
TRIGGERER = "triggerer"

# Moments in the life of a one-shot task.
BEFORE = "before"
CREATING = "creating"
ARMED = "armed"
EXECUTING = "executing"
FINISHED = "finished"
REMOVED = "removed"


@dataclass(frozen=True)
class Outcome:
    """How it ended.

    Attributes:
        state: of the Airflow task instance.
        tries: of the Airflow task instance.
        made: one-shot tasks that were created.
        runs: portal runs that began.
        removed: one-shot tasks that were deleted.
        left: one-shot tasks that are still there.
    """

    state: str | None
    tries: int
    made: int
    runs: int
    removed: int
    left: int


@dataclass(frozen=True)
class Row:
    """One row of the matrix.

    Attributes:
        event: what happens.
        mode: who waits: a worker, or the triggerer (`deferrable`).
        moment: when it happens.
    """

    event: str
    mode: str
    moment: str
    expected: Outcome

    @property
    def name(self) -> str:
        """A name that can be a DAG's."""
        return f"{self.event} {self.mode} {self.moment}".replace(",", "").replace(" ", "-")


def _row(
    event: str,
    mode: str,
    moment: str,
    state: str = "success",
    *,
    tries: int = 1,
    made: int = 1,
    runs: int = 1,
    removed: int = 1,
    left: int = 0,
) -> Row:
    """Unless said otherwise, one try makes one one-shot task, whose run succeeds, and removes it."""
    return Row(event, mode, moment, Outcome(state, tries, made, runs, removed, left))


MATRIX = [
    _row("mark failed", WORKER, CREATING, "failed", runs=0),
    _row("mark failed", WORKER, ARMED, "failed", runs=0),
    _row("mark failed", WORKER, EXECUTING, "failed", removed=0, left=1),
    _row("mark failed", TRIGGERER, CREATING, "failed", runs=0),
    _row("mark failed", TRIGGERER, ARMED, "failed", runs=0),
    _row("mark failed", TRIGGERER, EXECUTING, "failed", removed=0, left=1),
    _row("mark success", WORKER, ARMED, "success", runs=0),
    _row("mark success", WORKER, EXECUTING, "success", removed=0, left=1),
    _row("mark success", TRIGGERER, ARMED, "success", runs=0),
    _row("mark success", TRIGGERER, EXECUTING, "success", removed=0, left=1),
    _row("fail the dag run", WORKER, ARMED, "failed", runs=0),
    _row("fail the dag run", WORKER, EXECUTING, "failed", removed=0, left=1),
    _row("fail the dag run", TRIGGERER, ARMED, "failed", runs=0),
    _row("fail the dag run", TRIGGERER, EXECUTING, "failed", removed=0, left=1),
    _row("clear", WORKER, ARMED, tries=2, made=2, removed=2),
    _row("clear", WORKER, EXECUTING, tries=2, made=2, runs=2, removed=2),
    _row("clear", WORKER, FINISHED, tries=2, made=2, runs=2, removed=2),
    _row("clear", TRIGGERER, ARMED, tries=2, made=2, removed=2),
    _row("clear", TRIGGERER, EXECUTING, tries=2, made=2, runs=2, removed=2),
    _row("clear", TRIGGERER, FINISHED, tries=2, made=2, runs=2, removed=2),
    _row("mark failed, clear", WORKER, ARMED, tries=2, made=2, removed=2),
    _row("mark failed, clear", WORKER, EXECUTING, tries=2, made=2, runs=2, removed=2),
    _row("mark failed, clear", TRIGGERER, ARMED, tries=2, made=2, removed=2),
    _row("mark failed, clear", TRIGGERER, EXECUTING, tries=2, made=2, runs=2, removed=2),
    _row("pause", WORKER, ARMED),
    _row("pause", WORKER, EXECUTING),
    _row("pause", TRIGGERER, ARMED),
    _row("pause", TRIGGERER, EXECUTING),
    _row("execution_timeout", WORKER, ARMED, tries=2, made=2, removed=2),
    _row("execution_timeout", WORKER, EXECUTING, tries=2),
    _row("execution_timeout", TRIGGERER, ARMED),
    _row("execution_timeout", TRIGGERER, EXECUTING),
    _row("timeout", WORKER, ARMED, tries=2, made=2, removed=2),
    _row("timeout", WORKER, EXECUTING, tries=2),
    _row("timeout", TRIGGERER, ARMED, tries=2, made=2, removed=2),
    _row("timeout", TRIGGERER, EXECUTING, tries=2),
    _row("worker SIGTERM", WORKER, ARMED, tries=2, made=2, removed=2),
    _row("worker SIGTERM", WORKER, EXECUTING, tries=2),
    _row("worker SIGKILL", WORKER, BEFORE, tries=2),
    _row("worker SIGKILL", WORKER, CREATING, tries=2),
    _row("worker SIGKILL", WORKER, ARMED, tries=2),
    _row("worker SIGKILL", WORKER, EXECUTING, tries=2),
    _row("worker SIGKILL", WORKER, FINISHED, tries=2),
    _row("worker SIGKILL", WORKER, REMOVED, tries=2, made=2, runs=2, removed=2),
    _row("worker SIGKILL", TRIGGERER, BEFORE, tries=2),
    _row("worker SIGKILL", TRIGGERER, CREATING, tries=2),
    _row("worker SIGKILL", TRIGGERER, ARMED, tries=2),
    _row("worker SIGKILL", TRIGGERER, FINISHED, tries=2),
    _row("worker SIGKILL", TRIGGERER, REMOVED, tries=2, made=2, runs=2, removed=2),
    _row("machine lost", WORKER, ARMED, tries=2),
    _row("machine lost", WORKER, EXECUTING, tries=2),
    _row("triggerer SIGTERM", WORKER, ARMED),
    _row("triggerer SIGTERM", WORKER, EXECUTING),
    _row("triggerer SIGTERM", TRIGGERER, ARMED),
    _row("triggerer SIGTERM", TRIGGERER, EXECUTING),
    _row("triggerer gone, mark failed", TRIGGERER, ARMED, "failed", runs=0),
    _row("triggerer SIGKILL", WORKER, ARMED),
    _row("triggerer SIGKILL", WORKER, EXECUTING),
    _row("triggerer SIGKILL", TRIGGERER, ARMED),
    _row("triggerer SIGKILL", TRIGGERER, EXECUTING),
    _row("two triggerers", WORKER, ARMED),
    _row("two triggerers", WORKER, EXECUTING),
    _row("two triggerers", TRIGGERER, ARMED),
    _row("two triggerers", TRIGGERER, EXECUTING),
]
