"""The simulation bites: the provider, broken in ways that matter, is caught."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import chain, islice
from typing import Any

import pytest

from airflow_provider_arcgis_tasks import operators, triggers
from airflow_provider_arcgis_tasks.portal import effects, oneshot, session, tasks
from airflow_provider_arcgis_tasks.portal.effects import pause
from airflow_provider_arcgis_tasks.portal.envelope import NoAnswer
from airflow_provider_arcgis_tasks.portal.errors import RunFailed
from airflow_provider_arcgis_tasks.portal.models import PortalRun, RunStatus
from airflow_provider_arcgis_tasks.portal.oneshot import Mark, OneShot
from tests.simulation import life
from tests.simulation.scenarios import ALL, PLAIN, Scenario
from tests.simulation.schedules import Schedule, at_random, every_pair_of_faults, every_single_fault
from tests.simulation.world import Surprise

Break = Callable[[pytest.MonkeyPatch], None]


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def retry_create_blindly(patch: pytest.MonkeyPatch) -> None:
    original = session.Session.fetch

    def fetch(self: Any, *args: Any, repeatable: bool = True, **more: Any) -> Any:
        return original(self, *args, repeatable=True, **more)

    patch.setattr(session.Session, "fetch", fetch)
    _no_last_look(patch)


def adopt_any_run(patch: pytest.MonkeyPatch) -> None:
    """Take any portal task of the item for ours, as a provider without marks would."""

    def read(cls: Any, task: Any) -> OneShot | None:
        known = original(task)
        if known is None and task.title == "Nightly":
            return OneShot(task.id, Mark("0" * 16, 3), 0.0)
        return known

    original = OneShot.read
    patch.setattr(OneShot, "read", classmethod(read))
    patch.setattr(oneshot.Mark, "of", classmethod(lambda cls, *_, **more: cls("0" * 16, **more)))


def delete_before_reading(patch: pytest.MonkeyPatch) -> None:
    original = oneshot._follow

    def follow(session: Any, shot: Any, story: Any, poll_interval: float) -> Any:
        yield from pause(20)
        yield from tasks.delete_task(session, shot.portal_task_id)
        return (yield from original(session, shot, story, poll_interval))

    patch.setattr(oneshot, "_follow", follow)


def ignore_the_deadline(patch: pytest.MonkeyPatch) -> None:
    def until(deadline: float, operation: Any, **_: Any) -> Any:
        return (yield from operation)

    for module in (effects, operators, oneshot, triggers):
        patch.setattr(module, "until", until)


def trust_the_local_clock(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("airflow_provider_arcgis_tasks.portal.clock.PortalClock.time", lambda self, local: local)


def cancel_in_cleanup(patch: pytest.MonkeyPatch) -> None:
    """Remove the portal task whenever the trigger ends, restarts of the triggerer included."""
    original = life.Life._watch

    def watch(self: Any, delay: float) -> None:
        if delay == life.TRIGGER_RESTART:
            self._on_kill(0.1)
        original(self, delay)

    patch.setattr(life.Life, "_watch", watch)


def forget_to_look_again(patch: pytest.MonkeyPatch) -> None:
    """Create again when the answer to a creation was lost, and never look for duplicates."""
    _no_last_look(patch)
    original = oneshot._marked

    def marked(session: Any, mark: Mark, created: str | None = None) -> Any:
        shots, free = yield from original(session, mark, created)
        return ([] if created is None else shots), free

    patch.setattr(oneshot, "_marked", marked)


def treat_503_as_failed(patch: pytest.MonkeyPatch) -> None:
    original = session.Session._exchange

    def exchange(self: Any, request: Any) -> Any:
        try:
            return (yield from original(self, request))
        except NoAnswer as trouble:
            if "503" in trouble.reason and request.url.endswith("/runs"):
                run = PortalRun("0" * 32, RunStatus.FAILED, "failed")
                raise RunFailed("503", run) from None
            raise

    patch.setattr(session.Session, "_exchange", exchange)


def believe_in_utc(patch: pytest.MonkeyPatch) -> None:
    def correct(session: Any, shot: OneShot) -> Any:
        yield from pause(0.01)
        return shot

    patch.setattr(oneshot, "_correct", correct)


def never_arm_again(patch: pytest.MonkeyPatch) -> None:
    def arm_again(session: Any, shot: OneShot, missed: int) -> Any:
        yield from pause(60)
        return shot

    patch.setattr(oneshot, "_arm_again", arm_again)


def leave_it_after_a_kill(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(oneshot, "cancel", lambda session, mark: pause(0.01))


def reset_what_was_not_named(patch: pytest.MonkeyPatch) -> None:
    """Touch every portal task of the item on the way, as an update of too much would."""
    original = oneshot._choose

    def choose(session: Any, shots: Any, mark: Mark) -> Any:
        for task in (yield from tasks.list_tasks(session)):
            if task.title == "Nightly" and task.max_occurrences != 10:
                yield from tasks.update_task(session, task.id, max_occurrences=10)
        return (yield from original(session, shots, mark))

    patch.setattr(oneshot, "_choose", choose)


def forget_what_to_run(patch: pytest.MonkeyPatch) -> None:
    """Arm again with no more than the schedule, and trust the portal with the rest."""
    original = oneshot.create_form

    def create_form(definition: Any) -> Any:
        return {name: value for name, value in original(definition).items() if name != "parameters"}

    patch.setattr(oneshot, "create_form", create_form)


def _no_last_look(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(oneshot, "LAST_LOOK", 1e9)
    patch.setattr(oneshot, "_choose", lambda session, shots, mark: _first(shots, mark))


def _first(shots: Any, mark: Mark) -> Any:
    yield from pause(0)
    return next((shot for shot in shots if shot.mark == mark), None)


BREAKAGES = {
    retry_create_blindly: "G1",
    adopt_any_run: "G5",
    delete_before_reading: "G2",
    ignore_the_deadline: "G3",
    trust_the_local_clock: "G2",
    cancel_in_cleanup: "G1",
    forget_to_look_again: "G1",
    treat_503_as_failed: "G2",
    believe_in_utc: "G2",
    never_arm_again: "G2",
    leave_it_after_a_kill: "G4",
    reset_what_was_not_named: "G5",
    forget_what_to_run: "G2",
}

NEVER_ENDING: list[Scenario] = [
    replace(plain, name=f"{plain.name}, the run never ends", duration=1e6, outcome="failed", retries=0)
    for plain in PLAIN
]


def _schedules() -> Iterator[Schedule]:
    return chain(
        (Schedule(scenario) for scenario in [*ALL, *NEVER_ENDING]),
        every_single_fault(),
        islice(every_pair_of_faults(PLAIN[0]), 0, None, 7),
        at_random(2_000, seed=1),
    )


def _play(schedules: Iterable[Schedule]) -> None:
    for schedule in schedules:
        schedule.play()


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("breaks", "guarantee"), BREAKAGES.items(), ids=[breaks.__name__ for breaks in BREAKAGES]
)
def test_a_broken_provider_is_caught(breaks: Break, guarantee: str, monkeypatch: pytest.MonkeyPatch) -> None:
    breaks(monkeypatch)
    with pytest.raises(Surprise, match=guarantee):
        _play(_schedules())


def test_the_unbroken_provider_ends_a_run_that_never_ends() -> None:
    for scenario in NEVER_ENDING:
        scenario.play()
