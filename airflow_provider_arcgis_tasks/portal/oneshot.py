"""Run it now: one-shot tasks.

The portal has no "run now". So a portal task is made that fires once, at one of the next minutes of the
portal's own clock. Its title carries a mark that says which Airflow task instance it belongs to and when
it fires; whoever carries on (a retry, a trigger, a kill) finds it by that mark, and nothing has to be
remembered outside the portal.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from airflow_provider_arcgis_tasks.portal.effects import DeadlinePassed, Operation, now, pause, until
from airflow_provider_arcgis_tasks.portal.errors import (
    ArcGISTasksError,
    InvalidRequest,
    LimitReached,
    NotFound,
    PortalError,
    Superseded,
    TaskVanished,
    WriteUnanswered,
)
from airflow_provider_arcgis_tasks.portal.firing import CronZone, next_minute
from airflow_provider_arcgis_tasks.portal.models import (
    PortalRun,
    PortalTask,
    RunStatus,
    TaskDefinition,
    TaskType,
)
from airflow_provider_arcgis_tasks.portal.session import Session
from airflow_provider_arcgis_tasks.portal.tasks import (
    create_form,
    delete_task,
    disable_task,
    enable_task,
    get_runs,
    get_task,
    merged_parameters,
    post_task,
    send_changes,
    survey,
    update_task,
)
from airflow_provider_arcgis_tasks.portal.verdict import Criteria, Verdict, describe
from airflow_provider_arcgis_tasks.portal.watch import (
    LATE_RECORD_SECONDS,
    Story,
    growing_delays,
    jittered,
)

log = logging.getLogger(__name__)

# Seconds on the portal's clock.
LAST_LOOK = 10.0
"""So long before each minute until the fire, duplicates are looked for once more."""
_FIRE_MARGIN = 2.0
_JUST_LOOKED = 5.0

# Seconds on ours.
_PAUSE_BEFORE_LOOKING_AGAIN = 2.0
_PAUSE_TO_LEARN_PACE = 1.0
_LOOKS_BEFORE_CREATING_AGAIN = 3
_LOOK_SECONDS = 8.0
_CLEAN_UP_SECONDS = 60.0
_GIVE_UP_SECONDS = 20.0

_LONGEST_TITLE = 150


class Keep(StrEnum):
    """When a finished one-shot task stays on the portal, without its mark."""

    NEVER = "never"
    ON_FAILURE = "on_failure"
    ALWAYS = "always"


# --- marks -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Mark:
    """Says whose a one-shot task is.

    `key` stands for the Airflow task instance. `generation` is another after each clear, and stays the same
    over retries; which of two generations is the later one shows by `attempt`, which only grows.
    """

    key: str
    generation: int = 0
    attempt: int = field(default=1, compare=False)

    @classmethod
    def of(cls, *identity: object, generation: int = 0, attempt: int = 1) -> Mark:
        """Make the mark of what `identity` (JSON values) names."""
        text = json.dumps(identity, sort_keys=True, default=str)
        return cls(hashlib.sha256(text.encode()).hexdigest()[:16], generation, attempt)

    def __str__(self) -> str:
        return f"{self.key}.{self.generation}.{self.attempt}"

    @classmethod
    def parse(cls, text: str) -> Mark:
        """Read what `str` wrote. Raises `ValueError`."""
        try:
            key, generation, attempt = text.split(".")
            return cls(key, int(generation), int(attempt))
        except ValueError:
            raise ValueError(f"mark: {text!r} is not of the form key.generation.attempt") from None

    def came_after(self, other: Mark) -> bool:
        """Whether this is a later generation than `other`."""
        return self.generation != other.generation and self.attempt > other.attempt


_TITLE = re.compile(
    r"^(?P<title>.*) "
    r"\[airflow (?P<mark>[0-9a-f]{16}(\.\d{1,9}){2}) at (?P<at>\d{4}-\d\d-\d\dT\d\d:\d\dZ)\]$",
    re.DOTALL,
)
_MINUTE = "%Y-%m-%dT%H:%MZ"


@dataclass(frozen=True, slots=True)
class OneShot:
    """A one-shot task on the portal. `fires_at`: the minute it fires, epoch seconds of the portal's clock."""

    portal_task_id: str
    mark: Mark
    fires_at: float
    created: float = 0.0
    next_start: float | None = None

    @classmethod
    def read(cls, task: PortalTask) -> OneShot | None:
        """Recognize a one-shot task by its title; None for any other portal task."""
        match = _TITLE.match(task.title or "")
        if match is None:
            return None
        try:
            fires_at = datetime.strptime(match["at"], _MINUTE).replace(tzinfo=UTC).timestamp()
        except ValueError:
            return None
        return cls(
            portal_task_id=task.id,
            mark=Mark.parse(match["mark"]),
            fires_at=fires_at,
            created=task.created.timestamp() if task.created else 0.0,
            next_start=task.next_start.timestamp() if task.next_start else None,
        )

    @property
    def fires_at_text(self) -> str:
        """The minute it fires, in UTC, for people."""
        return _iso(self.fires_at)

    def __str__(self) -> str:
        return f"one-shot task {self.portal_task_id}"


def marked_title(title: str, mark: Mark, fires_at: float) -> str:
    """The title of a one-shot task: what people read, and the mark."""
    return f"{title[:_LONGEST_TITLE]} [airflow {mark} at {datetime.fromtimestamp(fires_at, UTC):{_MINUTE}}]"


def unmarked_title(title: str) -> str:
    """The title without the mark."""
    match = _TITLE.match(title)
    return match["title"] if match else title


# --- what to run -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What a one-shot task runs; checked when it is made, as `TaskDefinition` says."""

    task_type: TaskType | str
    item_id: str | None
    title: str
    parameters: Mapping[str, Any] | None = None
    task_url: str | None = None

    def __post_init__(self) -> None:
        """Check every field."""
        self.definition("@daily", self.title)

    @classmethod
    def like(cls, task: PortalTask, title: str | None, overriding: Mapping[str, Any] | None) -> Job:
        """What `task` runs, with some of its parameters replaced."""
        return cls(
            task_type=task.type,
            item_id=task.item_id,
            title=title or task.title or task.type,
            parameters=merged_parameters(task, overriding) if overriding else task.parameters or None,
            task_url=task.task_url,
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON from which `from_dict` makes the same job: for a trigger."""
        return {
            "task_type": str(self.task_type),
            "item_id": self.item_id,
            "title": self.title,
            "parameters": None if self.parameters is None else dict(self.parameters),
            "task_url": self.task_url,
        }

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> Job:
        """Make the job again that `to_dict` described, in this version or in another one."""
        known: dict[str, Any] = {part.name: facts.get(part.name) for part in fields(cls)}
        return cls(**known)

    def definition(
        self,
        schedule: str,
        title: str,
        starts_at: datetime | None = None,
        ends_at: datetime | None = None,
    ) -> TaskDefinition:
        """The portal task that runs this once."""
        return TaskDefinition(
            task_type=self.task_type,
            item_id=self.item_id,
            schedule=schedule,
            title=title,
            parameters=self.parameters,
            task_url=self.task_url,
            max_occurrences=1,
            starts_at=starts_at,
            ends_at=ends_at,
        )


# --- start -------------------------------------------------------------------------------------------


class Blocked(Exception):
    """A one-shot task can't be started yet; the text says why."""


def start(session: Session, job: Job, mark: Mark, keep: Keep = Keep.NEVER) -> Operation[OneShot]:
    """Go on with the one-shot task that carries `mark`, or create it; return it armed.

    At most one task with the mark is left when this returns, whoever else does the same at the same time.
    A run of it that has failed meanwhile does not count: the job is then run again, and `keep` says what
    becomes of the failed one's task. Raises `Blocked` while no slot is free or a run from before a clear is
    going on, `Superseded`, or what `createTask` raises.
    """
    created: str | None = None
    under_way: float | None = None
    looks_left = 0
    while True:
        shots, free_slots = yield from _marked(session, mark, created)
        _check_not_killed(session)
        shot = yield from _choose_or_put_off(session, shots, mark)
        if shot is not None and not (yield from _failed_before(session, shot, keep)):
            if created is not None or under_way is None or shot.fires_at >= under_way:
                return (yield from _correct(session, shot, job))
            # The creation that was not answered may still come, and would fire while this one runs.
            yield from _sleep_until(session, under_way - LAST_LOOK)
            under_way = None
        elif looks_left:
            looks_left -= 1
            yield from pause(_PAUSE_BEFORE_LOOKING_AGAIN)
        elif free_slots is not None and free_slots <= 0:
            raise Blocked("all active-task slots of the portal user are taken")
        else:
            _check_still_ours(session)
            fires_at = next_minute((yield from session.portal_time()))
            if under_way is not None or mark.attempt > 1:
                fires_at = _after_whatever_is_under_way(max(fires_at, under_way or 0.0))
            created = yield from _create(session, job, mark, fires_at)
            under_way = fires_at
            looks_left = _LOOKS_BEFORE_CREATING_AGAIN


def start_when_possible(
    session: Session, job: Job, mark: Mark, poll_interval: float, keep: Keep = Keep.NEVER
) -> Operation[OneShot]:
    """As `start`, but wait while it is blocked. Bound it with `effects.until`."""
    while True:
        try:
            return (yield from start(session, job, mark, keep))
        except Blocked as blocked:
            log.info("Can't start yet: %s. Trying again every %g s", blocked, poll_interval)
            yield from until_startable(session, mark, poll_interval)


def until_startable(session: Session, mark: Mark, poll_interval: float) -> Operation[None]:
    """Wait until `start` is worth another try: a slot is free, and no run from before a clear is going on."""
    while True:
        yield from pause(jittered(session, poll_interval))
        shots, free_slots = yield from _marked(session, mark)
        try:
            yield from _choose_or_put_off(session, shots, mark)
        except Blocked as blocked:
            log.debug("Still blocked: %s", blocked)
            continue
        if shots or free_slots is None or free_slots > 0:
            return


def _after_whatever_is_under_way(fires_at: float) -> float:
    """A later minute than that of a creation which may still be under way.

    That one then fires first, and shows in the last look for duplicates; or it comes too late to fire.
    """
    return fires_at + 60.0


def _check_still_ours(session: Session) -> None:
    if session.stood_still:
        raise Superseded(
            "This process was stopped for minutes, so Airflow may have given its work to another: "
            "no portal run is started by it."
        )
    _check_not_killed(session)


def _check_not_killed(session: Session) -> None:
    if session.killed:
        raise Superseded("The Airflow task was killed, so no portal run is started for it.")


def _create(session: Session, job: Job, mark: Mark, fires_at: float) -> Operation[str | None]:
    """Create the one-shot task; None if no answer came, so that it has to be looked for."""
    title = marked_title(job.title, mark, fires_at)
    try:
        portal_task_id = yield from _post(session, job, title, fires_at)
    except LimitReached as refusal:
        raise Blocked(f"the portal allows no more active tasks: {refusal}") from None
    except WriteUnanswered as unanswered:
        log.warning("createTask was not answered; looking whether it was carried out. %s", unanswered)
        return None
    log.info("Created one-shot task %s, %r", portal_task_id, title)
    return portal_task_id


def _post(session: Session, job: Job, title: str, fires_at: float) -> Operation[str]:
    """Send createTask. A pinned minute that is refused may lie in the past of the portal's zone."""
    zone = session.cron_zone
    try:
        return (yield from post_task(session, job.definition(title=title, **zone.schedule(fires_at))))
    except InvalidRequest as refusal:
        if zone.offset is None:
            raise
        by_window = CronZone(None)
        try:
            portal_task_id = yield from post_task(
                session, job.definition(title=title, **by_window.schedule(fires_at))
            )
        except InvalidRequest:
            raise refusal from None
        session.cron_zone = by_window
        log.warning("The portal refused a pinned minute, but took a window that is right in every zone")
        return portal_task_id


def _marked(
    session: Session, mark: Mark, created: str | None = None
) -> Operation[tuple[list[OneShot], int | None]]:
    """All one-shot tasks of this Airflow task instance, and the free slots.

    `created`: the id of one that exists, though the list may not show it yet.
    """
    tasks, free_slots = yield from survey(session)
    if created is not None and created not in {task.id for task in tasks}:
        with suppress(NotFound):
            tasks.append((yield from get_task(session, created)))
    shots = [shot for task in tasks if (shot := OneShot.read(task)) and shot.mark.key == mark.key]
    return shots, free_slots


def _choose(session: Session, shots: Iterable[OneShot], mark: Mark) -> Operation[OneShot | None]:
    """The one to go on with, if any. Every other one is removed; `Blocked` while one can't be."""
    ours = sorted((shot for shot in shots if shot.mark == mark), key=_age)
    if any(shot.mark.came_after(mark) for shot in shots):
        for shot in ours:
            yield from _retire(session, shot)
        raise Superseded(
            "This Airflow task instance was cleared meanwhile and its later attempt runs the portal task."
        )
    for shot in shots:
        if mark.came_after(shot.mark):
            yield from _retire(session, shot)
    if len(ours) > 1:
        return (yield from _remove_duplicates(session, ours))
    return ours[0] if ours else None


def _choose_or_put_off(session: Session, shots: Iterable[OneShot], mark: Mark) -> Operation[OneShot | None]:
    """As `_choose`; while it is blocked, nothing of ours is left that could fire."""
    try:
        return (yield from _choose(session, shots, mark))
    except Blocked:
        for shot in shots:
            if shot.mark == mark and not (yield from _may_have_fired(session, shot)):
                yield from delete_task(session, shot.portal_task_id)
        raise


def _age(shot: OneShot) -> tuple[float, str]:
    return shot.created, shot.portal_task_id


def _remove_duplicates(session: Session, shots: list[OneShot]) -> Operation[OneShot]:
    """Keep one that has fired, or else the oldest; delete the others before they fire."""
    fired = []
    for shot in shots:
        if (yield from _may_have_fired(session, shot)) and (yield from _run_of(session, shot)):
            fired.append(shot)  # noqa: PERF401 - a comprehension can't ask the portal
    kept = (fired or shots)[0]
    for shot in shots:
        if shot is not kept and shot not in fired:
            log.warning("Deleting %s: a duplicate of %s", shot, kept)
            yield from delete_task(session, shot.portal_task_id)
    return kept


def _failed_before(session: Session, shot: OneShot, keep: Keep) -> Operation[bool]:
    """Whether its run has failed without anybody having told; the one-shot task is then done with."""
    if not (yield from _may_have_fired(session, shot)):
        return False
    run = yield from _run_of(session, shot)
    if run is None or Criteria().verdict(run) is not Verdict.FAILED:
        return False
    log.warning("An earlier attempt's run has failed; running again. %s", describe(run))
    yield from finish(session, shot.portal_task_id, mark=shot.mark, keep=keep is not Keep.NEVER)
    return True


def _retire(session: Session, shot: OneShot) -> Operation[None]:
    """Remove a one-shot task of another attempt; `Blocked` while it runs or may be about to."""
    if (yield from _may_have_fired(session, shot)):
        run = yield from _run_of(session, shot)
        if run is not None and not run.status.finished:
            raise Blocked(f"the run from before the clear is still going. {describe(run)}")
        if run is None and not (yield from _was_missed(session, shot)):
            raise Blocked(f"{shot} from before the clear may be starting")
    log.info("Deleting %s: it belongs to an attempt before the last clear", shot)
    yield from delete_task(session, shot.portal_task_id)


def _may_have_fired(session: Session, shot: OneShot) -> Operation[bool]:
    return (yield from session.portal_time()) >= shot.fires_at - _FIRE_MARGIN


def _was_missed(session: Session, shot: OneShot) -> Operation[bool]:
    """Whether, if no run shows, there was none: it can't fire any more, and a run would show by now."""
    return (yield from session.portal_time()) > shot.fires_at + LATE_RECORD_SECONDS


def _run_of(session: Session, shot: OneShot) -> Operation[PortalRun | None]:
    try:
        runs = yield from get_runs(session, shot.portal_task_id)
    except NotFound:
        return None
    return runs[-1] if runs else None


# --- the right minute --------------------------------------------------------------------------------


def _correct(session: Session, shot: OneShot, job: Job) -> Operation[OneShot]:
    """Make sure that the portal means to fire at the minute that was asked for."""
    while shot.next_start != shot.fires_at:
        zone = session.cron_zone
        too_late = yield from _may_have_fired(session, shot)
        if too_late or zone.offset is None:
            return shot
        session.cron_zone = zone.corrected(shot.fires_at, shot.next_start)
        log.warning(
            "The portal means to fire %s at %s instead of %s: it seems not to read cron in UTC. %s",
            shot,
            _iso(shot.next_start),
            _iso(shot.fires_at),
            "Scheduling by a window that is right in every zone"
            if session.cron_zone.offset is None
            else f"Its zone is {session.cron_zone.offset / 3600:+g} h",
        )
        wrong = shot
        try:
            shot = yield from _arm(session, shot, job)
        except InvalidRequest as refusal:
            session.cron_zone = zone
            log.warning("The portal does not take the corrected schedule; leaving it as it was. %s", refusal)
        if shot is wrong:
            return shot
    return shot


def _arm(session: Session, shot: OneShot, job: Job, missed: int = 0) -> Operation[OneShot]:
    """Set the one-shot task to fire at one of the next minutes. Raises `TaskVanished` if it is unmarked.

    One that may have fired is left as it is, unless it is known to have `missed` its fires. The whole job is
    sent again: a portal may forget what an update leaves out, and not tell what it has.
    """
    _check_still_ours(session)
    task = yield from get_task(session, shot.portal_task_id)
    if OneShot.read(task) is None:
        raise TaskVanished(f"{shot} has lost its mark: somebody has renamed it, or was done with it.")
    if not missed and (task.active is False or (yield from _may_have_fired(session, shot))):
        return shot
    fires_at = next_minute((yield from session.portal_time()), missed)
    title = marked_title(job.title, shot.mark, fires_at)
    form = create_form(job.definition(title=title, **session.cron_zone.schedule(fires_at)))
    yield from send_changes(session, task, form)
    if task.active is False:
        yield from enable_task(session, shot.portal_task_id)
    armed = OneShot.read((yield from get_task(session, shot.portal_task_id)))
    return armed or shot


def _iso(moment: float | None) -> str:
    return "no time at all" if moment is None else f"{datetime.fromtimestamp(moment, UTC):{_MINUTE}}"


# --- wait --------------------------------------------------------------------------------------------


def wait(
    session: Session, portal_task_id: str, job: Job, mark: Mark, poll_interval: float
) -> Operation[PortalRun]:
    """Wait until the run of a one-shot task has finished, well or not, and return it.

    Its runs are not asked for before it can have begun. A fire that the portal missed is armed again.
    Bound it with `effects.until`. Raises `TaskVanished` if somebody deleted the task, and `Superseded`.
    """
    story = Story()
    missed = 0
    shot = yield from _locate(session, portal_task_id, mark)
    while True:
        shot = yield from _sleep_until_fired(session, shot, job)
        try:
            run = yield from _follow(session, shot, story, poll_interval)
        except NotFound:
            shot = yield from _locate(session, shot.portal_task_id, mark)
            continue
        if run is not None:
            return run
        missed += 1
        yield from pause(_PAUSE_BEFORE_LOOKING_AGAIN)
        shot = yield from _arm_again(session, shot, job, missed)


def _locate(session: Session, portal_task_id: str, mark: Mark) -> Operation[OneShot]:
    """The one-shot task of that id, or whichever carries the mark in its place."""
    for _ in range(_LOOKS_BEFORE_CREATING_AGAIN):
        try:
            task = yield from get_task(session, portal_task_id)
        except NotFound:
            shots, _ = yield from _marked(session, mark)
            shot = yield from _choose(session, shots, mark)
            if shot is not None:
                return shot
            yield from pause(_PAUSE_BEFORE_LOOKING_AGAIN)
        else:
            return OneShot.read(task) or OneShot(portal_task_id, mark, fires_at=0.0)
    raise TaskVanished(f"One-shot task {portal_task_id} is no longer on the portal: somebody deleted it.")


def _sleep_until_fired(session: Session, shot: OneShot, job: Job) -> Operation[OneShot]:
    """Sleep until its minute, but for a look before each full minute at whatever else might fire then."""
    if not session.clock.knows_pace and not (yield from _may_have_fired(session, shot)):
        yield from pause(_PAUSE_TO_LEARN_PACE)
        shot = yield from _locate(session, shot.portal_task_id, shot.mark)
    looked = False
    while (left := shot.fires_at - (yield from session.portal_time())) > (LAST_LOOK if looked else 0.0):
        minutes = max(math.ceil((left - LAST_LOOK - _JUST_LOOKED) / 60) - 1, 0)
        yield from _sleep_until(session, shot.fires_at - LAST_LOOK - 60.0 * minutes)
        looking = _look_for_duplicates(session, shot, job)
        shot = yield from until(float("inf"), looking, request_timeout=_LOOK_SECONDS)
        looked = True
    yield from _sleep_until(session, shot.fires_at + _FIRE_MARGIN)
    return shot


def _look_for_duplicates(session: Session, shot: OneShot, job: Job) -> Operation[OneShot]:
    shots, _ = yield from _marked(session, shot.mark, shot.portal_task_id)
    try:
        return (yield from _choose(session, shots, shot.mark)) or shot
    except Blocked as blocked:
        log.info("Putting %s off: %s", shot, blocked)
        return (yield from _arm(session, shot, job))


def _sleep_until(session: Session, portal_moment: float) -> Operation[None]:
    left = portal_moment - (yield from session.portal_time())
    yield from pause(session.clock.local_seconds(left))


def _follow(
    session: Session, shot: OneShot, story: Story, poll_interval: float
) -> Operation[PortalRun | None]:
    """Follow the run until it has finished; None if none has begun and none will."""
    for delay in growing_delays(session, poll_interval):
        runs = yield from get_runs(session, shot.portal_task_id)
        run = runs[-1] if runs else None
        story.tell(run)
        if run is not None and run.status.finished:
            return run
        if run is None and (yield from _was_missed(session, shot)):
            return None
        yield from pause(delay)
    raise AssertionError("unreachable: the delays have no end")


def _arm_again(session: Session, shot: OneShot, job: Job, missed: int) -> Operation[OneShot]:
    """Arm a one-shot task that did not fire, unless somebody has done so."""
    present = OneShot.read((yield from get_task(session, shot.portal_task_id)))
    if present is not None and present.fires_at > shot.fires_at:
        return present
    log.warning("The portal has missed the fire of %s at %s; arming it again", shot, _iso(shot.fires_at))
    armed = yield from _correct(session, (yield from _arm(session, shot, job, missed)), job)
    if armed.fires_at <= shot.fires_at:
        raise PortalError(0, f"The portal took an update of {shot}, and still shows the old schedule.")
    return armed


# --- end ---------------------------------------------------------------------------------------------


def conclude(session: Session, run: PortalRun, mark: Mark, keep: Keep) -> Operation[PortalRun]:
    """Clean up after a finished run, and return it if it succeeded; raise `RunFailed` if not."""
    failed = run.status is not RunStatus.SUCCEEDED
    kept = keep is Keep.ALWAYS or (keep is Keep.ON_FAILURE and failed)
    yield from finish(session, str(run.portal_task_id), mark=mark, keep=kept)
    return Criteria().check(run)


def give_up(session: Session, mark: Mark) -> Operation[None]:
    """`cancel`, as well as it can be done in a short time; the log says what could not."""
    if session.stood_still:
        return  # whoever goes on in our place may be waiting for it
    deadline = (yield from now()) + _GIVE_UP_SECONDS
    try:
        yield from until(deadline, cancel(session, mark), request_timeout=_GIVE_UP_SECONDS / 4)
    except (ArcGISTasksError, DeadlinePassed) as problem:
        log.warning(
            "Could not look for a one-shot task to remove. If there is one, a retry does, or it fires. %s",
            problem,
        )


def finish(session: Session, portal_task_id: str, *, mark: Mark, keep: bool) -> Operation[None]:
    """Delete a one-shot task whose run was read, with the record of the run; or `keep` it, unmarked.

    Whatever else carries the mark goes first: a creation that was given up for lost may have come through
    since the last look, and would fire. Best effort, within a minute: if the portal can't do it now, the log
    says what is left.
    """
    if session.stood_still:
        log.warning("Leaving one-shot task %s to whoever goes on with it", portal_task_id)
        return
    deadline = (yield from now()) + _CLEAN_UP_SECONDS
    try:
        yield from until(deadline, _clean_up(session, portal_task_id, mark, keep))
    except (ArcGISTasksError, DeadlinePassed) as problem:
        log.warning(
            "Could not %s one-shot task %s: it stays on the portal, and can't fire again. %s",
            "unmark" if keep else "delete",
            portal_task_id,
            problem,
        )


def _clean_up(session: Session, portal_task_id: str, mark: Mark, keep: bool) -> Operation[None]:
    shots, _ = yield from _marked(session, mark)
    for shot in shots:
        if shot.mark == mark and shot.portal_task_id != portal_task_id:
            yield from _cancel_one(session, shot)
    if keep:
        yield from _unmark(session, portal_task_id)
    else:
        yield from delete_task(session, portal_task_id)


def _unmark(session: Session, portal_task_id: str) -> Operation[None]:
    task = yield from get_task(session, portal_task_id)
    yield from update_task(session, portal_task_id, title=unmarked_title(task.title or task.type))


def cancel(session: Session, mark: Mark) -> Operation[None]:
    """See to it that no one-shot task with this mark fires any more.

    One that has not fired is deleted. What already executes can't be stopped through the portal's task
    API, so its record is left for a later attempt to find; the log says so.
    """
    shots, _ = yield from _marked(session, mark)
    for shot in shots:
        if shot.mark == mark:
            yield from _cancel_one(session, shot)


def _cancel_one(session: Session, shot: OneShot) -> Operation[None]:
    if not (yield from _may_have_fired(session, shot)):
        yield from delete_task(session, shot.portal_task_id)
        log.info("Deleted %s before it fired", shot)
        return
    run = yield from _run_of(session, shot)
    if run is not None and not run.status.finished:
        log.warning("Can't be stopped: the portal's task API can't cancel a run. %s", describe(run))
    elif run is not None or (yield from _was_missed(session, shot)):
        yield from delete_task(session, shot.portal_task_id)
        log.info("Deleted %s", shot)
    else:
        yield from disable_task(session, shot.portal_task_id)
        log.warning("Disabled %s; a run of it may have begun just now, and could not be stopped", shot)
