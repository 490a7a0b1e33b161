"""Virtual time, actors, and a network that loses things on order."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from random import Random
from typing import Any
from urllib.parse import urlsplit

from greenlet import getcurrent, greenlet

from airflow_provider_arcgis_tasks.portal.address import PortalAddress
from airflow_provider_arcgis_tasks.portal.credentials import Password
from airflow_provider_arcgis_tasks.portal.effects import (
    Effect,
    Now,
    Pause,
    Reply,
    Request,
    Response,
    Unreachable,
)
from airflow_provider_arcgis_tasks.portal.session import Session
from airflow_provider_arcgis_tasks.sandbox import ManualClock, Portal, Rules

START = 1_780_000_030.0
LATENCY = 0.05
CRASH_NOTICED = 60.0
STALL = 400.0
LATE = 15.0
MOST_STEPS = 20_000
FOREVER = float("inf")


class Fault(StrEnum):
    """What happens to one request."""

    NOT_SENT = "no connection"
    LOST_REQUEST = "lost on the way there"
    LOST_REPLY = "carried out, answer lost"
    SLOW = "carried out, answer too slow"
    LATE = "carried out long after the time-out"
    TOKEN_EXPIRED = "498"
    TOO_MANY = "429"
    UNAVAILABLE = "503"
    HTML = "HTML"
    CRASH_BEFORE = "crash before sending"
    CRASH_AFTER = "crash after the portal has carried it out"
    STALL = "stalls so long that it is given up, then goes on as a zombie"

    @property
    def ends_actor(self) -> bool:
        return self in (Fault.CRASH_BEFORE, Fault.CRASH_AFTER)


_ANSWERS = {
    Fault.TOKEN_EXPIRED: (200, b'{"error":{"code":498,"message":"Invalid token.","details":[]}}', {}),
    Fault.TOO_MANY: (429, b"", {"retry-after": "5"}),
    Fault.UNAVAILABLE: (503, b"<html>down</html>", {}),
    Fault.HTML: (200, b"<html>sign in</html>", {}),
}


@dataclass(eq=False)
class Actor:
    """Something that talks to the portal: a worker's try, or a trigger."""

    name: str
    work: Callable[[], Any]
    done: Callable[[Any, BaseException | None], None]
    died: Callable[[], None]
    glet: greenlet = field(init=False)
    gone: bool = False

    def __post_init__(self) -> None:
        self.glet = greenlet(self._run)

    def _run(self, _: object = None) -> None:
        try:
            result, problem = self.work(), None
        except BaseException as raised:  # noqa: BLE001 - whatever the provider raises is looked at
            result, problem = None, raised
        if not self.gone:
            self.done(result, problem)


class Surprise(AssertionError):
    """A guarantee is broken; the text is the story of the schedule."""


class World:
    """One portal, its users, and the time they share."""

    def __init__(
        self,
        *,
        rules: Rules | None = None,
        faults: Mapping[int, Fault] | None = None,
        clock_error: float = 0.0,
        seed: int = 0,
    ) -> None:
        self.now = START
        self.clock_error = clock_error
        self.faults = dict(faults or {})
        self.random = Random(seed)
        self.portal = Portal(
            ManualClock(START + clock_error),
            rules or Rules(),
            url="https://portal.example.com/portal",
            seed=seed,
        )
        self.item = self.portal.add_item(type="ExecuteNotebook", title="Count")
        self.story: list[str] = []
        self.requests = 0
        self.crashes_after_end = 0
        self.checks: list[Callable[[], None]] = []
        self.absences: list[tuple[float, float]] = []
        """When nobody acted for the task instance, because somebody had crashed or stood still."""
        self.actors: list[Actor] = []
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._settled = False
        self._deserted: float | None = None

    # --- time ----------------------------------------------------------------------------------------

    def at(self, delay: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._agenda, (self.now + delay, next(self._order), act))

    def run(self) -> None:
        """Play until nothing is left to happen."""
        for step in itertools.count():
            if not self._agenda:
                return
            if step > MOST_STEPS:
                self.fail("G3", "it never ends")
            when, _, act = heapq.heappop(self._agenda)
            self.now = max(self.now, when)
            self._set_portal_clock()
            act()
            for check in self.checks:
                check()

    def close(self) -> None:
        """End whoever is still waiting for something: a greenlet that is never ended is never freed."""
        for actor in self.actors:
            actor.gone = True
            if not actor.glet.dead:
                actor.glet.throw()

    def let_pass(self, seconds: float) -> None:
        self.now += seconds
        self._set_portal_clock()
        for check in self.checks:
            check()

    def _set_portal_clock(self) -> None:
        self.portal.clock.set(max(self.portal.clock.now(), self.now + self.clock_error))

    # --- actors --------------------------------------------------------------------------------------

    def start(self, actor: Actor, delay: float = 0.0) -> Actor:
        self.actors.append(actor)
        self.at(delay, partial(self._go_on, actor, None))
        return actor

    def session(self) -> Session:
        """A new process's session."""
        return Session(
            PortalAddress("https://portal.example.com/portal"),
            Password(self.portal.username, self.portal.password),
            random_fraction=self.random.random,
        )

    def handle(self, effect: Effect) -> Reply:
        """Answers the effects of the actor that calls it."""
        if isinstance(effect, Now):
            return self.now
        reply: Reply = getcurrent().parent.switch(effect)
        return reply

    def nobody_at(self, moment: float) -> bool:
        """Whether nobody was there to act for the task instance at that time."""
        return any(
            begin <= moment <= end for begin, end in [*self.absences, (self._deserted or FOREVER, FOREVER)]
        )

    def _go_on(self, actor: Actor, reply: Reply) -> None:
        if actor.gone:
            return
        if self._deserted is not None:
            self.absences.append((self._deserted, self.now))
            self._deserted = None
        effect = actor.glet.switch(reply)
        if actor.glet.dead:
            return
        if isinstance(effect, Pause):
            self.at(effect.seconds, partial(self._go_on, actor, None))
        else:
            self._transmit(actor, effect)

    def kill(self, actor: Actor) -> None:
        actor.gone = True

    # --- network -------------------------------------------------------------------------------------

    def _transmit(self, actor: Actor, request: Request) -> None:
        fault = self.faults.get(self.requests)
        if fault is Fault.TOKEN_EXPIRED and "X-Esri-Authorization" not in request.headers:
            fault = None
        self.tell(f"#{self.requests} {actor.name}: {request.method} {urlsplit(request.url).path[20:]}", fault)
        self.requests += 1
        self._settled |= _ends_the_one_shot(request)
        if fault is None:
            self._answer(actor, LATENCY, self._carried_out(request))
        elif fault is Fault.NOT_SENT:
            self._answer(actor, LATENCY, Unreachable("refused", sent=False))
        elif fault is Fault.LOST_REQUEST:
            self._answer(actor, LATENCY, Unreachable("reset", sent=True))
        elif fault is Fault.LOST_REPLY:
            self._carried_out(request)
            self._answer(actor, LATENCY, Unreachable("reset", sent=True))
        elif fault is Fault.SLOW:
            self._carried_out(request)
            self._answer(actor, request.timeout, Unreachable("timed out", sent=True))
        elif fault is Fault.LATE:
            self.at(request.timeout + LATE, partial(self._carried_out, request))
            self._answer(actor, request.timeout, Unreachable("timed out", sent=True))
        elif fault in _ANSWERS:
            status, body, headers = _ANSWERS[fault]
            self._answer(actor, LATENCY, Response(status, headers, body))
        elif fault is Fault.STALL:
            self._answer(actor, STALL, self._carried_out(request))
            self._desert()
            self.at(CRASH_NOTICED, actor.died)
        else:
            if fault is Fault.CRASH_AFTER:
                self._carried_out(request)
            self._desert()
            self.kill(actor)
            self.at(CRASH_NOTICED, actor.died)

    def _desert(self) -> None:
        self.crashes_after_end += self._settled
        self._deserted = self.now

    def _answer(self, actor: Actor, delay: float, reply: Reply) -> None:
        self.at(delay, partial(self._go_on, actor, reply))

    def _carried_out(self, request: Request) -> Response | Unreachable:
        path = urlsplit(request.url).path
        reply = self.portal.handle(request.method, path, request.params, request.headers)
        if reply.lost:
            return Unreachable("reset", sent=True)
        return Response(
            reply.status, {name.lower(): text for name, text in reply.headers.items()}, reply.body
        )

    # --- story ---------------------------------------------------------------------------------------

    def tell(self, event: str, fault: Fault | None = None) -> None:
        self.story.append(f"{self.now - START:9.2f}  {event}" + (f"  !! {fault}" if fault else ""))

    def fail(self, guarantee: str, what: str) -> None:
        fired = [
            f"  {run.run_id[:6]} {run.title!r}: {run.start - START:.0f}-{run.end - START:.0f} {run.outcome}"
            for run in self.portal.fired
        ]
        lines = [
            f"{guarantee} is broken: {what}",
            f"faults: {self.faults}",
            *self.story,
            "portal runs:",
            *fired,
        ]
        raise Surprise("\n".join(lines))


def _ends_the_one_shot(request: Request) -> bool:
    """Whether, once this is sent, a later try can't find the run any more."""
    unmarks = request.url.endswith("/update") and "[airflow" not in request.params.get("title", "")
    return unmarks or request.url.endswith("/delete")


def singles(count: int) -> Iterator[dict[int, Fault]]:
    """Every fault at every request."""
    for index in range(count):
        for fault in Fault:
            yield {index: fault}
