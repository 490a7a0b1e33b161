"""What happens in a schedule beside its faults, and what must be true of it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache

from airflow_provider_arcgis_tasks.portal import PortalTask
from airflow_provider_arcgis_tasks.portal.errors import RunFailed
from airflow_provider_arcgis_tasks.portal.oneshot import LAST_LOOK, OneShot
from airflow_provider_arcgis_tasks.sandbox import Rules
from airflow_provider_arcgis_tasks.sandbox.records import Fired
from tests.simulation.life import GONE, PARAMETERS, TIMEOUT, Life, operator, sensor
from tests.simulation.world import START, Fault, World


@dataclass(frozen=True)
class Scenario:
    """`happens` acts on the life at a time (seconds after its start)."""

    name: str
    deferrable: bool
    outcome: str = "succeeded"
    duration: float = 90.0
    rules: Rules = field(default_factory=Rules)
    clock_error: float = 0.0
    down: tuple[float, float] | None = None
    happens: tuple[tuple[float, str], ...] = ()
    second_triggerer: bool = False
    keep: str = "never"
    retries: int = 3
    runs: int = 1
    """Portal runs that the scenario makes if no fault adds a reason."""
    senses: bool = False
    """Whether it is the sensor that is played, on a portal task of the user's that fires in six minutes."""

    def play(self, faults: Mapping[int, Fault] | None = None, seed: int = 0) -> World:
        """Play it with these faults; raises `Surprise` if a guarantee is broken."""
        world = World(rules=self.rules, faults=faults, clock_error=self.clock_error, seed=seed)
        world.portal.plan(world.item, outcome=self.outcome, duration=self.duration, result="told")
        users_task = _users_own_task(world, "33 * * * ?" if self.senses else "0 3 1 1 ?")
        if self.down:
            begin, end = self.down
            portal_now = world.now + self.clock_error
            world.portal.down(portal_now + begin, portal_now + end)
        life = self._life(world, users_task)
        world.checks += [_OneAtATime(world), _Untouched(world, users_task)]
        world.at(0, life.start_try)
        for when, what in self.happens:
            world.at(when, _ACTIONS[what](life))
        try:
            world.run()
            self._judge(world, life)
        finally:
            world.close()
        return world

    def _life(self, world: World, users_task: str) -> Life:
        if not self.senses:
            triggers = operator(deferrable=self.deferrable, keep=self.keep)
            triggers.item_id = world.item
            return Life(world, triggers, retries=self.retries, second_triggerer=self.second_triggerer)
        senses = sensor(deferrable=self.deferrable)
        senses.portal_task_id = users_task
        senses.newer_than = datetime.fromtimestamp(START + self.clock_error, UTC)
        return Life(world, senses, retries=self.retries, second_triggerer=self.second_triggerer)

    def _judge(self, world: World, life: Life) -> None:
        runs = {run.run_id: run for run in world.portal.fired if self.senses or _is_ours(run)}
        self._judge_verdict(world, life, runs)
        if self.senses:
            if any(_is_ours(run) for run in world.portal.fired):
                world.fail("G1", "a sensor has started something")
            return
        self._judge_count(world, life, len(runs))
        world.let_pass(2 * TIMEOUT)
        if str(life.problem) == GONE and life.state == "failed":
            return  # nobody was left to clean up; the one-shot task fires once at most, and expires
        if life.kill_lost or (self.happens and Fault.LATE in world.faults.values()):
            return  # nobody killed, or nobody could see a creation that took effect after the kill
        titles = [task.definition.title for task in world.portal.tasks.values() if task.active]
        left = [title for title in titles if _has_mark(title)]
        if left:
            world.fail("G4", f"still active on the portal: {left}")
        if len({run.run_id for run in world.portal.fired if _is_ours(run)}) != len(runs):
            world.fail("G4", "a one-shot task fired after the end")

    def _judge_verdict(self, world: World, life: Life, runs: Mapping[str, Fired]) -> None:
        if life.state == "success":
            told = life.result
            truth = runs.get(told["portal_run_id"])
            if truth is None or truth.outcome != "succeeded" or told["result"] != truth.result:
                world.fail("G2", f"reported {told}, the portal says {truth}")
            elif life.cleared is not None and truth.start < life.cleared + self.clock_error:
                world.fail("G6", "cleared, and then told of the run from before")
        elif isinstance(life.problem, RunFailed):
            truth = runs.get(life.problem.run.id)
            if truth is None or truth.outcome == "succeeded":
                world.fail("G2", f"reported failed, the portal says {truth}")

    def _judge_count(self, world: World, life: Life, runs: int) -> None:
        ended_by_user = any(what == "mark_failed" for _, what in self.happens)
        cleared = sum(what.startswith("clear") for _, what in self.happens)
        tries_enough = len(world.faults) + cleared <= self.retries
        if not ended_by_user and tries_enough and self.outcome == "succeeded" and life.state != "success":
            world.fail(
                "G2",
                f"nothing was wrong with the run, but the task is {life.state}: {life.problem!r}",
            )
        most = (2 if cleared and world.faults else self.runs) + world.crashes_after_end
        most += _two_one_after_the_other(world.faults)
        if self.outcome == "succeeded" and runs > most:
            world.fail("G1", f"{runs} portal runs were made, {most} at most were called for")


def _two_one_after_the_other(faults: Mapping[int, Fault]) -> int:
    """A creation that takes effect late, and nobody there any more to look before the next one fires."""
    late = Fault.LATE in faults.values()
    return int(late and any(fault.ends_actor or fault is Fault.STALL for fault in faults.values()))


class _OneAtATime:
    """G1: looked at after every step. And what runs is what was asked for."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.seen = 0

    def __call__(self) -> None:
        fired = self.world.portal.fired
        if len(fired) == self.seen:
            return
        self.seen = len(fired)
        ours = sorted((run.start, run.end, _minute(run.title)) for run in fired if _is_ours(run))
        if _is_ours(fired[-1]) and fired[-1].inputs != PARAMETERS:
            self.world.fail("G2", f"it ran with {fired[-1].inputs}")
        for (_, end, _), (start, _, minute) in itertools.pairwise(ours):
            if start < end and not self._late_and_nobody_there(minute):
                self.world.fail("G1", "two portal runs of one task instance at the same time")

    def _late_and_nobody_there(self, minute: float) -> bool:
        """The exception: a creation took effect after its time-out, and nobody was left to look again."""
        last_look = minute - self.world.clock_error - LAST_LOOK
        return Fault.LATE in self.world.faults.values() and self.world.nobody_at(last_look + 1)


class _Untouched:
    """G5: a user's own schedule of the same item is there all the time, and stays as it is."""

    def __init__(self, world: World, portal_task_id: str) -> None:
        self.world = world
        self.task = world.portal.tasks[portal_task_id]
        self.definition = self.task.definition

    def __call__(self) -> None:
        if self.task.definition != self.definition or self.task.id not in self.world.portal._scheduler.tasks:
            self.world.fail("G5", "the user's own portal task was changed")
        if not self.task.active:
            self.world.fail("G5", "the user's own portal task was disabled")


def _users_own_task(world: World, schedule: str) -> str:
    """Create it; `schedule`: the portal's five fields."""
    portal = world.portal
    token = portal.issue_token(portal.username, minutes=60 * 24)
    form = {
        "f": "json",
        "title": "Nightly",
        "type": "ExecuteNotebook",
        "itemId": world.item,
        "maxOccurrences": "7",
        **dict(zip(("minute", "hour", "dayOfMonth", "month", "dayOfWeek"), schedule.split(), strict=True)),
    }
    path = f"/portal/sharing/rest/community/users/{portal.username}/tasks/createTask"
    portal.handle("POST", path, form, {"X-Esri-Authorization": f"Bearer {token}"})
    [portal_task_id] = portal.tasks
    return portal_task_id


def _is_ours(run: Fired) -> bool:
    return _has_mark(run.title)


def _has_mark(title: str | None) -> bool:
    return _shot(title) is not None


def _minute(title: str | None) -> float:
    shot = _shot(title)
    return 0.0 if shot is None else shot.fires_at


@cache
def _shot(title: str | None) -> OneShot | None:
    return OneShot.read(PortalTask(id="0" * 32, type="", title=title))


_ACTIONS: Mapping[str, Callable[[Life], Callable[[], None]]] = {
    "mark_failed": lambda life: life.mark_failed,
    "clear": lambda life: lambda: life.clear(kill_first=False),
    "clear, old trigger first": lambda life: lambda: life.clear(kill_first=True),
}

PLAIN = [Scenario("on a worker", deferrable=False), Scenario("deferred", deferrable=True)]
FAILING = [
    replace(plain, name=f"{plain.name}, the run fails", outcome="failed", retries=1) for plain in PLAIN
]
ODD_PORTALS = [
    replace(plain, name=f"{plain.name}, {name}", **change)
    for plain in PLAIN
    for name, change in {
        "portal an hour ahead": {"clock_error": 3600.0},
        "portal an hour behind": {"clock_error": -3600.0},
        "cron is read in Tokyo": {"rules": Rules(cron_zone="Asia/Tokyo")},
        "cron is read in Denver, refusing": {
            "rules": Rules(cron_zone="America/Denver", never_fires="refuse")
        },
        "runs show late": {"rules": Rules(run_record_delay=100.0)},
        "list lags": {"rules": Rules(list_lag=20.0)},
        "optional fields absent": {"rules": Rules(optional_fields="absent")},
        "forgetful, and cron is read in Tokyo": {
            "rules": Rules(optional_fields="absent", update_keeps_omitted=False, cron_zone="Asia/Tokyo")
        },
        "strict, null fields": {
            "rules": Rules(optional_fields="null", strict_quartz=True, never_fires="refuse")
        },
        "down across the fire": {"down": (20.0, 110.0)},
        "down across the fire, no retries": {"down": (20.0, 110.0), "retries": 0},
        "two triggerers": {"second_triggerer": True},
        "kept": {"keep": "always"},
    }.items()
]
USERS_ACT = [
    replace(plain, name=f"{plain.name}, {what} after {when:.0f} s", happens=((when, what),), runs=runs)
    for plain in PLAIN
    for when, what, runs in [
        (20.0, "mark_failed", 1),
        (150.0, "mark_failed", 1),
        (20.0, "clear", 1),
        (150.0, "clear", 2),
        (20.0, "clear, old trigger first", 1),
        (150.0, "clear, old trigger first", 2),
        (400.0, "clear", 2),
    ]
]
SENSING = [
    Scenario(f"sensor, {mode}{name}", deferrable=deferrable, senses=True, **change)  # type: ignore[arg-type]
    for mode, deferrable in [("poking", False), ("deferred", True)]
    for name, change in {
        "": {},
        ", the run fails": {"outcome": "failed"},
        ", runs show late": {"rules": Rules(run_record_delay=100.0, runs_order="shuffled")},
        ", portal an hour behind": {"clock_error": -3600.0},
    }.items()
]
ALL = [*PLAIN, *FAILING, *ODD_PORTALS, *USERS_ACT, *SENSING]
