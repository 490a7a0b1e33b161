"""G1 to G6 hold after every step of every schedule."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from itertools import chain

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.simulation import schedules
from tests.simulation.scenarios import ALL, Scenario
from tests.simulation.world import Fault

pytestmark = [pytest.mark.timeout(900)]

RANDOM_SCHEDULES = 45_000
SEED = 2026


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("scenario", ALL, ids=lambda scenario: scenario.name)
def test_without_faults(scenario: Scenario) -> None:
    scenario.play()


def test_guarantees(capsys: pytest.CaptureFixture[str]) -> None:
    """Every fault at every request of every scenario, every pair of them in the plain ones, and chance."""
    tally = schedules.play_all(
        chain(
            schedules.every_single_fault(),
            schedules.every_pair(),
            schedules.at_random(RANDOM_SCHEDULES, SEED),
        )
    )
    with capsys.disabled():
        print(f"\nsimulation: {tally.schedules:,} schedules in {tally.seconds:.0f} s")
    assert tally.story is None, tally.story
    assert tally.schedules >= 100_000


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    scenario=st.sampled_from(ALL),
    faults=st.dictionaries(st.integers(0, 60), st.sampled_from(list(Fault)), max_size=6),
    seed=st.integers(0, 10**6),
)
def test_guarantees_shrinking(scenario: Scenario, faults: dict[int, Fault], seed: int) -> None:
    """The same by Hypothesis, which makes the story of a failure as short as it can be."""
    scenario.play(faults, seed)
