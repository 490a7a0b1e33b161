"""Every operation of the hook, and every fault, through both transports against the sandbox."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import pytest

from airflow_provider_arcgis_tasks.portal import (
    ArcGISTasksError,
    NotFound,
    Operation,
    PermissionDenied,
    PortalUnreachable,
    SignInRefused,
    TaskDefinition,
    WriteUnanswered,
    tasks,
)
from airflow_provider_arcgis_tasks.portal import oneshot as shots
from airflow_provider_arcgis_tasks.portal.credentials import AppLogin, ReadyToken
from airflow_provider_arcgis_tasks.portal.oneshot import Job, Mark
from airflow_provider_arcgis_tasks.portal.session import Session
from airflow_provider_arcgis_tasks.sandbox import Portal, RealClock, Rules, Sandbox
from tests.transport.drive import KINDS, Drive, Kind, sandbox_session, sandbox_settings


@dataclass
class Place:
    """A fresh portal with a portal task that has run three times, a transport to it and a session."""

    sandbox: Sandbox
    drive: Drive
    session: Session = field(init=False)
    item: str = field(init=False)
    task: str = field(init=False)
    runs: list[str] = field(init=False)

    def __post_init__(self) -> None:
        self.sandbox.portal = Portal(RealClock(), Rules(active_task_limit=1000), url=self.sandbox.url)
        self.drive.pauses.clear()
        self.session = sandbox_session(self.sandbox)
        self.item = self.sandbox.add_item("Notebook", "N")
        form = {"type": "ExecuteNotebook", "itemId": self.item, "title": "Every minute", "minute": "*"}
        form |= {"hour": "*", "dayOfMonth": "*", "month": "*", "dayOfWeek": "?", "maxOccurrences": "500"}
        self.task = self.by_hand("createTask", **form)["taskId"]
        self.sandbox.portal.clock.advance(180)  # type: ignore[attr-defined]
        self.runs = [run["runId"] for run in self.by_hand(f"{self.task}/runs")["runs"]]
        self._opened_before = self.sandbox.connections_opened
        self._asked_before = {name: self.sandbox.portal.count(name) for name in ("createTask", "runs")}

    def by_hand(self, path: str, **form: str) -> Any:
        """Without HTTP and without the code under test."""
        portal = self.sandbox.portal
        path = f"/portal/sharing/rest/community/users/{portal.username}/tasks/{path}"
        token = {"X-Esri-Authorization": f"Bearer {portal.issue_token()}"}
        return json.loads(portal.handle("POST", path, {"f": "json", **form}, token).body)

    def definition(self, **others: Any) -> TaskDefinition:
        fields = {"task_type": "ExecuteNotebook", "item_id": self.item, "schedule": "@daily", "title": "New"}
        return TaskDefinition(**{**fields, **others})

    def asked(self, resource: str) -> int:
        """How many requests came for a resource since the test began."""
        return self.sandbox.portal.count(resource) - self._asked_before.get(resource, 0)

    @property
    def connections(self) -> int:
        return self.sandbox.connections_opened - self._opened_before

    @property
    def new(self) -> list[str]:
        return [task_id for task_id in self.sandbox.portal.tasks if task_id != self.task]


Settle = Callable[[str, Kind], Place]


@pytest.fixture(scope="module")
def settle() -> Iterator[Settle]:
    """Makes places. Servers and transports are shared, for reading certificates takes its time."""
    with ExitStack() as open_until_the_end:

        @cache
        def shared(scheme: str, kind: Kind) -> tuple[Sandbox, Drive]:
            sandbox = open_until_the_end.enter_context(Sandbox(tls=scheme == "https"))
            return sandbox, open_until_the_end.enter_context(Drive(kind, sandbox_settings(sandbox).http))

        yield lambda scheme, kind: Place(*shared(scheme, kind))


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    chosen: Kind = request.param
    return chosen


@pytest.fixture(params=["http"])
def place(request: pytest.FixtureRequest, kind: Kind, settle: Settle) -> Place:
    return settle(request.param, kind)


both_schemes = pytest.mark.parametrize("place", ["http", "https"], indirect=True)

# What to do; the portal's name for it; and what must be so afterwards, on the portal and in the result.
Check = Callable[[Place, Any], bool]
TITLE = "Ünïcode & <title>+%20/?#\n"


def unchanged_but_title(place: Place) -> bool:
    told = place.by_hand(place.task)
    return told["title"] == TITLE and told["maxOccurrences"] == 500 and told["cronSchedule"]["minute"] == "*"


OPERATIONS: dict[str, tuple[Callable[[Place], Operation[Any]], str, Check]] = {
    "search_tasks": (
        lambda p: tasks.list_tasks(p.session, item_id=p.item, active=True, task_types=["ExecuteNotebook"]),
        "tasks",
        lambda p, found: [task.id for task in found] == [p.task],
    ),
    "count_tasks": (lambda p: tasks.count_tasks(p.session), "tasks", lambda p, count: count == 1),
    "get_task": (
        lambda p: tasks.get_task(p.session, p.task),
        "task",
        lambda p, task: task.title == "Every minute" and task.max_occurrences == 500,
    ),
    "get_runs": (
        lambda p: tasks.get_runs(p.session, p.task),
        "runs",
        lambda p, runs: [run.id for run in runs] == p.runs[::-1],
    ),
    "get_run": (
        lambda p: tasks.get_run(p.session, p.task, p.runs[0]),
        "run",
        lambda p, run: run.status == "succeeded" and run.id == p.runs[0],
    ),
    "who_am_i": (
        lambda p: tasks.who_am_i(p.session),
        "portal",
        lambda p, me: me.username == p.sandbox.username and me.portal_name == "Sandbox",
    ),
    "update_task": (
        lambda p: tasks.update_task(p.session, p.task, title=TITLE),
        "updateTask",
        lambda p, before: before.title == "Every minute" and unchanged_but_title(p),
    ),
    "delete_task": (
        lambda p: tasks.delete_task(p.session, p.task),
        "deleteTask",
        lambda p, _: not p.sandbox.portal.tasks,
    ),
    "enable_task": (
        lambda p: tasks.enable_task(p.session, p.task),
        "enableTask",
        lambda p, _: p.sandbox.portal.tasks[p.task].active,
    ),
    "disable_task": (
        lambda p: tasks.disable_task(p.session, p.task),
        "disableTask",
        lambda p, _: not p.sandbox.portal.tasks[p.task].active,
    ),
    "update_run": (
        lambda p: tasks.update_run(p.session, p.task, p.runs[0], status="failed", result=TITLE),
        "updateRun",
        lambda p, _: (
            (p.by_hand(f"{p.task}/runs/{p.runs[0]}")["result"], p.runs[0])
            == (TITLE, p.by_hand(f"{p.task}/runs")["runs"][0]["runId"])
        ),
    ),
    "delete_run": (
        lambda p: tasks.delete_run(p.session, p.task, p.runs[0]),
        "deleteRun",
        lambda p, _: p.runs[0] not in str(p.by_hand(f"{p.task}/runs")),
    ),
    "create_task": (
        lambda p: tasks.create_task(p.session, p.definition(title=TITLE, parameters={"straße": [1, "ü"]})),
        "createTask",
        lambda p, made: p.new == [made] and p.by_hand(made)["title"] == TITLE,
    ),
}


@both_schemes
@pytest.mark.parametrize("name", OPERATIONS)
def test_operation(place: Place, name: str) -> None:
    operation, resource, check = OPERATIONS[name]
    assert check(place, place.drive(operation(place)))
    assert place.sandbox.portal.count("generateToken") == 1
    assert place.sandbox.portal.tokens_in_urls == 0
    assert place.connections <= 1
    assert not place.drive.pauses
    assert resource in {exchange.operation for exchange in place.sandbox.portal.journal}


def test_operation_for_administrators(place: Place) -> None:
    place.session = token_session(place, "administrator")
    found = place.drive(tasks.search_org_tasks(place.session, owner=place.sandbox.username))
    assert [task.id for task in found] == [place.task]
    place.session = token_session(place, place.sandbox.username)
    with pytest.raises(PermissionDenied):
        place.drive(tasks.search_org_tasks(place.session))


def token_session(place: Place, username: str) -> Session:
    settings = sandbox_settings(place.sandbox, token=place.sandbox.portal.issue_token(username))
    assert isinstance(settings.credentials, ReadyToken)
    return settings.session()


def test_all_pages_of_250_tasks(place: Place) -> None:
    form = {"type": "ExecuteNotebook", "itemId": place.item, "minute": "0", "hour": "0", "dayOfMonth": "1"}
    for number in range(249):
        place.by_hand("createTask", title=f"{number}", month="1", dayOfWeek="?", **form)
    found = place.drive(tasks.list_tasks(place.session))
    assert {task.id for task in found} == set(place.sandbox.portal.tasks)
    assert (len(found), place.asked("tasks")) == (250, 3)


def test_one_shot_from_beginning_to_end(kind: Kind) -> None:
    with Sandbox(speed=600) as sandbox:
        settings = sandbox_settings(sandbox)
        item = sandbox.add_item()
        sandbox.plan(item, duration=120, result=lambda inputs: {"got": inputs})
        job = Job(task_type="ExecuteNotebook", item_id=item, title="T", parameters={"a": "ü"})
        session, mark = settings.session(), Mark("a" * 16)
        with Drive(kind, settings.http) as drive:
            drive._shortcut = lambda effect: None  # type: ignore[method-assign]  # in real time
            shot = drive(shots.start(session, job, mark))
            run = drive(shots.wait(session, shot.portal_task_id, job, mark, 5))
            drive(shots.finish(session, shot.portal_task_id, keep=False))
        assert (run.status, json.loads(run.result or "")) == ("succeeded", {"got": {"a": "ü"}})
        assert len(sandbox.portal.fired) == 1
        assert not sandbox.portal.tasks


# --- signing in --------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["password", "app", "token", "API key"])
@both_schemes
def test_sign_in(place: Place, how: str) -> None:
    portal = place.sandbox.portal
    extra: dict[str, str] = {}
    if how == "app":
        app = portal.register_app()
        extra = {"client_id": app.client_id, "client_secret": app.client_secret}
    elif how != "password":
        extra = {"token": portal.issue_token() if how == "token" else portal.add_api_key()}
    session = sandbox_session(place.sandbox, **extra)
    assert [task.id for task in place.drive(tasks.list_tasks(session))] == [place.task]
    assert portal.tokens_in_urls == 0
    assert (portal.count("generateToken"), portal.count("oauthToken")) == (how == "password", how == "app")


@pytest.mark.parametrize("extra", [{}, {"client_id": "x", "client_secret": "y"}, {"token": "z"}], ids=str)
def test_wrong_credentials_are_tried_once(place: Place, extra: dict[str, str]) -> None:
    portal = place.sandbox.portal
    settings = sandbox_settings(place.sandbox, **extra)
    if not extra:
        portal.add_user(place.sandbox.username, "another")
    session = settings.session()
    for _ in range(5):
        with pytest.raises(SignInRefused):
            place.drive(tasks.count_tasks(session))
    if isinstance(settings.credentials, ReadyToken):
        return
    resource = "oauthToken" if isinstance(settings.credentials, AppLogin) else "generateToken"
    assert portal.count(resource) == 1


def test_token_is_renewed_once_for_all(place: Place) -> None:
    portal, operations = place.sandbox.portal, range(25 if place.drive.runner else 5)
    place.drive.together(*(tasks.get_task(place.session, place.task) for _ in operations))
    assert portal.count("generateToken") == 1
    portal.expire_tokens()
    found = place.drive.together(*(tasks.get_task(place.session, place.task) for _ in operations))
    assert [task.id for task in found] == [place.task] * len(operations)
    assert portal.count("generateToken") == 2


def test_connections_are_shared(place: Place) -> None:
    for _ in range(3):
        place.drive(tasks.count_tasks(place.session))
    assert place.connections <= 1
    if place.drive.runner is not None:
        place.drive.together(*(tasks.count_tasks(place.session) for _ in range(200)))
        assert place.connections <= 20


# --- faults ------------------------------------------------------------------------------------------

APPLIED = ["lost_reply", "hang_up", "truncated", "empty", "slow"]
NOT_APPLIED = ["lost_request", "unavailable", "html", "error"]
REPEATED = ["token_expired", "token_required", "too_many"]
FAULTS = [*APPLIED, *NOT_APPLIED, *REPEATED]


def spoil(place: Place, fault: str, resource: str, times: int | None = 1) -> None:
    if fault == "slow":  # slower than this session waits
        place.session = sandbox_session(place.sandbox, timeout=0.5)
        place.drive(place.session.fetch("GET", "/community/self"))
    place.sandbox.fault(fault, resource, times, delay=1.2, retry_after=7)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", OPERATIONS)
def test_fault(place: Place, name: str, fault: str) -> None:
    """Asked again, with the right result; but a createTask that may have been carried out never is."""
    operation, resource, check = OPERATIONS[name]
    if fault == "slow" and name not in ("search_tasks", "update_task", "create_task"):
        pytest.skip("takes time, and is like lost_reply")
    place.drive(tasks.who_am_i(place.session))  # signed in, and the portal has answered
    portal = place.sandbox.portal
    spoil(place, fault, resource)
    before, tokens = place.asked(resource), portal.count("generateToken")
    if name == "create_task" and fault in NOT_APPLIED:
        with pytest.raises(WriteUnanswered):
            place.drive(operation(place))
        assert (place.asked(resource) - before, place.new) == (1, [])
    else:
        assert check(place, place.drive(operation(place)))
        again = 0 if name == "create_task" and fault in APPLIED else 1
        assert place.asked(resource) - before == 1 + again
    assert portal.count("generateToken") - tokens == (fault in ("token_expired", "token_required"))
    if fault == "too_many":
        assert max(place.drive.pauses) >= 7
    assert portal.tokens_in_urls == 0


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault != "slow"])
@pytest.mark.parametrize("name", OPERATIONS)
def test_a_fault_that_lasts(place: Place, name: str, fault: str) -> None:
    """A typed error in the end, after a bounded number of requests; nothing is doubled."""
    operation, resource, _ = OPERATIONS[name]
    place.session = sandbox_session(place.sandbox, unreachable_timeout=120)
    place.drive(tasks.who_am_i(place.session))
    spoil(place, fault, resource, times=None)
    before = place.asked(resource)
    if name == "create_task" and fault in APPLIED:
        made = place.drive(operation(place))
        assert place.new == [made]
    else:
        expected: type[ArcGISTasksError] = PortalUnreachable
        if fault.startswith("token"):
            expected = SignInRefused
        elif name == "create_task" and fault != "too_many":
            expected = WriteUnanswered
        with pytest.raises(expected):
            place.drive(operation(place))
    asked = place.asked(resource) - before
    assert asked <= (40 if place.drive.runner else 20)
    if name == "create_task" and fault not in REPEATED:
        assert asked == 1
    if fault.startswith("token"):
        assert asked <= 3
    assert len(place.new) <= 1


@pytest.mark.parametrize("fault", [*APPLIED[:-1], *NOT_APPLIED, "too_many"])
def test_a_fault_while_signing_in(place: Place, fault: str) -> None:
    place.session = sandbox_session(place.sandbox)
    place.sandbox.fault(fault, "generateToken")
    assert place.drive(tasks.count_tasks(place.session)) == 1
    assert place.sandbox.portal.count("generateToken") == 2


@pytest.mark.parametrize(
    ("code", "kind_of_error"), [(400, ArcGISTasksError), (403, PermissionDenied), (404, NotFound)]
)
@pytest.mark.parametrize("name", OPERATIONS)
def test_refusals_are_final(place: Place, name: str, code: int, kind_of_error: type[Exception]) -> None:
    operation, resource, _ = OPERATIONS[name]
    body = {"error": {"code": code, "message": "Not now.", "details": ["Why"]}}
    place.sandbox.fault("error", resource, body=body, status=200 if code == 400 else code)
    if code == 404 and name.startswith("delete"):
        assert place.drive(operation(place)) is False
    else:
        with pytest.raises(kind_of_error, match=r"Not now\. Why"):
            place.drive(operation(place))
    assert place.asked(resource) == 1
    assert not place.drive.pauses


def test_a_portal_that_goes_down_and_comes_back(place: Place) -> None:
    place.drive(tasks.who_am_i(place.session))
    now = place.sandbox.portal.clock.now()
    place.sandbox.portal.down(now, now + 3600)
    place.sandbox.fault("lost_request", None, times=3)
    answered = iter(range(6))
    shortcut = place.drive._shortcut

    def back_after_six_pauses(effect: Any) -> Any:
        if type(effect).__name__ == "Pause" and next(answered, None) is None:
            place.sandbox.portal.clock.advance(3600)
        return shortcut(effect)

    place.drive._shortcut = back_after_six_pauses  # type: ignore[method-assign]
    assert place.drive(tasks.get_task(place.session, place.task)).id == place.task
    assert len(place.drive.pauses) >= 7
