"""The clocks a portal can live by."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Tells the portal's time."""

    def now(self) -> float:
        """Return seconds since the epoch."""
        ...


class RealClock:
    """A clock that goes on by itself, `speed` times as fast as real time.

    Args:
        speed: portal seconds that pass in one real second.
        start: the portal's time now, in epoch seconds; the machine's time by default.
    """

    def __init__(self, speed: float = 1.0, start: float | None = None) -> None:
        if speed <= 0:
            raise ValueError("speed must be above 0")
        self.speed = speed
        self.offset = 0.0
        self._start = time.time() if start is None else start
        self._origin = time.monotonic()

    def now(self) -> float:
        """Return seconds since the epoch."""
        return self._start + self.offset + (time.monotonic() - self._origin) * self.speed

    def advance(self, seconds: float) -> None:
        """Jump forward by portal seconds."""
        self.offset += seconds


class ManualClock:
    """A clock that stands still until it is told to move.

    Args:
        start: epoch seconds.
    """

    def __init__(self, start: float) -> None:
        self._now = start

    def now(self) -> float:
        """Return seconds since the epoch."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Move forward by `seconds`."""
        self.set(self._now + seconds)

    def set(self, epoch: float) -> None:
        """Move to `epoch` seconds; a portal's time never goes back."""
        if epoch < self._now:
            raise ValueError("a portal's time never goes back")
        self._now = epoch
