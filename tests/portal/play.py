"""Plays the portal and the clock for an operation: no I/O, no sleeping, and an end for every operation."""

from __future__ import annotations

import heapq
import json
from collections.abc import Callable, Iterable, Mapping
from email.utils import formatdate
from itertools import count
from typing import Any, TypeAlias, TypeVar
from urllib.parse import urlsplit

from airflow_provider_arcgis_tasks.portal import (
    ArcGISTasksError,
    Operation,
    Pause,
    Request,
    Response,
    Unreachable,
)
from airflow_provider_arcgis_tasks.portal.address import PortalAddress
from airflow_provider_arcgis_tasks.portal.credentials import Credentials, ReadyToken
from airflow_provider_arcgis_tasks.portal.session import Session
from airflow_provider_arcgis_tasks.sandbox import ManualClock, Portal, Rules

T = TypeVar("T")

NOON = 1_800_014_400.0
"""Friday 2027-01-15 12:00:00 UTC."""

URL = "https://gis.example.com/portal"
REST = f"{URL}/sharing/rest"
USERS = f"{REST}/community/users"
LOST = Unreachable("the connection broke", sent=True)
REFUSED = Unreachable("connection refused", sent=False)
HTML = b"<!DOCTYPE html><html><title>Sign in</title></html>"

Answer: TypeAlias = Response | Unreachable | Mapping[str, Any] | bytes
Script: TypeAlias = Answer | Callable[[Request], Answer]


def response(body: Any = b"", status: int = 200, **headers: str) -> Response:
    """An answer; names of headers are written with `_`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(status, named, body if isinstance(body, bytes) else json.dumps(body).encode())


def http_date(moment: float) -> str:
    return formatdate(moment, usegmt=True)


def session(credentials: Credentials | None = None, **options: Any) -> Session:
    """A session that is signed in as `gis`, without jitter, unless told otherwise."""
    if credentials is None:
        credentials = ReadyToken("a-token")
        options.setdefault("owner", "gis")
    options.setdefault("random_fraction", lambda: 0.0)
    return Session(PortalAddress.parse(URL), credentials, **options)


class Endless(AssertionError):
    """The operation asked for more than any operation should need."""


class Play:
    """Answers an operation's requests from a script, in order; remembers what it asked for.

    `otherwise` answers what comes after the script; without it, there must be nothing more.
    """

    def __init__(self, *script: Script, otherwise: Script | None = None, at: float = NOON) -> None:
        self.script = list(script)
        self.otherwise = otherwise
        self.now = at
        self.requests: list[Request] = []
        self.pauses: list[float] = []
        self.most_effects = 20_000

    def __call__(self, operation: Operation[T]) -> T:
        try:
            effect = next(operation)
            for _ in range(self.most_effects):
                effect = operation.send(self.reply(effect))
        except StopIteration as done:
            result: T = done.value
            return result
        finally:
            operation.close()
        raise Endless(f"still busy after {len(self.requests)} requests and {len(self.pauses)} pauses")

    def next_request(self, operation: Operation[Any], told: Any = None) -> Request:
        """Drive an operation on until it wants to send something, and hold it there."""
        effect = operation.send(told)
        while not isinstance(effect, Request):
            effect = operation.send(self.reply(effect))
        return effect

    def reply(self, effect: Any) -> Any:
        if isinstance(effect, Request):
            return self.answer(effect)
        if isinstance(effect, Pause):
            assert effect.seconds > 0
            self.pauses.append(effect.seconds)
            self.now += effect.seconds
            return None
        return self.now

    def answer(self, request: Request) -> Response | Unreachable:
        self.requests.append(request)
        step = self.script.pop(0) if self.script else self.otherwise
        assert step is not None, f"nothing more was expected, but {request.method} {request.url} came"
        told = step(request) if callable(step) else step
        return told if isinstance(told, Response | Unreachable) else response(told)

    @property
    def asked(self) -> list[str]:
        """The requests, as `GET tasks`: the method and the last part of the path."""
        return [f"{request.method} {request.url.rpartition('/')[2]}" for request in self.requests]

    @property
    def forms(self) -> list[dict[str, str]]:
        return [{name: v for name, v in request.params.items() if name != "f"} for request in self.requests]


def together(
    play: Play, operations: Iterable[Operation[T]], latency: float = 0.2
) -> list[T | ArcGISTasksError]:
    """Carry out several operations at the same time; each answer takes `latency` seconds."""
    actors = list(operations)
    results: dict[int, T | ArcGISTasksError] = {}
    order = count()
    due: list[tuple[float, int, int, Any]] = [(play.now, next(order), n, None) for n in range(len(actors))]
    heapq.heapify(due)
    for _ in range(play.most_effects):
        if not due:
            return [results[number] for number in range(len(actors))]
        moment, _, number, effect = heapq.heappop(due)
        play.now = max(play.now, moment)
        try:
            told = play.answer(effect) if isinstance(effect, Request) else None
            asked = actors[number].send(told)
            while not isinstance(asked, Request | Pause):
                asked = actors[number].send(play.now)
        except StopIteration as done:
            results[number] = done.value
        except ArcGISTasksError as problem:
            results[number] = problem
        else:
            wait = asked.seconds if isinstance(asked, Pause) else latency
            heapq.heappush(due, (play.now + wait, next(order), number, asked))
    raise Endless(f"still busy after {len(play.requests)} requests")


class World(Play):
    """The sandbox's portal on a clock that only pauses move; `ahead`: its clock against ours.

    `tap` sees each request first, and may answer it in the portal's place.
    """

    def __init__(self, at: float = NOON, ahead: float = 0.0, **rules: Any) -> None:
        super().__init__(at=at)
        self.clock = ManualClock(at + ahead)
        self.portal = Portal(self.clock, Rules(**rules), url=URL)
        self.item = self.portal.add_item("Notebook", "Nightly report")
        self.tap: Callable[[Request], Answer | None] = lambda request: None

    def session(self, **options: Any) -> Session:
        return session(ReadyToken(self.portal.issue_token(minutes=1e7)), owner="analyst", **options)

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.clock.advance(seconds)
        self.portal.advance()

    def reply(self, effect: Any) -> Any:
        if isinstance(effect, Pause):
            self.clock.advance(effect.seconds)
        return super().reply(effect)

    def answer(self, request: Request) -> Response | Unreachable:
        self.requests.append(request)
        told = self.tap(request)
        if told is not None:
            return told if isinstance(told, Response | Unreachable) else response(told)
        path = urlsplit(request.url).path
        reply = self.portal.handle(request.method, path, request.params, request.headers)
        if reply.lost:
            return LOST
        headers = {name.lower(): value for name, value in reply.headers.items()}
        return Response(reply.status, headers, reply.body)

    def titles(self) -> list[str]:
        return [task.definition.title or "" for task in self.portal.tasks.values()]
