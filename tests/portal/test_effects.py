"""Deadlines: an operation under `until` looks once more, is told, and may tidy up."""

from __future__ import annotations

import pytest

from airflow_provider_arcgis_tasks.portal import DeadlinePassed, Operation, Pause, Request, until
from airflow_provider_arcgis_tasks.portal.effects import now, pause, send
from tests.portal.play import NOON, Play

GET = Request("GET", "https://gis.example.com/x", timeout=30)


def wait(seconds: float, looks: list[float], times: int = 1000) -> Operation[str]:
    for _ in range(times):
        looks.append((yield from now()))
        yield from pause(seconds)
    return "done"


def test_an_operation_that_ends_in_time() -> None:
    looks: list[float] = []
    assert Play()(until(NOON + 100, wait(10, looks, times=3))) == "done"
    assert looks == [NOON, NOON + 10, NOON + 20]


@pytest.mark.parametrize("seconds", [7, 60, 1000])
def test_the_last_pause_is_cut_and_the_operation_looks_once_more(seconds: float) -> None:
    looks: list[float] = []
    play = Play()
    with pytest.raises(DeadlinePassed):
        play(until(NOON + 100, wait(seconds, looks)))
    assert looks[-1] == play.now == NOON + 100


def test_no_deadline() -> None:
    assert Play()(until(float("inf"), wait(1e6, [], times=5))) == "done"


@pytest.mark.parametrize("late", [0, 1, 1000])
def test_a_deadline_that_has_passed(late: float) -> None:
    """One look is still taken, which decides a wait that is resumed late."""
    looks: list[float] = []
    with pytest.raises(DeadlinePassed):
        Play()(until(NOON - late, wait(5, looks)))
    assert looks == [NOON]
    assert Play()(until(NOON - late, now())) == NOON


def test_it_is_a_timeout_error() -> None:
    assert issubclass(DeadlinePassed, TimeoutError)


def test_the_operation_may_tidy_up() -> None:
    tidied: list[str] = []

    def operation() -> Operation[None]:
        try:
            while True:
                yield from pause(60)
        finally:
            yield from send(GET)
            tidied.append("done")

    with pytest.raises(DeadlinePassed):
        Play({"id": "a"})(until(NOON + 100, operation()))
    assert tidied == ["done"]


def test_an_operation_that_goes_on_regardless_is_told_at_each_pause() -> None:
    told: list[float] = []

    def operation() -> Operation[str]:
        while len(told) < 3:
            try:
                yield from pause(60)
            except DeadlinePassed:
                told.append((yield from now()))
        return "stubborn"

    assert Play()(until(NOON + 10, operation())) == "stubborn"
    assert told == [NOON + 10] * 3


@pytest.mark.parametrize(("left", "timeout"), [(100, 30), (20, 20), (3, 5), (-10, 5)])
def test_requests_do_not_outlast_the_deadline_by_much(left: float, timeout: float) -> None:
    play = Play({"id": "a"})
    play(until(NOON + left, send(GET)))
    assert [request.timeout for request in play.requests] == [timeout]


@pytest.mark.parametrize("seconds", [0, -5])
def test_no_pause(seconds: float) -> None:
    play = Play()
    play(pause(seconds))
    assert play.pauses == []


def test_inner_operation_is_closed_with_the_outer() -> None:
    closed: list[bool] = []

    def operation() -> Operation[None]:
        try:
            while True:
                yield Pause(1)
        finally:
            closed.append(True)

    outer = until(NOON + 100, operation())
    next(outer)
    outer.close()
    assert closed == [True]


def test_nothing_secret_in_their_text() -> None:
    request = Request(
        "POST", "https://h/x", {"password": "sec-ret"}, {"X-Esri-Authorization": "Bearer sec-ret"}
    )
    assert "sec-ret" not in repr(request)
