"""A portal with something on it, the hook to work with it over either transport, and what the hook can do."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from airflow.sdk import Connection

from airflow_provider_arcgis_tasks.hooks import ArcGISTasksHook
from airflow_provider_arcgis_tasks.portal import Operation, TaskDefinition
from airflow_provider_arcgis_tasks.portal.session import Session
from airflow_provider_arcgis_tasks.sandbox import Portal, RealClock, Rules, Sandbox
from tests.transport.drive import Drive

T = TypeVar("T")

ADMINISTRATOR = "administrator"


class DrivenHook(ArcGISTasksHook):
    """The hook with its operations carried out by either transport, and with the same jitter each time."""

    def __init__(self, drive: Drive, sandbox: Sandbox, login: str) -> None:
        super().__init__()
        self.drive = drive
        self.connection = Connection(
            conn_id=self.arcgis_conn_id,
            conn_type="arcgis",
            host=sandbox.url,
            login=login,
            password=sandbox.password,
            extra=json.dumps({"ca_bundle": sandbox.ca_bundle}),
        )

    def get_connection(self, conn_id: str) -> Connection:  # type: ignore[override]
        return self.connection

    @property
    def session(self) -> Session:
        session = super().session
        session.random_fraction = lambda: 0.5
        return session

    def run(self, operation: Operation[T]) -> T:
        return self.drive(operation)


@dataclass
class Place:
    """A fresh portal with a portal task that has run three times, a transport to it and hooks."""

    sandbox: Sandbox
    drive: Drive
    hook: DrivenHook = field(init=False)
    admin: DrivenHook = field(init=False)
    item: str = field(init=False)
    task: str = field(init=False)
    runs: list[str] = field(init=False)

    def __post_init__(self) -> None:
        self.sandbox.portal = Portal(RealClock(), Rules(active_task_limit=1000), url=self.sandbox.url)
        self.drive.start_anew()
        self.hook = DrivenHook(self.drive, self.sandbox, self.sandbox.username)
        self.admin = DrivenHook(self.drive, self.sandbox, ADMINISTRATOR)
        self.item = self.sandbox.add_item("Notebook", "N")
        form = {"type": "ExecuteNotebook", "itemId": self.item, "title": "Every minute", "minute": "*"}
        form |= {"hour": "*", "dayOfMonth": "*", "month": "*", "dayOfWeek": "?", "maxOccurrences": "500"}
        self.task = self.by_hand("createTask", **form)["taskId"]
        self.sandbox.portal.clock.advance(180)  # type: ignore[attr-defined]
        self.runs = [run["runId"] for run in self.by_hand(f"{self.task}/runs")["runs"]]
        self._opened_before = self.sandbox.connections_opened
        self._asked_before = len(self.sandbox.portal.journal)

    @property
    def session(self) -> Session:
        return self.hook.session

    def by_hand(self, path: str, **form: str) -> Any:
        """Without HTTP and without the code under test."""
        portal = self.sandbox.portal
        path = f"/portal/sharing/rest/community/users/{portal.username}/tasks/{path}"
        token = {"X-Esri-Authorization": f"Bearer {portal.issue_token()}"}
        return json.loads(portal.handle("POST", path, {"f": "json", **form}, token).body)

    def with_it_disabled(self) -> Place:
        self.by_hand(f"{self.task}/disable")
        return self

    def definition(self, **others: Any) -> TaskDefinition:
        fields = {"task_type": "ExecuteNotebook", "item_id": self.item, "schedule": "@daily", "title": "New"}
        return TaskDefinition(**{**fields, **others})

    @property
    def asked(self) -> Counter[str]:
        """How many requests the portal has got for each of its resources since the test began."""
        exchanges = list(self.sandbox.portal.journal)[self._asked_before :]
        return Counter(str(exchange.operation) for exchange in exchanges)

    @property
    def connections(self) -> int:
        return self.sandbox.connections_opened - self._opened_before

    @property
    def new(self) -> list[str]:
        return [task_id for task_id in self.sandbox.portal.tasks if task_id != self.task]


TITLE = "Ünïcode & <title>+%20/?#\n"


@dataclass(frozen=True)
class Method:
    """A method of the hook.

    `resource`: the portal's name for what it is about. `check`: what must be so afterwards, on the
    portal and in the result.
    """

    call: Callable[[Place], Any]
    resource: str
    check: Callable[[Place, Any], bool]


def unchanged_but_title(place: Place) -> bool:
    told = place.by_hand(place.task)
    return told["title"] == TITLE and told["maxOccurrences"] == 500 and told["cronSchedule"]["minute"] == "*"


METHODS: dict[str, Method] = {
    "search_tasks": Method(
        lambda p: p.hook.search_tasks(item_id=p.item, active=True, task_types=["ExecuteNotebook"]),
        "tasks",
        lambda p, found: [task.id for task in found] == [p.task],
    ),
    "search_org_tasks": Method(
        lambda p: p.admin.search_org_tasks(owner=p.sandbox.username),
        "allScheduledTasks",
        lambda p, found: [task.id for task in found] == [p.task],
    ),
    "count_tasks": Method(lambda p: p.hook.count_tasks(), "tasks", lambda p, count: count == 1),
    "get_task": Method(
        lambda p: p.hook.get_task(p.task),
        "task",
        lambda p, task: task.title == "Every minute" and task.max_occurrences == 500,
    ),
    "create_task": Method(
        lambda p: p.hook.create_task(p.definition(title=TITLE, parameters={"straße": [1, "ü"]})),
        "createTask",
        lambda p, made: p.new == [made] and p.by_hand(made)["title"] == TITLE,
    ),
    "update_task": Method(
        lambda p: p.hook.update_task(p.task, title=TITLE),
        "updateTask",
        lambda p, _: unchanged_but_title(p),
    ),
    "delete_task": Method(
        lambda p: p.hook.delete_task(p.task),
        "deleteTask",
        lambda p, deleted: deleted is True and not p.sandbox.portal.tasks,
    ),
    "enable_task": Method(
        lambda p: p.with_it_disabled().hook.enable_task(p.task),
        "enableTask",
        lambda p, _: p.sandbox.portal.tasks[p.task].active,
    ),
    "disable_task": Method(
        lambda p: p.hook.disable_task(p.task),
        "disableTask",
        lambda p, _: not p.sandbox.portal.tasks[p.task].active,
    ),
    "get_runs": Method(
        lambda p: p.hook.get_runs(p.task),
        "runs",
        lambda p, runs: [run.id for run in runs] == p.runs[::-1],
    ),
    "get_run": Method(
        lambda p: p.hook.get_run(p.task, p.runs[0]),
        "run",
        lambda p, run: run.status == "succeeded" and run.id == p.runs[0],
    ),
    "update_run": Method(
        lambda p: p.hook.update_run(p.task, p.runs[0], status="failed", result=TITLE),
        "updateRun",
        lambda p, _: (
            (p.by_hand(f"{p.task}/runs/{p.runs[0]}")["result"], p.runs[0])
            == (TITLE, p.by_hand(f"{p.task}/runs")["runs"][0]["runId"])
        ),
    ),
    "delete_run": Method(
        lambda p: p.hook.delete_run(p.task, p.runs[0]),
        "deleteRun",
        lambda p, deleted: deleted is True and p.runs[0] not in str(p.by_hand(f"{p.task}/runs")),
    ),
    "who_am_i": Method(
        lambda p: p.hook.who_am_i(),
        "portal",
        lambda p, me: me.username == p.sandbox.username and me.portal_name == "Sandbox",
    ),
    "test_connection": Method(
        lambda p: p.hook.test_connection(),
        "portal",
        lambda p, told: told[0] and "as analyst (org_publisher): 1 portal task" in told[1],
    ),
}
