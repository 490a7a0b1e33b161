"""What a portal operation may ask for, and what it may be told.

An operation is a generator: it yields an effect, is sent the reply, and returns its result. It does
no I/O itself, so a worker and a triggerer carry out the same code (see `transport`), and a test can
play the portal by hand.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias, TypeVar, cast

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Request:
    """Send this to the portal. Answered by a `Response` or by `Unreachable`."""

    method: Literal["GET", "POST"]
    url: str
    params: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The query of a GET, the form of a POST."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeout: float = 30.0
    """Seconds for the whole exchange."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Let this many seconds go by."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Now:
    """Ask for the driver's clock: seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Response:
    """What came back, whatever it says. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Unreachable:
    """Nothing usable came back. `sent` tells whether the portal may have acted on the request."""

    reason: str
    sent: bool


Effect: TypeAlias = Request | Pause | Now
Reply: TypeAlias = Response | Unreachable | float | None
Operation: TypeAlias = Generator[Effect, Reply, T]


class DeadlinePassed(TimeoutError):
    """The operation was still busy when its time was up (see `until`)."""

    def __str__(self) -> str:
        return "The time for it was over."


def send(request: Request) -> Operation[Response | Unreachable]:
    """Send a request once."""
    return cast("Response | Unreachable", (yield request))


def pause(seconds: float) -> Operation[None]:
    """Let `seconds` go by; nothing at all when they are not positive."""
    if seconds > 0:
        yield Pause(seconds)


def now() -> Operation[float]:
    """Read the driver's clock: seconds since the epoch."""
    return cast("float", (yield Now()))


def until(deadline: float, operation: Operation[T], *, request_timeout: float = float("inf")) -> Operation[T]:
    """Carry out `operation`, but raise `DeadlinePassed` inside it when it would pause after `deadline`.

    `deadline`: seconds since the epoch, on the driver's clock. A pause is cut short at the deadline and
    the operation then goes on to its next pause, so it looks once more before it is judged by the clock.
    `request_timeout`: most seconds for each request.
    """
    try:
        effect = next(operation)
        while True:
            if not isinstance(effect, Now):
                left = deadline - (yield from now())
                if isinstance(effect, Request):
                    most = min(effect.timeout, request_timeout, max(left, _LAST_REQUEST_SECONDS))
                    effect = replace(effect, timeout=most)
                elif left > 0:
                    effect = Pause(min(effect.seconds, left))
                else:
                    effect = operation.throw(DeadlinePassed())
                    continue
            effect = operation.send((yield effect))
    except StopIteration as done:
        return cast("T", done.value)
    finally:
        operation.close()


_LAST_REQUEST_SECONDS = 5.0
