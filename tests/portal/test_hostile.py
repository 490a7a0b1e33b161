"""Whatever comes back, and whatever is passed in: typed errors, in bounded steps, nothing odd is sent."""

from __future__ import annotations

import json
import string
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from airflow_provider_arcgis_tasks.portal import (
    ArcGISTasksError,
    DeadlinePassed,
    Operation,
    PortalError,
    Request,
    Response,
    TaskDefinition,
    Unreachable,
    tasks,
    until,
)
from airflow_provider_arcgis_tasks.portal import oneshot as shots
from airflow_provider_arcgis_tasks.portal.address import PortalAddress
from airflow_provider_arcgis_tasks.portal.credentials import AppLogin, Password, ReadyToken
from airflow_provider_arcgis_tasks.portal.errors import error_from_dict
from airflow_provider_arcgis_tasks.portal.oneshot import Blocked, Job, Mark
from airflow_provider_arcgis_tasks.portal.schedules import IfExists, ensure_task
from airflow_provider_arcgis_tasks.portal.session import Session
from airflow_provider_arcgis_tasks.portal.verdict import Criteria
from airflow_provider_arcgis_tasks.portal.watch import WhichRun, wait_for_run
from tests.portal.play import LOST, NOON, URL, USERS, Play, http_date, response, session

hostile = settings(deadline=None, database=None, max_examples=100)

TASK, RUN, ITEM = "a" * 32, "b" * 32, "c" * 32
MARK = Mark("0123456789abcdef", 1)
DEFINITION = TaskDefinition(
    task_type="ExecuteNotebook", item_id=ITEM, schedule="@daily", title="T", parameters={"a": 1}
)
JOB = Job(task_type="ExecuteNotebook", item_id=ITEM, title="T", parameters={"a": 1})
SOON = NOON + 1200

OPERATIONS: dict[str, Callable[[Session], Operation[Any]]] = {
    "list": tasks.list_tasks,
    "survey": tasks.survey,
    "count": tasks.count_tasks,
    "org": tasks.search_org_tasks,
    "get": lambda s: tasks.get_task(s, TASK),
    "create": lambda s: tasks.create_task(s, DEFINITION),
    "update": lambda s: tasks.update_task(s, TASK, parameters={"b": 2}, schedule="@hourly"),
    "delete": lambda s: tasks.delete_task(s, TASK),
    "enable": lambda s: tasks.enable_task(s, TASK),
    "runs": lambda s: tasks.get_runs(s, TASK),
    "run": lambda s: tasks.get_run(s, TASK, RUN),
    "update run": lambda s: tasks.update_run(s, TASK, RUN, result="x"),
    "delete run": lambda s: tasks.delete_run(s, TASK, RUN),
    "who am I": tasks.who_am_i,
    "owner": lambda s: s.owner(),
    "ensure": lambda s: ensure_task(s, DEFINITION, IfExists.UPDATE),
    "start": lambda s: until(SOON, shots.start(s, JOB, MARK)),
    "one-shot wait": lambda s: until(SOON, shots.wait(s, TASK, JOB, MARK, 30)),
    "finish": lambda s: shots.finish(s, TASK, mark=MARK, keep=True),
    "cancel": lambda s: until(SOON, shots.cancel(s, MARK)),
    "watch": lambda s: until(
        SOON,
        wait_for_run(s, WhichRun(TASK, newer_than=datetime.fromtimestamp(NOON, UTC)), Criteria(), 30),
    ),
}
SIGN_INS = {
    "token": lambda: session(ReadyToken("t"), unreachable_timeout=60),
    "password": lambda: session(Password("gis", "p"), unreachable_timeout=60),
    "app": lambda: session(AppLogin("id", "s"), unreachable_timeout=60),
}


def carry_out(play: Play, operation: Operation[Any]) -> None:
    """To a result or a typed error; what any other exception would be is the failure looked for."""
    with suppress(ArcGISTasksError, DeadlinePassed, Blocked):
        play(operation)
    for request in play.requests:
        check(request)


def check(request: Request) -> None:
    parts = urlsplit(request.url)
    assert request.url.startswith("https://gis.example.com/portal/sharing/rest/")
    assert (parts.query, parts.fragment) == ("", "")
    assert not {"..", ".", ""} & set(parts.path.split("/")[1:])
    for name, value in request.params.items():
        assert isinstance(value, str), name
        value.encode()
    for name, value in request.headers.items():
        assert (value.isascii(), value.isprintable()) == (True, True), name


# --- answers -----------------------------------------------------------------------------------------

KEYS = [
    "id",
    "taskId",
    "runId",
    "itemId",
    "type",
    "title",
    "userId",
    "cronSchedule",
    "minute",
    "hour",
    "dayOfMonth",
    "month",
    "dayOfWeek",
    "nextStart",
    "lastStart",
    "maxOccurrences",
    "parameters",
    "notebookParameters",
    "created",
    "updated",
    "startDate",
    "endDate",
    "active",
    "taskState",
    "taskUrl",
    "tasks",
    "total",
    "start",
    "num",
    "activeTasksAvailable",
    "runs",
    "status",
    "result",
    "modified",
    "error",
    "code",
    "message",
    "messageCode",
    "details",
    "messages",
    "statusMessage",
    "success",
    "username",
    "role",
    "privileges",
    "user",
    "portalName",
    "name",
    "enterpriseVersion",
    "token",
    "access_token",
    "expires",
    "expires_in",
]
WORDS = st.sampled_from(
    [
        *["", "a", TASK, RUN, "a/b", "..", "ExecuteNotebook", "GPService", "success", "failed", "error"],
        *["succeeded", "executing", "Succeeded ", "unknown", "-1", "0", "9" * 30, "nan", "null", "[]", "{}"],
        *["Apr 21, 2021, 10:42:17 PM", "0001-01-01T00:00:00+10:00", "9999-12-31T23:59:59-12:00", "\ud800"],
        *["T [airflow 0123456789abcdef.1.1 at 2027-01-15T12:01Z]", "[airflow x]", "\u202e\x00", "[" * 200],
        *["T [airflow 0123456789abcdef.9.9 at 2027-01-15T11:01Z]", "1,2", "? ? ? ? ?", "\u0663"],
    ]
)
NUMBERS = (
    st.integers(-2, 3) | st.integers() | st.sampled_from([10**400, -(10**18), int(NOON * 1000), 498, 500])
)
SCALARS = st.none() | st.booleans() | NUMBERS | st.floats() | WORDS | st.text(max_size=10)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=10)
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "date": st.text(max_size=20) | st.just(http_date(NOON)) | st.just("Fri, 1 Jan 0001 00:00:00 +2359"),
        "retry-after": st.text(max_size=5) | st.sampled_from(["1", "-1", "nan", "1e999", http_date(NOON)]),
        "location": st.text(max_size=10),
    },
)
ANSWERS = st.one_of(
    OBJECTS.map(lambda body: response(body)),
    st.builds(
        lambda body, status, headers: Response(status, headers, json.dumps(body).encode()),
        OBJECTS | VALUES,
        st.sampled_from([200, 200, 201, 204, 301, 400, 401, 403, 404, 429, 498, 500, 503])
        | st.integers(100, 999),
        HEADERS,
    ),
    st.binary(max_size=30).map(lambda body: response(body)),
    st.sampled_from([LOST, Unreachable("never sent", sent=False)]),
)


@settings(hostile, max_examples=120)
@given(
    name=st.sampled_from(list(OPERATIONS)),
    sign_in=st.sampled_from(list(SIGN_INS)),
    answers=st.lists(ANSWERS, max_size=6),
    last=ANSWERS,
)
def test_whatever_the_portal_answers(name: str, sign_in: str, answers: list[Any], last: Any) -> None:
    s = SIGN_INS[sign_in]()
    carry_out(Play(*answers, otherwise=last), OPERATIONS[name](s))


TASK_BODY: dict[str, Any] = {
    "id": TASK,
    "itemId": ITEM,
    "type": "ExecuteNotebook",
    "title": "T [airflow 0123456789abcdef.1.1 at 2027-01-15T12:01Z]",
    "userId": "gis",
    "cronSchedule": {"minute": "1", "hour": "12", "dayOfMonth": "15", "month": "1", "dayOfWeek": "?"},
    "nextStart": int(NOON * 1000) + 60_000,
    "maxOccurrences": 1,
    "parameters": {"updatePortalItem": True, "notebookParameters": '{"a": 1}'},
    "created": int(NOON * 1000),
    "updated": int(NOON * 1000),
    "startDate": int(NOON * 1000),
    "endDate": int(NOON * 1000) + 180_000,
    "active": True,
    "taskState": "active",
}
RUN_BODY = {"runId": RUN, "status": "succeeded", "result": "", "created": int(NOON * 1000) + 61_000}
SELF = {"username": "gis", "role": "org_user", "privileges": ["a"], "id": "x", "user": {"username": "gis"}}


def usual(request: Request) -> dict[str, Any]:
    """A portal where all goes well."""
    last = request.url.rpartition("/")[2]
    if last in ("generateToken", "token"):
        return {
            "token": "t",
            "access_token": "t",
            "expires": int(NOON * 1000) + 86_400_000,
            "expires_in": 3600,
        }
    if last == "self":
        return SELF
    if last in ("tasks", "allScheduledTasks"):
        return {"total": 1, "nextStart": -1, "activeTasksAvailable": 19, "tasks": [TASK_BODY]}
    if last == "runs":
        return {"runs": [RUN_BODY]}
    if last == RUN:
        return RUN_BODY
    return TASK_BODY if last == TASK else {"success": True, "taskId": TASK, "runId": RUN}


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *[found for key, entry in inner for found in paths(entry, (*path, key))]]


def replaced(value: Any, path: tuple[Any, ...], odd: Any) -> Any:
    if not path:
        return odd
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(value[path[0]], path[1:], odd)
    return copy


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


ODD: list[Any] = [
    *[None, True, False, 0, -1, 1, 1.5, float("nan"), float("inf"), 10**400, "", "x", "a/b", "..", "\ud800"],
    *[[], {}, [1], [None], {"a": 1}, [[]], {"a": {"b": []}}, "[1]", "{}", "nan", "0001-01-01T00:00:00+10:00"],
    *["T [airflow 0123456789abcdef.1.1 at 2027-99-15T12:01Z]", "x" * 10_000, deep(100)],
]


@pytest.mark.parametrize("name", OPERATIONS)
def test_one_odd_value_in_an_otherwise_usual_answer(name: str) -> None:
    """Each value of each answer that the operation reads, replaced by each odd one."""
    first = Play(otherwise=usual)
    carry_out(first, OPERATIONS[name](SIGN_INS["app"]()))
    asked = list(dict.fromkeys(request.url for request in first.requests))
    for url in asked:
        sample = next(request for request in first.requests if request.url == url)
        for path in paths(usual(sample)):
            for odd in ODD:
                spoilt = replaced(usual(sample), path, odd)
                told = lambda r, url=url, spoilt=spoilt: response(spoilt) if r.url == url else usual(r)  # noqa: E731
                play = Play(otherwise=told)
                carry_out(play, OPERATIONS[name](SIGN_INS["app"]()))


@pytest.mark.parametrize("name", OPERATIONS)
def test_deep_nesting(name: str) -> None:
    """Around what the JSON reader takes, where other code may give up on what it took."""
    for levels in (*range(200, 1000, 40), *range(900, 1000, 3), 100_000):
        nested = b"[" * levels + b"1" + b"]" * levels

        def told(request: Request, nested: bytes = nested) -> bytes:
            text = json.dumps(usual(request)).encode()
            for name in (
                b'"result": ""',
                b'"title": "T"',
                b'"a": 1',
                b'"role": "org_user"',
                b'"success": true',
            ):
                text = text.replace(name, name.partition(b":")[0] + b": " + nested)
            return text

        carry_out(Play(otherwise=told), OPERATIONS[name](SIGN_INS["token"]()))
        carry_out(Play(otherwise=b'{"x": ' + nested + b"}"), OPERATIONS[name](SIGN_INS["token"]()))


@pytest.mark.parametrize("sign_in", SIGN_INS)
@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("code", [498, 499, 401, 403, 404, 500, 429])
def test_one_and_the_same_error_for_everything(name: str, sign_in: str, code: int) -> None:
    play = Play(otherwise={"error": {"code": code, "message": "No.", "details": []}})
    carry_out(play, OPERATIONS[name](SIGN_INS[sign_in]()))
    assert len(play.requests) < 400
    assert play.asked.count("POST generateToken") < 30
    assert play.asked.count("POST createTask") <= 1 or code == 429


@pytest.mark.parametrize("token", ["", " ", "a b", "a\r\nX: y", "a\x00", "ü", "\ud800", 5, ["a"], None])
@pytest.mark.parametrize("sign_in", ["password", "app"])
def test_a_token_that_does_not_fit_into_a_header(sign_in: str, token: Any) -> None:
    """It would smuggle in another header, or fail in each HTTP library in its own way."""
    play = Play(otherwise={"token": token, "access_token": token, "expires_in": 3600})
    with pytest.raises(ArcGISTasksError, match="no usable token"):
        play(tasks.search_org_tasks(SIGN_INS[sign_in]()))
    assert len(play.requests) == 1


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"code": 400, "message": "x" * 10**6, "messageCode": "y" * 10**6, "details": []}},
        {"error": {"code": 400, "message": "No.", "details": ["x" * 10**6] * 10}},
        {"error": {"code": 400, "message": "No.", "details": ["x"] * 10**6}},
        {"error": {"code": 500, "message": "x" * 10**6}},
        {"error": "x" * 10**6},
        {"status": "failed", "messages": ["x" * 1000] * 1000},
        {"x" * 10**6: True},
        response(b"", 302, location="https://x/" + "y" * 10**6),
    ],
    ids=["message", "details", "many details", "server error", "oauth", "messages", "name", "redirect"],
)
def test_a_megabyte_of_words_makes_a_short_error(body: Any) -> None:
    """Errors go into logs, and with events into Airflow's database."""
    with pytest.raises(ArcGISTasksError) as e:
        Play(otherwise=body)(tasks.enable_task(session(unreachable_timeout=60), TASK))
    assert len(json.dumps(e.value.to_dict())) < 30_000


@pytest.mark.parametrize("name", ["list", "org", "survey", "runs", "watch", "ensure", "start"])
def test_a_list_of_millions(name: str) -> None:
    """As many as a body that is just small enough can hold: reading them all takes a minute."""
    many = b"[" + b",".join([b'{"id":"a"}'] * 100_000) + b"]"
    play = Play(otherwise=b'{"total": 1, "nextStart": -1, "tasks": %s, "runs": %s}' % (many, many))
    with pytest.raises(PortalError, match="makes no sense: there are 100000 entries"):
        play(OPERATIONS[name](session()))
    assert len(play.requests) == 1


def test_a_list_without_end() -> None:
    """It ends in an error, not in a list that lacks the rest."""

    def page(request: Request) -> Any:
        return {"tasks": [{"id": TASK}] * 500, "nextStart": int(request.params["start"]) + 100}

    play = Play(otherwise=page)
    with pytest.raises(PortalError, match="does not end"):
        play(tasks.list_tasks(session()))
    assert len(play.requests) == 200


# --- arguments ---------------------------------------------------------------------------------------

SAFE = set(string.ascii_letters + string.digits + "-._~%/:")
TEXTS = st.text(max_size=20) | st.lists(
    st.sampled_from(
        ["..", "/", "\\", "%2F", "%2e", "?", "#", "&f=html", " ", "\n", "\x00", "a", "ü", "\ud800", "@", ":"]
    ),
    max_size=6,
).map("".join)
ANYTHING = TEXTS | st.none() | st.integers() | st.binary(max_size=5) | st.lists(TEXTS, max_size=2)


@hostile
@given(owner=TEXTS)
def test_any_owner(owner: str) -> None:
    play = Play(otherwise=usual)
    try:
        play(tasks.get_task(session(ReadyToken("t"), owner=owner), TASK))
    except ValueError as refusal:
        assert "owner" in str(refusal)  # noqa: PT017
        assert not play.requests
        return
    (request,) = play.requests
    check(request)
    assert set(request.url) <= SAFE
    assert urlsplit(request.url).path.count("/") == "/portal/sharing/rest/community/users/x/tasks/x".count(
        "/"
    )


@hostile
@given(first=ANYTHING, second=ANYTHING)
@example(first="a/b", second="a/b")
@example(first="a?b", second="a?b")
@example(first="a%2Fb", second="a#b")
def test_any_id(first: Any, second: Any) -> None:
    for operation, path in (
        (lambda s: tasks.get_task(s, first), "/{first}"),
        (lambda s: tasks.get_runs(s, first), "/{first}/runs"),
        (lambda s: tasks.delete_task(s, first), "/{first}/delete"),
        (lambda s: tasks.update_task(s, first, title="x"), "/{first}"),
        (lambda s: tasks.get_run(s, first, second), "/{first}/runs/{second}"),
        (lambda s: tasks.get_run(s, TASK, second), f"/{TASK}/runs/{{second}}"),
        (lambda s: tasks.delete_run(s, TASK, second), f"/{TASK}/runs/{{second}}/delete"),
        (lambda s: tasks.list_tasks(s, item_id=second), ""),
    ):
        play = Play(otherwise=usual)
        try:
            with suppress(ArcGISTasksError):
                play(operation(session()))
        except ValueError as refusal:
            assert "_id: " in str(refusal)  # noqa: PT017
            assert not play.requests
            continue
        url = play.requests[0].url
        assert url == f"{USERS}/gis/tasks{path.format(first=first, second=second)}"
        assert (url.count("/"), set(url) <= SAFE) == (f"{USERS}/gis/tasks{path}".count("/"), True)


def test_an_odd_id_in_a_link() -> None:
    link = PortalAddress.parse(URL).item_page("a&b=c#d/../e\u202e")
    assert link == f"{URL}/home/item.html?id=a%26b%3Dc%23d%2F..%2Fe%E2%80%AE"


@hostile
@given(
    st.dictionaries(
        st.sampled_from(
            [
                *["title", "schedule", "parameters", "task_url", "item_id", "task_type", "max_occurrences"],
                *["starts_at", "ends_at", "active", "owner"],
            ]
        ),
        ANYTHING | st.floats() | st.dictionaries(TEXTS, ANYTHING, max_size=2) | st.datetimes(),
        max_size=3,
    )
)
def test_any_change(changes: dict[str, Any]) -> None:
    play = Play(otherwise=usual)
    try:
        play(tasks.update_task(session(), TASK, **changes))
    except ValueError:
        assert not any(request.method == "POST" for request in play.requests)
    for request in play.requests:
        check(request)


@hostile
@given(
    owner=st.none() | TEXTS,
    active=st.none() | st.booleans(),
    types=st.none()
    | st.lists(st.sampled_from(["GPService", "RunDataPipeline"]))
    | st.lists(ANYTHING, max_size=2),
)
def test_any_filter(owner: str | None, active: bool | None, types: Any) -> None:
    play = Play(otherwise=usual)
    with suppress(ValueError):
        play(tasks.search_org_tasks(session(), owner=owner, active=active, task_types=types))
    for request in play.requests:
        check(request)
        assert request.params.get("userFilter") == owner


# --- errors over an event ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "facts",
    [
        {},
        {"type": "X"},
        {"type": None},
        {"type": "NotFound"},
        {"type": "NotFound", "code": None, "details": None},
        {"type": "NotFound", "code": "404", "message": 5, "details": "x"},
        {"type": "RunFailed", "run": {}},
    ],
    ids=str,
)
def test_an_error_that_a_trigger_of_another_version_told_of(facts: dict[str, Any]) -> None:
    assert isinstance(error_from_dict(facts), ArcGISTasksError)
