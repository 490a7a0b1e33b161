"""Many waits in one event loop, as in a triggerer, for runs that end at times spread over two minutes.

Measured against the sandbox, over HTTPS, the waits in a process of their own: a thousand of our
`ArcGISTaskRunTrigger`, and then a thousand triggers that wait as the one of the dbt Cloud provider does
(`programs/polling_trigger.py` says how: a new HTTP client for each request, one sign-in for each wait),
both at `poll_interval=30`, for the same thousand runs, until the last event. All are started at once, as the
triggerer starts them. Imports are done before.

CPU seconds are those of the waiting process, less what the heartbeat takes of itself. The heartbeat sleeps
10 ms again and again; the longest stall is the most that it overslept. On a busy machine other processes
have a part in that, so it is also told for how much of one stall the event loop's own thread was at work,
and for how much without Python's garbage collector, which has all of Airflow's objects to look through.
Memory is the most by which the process grew, divided by the waits. The delay of an event is from the end of
the run on the portal to the trigger's event. Requests, connections and tokens are counted by the sandbox.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from random import Random
from statistics import median, quantiles
from typing import Any

from airflow_provider_arcgis_tasks.sandbox import Rules, Sandbox
from benchmarks import portal
from benchmarks.clients import CONNECTION_VARIABLE
from benchmarks.environments import running
from benchmarks.programs.stopwatch import CALIBRATION_SECONDS
from benchmarks.report import Aim, Row, Section

_LEAD_SECONDS = 2.0
_PATIENCE_SECONDS = 60.0


@dataclass(frozen=True)
class Scene:
    """How many waits there are, and over how many seconds their runs end."""

    waits: int = 1000
    seconds: float = 120.0
    poll_interval: float = 30.0
    tls: bool = True

    def ends(self) -> list[float]:
        """When the runs end, in seconds from now, evenly spread, in no order."""
        step = self.seconds / self.waits
        ends = [_LEAD_SECONDS + step * number for number in range(self.waits)]
        Random(0).shuffle(ends)
        return ends


def measure(scene: Scene) -> Section:
    """Wait in both ways."""
    ours, theirs = _measure("ours", scene), _measure("polling", scene)

    def row(what: str, unit: str = "", aim: Aim | None = None) -> Row:
        return Row(what, ours[what], theirs[what], "dbt's way", unit, aim)

    return Section(
        f"3. {scene.waits} waits, {scene.seconds:g} s, every {scene.poll_interval:g} s"
        f"{'' if scene.tls else ', HTTP'}",
        [
            row("CPU", "s", Aim(factor=5)),
            row("tokens", aim=Aim(most=1)),
            row("connections", aim=Aim(most=20)),
            row("longest stall of the loop", "ms", Aim(most=50)),
            row("longest with the loop at work", "ms"),
            row("... but for garbage collection", "ms"),
            row("stalls over 50 ms"),
            row("requests"),
            row("memory for one wait", "KiB"),
            row("event after end of run, median", "s"),
            row("event after end of run, 95 of 100", "s"),
            row("waits that did not tell success", aim=Aim(most=0)),
        ],
        __doc__ or "",
    )


def _measure(kind: str, scene: Scene) -> dict[str, float]:
    longest = scene.seconds + 2 * scene.poll_interval + _PATIENCE_SECONDS
    with (
        Sandbox(tls=scene.tls, rules=Rules(active_task_limit=scene.waits)) as sandbox,
        running("waits", kind, variables={CONNECTION_VARIABLE: sandbox.connection_uri}) as program,
    ):
        program.wait_until_ready()
        given = {
            "runs": _start_runs(sandbox, scene),
            "poll_interval": scene.poll_interval,
            "patience": longest,
        }
        before = portal.Figures.of(sandbox)
        figures = program.finish(given, timeout=longest + _PATIENCE_SECONDS)
        return {
            **_costs(figures, scene.waits),
            **vars(portal.Figures.of(sandbox) - before),
            **_delays(figures["events"], _ends(sandbox), scene.waits),
        }


def _start_runs(sandbox: Sandbox, scene: Scene) -> list[tuple[str, str]]:
    """Make the portal tasks and let each of them fire once; return the ids of tasks and runs."""
    portal.advance_to(sandbox, portal.next_minute(sandbox) + 1)
    for number, end in enumerate(scene.ends()):
        notebook = sandbox.add_item()
        sandbox.plan(notebook, duration=CALIBRATION_SECONDS + end, result="done")
        portal.create_task(sandbox, notebook, portal.EVERY_MINUTE, title=f"wait {number}", maxOccurrences="1")
    portal.advance_to(sandbox, portal.next_minute(sandbox))
    return [(fired.task_id, fired.run_id) for fired in sandbox.portal.fired]


def _ends(sandbox: Sandbox) -> dict[str, float]:
    """When the runs ended, by this machine's clock."""
    ahead = portal.clock(sandbox).now() - time.time()
    return {fired.run_id: fired.end - ahead for fired in sandbox.portal.fired}


def _costs(figures: dict[str, Any], waits: int) -> dict[str, float]:
    return {
        "CPU": figures["cpu"],
        "longest stall of the loop": figures["stall"] * 1000,
        "longest with the loop at work": figures["stall at work"] * 1000,
        "... but for garbage collection": figures["stall at work but gc"] * 1000,
        "stalls over 50 ms": figures["stalls"],
        "memory for one wait": figures["memory"] / 1024 / waits,
    }


def _delays(events: list[dict[str, Any]], ends: dict[str, float], waits: int) -> dict[str, float]:
    good = [event for event in events if event["status"] == "succeeded"]
    delays = [event["time"] - ends[event["portal_run_id"]] for event in good]
    return {
        "event after end of run, median": median(delays),
        "event after end of run, 95 of 100": quantiles(delays, n=20)[-1],
        "waits that did not tell success": waits - len(good),
    }
