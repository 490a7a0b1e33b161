"""Reading 100 portal tasks with all their properties, and the 30 runs of one of them.

Measured against the sandbox, over HTTPS, each client in a process of its own: the requests that the sandbox
counts, and the wall time of one call on an open connection (median of five). Connecting, to know who is
signed in at which portal, is measured apart from it, once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from airflow_provider_arcgis_tasks.sandbox import Rules, Sandbox
from benchmarks import portal
from benchmarks.clients import run_arcgis, run_ours
from benchmarks.programs.stopwatch import REPEATS
from benchmarks.report import Aim, Row, Section

_TASKS = 100
_RUNS = 30
_LISTING = {"tasks": ("tasks", "task"), "runs": ("runs", "run")}


def measure() -> Section:
    """Read everything with both clients."""
    ours, theirs = _measure(run_ours), _measure(run_arcgis)

    def row(what: str, key: str, unit: str = "", aim: Aim | None = None) -> Row:
        return Row(what, ours[key], theirs[key], "arcgis", unit, aim)

    return Section(
        f"2. {_TASKS} portal tasks, {_RUNS} runs",
        [
            row(f"requests for {_TASKS} tasks", "tasks requests", aim=Aim(most=1)),
            row(f"requests for {_RUNS} runs", "runs requests", aim=Aim(most=1)),
            row(f"time for {_TASKS} tasks", "tasks", "ms"),
            row(f"time for {_RUNS} runs", "runs", "ms"),
            row("requests to connect", "connecting requests"),
            row("time to connect", "connecting", "ms"),
        ],
        __doc__ or "",
    )


def _measure(client: Callable[[Sandbox, str, str], dict[str, Any]]) -> dict[str, float]:
    with Sandbox(tls=True, rules=Rules(active_task_limit=_TASKS + 1, runs_kept=_RUNS)) as sandbox:
        busy = _fill(sandbox)
        before = portal.Figures.of(sandbox)
        figures = client(sandbox, "list", busy)
        made = portal.Figures.of(sandbox) - before
        listing = {name: portal.requests(sandbox, operations) for name, operations in _LISTING.items()}
    if figures["found"] != [_TASKS, _RUNS]:
        raise RuntimeError(f"{client.__name__} found {figures['found']}")
    return {
        **{name: figures[name] * 1000 for name in (*_LISTING, "connecting")},
        **{f"{name} requests": number / REPEATS for name, number in listing.items()},
        "connecting requests": made.requests - sum(listing.values()),
    }


def _fill(sandbox: Sandbox) -> str:
    """Make the portal tasks; return the id of the one with the runs."""
    notebook = sandbox.add_item()
    sandbox.plan(notebook, duration=1.0, result="done")
    busy = portal.create_task(sandbox, notebook, portal.EVERY_MINUTE, title="busy")
    for number in range(1, _TASKS):
        portal.create_task(sandbox, notebook, portal.YEARLY, title=f"task {number}")
    portal.advance_to(sandbox, portal.next_minute(sandbox) + _RUNS * 60 + 5)
    portal.disable_task(sandbox, busy)
    return busy
