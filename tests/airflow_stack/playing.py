"""Plays the whole kill matrix on one Airflow, many rows side by side."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from scripts.airflow_stack import AirflowStack
from tests.airflow_stack.cases import Case
from tests.airflow_stack.matrix import TRIGGERER, WORKER, Outcome, Row
from tests.airflow_stack.stories import STORIES, see_it_through

AT_ONCE = 10
"""So many rows of one mode at a time are what two cores can carry."""
SIGTERM = "triggerer SIGTERM"
GONE = "triggerer gone, mark failed"
SIGKILL = "triggerer SIGKILL"
TWO = "two triggerers"

Part = Callable[[Case], None]


@dataclass
class Played:
    """What came of one row; `problem` tells why there is no outcome."""

    outcome: Outcome | None = None
    seconds: float = 0.0
    problem: str = ""


class Play:
    """Plays the cases.

    Attributes:
        results: what came of each row.
        triggers: what Airflow has stored of the triggers that are about to be killed.
        seconds: how long it took.
    """

    def __init__(self, stack: AirflowStack, cases: Sequence[Case]) -> None:
        self.results: dict[Row, Played] = {case.row: Played() for case in cases}
        self.triggers: list[tuple[object, ...]] = []
        self.seconds = 0.0
        self._stack = stack
        self._cases = cases

    def play(self) -> None:
        """Play them all. Those that wait in workers go on while triggerers are killed."""
        began = time.monotonic()
        with ThreadPoolExecutor(AT_ONCE) as in_workers, ThreadPoolExecutor(AT_ONCE) as deferred:
            self._start_stories(in_workers, WORKER)
            _wait(self._start_stories(deferred, TRIGGERER))
            self._play_triggerers(deferred)
        self.seconds = time.monotonic() - began

    def _start_stories(self, pool: ThreadPoolExecutor, mode: str) -> list[Future[None]]:
        return [
            pool.submit(self._act, case, STORIES[case.row.event], self._sum_up)
            for case in self._cases
            if case.row.mode == mode and case.row.event in STORIES
        ]

    def _play_triggerers(self, pool: ThreadPoolExecutor) -> None:
        """Stop a triggerer, kill the next one, and let the last but one stand still for a while.

        The rows of one end while those of the next begin.
        """
        stack = self._stack
        _wait(self._start(pool, SIGTERM, Case.reach_moment) + self._start(pool, GONE, Case.reach_moment))
        self.triggers = stack.query("select * from trigger")
        stack.stop(["triggerer"], patience=30)
        _wait(self._start(pool, GONE, lambda case: case.mark("failed")))
        stack.start(["triggerer#2"])

        finishing = self._start(pool, SIGTERM, _another_waits, see_it_through, self._sum_up)
        finishing += self._start(pool, GONE, Case.until_given_up, self._sum_up)
        _wait(finishing + self._start(pool, SIGKILL, Case.reach_moment))
        stack.kill("triggerer#2")
        stack.start(["triggerer#3"])

        finishing = self._start(pool, SIGKILL, _another_waits, see_it_through, self._sum_up)
        _wait(finishing + self._start(pool, TWO, Case.reach_moment))
        stack.start(["triggerer#4"])
        stack.freeze("triggerer#3")
        _wait(self._start(pool, TWO, _another_waits))
        stack.thaw("triggerer#3")
        _wait(self._start(pool, TWO, _first_one_leaves, see_it_through, self._sum_up))

    def _start(self, pool: ThreadPoolExecutor, event: str, *parts: Part) -> list[Future[None]]:
        return [pool.submit(self._act, case, *parts) for case in self._cases if case.row.event == event]

    def _act(self, case: Case, *parts: Part) -> None:
        """Do one part after the other, until something goes wrong."""
        result = self.results[case.row]
        try:
            for part in parts:
                if not result.problem:
                    part(case)
        except Exception:  # noqa: BLE001 - the row's own test tells
            result.problem = traceback.format_exc()

    def _sum_up(self, case: Case) -> None:
        self.results[case.row].outcome = case.sum_up()
        self.results[case.row].seconds = case.seconds


def _another_waits(case: Case) -> None:
    if case.row.mode == TRIGGERER:
        case.until_somebody_waits()


def _first_one_leaves(case: Case) -> None:
    if case.row.mode == TRIGGERER:
        case.until_logged("leaving its one-shot task to whoever goes on")


def _wait(futures: list[Future[None]]) -> None:
    for future in futures:
        future.result()
