"""Running a notebook now on a portal that carries out `createTask` and loses its reply, six times.

Measured against the sandbox, over HTTPS, each client in a process of its own: how many portal tasks there
are afterwards, all of which would run, and what the caller is told. Ours is what the trigger operator does
on a worker (`portal.oneshot.start`, by the hook); the official client's is `tasks.create(...)`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from airflow_provider_arcgis_tasks.sandbox import Rules, Sandbox
from benchmarks.clients import run_arcgis, run_ours
from benchmarks.report import Aim, Row, Section

_LOSSES = 6


def measure() -> Section:
    """Lose the replies to both clients."""
    ours, theirs = _measure(run_ours), _measure(run_arcgis)

    def row(what: str, key: str, unit: str = "", aim: Aim | None = None) -> Row:
        return Row(what, ours[key], theirs[key], "arcgis", unit, aim)

    return Section(
        f"4. createTask, reply lost {_LOSSES} times",
        [
            row("portal tasks made", "made", aim=Aim(most=1)),
            row("the caller gets", "told"),
            row("after", "seconds", "s"),
        ],
        __doc__ or "",
    )


def _measure(client: Callable[[Sandbox, str, str], dict[str, Any]]) -> dict[str, Any]:
    with Sandbox(tls=True, rules=Rules(active_task_limit=2 * _LOSSES)) as sandbox:
        notebook = sandbox.add_item()
        loss = sandbox.fault("lost_reply", "createTask", times=_LOSSES)
        figures = client(sandbox, "create", notebook)
        if not loss.happened:
            raise RuntimeError(f"{client.__name__} lost no reply")
        return {**figures, "made": sandbox.portal.count("createTask", took_effect=True)}
