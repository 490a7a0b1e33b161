"""A small client of the model: it says what a test means and nothing of the provider's."""

from __future__ import annotations

import json
from typing import Any

from airflow_provider_arcgis_tasks.sandbox.clock import ManualClock
from airflow_provider_arcgis_tasks.sandbox.model import Portal
from airflow_provider_arcgis_tasks.sandbox.rules import Rules
from airflow_provider_arcgis_tasks.sandbox.wire import Reply

NOON = 1_800_014_400.0
"""Friday 2027-01-15 12:00:00 UTC."""

ROOT = "/portal/sharing/rest"
GP_TASK = "https://gis.example.com/server/rest/services/Tools/GPServer/Clip"


def cron(text: str) -> dict[str, str]:
    return dict(zip(("minute", "hour", "dayOfMonth", "month", "dayOfWeek"), text.split(), strict=True))


class Client:
    def __init__(self, portal: Portal, username: str = "analyst") -> None:
        self.portal = portal
        self.username = username
        self.token: str | None = portal.issue_token(username, minutes=1e9)

    def reply(self, method: str, path: str, headers: dict[str, str] | None = None, **params: Any) -> Reply:
        auth = {"X-Esri-Authorization": f"Bearer {self.token}"} if self.token else {}
        form = {"f": "json", **{name: str(value) for name, value in params.items()}}
        return self.portal.handle(method, f"{ROOT}/{path}", form, {**auth, **(headers or {})})

    def get(self, path: str, **params: Any) -> Any:
        return json.loads(self.reply("GET", path, **params).body)

    def post(self, path: str, **params: Any) -> Any:
        return json.loads(self.reply("POST", path, **params).body)

    def path(self, *parts: str) -> str:
        return "/".join(["community/users", self.username, "tasks", *parts])

    def tasks(self, **params: Any) -> Any:
        return self.get(self.path(), **params)

    def task(self, task_id: str) -> Any:
        return self.get(self.path(task_id))

    def runs(self, task_id: str) -> list[dict[str, Any]]:
        answer = self.get(self.path(task_id, "runs"))
        assert "runs" in answer, answer
        runs: list[dict[str, Any]] = answer["runs"]
        return runs

    def statuses(self, task_id: str) -> list[str]:
        return [run["status"] for run in self.runs(task_id)]

    def try_create(self, schedule: str = "0 4 * * ?", **params: Any) -> Any:
        form = {"type": "ExecuteNotebook", **cron(schedule), **params}
        return self.post(self.path("createTask"), **form)

    def create(self, item_id: str, schedule: str = "0 4 * * ?", **params: Any) -> str:
        answer = self.try_create(schedule, itemId=item_id, **params)
        assert answer.get("success") is True, answer
        task_id: str = answer["taskId"]
        return task_id

    def act(self, task_id: str, verb: str, **params: Any) -> Any:
        return self.post(self.path(task_id, verb), **params)


def make_portal(now: float = NOON, **rules: Any) -> tuple[ManualClock, Portal, Client, str]:
    """Return a clock, a portal living by it, the main user's client and a notebook."""
    clock = ManualClock(now)
    portal = Portal(clock, Rules(**rules))
    item_id = portal.add_item("Notebook", "Nightly report")
    return clock, portal, Client(portal), item_id


def error_of(answer: Any) -> tuple[int, str]:
    """Return an envelope's code and all its text."""
    error = answer["error"]
    return error["code"], " ".join([error["message"], *error["details"]])
