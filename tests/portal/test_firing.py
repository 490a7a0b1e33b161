"""The minute of a one-shot task: by the portal's clock, in whatever zone the portal reads cron."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_arcgis_tasks.portal.firing import CronZone, next_minute
from airflow_provider_arcgis_tasks.sandbox.quartz import parse, read_zone
from tests.portal.play import NOON

calmly = settings(deadline=None, database=None)
ZONES = ["UTC", "+02:00", "-07:00", "+05:30", "+05:45", "+12:45", "-09:30", "+14:00", "-12:00"]
minutes = st.integers(0, 40 * 365 * 24 * 60).map(lambda minute: minute * 60.0)


@pytest.mark.parametrize(
    ("after_noon", "missed", "minute"),
    [
        (0, 0, 1),
        (29, 0, 1),
        (30, 0, 1),
        (30.001, 0, 2),
        (59.999, 0, 2),
        (60, 0, 2),
        (0, 1, 1),
        (1, 1, 2),
        (0, 2, 2),
        (0, 3, 4),
        (0, 4, 8),
        (0, 5, 10),
        (0, 50, 10),
    ],
)
def test_next_minute(after_noon: float, missed: int, minute: int) -> None:
    assert next_minute(NOON + after_noon, missed) == NOON + minute * 60


@calmly
@given(st.floats(0, 4e9), st.integers(0, 20))
def test_lead(portal_time: float, missed: int) -> None:
    lead = next_minute(portal_time, missed) - portal_time
    assert 30 - 1e-6 <= lead <= 660
    assert next_minute(portal_time, missed) % 60 == 0


def fires(schedule: dict[str, Any], zone: str) -> list[float]:
    """All fire times of a portal that reads cron in `zone`, by the sandbox's own reading of Quartz."""
    names = ("minute", "hour", "dayOfMonth", "month", "dayOfWeek")
    cron = parse(dict(zip(names, schedule["schedule"].split(), strict=True)), strict=True)
    moment, end = schedule["starts_at"].timestamp() - 0.001, schedule["ends_at"].timestamp()
    found = []
    while (fire := cron.next_fire(moment, read_zone(zone))) is not None and fire <= end:
        found.append(moment := fire)
    return found


@calmly
@given(minutes, st.sampled_from(ZONES))
def test_fires_once_at_its_minute(fires_at: float, zone: str) -> None:
    offset = read_zone(zone).utcoffset(datetime.fromtimestamp(fires_at, UTC))
    assert offset is not None
    assert fires(CronZone(int(offset.total_seconds())).schedule(fires_at), zone) == [fires_at]


@calmly
@given(minutes, st.sampled_from(ZONES))
def test_the_window_fires_once_at_its_minute_in_any_zone(fires_at: float, zone: str) -> None:
    assert fires(CronZone(None).schedule(fires_at), zone) == [fires_at]


def test_can_not_fire_a_year_later() -> None:
    schedule = CronZone().schedule(NOON)
    assert schedule["schedule"] == "0 12 15 1 ?"
    assert schedule["starts_at"] < datetime.fromtimestamp(NOON, UTC) < schedule["ends_at"]
    assert schedule["ends_at"] - schedule["starts_at"] < timedelta(minutes=10)


@pytest.mark.parametrize(
    ("offset", "late_by", "corrected"),
    [
        (0, 0, 0),
        (0, -7200, 7200),
        (0, 5 * 3600, -5 * 3600),
        (0, -20700, 20700),
        (0, 50400, -50400),
        (7200, 3600, 3600),
        (0, 61, None),
        (0, 15 * 3600, None),
        (0, 86400, None),
        (None, 0, None),
    ],
)
def test_correction(offset: int | None, late_by: float, corrected: int | None) -> None:
    assert CronZone(offset).corrected(NOON, NOON + late_by) == CronZone(corrected)


def test_correction_without_next_start() -> None:
    assert CronZone().corrected(NOON, None) == CronZone(None)


@pytest.mark.parametrize("zone", ZONES)
def test_correction_explains_what_a_portal_in_that_zone_answers(zone: str) -> None:
    schedule = CronZone().schedule(NOON)
    window = {**schedule, "starts_at": schedule["starts_at"] - timedelta(days=1)}
    window["ends_at"] += timedelta(days=1)
    (next_start,) = fires(window, zone)
    learnt = CronZone().corrected(NOON, next_start)
    assert fires(learnt.schedule(NOON), zone) == [NOON]
