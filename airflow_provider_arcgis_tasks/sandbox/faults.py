"""Faults on order: what may go wrong between a client and a portal."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class FaultKind(StrEnum):
    """What goes wrong, and whether the request takes effect all the same."""

    LOST_REQUEST = "lost_request"
    """The connection ends before the request takes effect."""
    LOST_REPLY = "lost_reply"
    """The request takes effect, then the connection ends without an answer."""
    HANG_UP = "hang_up"
    """The request takes effect, then the connection ends in the middle of the answer."""
    TRUNCATED = "truncated"
    """The request takes effect; the answer is half of its JSON."""
    EMPTY = "empty"
    """The request takes effect; the answer has no body."""
    SLOW = "slow"
    """The request takes effect; the answer comes `delay` real seconds later."""
    TOKEN_EXPIRED = "token_expired"  # noqa: S105
    """No effect; error 498."""
    TOKEN_REQUIRED = "token_required"  # noqa: S105
    """No effect; error 499."""
    TOO_MANY = "too_many"
    """No effect; HTTP 429 with `Retry-After: retry_after`."""
    UNAVAILABLE = "unavailable"
    """No effect; HTTP 503 with an HTML page."""
    HTML = "html"
    """No effect; HTTP 200 with the HTML page of a login."""
    ERROR = "error"
    """No effect; any envelope: `body`, `status`."""

    @classmethod
    def _missing_(cls, value: object) -> FaultKind:
        raise ValueError(f"kind: {value!r} is none of {', '.join(cls)}")


TAKES_EFFECT = frozenset(
    {FaultKind.LOST_REPLY, FaultKind.HANG_UP, FaultKind.TRUNCATED, FaultKind.EMPTY, FaultKind.SLOW}
)


@dataclass(slots=True, eq=False)
class Fault:
    """A fault in waiting.

    Attributes:
        kind: what goes wrong.
        match: an operation's name such as `createTask`, else a regular expression searched for in the path;
            None matches everything.
        times: how often it happens in all; None: always.
        after: how many matching requests are let through first.
        delay: real seconds, for `slow`.
        retry_after: seconds, for `too_many` and `unavailable`; None sends no header.
        status: HTTP status, for `error`.
        body: the answer, for `error`.
        happened: how often it has happened.
    """

    kind: FaultKind
    match: str | None = None
    times: int | None = 1
    after: int = 0
    delay: float = 1.0
    retry_after: float | None = 1.0
    status: int = 200
    body: Mapping[str, Any] | None = None
    happened: int = 0

    def strikes(self, operation: str, path: str, operations: frozenset[str]) -> bool:
        """Whether this request is hit; counts."""
        if self.times is not None and self.happened >= self.times:
            return False
        if self.match is not None and not self._matches(operation, path, operations):
            return False
        if self.after > 0:
            self.after -= 1
            return False
        self.happened += 1
        return True

    def cancel(self) -> None:
        """Never happen again."""
        self.times = self.happened

    def _matches(self, operation: str, path: str, operations: frozenset[str]) -> bool:
        match = self.match or ""
        return match == operation if match in operations else re.search(match, path) is not None
