from __future__ import annotations

import time

import pytest

from airflow_provider_arcgis_tasks.sandbox.clock import ManualClock, RealClock


def test_a_real_clock_shows_real_time():
    assert abs(RealClock().now() - time.time()) < 0.1


def test_a_real_clock_runs_faster():
    clock = RealClock(speed=1000, start=5000.0)
    first = clock.now()
    time.sleep(0.02)
    assert first >= 5000.0
    assert clock.now() - first >= 20


def test_a_real_clock_jumps():
    clock = RealClock(start=5000.0)
    clock.advance(3600)
    assert 8600 <= clock.now() < 8601


@pytest.mark.parametrize("speed", [0, -1])
def test_time_goes_forward(speed):
    with pytest.raises(ValueError, match="above 0"):
        RealClock(speed)


def test_a_manual_clock_stands_still():
    clock = ManualClock(10.0)
    assert clock.now() == clock.now() == 10.0
    clock.advance(5)
    assert clock.now() == 15.0
    clock.set(20.0)
    assert clock.now() == 20.0


def test_a_manual_clock_never_goes_back():
    clock = ManualClock(10.0)
    with pytest.raises(ValueError, match="never goes back"):
        clock.advance(-1)
