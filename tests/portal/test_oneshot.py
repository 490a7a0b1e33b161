"""Run it now, against the sandbox's portal on a clock that only pauses move.

What counts is what really executed (`portal.fired`) and what is left on the portal. The simulation
tests crash and fault every step; these say what each step is for.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_arcgis_tasks.portal import (
    DeadlinePassed,
    InvalidRequest,
    PermissionDenied,
    PortalRun,
    PortalTask,
    Request,
    RunFailed,
    Superseded,
    TaskDefinition,
    TaskVanished,
    Unreachable,
    tasks,
    until,
)
from airflow_provider_arcgis_tasks.portal import oneshot as shots
from airflow_provider_arcgis_tasks.portal.oneshot import Blocked, Job, Keep, Mark, OneShot, marked_title
from airflow_provider_arcgis_tasks.portal.session import Session
from tests.portal.play import LOST, NOON, REFUSED, World

calmly = settings(deadline=None, database=None)
MARK = Mark("0123456789abcdef", 1, 1)
HOUR = 3600.0


def job(world: World, **others: Any) -> Job:
    fields: dict[str, Any] = {"task_type": "ExecuteNotebook", "item_id": world.item, "title": "Nightly"}
    return Job(**{**fields, "parameters": {"region": "north"}, **others})


def start(world: World, s: Session, mark: Mark = MARK) -> OneShot:
    return world(shots.start(s, job(world), mark))


def wait(world: World, s: Session, shot: OneShot, seconds: float = HOUR) -> PortalRun:
    waiting = shots.wait(s, shot.portal_task_id, job(world), shot.mark, 30.0)
    return world(until(world.now + seconds, waiting))


def executed(world: World) -> int:
    """How many runs of one-shot tasks the portal has really executed."""
    return sum("[airflow " in (fired.title or "") for fired in world.portal.fired)


def marked(world: World, mark: Mark = MARK) -> list[str]:
    """The portal tasks that carry the mark."""
    return [
        id_ for id_, task in world.portal.tasks.items() if f"airflow {mark} " in str(task.definition.title)
    ]


def tamper(world: World, verb: str, portal_task_id: str, **form: str) -> None:
    """Do something on the portal as somebody else would."""
    path = f"/portal/sharing/rest/community/users/analyst/tasks/{portal_task_id}/{verb}".replace("//", "/")
    token = {"X-Esri-Authorization": f"Bearer {world.portal.issue_token()}"}
    reply = world.portal.handle("POST", path, {"f": "json", **form}, token)
    assert b'"success": true' in reply.body, reply.body


@pytest.fixture
def world() -> World:
    return World()


# --- marks -------------------------------------------------------------------------------------------


def test_marks_stand_for_what_they_name() -> None:
    one = Mark.of("dag", "task", "run", -1, generation=3)
    assert one == Mark.of("dag", "task", "run", -1, generation=3)
    assert Mark.parse(str(one)) == one
    others = [
        Mark.of("dag", "task", "run", 0),
        Mark.of("dag", "task", "ru", "n-1"),
        Mark.of("dagtask", "run", -1),
        Mark.of("dag", "task", "run", -1, None),
    ]
    assert len({mark.key for mark in [one, *others]}) == 5
    assert Mark.of("a", generation=1).key == Mark.of("a", generation=2).key


@pytest.mark.parametrize(
    ("one", "other", "later"),
    [
        ((1, 1), (1, 1), False),
        ((1, 2), (1, 1), False),
        ((2, 2), (1, 1), True),
        ((1, 1), (2, 2), False),
        ((1, 7), (5, 1), True),
        ((5, 1), (1, 7), False),
    ],
)
def test_later_generations(one: tuple[int, int], other: tuple[int, int], later: bool) -> None:
    """The attempt tells, as a generation may get smaller; within one generation none came after."""
    assert Mark("a" * 16, *one).came_after(Mark("a" * 16, *other)) is later
    assert (Mark("a" * 16, *one) == Mark("a" * 16, *other)) is (one[0] == other[0])


@pytest.mark.parametrize("text", ["", "abc", "abc.1", "abc..", "abc.1.x", "abc.1.2.3"])
def test_what_is_no_mark(text: str) -> None:
    with pytest.raises(ValueError, match="mark: "):
        Mark.parse(text)


@calmly
@given(st.text(max_size=400), st.integers(0, 10**6), st.integers(1, 10**6), st.integers(0, 60_000_000))
def test_titles(title: str, generation: int, attempt: int, minute: int) -> None:
    mark, fires_at = Mark.of(title, generation=generation, attempt=attempt), minute * 60.0
    text = shots.marked_title(title, mark, fires_at)
    shot = OneShot.read(PortalTask.from_wire({"id": "a", "title": text}))
    assert shot is not None
    assert (shot.mark, shot.mark.attempt, shot.fires_at) == (mark, attempt, fires_at)
    assert title.startswith(shots.unmarked_title(text))
    assert len(text) < 240
    assert shots.unmarked_title(title) == title


@pytest.mark.parametrize(
    "title",
    [
        None,
        "",
        "Nightly",
        "Nightly [airflow 0123456789abcdef.1.1 at 2027-01-15T12:01Z] copy",
        "Nightly [airflow 0123456789ABCDEF.1.1 at 2027-01-15T12:01Z]",
        "Nightly [airflow 0123456789abcdef at 2027-01-15T12:01Z]",
        "Nightly [airflow 0123456789abcdef.1.1 at 2027-13-45T25:61Z]",
        "Nightly [airflow 0123456789abcdef.1.1 at 0000-01-01T00:00Z]",
        f"Nightly [airflow 0123456789abcdef.{'9' * 5000}.1 at 2027-01-15T12:01Z]",
        "Nightly [airflow 0123456789abcdef.1.1 at soon]",
    ],
)
def test_titles_of_others(title: str | None, world: World) -> None:
    assert OneShot.read(PortalTask.from_wire({"id": "a", "title": title})) is None


def test_a_hostile_title_of_another_task_is_in_nobodys_way(world: World) -> None:
    s = world.session()
    for title in ("x [airflow 0123456789abcdef.1.1 at 2027-99-99T99:99Z]", "[airflow ]", "\u202e[airflow"):
        definition = TaskDefinition(
            task_type="ExecuteNotebook", item_id=world.item, schedule="@yearly", title=title
        )
        world(tasks.create_task(s, definition))
    assert wait(world, s, start(world, s)).status == "succeeded"


# --- the way it goes ---------------------------------------------------------------------------------


@pytest.mark.parametrize("ahead", [-5 * HOUR, -90.0, 0.0, 45.0, 13 * HOUR])
def test_runs_once_by_the_portals_clock(ahead: float) -> None:
    world = World(ahead=ahead)
    world.portal.plan(world.item, duration=90, result=lambda inputs: {"got": inputs})
    s = world.session()
    shot = start(world, s)
    task = world.portal.tasks[shot.portal_task_id]
    assert 30 <= shot.fires_at - (NOON + ahead) <= 95
    assert (task.next_start, task.definition.max_occurrences) == (shot.fires_at, 1)
    assert task.definition.title == f"Nightly [airflow {MARK} at {shot.fires_at_text}]"
    assert task.definition.fields["dayOfWeek"] == "?"
    assert task.definition.ends_at is not None
    assert task.definition.ends_at / 1000 < shot.fires_at + HOUR
    run = wait(world, s, shot)
    assert (run.status, run.result, run.portal_task_id) == (
        "succeeded",
        '{"got": {"region": "north"}}',
        shot.portal_task_id,
    )
    assert [fired.scheduled_for for fired in world.portal.fired] == [shot.fires_at]
    world(shots.finish(s, shot.portal_task_id, mark=MARK, keep=False))
    assert not world.portal.tasks


def test_no_run_is_asked_for_before_the_fire(world: World) -> None:
    s = world.session()
    shot = start(world, s)
    asked: list[float] = []
    world.tap = lambda request: asked.append(world.now) if request.url.endswith("/runs") else None
    wait(world, s, shot)
    assert asked
    assert shot.fires_at <= asked[0] < shot.fires_at + 5
    assert len(world.requests) < 15


def test_its_only_run_is_what_counts_in_whatever_order_runs_come(world: World) -> None:
    world = World(runs_order="newest", run_record_delay=31, time_in_scheduled=20)
    s = world.session()
    assert wait(world, s, start(world, s)).status == "succeeded"
    assert executed(world) == 1


@pytest.mark.parametrize("outcome", ["succeeded", "failed", "skipped", "submitfailed"])
def test_every_end_is_returned(outcome: str, world: World) -> None:
    world.portal.plan(world.item, outcome, result="told")
    s = world.session()
    run = wait(world, s, start(world, s))
    assert (run.status, run.result) == (outcome, "told")


def test_the_deadline(world: World) -> None:
    world.portal.plan(world.item, duration=math.inf)
    s = world.session()
    shot = start(world, s)
    with pytest.raises(DeadlinePassed):
        wait(world, s, shot, seconds=600)
    assert world.now <= NOON + 700


@pytest.mark.parametrize(
    ("kind", "others"),
    [
        ("Notebook", {}),
        ("UpdateInsightsWorkbook", {"task_type": "UpdateInsightsWorkbook"}),
        ("GPService", {"task_type": "GPService", "task_url": "https://h/rest/services/T/GPServer/Clip"}),
        ("RunDataPipeline", {"task_type": "RunDataPipeline", "parameters": None}),
    ],
)
def test_types(kind: str, others: dict[str, Any], world: World) -> None:
    item = world.portal.add_item(kind)
    s = world.session()
    shot = world(shots.start(s, job(world, item_id=item, **others), MARK))
    assert wait(world, s, shot).status == "succeeded"
    assert world.portal.fired[0].item_id == item


# --- find or create ----------------------------------------------------------------------------------


@pytest.mark.parametrize("later", [0, 50, 100, 1000, 3000])
def test_a_retry_goes_on_with_its_own(later: float, world: World) -> None:
    world.portal.plan(world.item, duration=900)
    first = start(world, world.session())
    world.pass_time(later)
    retry = world.session()
    again = start(world, retry)
    assert again.portal_task_id == first.portal_task_id
    assert wait(world, retry, again).status == "succeeded"
    assert (world.portal.count("createTask"), executed(world)) == (1, 1)


def test_others_are_left_alone(world: World) -> None:
    s = world.session()
    definition = TaskDefinition(
        task_type="ExecuteNotebook", item_id=world.item, schedule="@daily", title="Nightly"
    )
    own = world(tasks.create_task(s, definition))
    other = start(world, s, Mark("f" * 16, 1))
    assert start(world, s).portal_task_id not in (own, other.portal_task_id)
    assert len(world.portal.tasks) == 3


def on_create(world: World, *, applied: bool, answer: Any = LOST, times: int = 1) -> None:
    """Spoil the first answers to createTask; `applied`: the portal carries it out all the same."""
    left = [None] * times

    def spoil(request: Request) -> Any:
        if not request.url.endswith("/createTask") or not left:
            return None
        left.pop()
        if applied:
            path = request.url.removeprefix("https://gis.example.com")
            world.portal.handle("POST", path, request.params, request.headers)
        return answer

    world.tap = spoil


@pytest.mark.parametrize(
    "answer", [LOST, b"", b"{half", {"error": {"code": 500, "message": "Oops"}}], ids=str
)
@pytest.mark.parametrize("applied", [True, False])
def test_a_lost_answer_makes_no_second_task(world: World, applied: bool, answer: Any) -> None:
    on_create(world, applied=applied, answer=answer)
    s = world.session()
    shot = start(world, s)
    assert marked(world) == [shot.portal_task_id]
    assert wait(world, s, shot).status == "succeeded"
    assert executed(world) == 1


def test_six_lost_answers_make_no_second_task(world: World) -> None:
    on_create(world, applied=True, times=6)
    for _ in range(6):
        start(world, world.session())
    assert len(marked(world)) == 1


@pytest.mark.parametrize("lag", [1, 5, 15, 25])
def test_a_lost_answer_and_a_list_that_lags(lag: float) -> None:
    """The list may show the first one only after a second was made; the older wins before either fires."""
    world = World(list_lag=lag)
    on_create(world, applied=True)
    s = world.session()
    shot = start(world, s)
    assert wait(world, s, shot).status == "succeeded"
    world.pass_time(HOUR)
    assert executed(world) == 1


def test_a_list_that_lags_does_not_hide_what_was_just_created() -> None:
    world = World(list_lag=40)
    s = world.session()
    assert wait(world, s, start(world, s)).status == "succeeded"
    assert (world.portal.count("createTask"), executed(world)) == (1, 1)


def test_two_lost_answers_and_a_list_that_lags() -> None:
    """Both show up while the third sleeps until its own minute: it looks before theirs."""
    world = World(list_lag=20)
    on_create(world, applied=True, times=2)
    s = world.session()
    shot = start(world, s)
    assert wait(world, s, shot).status == "succeeded"
    world.pass_time(HOUR)
    assert (world.portal.count("createTask"), executed(world)) == (3, 1)


def create_late(world: World, *delays: float) -> None:
    """Answer no createTask, and carry the first ones out so many seconds after they were sent."""
    left = list(delays)
    pending: list[tuple[float, Request]] = []

    def tap(request: Request) -> Any:
        while pending and world.now >= pending[0][0]:
            _, due = pending.pop(0)
            world.portal.handle("POST", urlsplit(due.url).path, due.params, due.headers)
        if not request.url.endswith("/createTask") or not left:
            return None
        pending.append((world.now + left.pop(0), request))
        return LOST

    world.tap = tap


def test_a_creation_that_comes_through_while_an_earlier_one_runs(world: World) -> None:
    """It is waited for, as it would fire beside the other, and removed."""
    world.portal.plan(world.item, duration=600)
    create_late(world, 7.5, 90.0)
    shot = start(world, world.session())
    assert executed(world) == 1
    assert marked(world) == [shot.portal_task_id]
    world.pass_time(HOUR)
    assert executed(world) == 1


@pytest.mark.parametrize("trouble", [REFUSED, Unreachable("no route", sent=False)])
def test_a_request_that_was_never_sent_is_repeated(world: World, trouble: Any) -> None:
    on_create(world, applied=False, answer=trouble, times=3)
    start(world, world.session())
    assert len(marked(world)) == 1


def test_two_at_the_same_time_end_with_one() -> None:
    """The second runs from beginning to end between any two steps of the first."""
    for step in range(60):
        world = World()
        first_session, second_session = world.session(), world.session()
        first = shots.start(first_session, job(world), MARK)
        first_shot = None
        effect = next(first)
        try:
            for _ in range(step):
                effect = first.send(world.reply(effect))
        except StopIteration as done:
            first_shot = done.value
        second_shot = world(shots.start(second_session, job(world), MARK))
        if first_shot is None:
            first_shot = finish_off(world, first, effect)
        assert wait(world, first_session, first_shot).status == "succeeded"
        assert wait(world, second_session, second_shot).status == "succeeded"
        assert (executed(world), len(marked(world))) == (1, 1), f"cut at step {step}"


def finish_off(world: World, operation: Any, effect: Any) -> Any:
    try:
        while True:
            effect = operation.send(world.reply(effect))
    except StopIteration as done:
        return done.value


def duplicate(world: World, seconds_later: float = 5) -> tuple[str, str]:
    """Two one-shot tasks with one mark."""
    first = start(world, world.session())
    world.pass_time(seconds_later)
    return first.portal_task_id, copy(world, first.portal_task_id)


def copy(world: World, portal_task_id: str, title: str | None = None) -> str:
    """Another portal task with the same schedule, and the same title if no other is given."""
    definition = world.portal.tasks[portal_task_id].definition
    form = {
        **definition.fields,
        "type": definition.type,
        "itemId": str(definition.item_id),
        "maxOccurrences": "1",
    }
    form |= {"title": title or str(definition.title), "endDate": str(definition.ends_at)}
    known = set(world.portal.tasks)
    tamper(world, "createTask", "", **form)
    (made,) = set(world.portal.tasks) - known
    return made


def test_of_two_the_older_wins(world: World, caplog: pytest.LogCaptureFixture) -> None:
    older, younger = duplicate(world)
    s = world.session()
    shot = start(world, s)
    assert marked(world) == [shot.portal_task_id] == [older]
    assert f"duplicate of one-shot task {older}" in caplog.text
    assert younger in caplog.text


def test_a_duplicate_that_slips_in_later_is_removed_before_it_fires(world: World) -> None:
    s = world.session()
    shot = start(world, s)
    older, younger = duplicate(world)
    assert shot.portal_task_id == older
    wait(world, s, shot)
    assert marked(world) == [older]
    assert executed(world) == 1
    assert younger not in world.portal.tasks


def test_a_duplicate_is_noticed_by_a_wait_that_begins_just_before_the_fire(world: World) -> None:
    s = world.session()
    shot = start(world, s)
    copy(world, shot.portal_task_id)
    world.pass_time(shot.fires_at - world.now - 5)
    assert wait(world, s, shot).status == "succeeded"
    assert executed(world) == 1


def test_a_duplicate_that_slips_in_at_the_very_end_goes_as_well(world: World) -> None:
    s = world.session()
    shot = start(world, s)
    run = wait(world, s, shot)
    copy(world, shot.portal_task_id, marked_title("Nightly", MARK, shot.fires_at + 300))
    world(shots.conclude(s, run, MARK, Keep.NEVER))
    assert not world.portal.tasks


def test_one_that_has_fired_is_kept_even_if_it_is_the_younger(world: World) -> None:
    world.portal.plan(world.item, duration=900)
    older, younger = duplicate(world)
    tamper(world, "disable", older)
    world.pass_time(200)
    shot = start(world, world.session())
    assert marked(world) == [shot.portal_task_id] == [younger]


def test_a_run_that_failed_unseen_is_run_again(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.portal.plan(world.item, "failed", result="no disk", times=1)
    world.portal.plan(world.item, "succeeded")
    first = start(world, world.session())
    world.pass_time(600)
    s = world.session()
    again = start(world, s)
    assert again.portal_task_id != first.portal_task_id
    assert marked(world) == [again.portal_task_id]
    assert wait(world, s, again).status == "succeeded"
    assert "no disk" in caplog.text


@pytest.mark.parametrize(
    ("keep", "titles"), [(Keep.NEVER, []), (Keep.ON_FAILURE, ["Nightly"]), (Keep.ALWAYS, ["Nightly"])]
)
def test_a_run_that_failed_unseen_may_be_kept(keep: Keep, titles: list[str], world: World) -> None:
    world.portal.plan(world.item, "failed", times=1)
    start(world, world.session())
    world.pass_time(600)
    world(shots.start(world.session(), job(world), MARK, keep))
    assert len(marked(world)) == 1
    assert [title for title in world.titles() if "[airflow" not in title] == titles


def test_a_run_that_succeeded_unseen_is_not_run_again(world: World) -> None:
    first = start(world, world.session())
    world.pass_time(600)
    s = world.session()
    again = start(world, s)
    assert again.portal_task_id == first.portal_task_id
    assert wait(world, s, again).status == "succeeded"
    assert executed(world) == 1


@pytest.mark.parametrize(
    ("refusal", "kind"),
    [
        ({"error": {"code": 403, "message": "You do not have permissions"}}, PermissionDenied),
        ({"error": {"code": 400, "message": "'itemId' parameter is invalid."}}, InvalidRequest),
    ],
)
def test_a_refused_creation(refusal: Any, kind: type[Exception], world: World) -> None:
    world.tap = lambda request: refusal if request.url.endswith("/createTask") else None
    with pytest.raises(kind):
        start(world, world.session())
    assert not world.portal.tasks


# --- cleared -----------------------------------------------------------------------------------------

LATER = Mark(MARK.key, 2, 2)


def test_cleared_before_the_fire(world: World) -> None:
    old = start(world, world.session())
    new = start(world, world.session(), LATER)
    assert list(world.portal.tasks) == [new.portal_task_id]
    assert old.portal_task_id != new.portal_task_id


def test_while_the_old_one_runs_nothing_new_is_armed(world: World) -> None:
    """Though the list shows the old one only after the new one was made."""
    world.portal.plan(world.item, duration=900)
    old = start(world, world.session())
    world.pass_time(200)
    s = world.session()
    hidden = [None]

    def hide_once(request: Request) -> Any:
        return (
            {"tasks": [], "nextStart": -1}
            if request.url.endswith("/tasks") and hidden.pop() is None
            else None
        )

    world.tap = lambda request: hide_once(request) if hidden else None
    with pytest.raises(Blocked, match="still going"):
        start(world, s, LATER)
    assert world.portal.count("createTask") == 2
    assert list(world.portal.tasks) == [old.portal_task_id]


def test_cleared_while_it_runs_waits_for_its_end(world: World) -> None:
    world.portal.plan(world.item, duration=900)
    old = start(world, world.session())
    world.pass_time(200)
    s = world.session()
    with pytest.raises(Blocked, match="still going"):
        start(world, s, LATER)
    assert list(world.portal.tasks) == [old.portal_task_id]
    new = world(until(world.now + HOUR, shots.start_when_possible(s, job(world), LATER, 30)))
    assert world.now >= old.fires_at + 900
    assert list(world.portal.tasks) == [new.portal_task_id]
    assert wait(world, s, new).status == "succeeded"
    assert executed(world) == 2
    first, second = world.portal.fired
    assert first.end <= second.start


@pytest.mark.parametrize("outcome", ["succeeded", "failed"])
def test_cleared_after_its_end(outcome: str, world: World) -> None:
    world.portal.plan(world.item, outcome, times=1)
    world.portal.plan(world.item)
    start(world, world.session())
    world.pass_time(600)
    s = world.session()
    new = start(world, s, LATER)
    assert list(world.portal.tasks) == [new.portal_task_id]
    assert wait(world, s, new).status == "succeeded"


def test_cleared_at_the_moment_of_the_fire(world: World) -> None:
    """No record shows yet, so the run may be starting: wait until it shows, or can't come any more."""
    world = World(run_record_delay=60)
    shot = start(world, world.session())
    world.pass_time(shot.fires_at - world.now + 1)
    with pytest.raises(Blocked, match="may be starting"):
        start(world, world.session(), LATER)


def test_an_earlier_attempt_gives_way(world: World) -> None:
    zombie = world.session()
    old = start(world, zombie)
    new = start(world, world.session(), LATER)
    for operation in (
        shots.start(zombie, job(world), MARK),
        shots.wait(zombie, old.portal_task_id, job(world), MARK, 30),
    ):
        with pytest.raises((Superseded, TaskVanished)):
            world(operation)
    assert list(world.portal.tasks) == [new.portal_task_id]


# --- the zone of cron --------------------------------------------------------------------------------


@pytest.mark.parametrize("optional", ["present", "null", "absent"])
@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize(
    "zone", ["UTC", "+02:00", "-07:00", "+05:45", "+14:00", "-12:00", "America/New_York"]
)
def test_fires_once_in_every_zone(zone: str, strict: bool, optional: str) -> None:
    world = World(cron_zone=zone, strict_quartz=strict, optional_fields=optional)
    s = world.session()
    run = wait(world, s, start(world, s), seconds=900)
    assert run.status == "succeeded"
    world.pass_time(2 * 86400)
    assert executed(world) == 1
    assert world.portal.fired[0].start < NOON + 300


def test_one_that_fires_while_it_is_corrected_is_not_armed_again() -> None:
    """The portal does not tell `nextStart`, and answers so slowly that the minute comes."""
    world = World(optional_fields="absent")
    world.portal.plan(world.item, duration=300)

    def answer_slowly(request: Request) -> None:
        if request.method == "GET" and not request.url.endswith("/tasks"):
            world.pass_time(70)

    world.tap = answer_slowly
    s = world.session()
    shot = start(world, s)
    assert wait(world, s, shot).status == "succeeded"
    assert (world.portal.count("updateTask"), executed(world)) == (0, 1)


def test_the_correction_is_remembered(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world = World(cron_zone="+02:00")
    s = world.session()
    start(world, s)
    assert world.portal.count("updateTask") == 1
    assert "not to read cron in UTC" in caplog.text
    start(world, s, Mark("f" * 16))
    assert world.portal.count("updateTask") == 1


@pytest.mark.parametrize("refuse", ["accept", "refuse"])
def test_a_portal_that_refuses_what_never_fires(refuse: str) -> None:
    world = World(cron_zone="+02:00", never_fires=refuse)
    s = world.session()
    assert wait(world, s, start(world, s), seconds=900).status == "succeeded"
    assert executed(world) == 1


@pytest.mark.parametrize("zone", ["UTC", "+02:00"])
def test_a_least_interval_of_a_quarter_of_an_hour(zone: str) -> None:
    world = World(cron_zone=zone, least_interval_minutes=15)
    s = world.session()
    assert wait(world, s, start(world, s), seconds=900).status == "succeeded"


# --- missed fires ------------------------------------------------------------------------------------


FORGETFUL: dict[str, Any] = {
    "update_keeps_omitted": False,
    "hidden_fields": frozenset({"task.parameters", "task.taskUrl"}),
}
TOOL = "https://gis.example.com/server/rest/services/Tools/GPServer/Buffer"


@pytest.mark.parametrize("why", ["another zone", "a missed fire"])
def test_what_is_armed_again_runs_with_its_own_parameters(why: str) -> None:
    """Though the portal does not tell them, and forgets what an update leaves out."""
    world = World(cron_zone="+02:00" if why == "another zone" else "UTC", **FORGETFUL)
    s = world.session(unreachable_timeout=3000)
    tool = job(world, task_type="GPService", task_url=TOOL)
    shot = world(shots.start(s, tool, MARK))
    if why == "a missed fire":
        world.portal.down(shot.fires_at - 5, shot.fires_at + 30)
    waiting = shots.wait(s, shot.portal_task_id, tool, MARK, 30.0)
    assert world(until(world.now + HOUR, waiting)).status == "succeeded"
    [fired] = world.portal.fired
    assert fired.parameters == tool.parameters
    assert world.portal.tasks[shot.portal_task_id].definition.task_url == TOOL
    assert world.portal.count("updateTask") >= 1


@pytest.mark.parametrize("rule", ["skip", "catch_up"])
@pytest.mark.parametrize("down", [30, 300, 1500])
def test_a_portal_that_is_down_at_the_minute(down: float, rule: str) -> None:
    world = World(missed_fires=rule)
    s = world.session(unreachable_timeout=3000)
    shot = start(world, s)
    world.portal.down(shot.fires_at - 5, shot.fires_at - 5 + down)
    run = wait(world, s, shot, seconds=2 * HOUR)
    assert run.status == "succeeded"
    world.pass_time(86400)
    assert executed(world) == 1


def test_missed_fires_are_armed_further_and_further_ahead(world: World) -> None:
    world.tap = lambda request: {"runs": []} if request.url.endswith("/runs") else None
    s = world.session()
    shot = start(world, s)
    with pytest.raises(DeadlinePassed):
        wait(world, s, shot, seconds=6 * HOUR)
    assert 3 < world.portal.count("updateTask") < 40
    assert len(marked(world)) == 1


# --- no slot -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("optional", ["present", "absent"])
def test_no_free_slot(optional: str, caplog: pytest.LogCaptureFixture) -> None:
    world = World(active_task_limit=1, optional_fields=optional)
    world.portal.plan(world.item, duration=300)
    s = world.session()
    other = start(world, s, Mark("f" * 16))
    with pytest.raises(Blocked, match=r"slot|active tasks"):
        start(world, s)
    assert len(world.portal.tasks) == 1
    with caplog.at_level(logging.INFO):
        shot = world(until(world.now + HOUR, shots.start_when_possible(s, job(world), MARK, 30)))
    assert world.now > other.fires_at
    assert "Can't start yet" in caplog.text
    assert wait(world, s, shot).status == "succeeded"


def test_a_slot_that_never_comes() -> None:
    world = World(active_task_limit=0)
    with pytest.raises(DeadlinePassed):
        world(until(NOON + 600, shots.start_when_possible(world.session(), job(world), MARK, 30)))
    assert not world.portal.tasks


# --- the end -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keep", "outcome", "left"),
    [
        (Keep.NEVER, "succeeded", False),
        (Keep.NEVER, "failed", False),
        (Keep.ON_FAILURE, "succeeded", False),
        (Keep.ON_FAILURE, "failed", True),
        (Keep.ON_FAILURE, "skipped", True),
        (Keep.ALWAYS, "succeeded", True),
        (Keep.ALWAYS, "failed", True),
    ],
)
def test_keep(keep: Keep, outcome: str, left: bool, world: World) -> None:
    world.portal.plan(world.item, outcome, result="why")
    s = world.session()
    run = wait(world, s, start(world, s))
    conclude = shots.conclude(s, run, MARK, keep)
    if outcome == "succeeded":
        assert world(conclude) == run
    else:
        with pytest.raises(RunFailed, match="why"):
            world(conclude)
    assert world.titles() == ["Nightly"] * left
    assert not marked(world)
    world.pass_time(2 * 86400)
    assert executed(world) <= 1


@pytest.mark.parametrize("keep", [True, False])
def test_finishing_is_best_effort(keep: bool, world: World, caplog: pytest.LogCaptureFixture) -> None:
    s = world.session()
    shot = start(world, s)
    wait(world, s, shot)
    world.tap = lambda request: LOST
    begun = world.now
    world(shots.finish(s, shot.portal_task_id, mark=MARK, keep=keep))
    assert world.now - begun <= 61
    assert f"Could not {'unmark' if keep else 'delete'} one-shot task {shot.portal_task_id}" in caplog.text
    world(shots.finish(s, "0" * 32, mark=MARK, keep=False))


# --- cancelling --------------------------------------------------------------------------------------


def test_cancel_before_the_fire(world: World) -> None:
    s = world.session()
    other = start(world, s, Mark("f" * 16))
    later = start(world, s)
    world(shots.cancel(s, MARK))
    assert list(world.portal.tasks) == [other.portal_task_id]
    world.pass_time(600)
    assert [fired.task_id for fired in world.portal.fired] == [other.portal_task_id]
    assert later.portal_task_id not in world.portal.tasks


def test_cancel_leaves_another_generation_alone(world: World) -> None:
    s = world.session()
    new = start(world, s, LATER)
    world(shots.cancel(s, MARK))
    assert list(world.portal.tasks) == [new.portal_task_id]


def test_cancel_while_it_runs(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.portal.plan(world.item, duration=900)
    s = world.session()
    shot = start(world, s)
    world.pass_time(200)
    world(shots.cancel(s, MARK))
    assert "can't cancel a run" in caplog.text
    assert marked(world) == [shot.portal_task_id]


@pytest.mark.parametrize("outcome", ["succeeded", "failed"])
def test_cancel_after_its_end(outcome: str, world: World) -> None:
    world.portal.plan(world.item, outcome)
    s = world.session()
    start(world, s)
    world.pass_time(600)
    world(shots.cancel(s, MARK))
    assert not world.portal.tasks


def test_cancel_at_the_moment_of_the_fire(caplog: pytest.LogCaptureFixture) -> None:
    world = World(run_record_delay=60)
    s = world.session()
    shot = start(world, s)
    world.pass_time(shot.fires_at - world.now + 1)
    world(shots.cancel(s, MARK))
    assert world.portal.tasks[shot.portal_task_id].active is False
    assert "could not be stopped" in caplog.text


def test_a_kill_while_it_is_created_ends_the_try(world: World) -> None:
    """The kill removes what is there; the try goes on in the middle of createTask, and makes no other."""
    s = world.session()

    def kill(request: Request) -> Any:
        if not request.url.endswith("/createTask"):
            return None
        world.tap = lambda request: None
        world.answer(request)
        s.killed = True
        world(shots.give_up(world.session(), MARK))
        return LOST

    world.tap = kill
    with pytest.raises(Superseded, match="killed"):
        start(world, s)
    assert (world.portal.count("createTask"), world.portal.tasks) == (1, {})


def test_cancel_without_anything_to_cancel(world: World) -> None:
    world(shots.cancel(world.session(), MARK))


def test_giving_up_takes_no_longer_than_it_should(world: World, caplog: pytest.LogCaptureFixture) -> None:
    s = world.session()
    start(world, s)
    world.tap = lambda request: LOST
    begun = world.now
    world(shots.give_up(s, MARK))
    assert world.now - begun <= 21
    assert "Could not look for a one-shot task to remove" in caplog.text


# --- what others do meanwhile ------------------------------------------------------------------------


def meanwhile(world: World, moment: float, act: Callable[[], None]) -> None:
    done: list[float] = []

    def tap(request: Request) -> None:
        if world.now >= moment and not done:
            done.append(world.now)
            act()

    world.tap = tap


def test_deleted_by_somebody(world: World) -> None:
    s = world.session()
    shot = start(world, s)
    meanwhile(world, NOON + 5, lambda: tamper(world, "delete", shot.portal_task_id))
    with pytest.raises(TaskVanished, match=shot.portal_task_id):
        wait(world, s, shot)
    assert executed(world) == 0


def test_deleted_while_it_runs(world: World) -> None:
    world.portal.plan(world.item, duration=900)
    s = world.session()
    shot = start(world, s)
    meanwhile(world, shot.fires_at + 100, lambda: tamper(world, "delete", shot.portal_task_id))
    with pytest.raises(TaskVanished):
        wait(world, s, shot)
    assert executed(world) == 1


def test_disabled_by_somebody_before_the_fire_is_armed_again(world: World) -> None:
    s = world.session()
    shot = start(world, s)
    meanwhile(world, NOON + 5, lambda: tamper(world, "disable", shot.portal_task_id))
    assert wait(world, s, shot).status == "succeeded"
    assert executed(world) == 1


def test_another_with_its_mark_takes_its_place(world: World) -> None:
    s = world.session()
    shot = start(world, s)
    older, younger = duplicate(world)
    tamper(world, "delete", older)
    run = wait(world, s, shot)
    assert (run.status, run.portal_task_id) == ("succeeded", younger)
    assert executed(world) == 1


@pytest.fixture
def frozen(world: World) -> Session:
    """The session of a process that was stopped for ten minutes while it waited for an answer."""
    s = world.session()

    def freeze(request: Request) -> None:
        world.pass_time(600)
        world.tap = lambda request: None

    world.tap = freeze
    world(tasks.count_tasks(s))
    return s


def test_a_process_that_was_stopped_starts_nothing(world: World, frozen: Session) -> None:
    with pytest.raises(Superseded, match="stopped"):
        start(world, frozen)
    assert not world.portal.tasks


def test_a_process_that_was_stopped_cleans_nothing_up(world: World, frozen: Session) -> None:
    other = start(world, world.session())
    world(shots.give_up(frozen, MARK))
    world(shots.finish(frozen, other.portal_task_id, mark=MARK, keep=False))
    assert marked(world) == [other.portal_task_id]


# --- jobs --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"item_id": "a/b"}, "item_id"),
        ({"item_id": None}, "item_id"),
        ({"task_type": "Notebook"}, "task_type"),
        ({"task_type": "GPService"}, "task_url"),
        ({"task_type": "ExecuteReport", "item_id": None, "parameters": {}}, "parameters"),
        ({"parameters": "x"}, "parameters"),
    ],
)
def test_jobs_are_checked(fields: dict[str, Any], text: str, world: World) -> None:
    with pytest.raises(ValueError, match=text):
        job(world, **fields)


def test_a_job_survives_a_trigger_row_and_a_new_version(world: World) -> None:
    made = job(world, task_type="GPService", task_url=TOOL)
    facts = json.loads(json.dumps(made.to_dict()))
    assert Job.from_dict(facts) == made
    assert Job.from_dict({**facts, "priority": 1}) == made
    del facts["parameters"]
    assert Job.from_dict(facts).parameters is None


@pytest.mark.parametrize(
    ("overriding", "inputs"),
    [
        (None, {"a": 1, "b": 2}),
        ({}, {"a": 1, "b": 2}),
        ({"b": 3}, {"a": 1, "b": 3}),
        ({"c": [1]}, {"a": 1, "b": 2, "c": [1]}),
    ],
)
def test_a_job_like_a_portal_task(overriding: Any, inputs: dict[str, Any], world: World) -> None:
    s = world.session()
    definition = TaskDefinition(
        task_type="ExecuteNotebook",
        item_id=world.item,
        schedule="@yearly",
        title="Yearly",
        parameters={"a": 1, "b": 2},
        max_occurrences=7,
    )
    task_id = world(tasks.create_task(s, definition))
    before = world(tasks.get_task(s, task_id))
    shot = world(shots.start(s, Job.like(before, None, overriding), MARK))
    wait(world, s, shot)
    assert world.portal.fired[0].inputs == inputs
    assert str(world.portal.fired[0].title).startswith("Yearly [airflow ")
    assert world(tasks.get_task(s, task_id)) == before
