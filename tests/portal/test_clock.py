"""The portal's clock, learnt from `Date` headers that are cut to whole seconds."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_arcgis_tasks.portal.clock import PortalClock
from tests.portal.play import NOON, http_date

calmly = settings(deadline=None, database=None)


def learnt(*moments: tuple[float, float]) -> PortalClock:
    """From (local, portal) times, both as seconds after noon."""
    clock = PortalClock()
    for local, portal in moments:
        clock.observe(http_date(math.floor(NOON + portal)), NOON + local, NOON + local)
    return clock


def test_ours_while_the_portal_never_told() -> None:
    assert PortalClock().time(NOON) == NOON
    assert PortalClock().local_seconds(60) == 60


@pytest.mark.parametrize(
    "date", [None, "", "soon", "Fri, 45 Jan 2027 12:00:00 GMT", "1800014400", "0", "\x00"]
)
def test_what_is_no_date(date: str | None) -> None:
    clock = PortalClock()
    clock.observe(date, NOON, NOON)
    assert clock.time(NOON) == NOON


@pytest.mark.parametrize(
    "date",
    [
        "Fri, 15 Jan 2027 13:00:00 GMT",
        "Fri, 15 Jan 2027 14:00:00 +0100",
        "15 Jan 2027 13:00:00 GMT",
        "Fri, 15 Jan 2027 13:00:00 -0000",
    ],
)
def test_forms_of_the_date(date: str) -> None:
    clock = PortalClock()
    clock.observe(date, NOON, NOON)
    assert clock.time(NOON + 5) == NOON + 3605


@pytest.mark.parametrize("offset", [-86400, -1, 0, 1, 7200])
def test_offset(offset: float) -> None:
    clock = learnt((0, offset), (5, offset + 5))
    assert clock.time(NOON + 65) == pytest.approx(NOON + offset + 65, abs=1)
    assert clock.local_seconds(60) == 60


def test_a_clock_of_the_portal_that_is_set_ahead() -> None:
    """It looks like a fast one at first; the time right after an answer is right, and the pace settles."""
    clock = learnt((0, 0), (10, 500), (20, 510))
    assert clock.time(NOON + 20) == NOON + 510
    clock.observe(http_date(NOON + 1490), NOON + 1000, NOON + 1000)
    assert clock.local_seconds(60) == 60
    assert clock.time(NOON + 1060) == NOON + 1550


def test_a_clock_of_the_portal_that_is_set_back() -> None:
    clock = learnt((0, 0), (100, 50))
    assert clock.time(NOON + 130) == NOON + 80
    assert clock.local_seconds(60) == 60


def test_a_clock_of_ours_that_is_set_back() -> None:
    clock = learnt((0, 0), (1000, 1000), (-500, 1001), (-200, 1301))
    assert clock.time(NOON - 200) == NOON + 1301
    assert clock.local_seconds(60) == 60


@pytest.mark.parametrize("speed", [5, 60, 600])
def test_pace_of_a_test_portal(speed: float) -> None:
    clock = learnt((0, 0), (2, 2 * speed))
    assert clock.knows_pace
    assert clock.local_seconds(600) == pytest.approx(600 / speed, rel=0.15)
    assert clock.time(NOON + 3) == pytest.approx(NOON + 3 * speed, rel=0.15)


def test_pace_is_not_known_from_one_answer() -> None:
    assert not PortalClock().knows_pace
    assert not learnt((0, 0)).knows_pace
    assert not learnt((0, 0), (0.5, 30)).knows_pace


@calmly
@given(
    st.lists(st.tuples(st.floats(0, 3600), st.floats(0, 60), st.floats(0, 60)), min_size=1, max_size=20),
    st.integers(-(10**6), 10**6),
    st.floats(0, 3600),
)
def test_an_ordinary_portal_keeps_our_pace(
    exchanges: list[tuple[float, float, float]], offset: int, later: float
) -> None:
    """However long requests and answers are on their way; the time is as old as the last answer was."""
    clock = PortalClock()
    local = NOON
    for wait, out, back in exchanges:
        sent = local + wait
        local = sent + out + back
        clock.observe(http_date(math.floor(sent + out + offset)), sent, local)
    assert clock.local_seconds(60) == 60
    assert -back - 1.01 <= clock.time(local + later) - (local + later + offset) <= 0.01


@calmly
@given(st.lists(st.tuples(st.text(max_size=30), st.floats(0, 1e10)), max_size=5), st.floats(0, 1e10))
def test_any_header(observed: list[tuple[str, float]], local: float) -> None:
    clock = PortalClock()
    for date, moment in observed:
        clock.observe(date, moment, moment)
    assert math.isfinite(clock.time(local))
    assert 0 < clock.local_seconds(60) <= 60


NUMBERS = st.integers() | st.integers(0, 99) | st.integers(10**18, 10**30)


@calmly
@given(st.builds("Fri, {} Jan {} {}:{}:{} {}{}".format, *[NUMBERS] * 5, st.sampled_from("+-"), NUMBERS))
def test_any_date(date: str) -> None:
    clock = PortalClock()
    clock.observe(date, NOON, NOON)
    assert math.isfinite(clock.time(NOON))
