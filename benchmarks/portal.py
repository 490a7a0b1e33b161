"""Fills a sandbox without a client and counts what clients do to it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlsplit

from airflow_provider_arcgis_tasks.sandbox import RealClock, Sandbox
from airflow_provider_arcgis_tasks.sandbox.routes import Operation

YEARLY = {"minute": "0", "hour": "4", "dayOfMonth": "1", "month": "1", "dayOfWeek": "?"}
EVERY_MINUTE = {"minute": "*", "hour": "*", "dayOfMonth": "*", "month": "*", "dayOfWeek": "?"}


@dataclass(frozen=True)
class Figures:
    """How often something has happened to a sandbox."""

    requests: int
    connections: int
    tokens: int

    @classmethod
    def of(cls, sandbox: Sandbox) -> Self:
        """Read a sandbox's counters."""
        return cls(requests(sandbox, Operation), sandbox.connections_opened, sandbox.portal.tokens_minted)

    def __sub__(self, before: Figures) -> Figures:
        return Figures(
            self.requests - before.requests,
            self.connections - before.connections,
            self.tokens - before.tokens,
        )


def requests(sandbox: Sandbox, operations: Iterable[str]) -> int:
    """Count the requests for some operations."""
    return sum(sandbox.portal.count(operation) for operation in operations)


def create_task(sandbox: Sandbox, item_id: str, cron: dict[str, str], **fields: str) -> str:
    """Create a portal task that executes a notebook; return its id."""
    form = {"type": "ExecuteNotebook", "itemId": item_id, **cron, **fields}
    portal_task_id: str = _post(sandbox, "createTask", form)["taskId"]
    return portal_task_id


def disable_task(sandbox: Sandbox, portal_task_id: str) -> None:
    """Take a portal task out of service."""
    _post(sandbox, f"{portal_task_id}/disable", {})


def clock(sandbox: Sandbox) -> RealClock:
    """The sandbox's clock, which can be put forward."""
    assert isinstance(sandbox.portal.clock, RealClock)
    return sandbox.portal.clock


def next_minute(sandbox: Sandbox) -> float:
    """When, on the portal's clock, the next minute begins."""
    return (clock(sandbox).now() // 60 + 1) * 60


def advance_to(sandbox: Sandbox, moment: float) -> None:
    """Put the portal's clock forward, and let everything happen that is then due."""
    clock(sandbox).advance(moment - clock(sandbox).now())
    sandbox.portal.advance()


def _post(sandbox: Sandbox, path: str, form: dict[str, str]) -> dict[str, Any]:
    tasks = f"{urlsplit(sandbox.url).path}/sharing/rest/community/users/{sandbox.username}/tasks"
    token = {"X-Esri-Authorization": f"Bearer {sandbox.portal.issue_token()}"}
    answer: dict[str, Any] = json.loads(
        sandbox.portal.handle("POST", f"{tasks}/{path}", {**form, "f": "json"}, token).body
    )
    if not answer.get("success"):
        raise RuntimeError(f"the sandbox refuses {path}: {answer}")
    return answer
