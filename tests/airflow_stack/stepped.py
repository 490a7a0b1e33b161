"""A portal whose time goes on only as far as a test lets it."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from itertools import combinations

from airflow_provider_arcgis_tasks.sandbox import Portal, Reply, Sandbox
from airflow_provider_arcgis_tasks.sandbox.records import Fired

SPEED = 15.0
RUN_SECONDS = 20.0
JUST_IN_TIME = 29.0
"""A one-shot task made at this second of a minute fires 31 seconds later: the shortest wait there is."""


class SteppedClock:
    """A clock that stands still, but for runs to the moments that it is told.

    It stops there by itself, so nothing happens on the portal too early, however late the test comes.
    """

    def __init__(self) -> None:
        start = _next_at_second(JUST_IN_TIME, time.time())
        self._leg = (start, time.monotonic(), start)

    def now(self) -> float:
        """Return seconds since the epoch."""
        start, since, stop = self._leg
        return min(start + (time.monotonic() - since) * SPEED, stop)

    def run_to(self, moment: float) -> None:
        """Go on until `moment`, many times as fast as real time."""
        if moment != self._leg[2]:
            self._leg = (self.now(), time.monotonic(), moment)

    def jump(self, seconds: float) -> None:
        """Be that much later at once."""
        later = self.now() + seconds
        self._leg = (later, time.monotonic(), later)


class SteppedPortal(Portal):
    """A portal on a `SteppedClock`, with one notebook.

    Attributes:
        notebook: the item.
        stepped: the clock.
        fires: whether the time goes on, as soon as something is armed, until it has fired.
    """

    def __init__(self, seed: int, password: str) -> None:
        self.stepped = SteppedClock()
        self.fires = False
        super().__init__(self.stepped, seed=seed, password=password)
        self.notebook = self.add_item("ExecuteNotebook")
        self.plan(self.notebook, duration=RUN_SECONDS, result="told")

    def handle(
        self,
        method: str,
        path: str,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        ip: str = "127.0.0.1",
    ) -> Reply:
        """Answer one request."""
        reply = super().handle(method, path, params, headers, ip=ip)
        self._go_on()
        return reply

    def let_fire(self) -> None:
        """Go on until what is armed, now or soon, has fired; its run then executes until `let_end`."""
        self.fires = True
        self._go_on()

    def let_end(self) -> None:
        """Go on until the latest run has ended."""
        self.fires = False
        self.stepped.run_to(_next_at_second(JUST_IN_TIME, self.fired[-1].end))

    def armed(self) -> list[float]:
        """When the portal tasks fire that can still fire."""
        tasks = self.tasks.values()
        return [task.next_start for task in tasks if task.active and task.next_start is not None]

    def done(self, operation: str) -> int:
        """How often this has been done."""
        return self.count(operation, took_effect=True)

    def overlapping(self) -> list[tuple[Fired, Fired]]:
        """The runs that were under way at the same time."""
        in_order = combinations(self.fired, 2)
        return [(earlier, later) for earlier, later in in_order if later.start < earlier.end]

    def _go_on(self) -> None:
        if self.fires and (armed := self.armed()):
            self.stepped.run_to(min(armed) + 1)


class SteppedSandbox(Sandbox):
    """Serves a `SteppedPortal`."""

    portal: SteppedPortal

    def __init__(self, seed: int, password: str) -> None:
        super().__init__()
        self.portal = SteppedPortal(seed, password)


def _next_at_second(second: float, moment: float) -> float:
    return math.ceil((moment - second) / 60) * 60 + second
