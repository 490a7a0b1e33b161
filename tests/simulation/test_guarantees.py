"""G1 to G6 hold after every step of every schedule."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from itertools import islice

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.simulation import schedules
from tests.simulation.scenarios import ALL, Scenario
from tests.simulation.schedules import Schedule
from tests.simulation.world import Fault

pytestmark = [pytest.mark.timeout(900)]

SCALE = float(os.environ.get("SIMULATION_SCALE", "0.1"))
"""How much of the pairs and of the random schedules to play; 1 takes a quarter of an hour on two cores."""


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("scenario", ALL, ids=lambda scenario: scenario.name)
def test_without_faults(scenario: Scenario) -> None:
    scenario.play()


@pytest.mark.parametrize(
    ("what", "which"),
    [
        ("single faults", schedules.every_single_fault()),
        ("pairs of faults", islice(schedules.every_pair(), 0, None, round(1 / SCALE))),
        ("random schedules", schedules.at_random(round(40_000 * SCALE), seed=2026)),
    ],
)
def test_guarantees(what: str, which: Iterable[Schedule], capsys: pytest.CaptureFixture[str]) -> None:
    tally = schedules.play_all(which)
    with capsys.disabled():
        print(f"\nsimulation, {what}: {tally.schedules:,} schedules in {tally.seconds:.0f} s")
    assert tally.story is None, tally.story


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    scenario=st.sampled_from(ALL),
    faults=st.dictionaries(st.integers(0, 60), st.sampled_from(list(Fault)), max_size=6),
    seed=st.integers(0, 10**6),
)
def test_guarantees_shrinking(scenario: Scenario, faults: dict[int, Fault], seed: int) -> None:
    """The same by Hypothesis, which makes the story of a failure as short as it can be."""
    scenario.play(faults, seed)
