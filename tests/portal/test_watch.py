"""Waiting for runs of a schedule, against the sandbox's portal on a clock that only pauses move."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from airflow_provider_arcgis_tasks.portal import (
    DeadlinePassed,
    NotFound,
    Operation,
    PortalError,
    PortalRun,
    Response,
    TaskDefinition,
    tasks,
    until,
)
from airflow_provider_arcgis_tasks.portal.session import Session
from airflow_provider_arcgis_tasks.portal.verdict import Criteria
from airflow_provider_arcgis_tasks.portal.watch import WhichRun, growing_delays, jittered, wait_for_run
from tests.portal.play import HTML, LOST, NOON, World, session

HOUR = 3600.0


def at(moment: float) -> datetime:
    return datetime.fromtimestamp(moment, UTC)


def scheduled(world: World, s: Session, schedule: str = "0 * * * *", **others: Any) -> str:
    definition = TaskDefinition(
        task_type="ExecuteNotebook", item_id=world.item, schedule=schedule, title="Hourly", **others
    )
    return world(tasks.create_task(s, definition))


def wait(s: Session, which: WhichRun, **criteria: Any) -> Operation[PortalRun]:
    return wait_for_run(s, which, Criteria.of(**criteria), 30.0)


@pytest.fixture
def world() -> World:
    return World()


# --- which run ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("which", "index"),
    [
        (lambda t, runs: WhichRun(t), 0),
        (lambda t, runs: WhichRun(t, portal_run_id=runs[2].id), 2),
        (lambda t, runs: WhichRun(t, newer_than=at(NOON + 2 * HOUR)), 1),
        (lambda t, runs: WhichRun(t, newer_than=at(NOON + 2 * HOUR + 1)), 0),
        (lambda t, runs: WhichRun(t, newer_than=at(NOON)), 2),
    ],
    ids=["the newest", "the named one", "created then", "created later", "the first of all"],
)
def test_which_run(world: World, which: Callable[[str, list[PortalRun]], WhichRun], index: int) -> None:
    s = world.session()
    task_id = scheduled(world, s)
    world.pass_time(3 * HOUR + 600)
    runs = world(tasks.get_runs(s, task_id))
    assert len(runs) == 3
    assert world(wait(s, which(task_id, runs))).id == runs[index].id


def test_time_is_the_portals_whatever_the_order(world: World) -> None:
    for order in ("oldest", "newest", "shuffled"):
        world = World(ahead=5 * HOUR, runs_order=order)
        s = world.session()
        task_id = scheduled(world, s)
        world.pass_time(3 * HOUR + 600)
        run = world(wait(s, WhichRun(task_id, newer_than=at(NOON + 7 * HOUR))))
        assert run.created == at(NOON + 7 * HOUR)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"portal_task_id": "a/b"}, "portal_task_id"),
        ({"portal_task_id": ""}, "portal_task_id"),
        ({"portal_task_id": "a", "portal_run_id": "../x"}, "portal_run_id"),
        ({"portal_task_id": "a", "newer_than": datetime(2027, 1, 1)}, "newer_than"),
        ({"portal_task_id": "a", "newer_than": "2027-01-01T00:00:00Z"}, "newer_than"),
    ],
)
def test_which_run_refuses(fields: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        WhichRun(**fields)


def test_a_portal_without_times_of_runs() -> None:
    world = World(optional_fields="absent")
    s = world.session()
    task_id = scheduled(world, s)
    world.pass_time(HOUR + 600)
    assert world(wait(s, WhichRun(task_id))).status == "succeeded"
    with pytest.raises(PortalError, match="portal_run_id"):
        world(wait(s, WhichRun(task_id, newer_than=at(NOON))))


def test_a_run_or_task_that_is_not_there(world: World) -> None:
    s = world.session()
    with pytest.raises(NotFound):
        world(wait(s, WhichRun("0" * 32)))
    with pytest.raises(NotFound):
        world(wait(s, WhichRun(scheduled(world, s), portal_run_id="0" * 32)))


# --- the wait ----------------------------------------------------------------------------------------


def test_few_looks_before_the_run_can_have_begun(world: World) -> None:
    s = world.session()
    task_id = scheduled(world, s)
    before = world.portal.count("runs")
    run = world(wait(s, WhichRun(task_id, newer_than=at(NOON + 3 * HOUR))))
    assert run.created == at(NOON + 3 * HOUR)
    assert world.portal.count("runs") - before < 20  # a look in fifteen minutes, as the schedule may change
    assert world.now < NOON + 3 * HOUR + 120


def test_a_rare_schedule_is_not_polled_all_day(world: World) -> None:
    s = world.session()
    task_id = scheduled(world, s, "0 11 * * *")
    run = world(wait(s, WhichRun(task_id, newer_than=at(NOON))))
    assert run.created == at(NOON + 23 * HOUR)
    assert len(world.requests) < 500


def test_pauses_are_short_at_first_and_then_grow(world: World) -> None:
    world.portal.plan(world.item, duration=1000)
    s = world.session()
    task_id = scheduled(world, s)
    world.pass_time(HOUR)
    world.pauses.clear()
    run = world(wait(s, WhichRun(task_id)))
    assert run.modified == at(NOON + HOUR + 1000)
    assert world.pauses == sorted(world.pauses)
    assert world.pauses[0] < 5
    assert 20 < world.pauses[-1] <= 33
    assert world.now - (NOON + HOUR + 1000) <= 33


@pytest.mark.parametrize("poll_interval", [0.5, 2, 30, 600])
@pytest.mark.parametrize("fraction", [0.0, 0.999])
def test_jitter_is_a_tenth(fraction: float, poll_interval: float) -> None:
    s = session(random_fraction=lambda: fraction)
    assert jittered(s, 100) == pytest.approx(90 if fraction == 0 else 110, abs=0.1)
    delays = growing_delays(s, poll_interval)
    found = [next(delays) for _ in range(20)]
    assert found == sorted(found)
    assert found[0] <= 2.2
    assert found[-1] == pytest.approx(poll_interval, rel=0.11)


@pytest.mark.parametrize("outcome", ["succeeded", "failed", "skipped", "submitfailed"])
def test_every_end_is_returned_as_it_is(world: World, outcome: str) -> None:
    world.portal.plan(world.item, outcome, result="told")
    s = world.session()
    task_id = scheduled(world, s)
    run = world(wait(s, WhichRun(task_id, newer_than=at(NOON))))
    assert (run.status, run.result) == (outcome, "told")


def test_criteria_decide_what_ends_the_wait(world: World) -> None:
    s = world.session()
    task_id = scheduled(world, s)
    run = world(wait(s, WhichRun(task_id, newer_than=at(NOON)), success_statuses=["executing"]))
    assert run.status == "executing"


def test_an_unknown_status_is_waited_for_and_warned_of_once(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.portal.plan(world.item, "paused by hand", duration=60)
    s = world.session()
    task_id = scheduled(world, s)
    which = WhichRun(task_id, newer_than=at(NOON))
    with caplog.at_level(logging.WARNING), pytest.raises(DeadlinePassed):
        world(until(NOON + 2 * HOUR, wait(s, which)))
    assert len([r for r in caplog.records if "paused by hand" in r.getMessage()]) == 1


def test_a_change_of_state_is_told_once(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.portal.plan(world.item, duration=600)
    s = world.session()
    task_id = scheduled(world, s)
    with caplog.at_level(logging.INFO):
        world(wait(s, WhichRun(task_id, newer_than=at(NOON))))
    told = [r.getMessage() for r in caplog.records if "Portal run" in r.getMessage()]
    assert [text.rpartition(" is ")[2] for text in told] == ["executing", "succeeded"]


@pytest.mark.parametrize("duration", [30.0, float("inf")])
def test_the_deadline(world: World, duration: float) -> None:
    world.portal.plan(world.item, duration=duration)
    s = world.session()
    task_id = scheduled(world, s, "0 0 1 1 *" if duration == 30 else "0 * * * *")
    with pytest.raises(DeadlinePassed):
        world(until(NOON + 2 * HOUR, wait(s, WhichRun(task_id, newer_than=at(NOON)))))
    assert world.now == NOON + 2 * HOUR


def test_a_run_that_ended_long_before_the_deadline_is_found_when_resumed_late(world: World) -> None:
    s = world.session()
    task_id = scheduled(world, s)
    world.pass_time(2 * HOUR)
    run = world(until(world.now - 1000, wait(s, WhichRun(task_id, newer_than=at(NOON)))))
    assert run.status == "succeeded"


def test_trouble_on_the_way_changes_nothing(world: World) -> None:
    world.portal.plan(world.item, "failed", duration=3600)
    s = world.session(unreachable_timeout=100)
    task_id = scheduled(world, s)
    trouble = iter([LOST, Response(503, {}, HTML), Response(200, {}, HTML), Response(200, {}, b"")] * 12)
    number = iter(range(10_000))
    world.tap = lambda request: next(trouble, None) if next(number) % 2 else None
    run = world(wait(s, WhichRun(task_id, newer_than=at(NOON))))
    assert run.status == "failed"


def test_records_that_appear_late(world: World) -> None:
    world = World(run_record_delay=100)
    s = world.session()
    task_id = scheduled(world, s, "0 0 * * *")
    run = world(wait(s, WhichRun(task_id, newer_than=at(NOON))))
    assert run.created == at(NOON + 12 * HOUR + 100)


@pytest.mark.parametrize("ahead", [-HOUR, HOUR])
def test_a_clock_that_is_off_makes_nobody_wait_longer(ahead: float) -> None:
    world = World(ahead=ahead)
    task_id = scheduled(world, world.session(), "40 * * * *")
    world(wait(world.session(), WhichRun(task_id, newer_than=at(NOON + ahead))))
    assert world.now < NOON + 40 * 60 + 90


def test_a_schedule_that_is_changed_meanwhile_is_noticed(world: World) -> None:
    s = world.session()
    task_id = scheduled(world, s, "0 0 * * *")
    operation = wait(s, WhichRun(task_id, newer_than=at(NOON)))
    changed = []

    def change(request: Any) -> None:
        if world.now > NOON + HOUR and not changed:
            changed.append(world.now)
            path = f"/portal/sharing/rest/community/users/analyst/tasks/{task_id}/update"
            form = {"type": "ExecuteNotebook", "itemId": world.item, "f": "json", "minute": "*/10"}
            form |= {"hour": "*", "dayOfMonth": "*", "month": "*", "dayOfWeek": "?"}
            reply = world.portal.handle("POST", path, form, request.headers)
            assert b"success" in reply.body

    world.tap = change
    world(operation)
    assert world.now < changed[0] + 2 * HOUR
