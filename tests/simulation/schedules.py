"""Plays many schedules on all cores, and tells the first story that breaks a guarantee."""

from __future__ import annotations

import logging
import multiprocessing
import os
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from random import Random

from tests.simulation.scenarios import ALL, PLAIN, Scenario
from tests.simulation.world import Fault, Surprise, World, singles

CHUNK = 200


@dataclass(frozen=True)
class Schedule:
    """A scenario, the faults of single requests by their number, and the seed of all chance."""

    scenario: Scenario
    faults: tuple[tuple[int, Fault], ...] = ()
    seed: int = 0

    def play(self) -> World:
        return self.scenario.play(dict(self.faults), self.seed)

    def story(self) -> str | None:
        """None if all guarantees held."""
        try:
            self.play()
        except Surprise as surprise:
            return f"{self.scenario.name}, seed {self.seed}\n{surprise}"
        return None


@dataclass
class Tally:
    schedules: int = 0
    seconds: float = 0.0
    story: str | None = None


def every_single_fault() -> Iterator[Schedule]:
    for scenario in ALL:
        yield Schedule(scenario)
        for faults in singles(scenario.play().requests):
            yield Schedule(scenario, tuple(faults.items()))


def every_pair_of_faults(scenario: Scenario) -> Iterator[Schedule]:
    """The second fault may hit any request that there is because of the first."""
    for first in singles(scenario.play().requests):
        [(index, fault)] = first.items()
        for second in range(index + 1, scenario.play(first).requests):
            for other in Fault:
                yield Schedule(scenario, ((index, fault), (second, other)))


def every_pair() -> Iterator[Schedule]:
    for scenario in PLAIN:
        yield from every_pair_of_faults(scenario)


def at_random(count: int, seed: int) -> Iterator[Schedule]:
    """Schedules with up to five faults."""
    chance = Random(seed)
    faults = list(Fault)
    for _ in range(count):
        hit = {chance.randrange(45): chance.choice(faults) for _ in range(chance.randint(1, 5))}
        yield Schedule(chance.choice(ALL), tuple(sorted(hit.items())), chance.randrange(1_000_000))


def play_all(schedules: Iterable[Schedule]) -> Tally:
    """Play them until one breaks a guarantee, and count."""
    tally, begin = Tally(), time.monotonic()
    with multiprocessing.get_context("fork").Pool(os.cpu_count(), initializer=_be_quiet) as pool:
        for count, story in pool.imap_unordered(_play_some, _chunks(schedules)):
            tally.schedules += count
            if story:
                tally.story = story
                pool.terminate()
                break
    tally.seconds = time.monotonic() - begin
    return tally


def _be_quiet() -> None:
    logging.disable(logging.CRITICAL)
    sys.settrace(None)  # coverage is measured by the other tests; here it would only take time


def _play_some(schedules: list[Schedule]) -> tuple[int, str | None]:
    for count, schedule in enumerate(schedules, start=1):
        story = schedule.story()
        if story:
            return count, story
    return len(schedules), None


def _chunks(schedules: Iterable[Schedule]) -> Iterator[list[Schedule]]:
    rest = iter(schedules)
    while chunk := list(islice(rest, CHUNK)):
        yield chunk
