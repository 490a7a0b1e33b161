"""One operation for each resource: what is sent, field by field, and what is made of the answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest

from airflow_provider_arcgis_tasks.portal import (
    ArcGISTasksError,
    InvalidRequest,
    NotFound,
    Operation,
    PermissionDenied,
    PortalError,
    Request,
    RunStatus,
    TaskDefinition,
    Unreachable,
    WriteUnanswered,
    tasks,
)
from airflow_provider_arcgis_tasks.portal.credentials import ReadyToken
from airflow_provider_arcgis_tasks.portal.session import Session
from tests.portal.play import LOST, NOON, REFUSED, REST, USERS, Play, http_date, response, session

TASK, ITEM, RUN = "5837" + "0" * 28, "029b" + "1" * 28, "aaaa" + "2" * 28
GP_TASK = "https://gis.example.com/server/rest/services/Tools/GPServer/Clip"
DONE = {"success": True, "taskId": TASK}
DENIED = {"error": {"code": 403, "message": "You do not have permissions.", "messageCode": "GWM_0003"}}
UNKNOWN = {"error": {"code": 404, "message": "Task does not exist or is inaccessible."}}
CRON = {"minute": "30", "hour": "4", "dayOfMonth": "?", "month": "*", "dayOfWeek": "2-6"}
START, END = datetime(2027, 2, 1, tzinfo=UTC), datetime(2027, 3, 1, 12, 30, tzinfo=UTC)
START_MS, END_MS = "1801440000000", "1803904200000"


def wire(task_id: str = TASK, **others: Any) -> dict[str, Any]:
    """A portal task as the portal shows it."""
    return {
        "id": task_id,
        "itemId": ITEM,
        "type": "ExecuteNotebook",
        "title": "Nightly",
        "userId": "gis",
        "cronSchedule": CRON,
        "runIntervalSeconds": 86400,
        "nextStart": 1800073800000,
        "maxOccurrences": -1,
        "parameters": {
            "updatePortalItem": False,
            "saveInjectedParameters": True,
            "notebookParameters": '{"region": "north"}',
        },
        "created": 1789456737000,
        "updated": 1789460535000,
        "active": True,
        "taskState": "active",
        **others,
    }


def page(*listed: dict[str, Any], next_start: Any = -1, **others: Any) -> dict[str, Any]:
    return {"total": len(listed), "start": 1, "num": 100, "nextStart": next_start, "tasks": listed, **others}


def definition(**others: Any) -> TaskDefinition:
    return TaskDefinition(**{"task_type": "ExecuteNotebook", "item_id": ITEM, "schedule": "@daily", **others})


# --- what is asked -----------------------------------------------------------------------------------

MINE = f"{USERS}/gis/tasks"
OPERATIONS: dict[str, tuple[Callable[[Session], Operation[Any]], str, str, dict[str, str], Any]] = {
    "list": (tasks.list_tasks, "GET", MINE, {"start": "1", "num": "100"}, page()),
    "list filtered": (
        lambda s: tasks.list_tasks(s, item_id=ITEM, active=True, task_types=["GPService", "RunDataPipeline"]),
        "GET",
        MINE,
        {"start": "1", "num": "100", "itemId": ITEM, "active": "true", "types": "GPService,RunDataPipeline"},
        page(),
    ),
    "list inactive": (
        lambda s: tasks.list_tasks(s, active=False, task_types="ExecuteReport"),
        "GET",
        MINE,
        {"start": "1", "num": "100", "active": "false", "types": "ExecuteReport"},
        page(),
    ),
    "count": (tasks.count_tasks, "GET", MINE, {"start": "1", "num": "1"}, page()),
    "org": (
        tasks.search_org_tasks,
        "GET",
        f"{REST}/portals/self/allScheduledTasks",
        {"start": "1", "num": "100"},
        page(),
    ),
    "org filtered": (
        lambda s: tasks.search_org_tasks(
            s, owner="a/b", item_id=ITEM, active=False, task_types=["GPService"]
        ),
        "GET",
        f"{REST}/portals/self/allScheduledTasks",
        {
            "start": "1",
            "num": "100",
            "userFilter": "a/b",
            "itemId": ITEM,
            "active": "false",
            "types": "GPService",
        },
        page(),
    ),
    "get": (lambda s: tasks.get_task(s, TASK), "GET", f"{MINE}/{TASK}", {}, wire()),
    "delete": (lambda s: tasks.delete_task(s, TASK), "POST", f"{MINE}/{TASK}/delete", {}, DONE),
    "enable": (lambda s: tasks.enable_task(s, TASK), "POST", f"{MINE}/{TASK}/enable", {}, DONE),
    "disable": (lambda s: tasks.disable_task(s, TASK), "POST", f"{MINE}/{TASK}/disable", {}, DONE),
    "runs": (lambda s: tasks.get_runs(s, TASK), "GET", f"{MINE}/{TASK}/runs", {}, {"runs": []}),
    "run": (
        lambda s: tasks.get_run(s, TASK, RUN),
        "GET",
        f"{MINE}/{TASK}/runs/{RUN}",
        {},
        {"runId": RUN, "status": "failed"},
    ),
    "update run": (
        lambda s: tasks.update_run(s, TASK, RUN, status=RunStatus.SKIPPED, result="by hand"),
        "POST",
        f"{MINE}/{TASK}/runs/{RUN}/update",
        {"status": "skipped", "result": "by hand"},
        {**DONE, "runId": RUN},
    ),
    "update status": (
        lambda s: tasks.update_run(s, TASK, RUN, status="failed"),
        "POST",
        f"{MINE}/{TASK}/runs/{RUN}/update",
        {"status": "failed"},
        {**DONE, "runId": RUN},
    ),
    "delete run": (
        lambda s: tasks.delete_run(s, TASK, RUN),
        "POST",
        f"{MINE}/{TASK}/runs/{RUN}/delete",
        {},
        {**DONE, "runId": RUN},
    ),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_request(name: str) -> None:
    operation, method, url, params, answer = OPERATIONS[name]
    play = Play(answer)
    play(operation(session()))
    (request,) = play.requests
    assert (request.method, request.url, request.params) == (method, url, {**params, "f": "json"})
    assert request.headers["X-Esri-Authorization"] == "Bearer a-token"


WRITES = ["delete", "enable", "disable", "update run", "delete run"]


@pytest.mark.parametrize("answer", [{"status": "success"}, {"success": True}])
@pytest.mark.parametrize("name", WRITES)
def test_success_in_both_forms(name: str, answer: Any) -> None:
    Play(answer)(OPERATIONS[name][0](session()))


@pytest.mark.parametrize("answer", [{"success": False}, {"success": "no"}, {"taskId": TASK}, {"status": "?"}])
@pytest.mark.parametrize("name", WRITES)
def test_no_success(name: str, answer: Any) -> None:
    with pytest.raises(InvalidRequest, match="gave no reason"):
        Play(answer)(OPERATIONS[name][0](session()))


@pytest.mark.parametrize("name", [*WRITES, "get", "runs", "run", "list", "org"])
def test_errors_come_through(name: str) -> None:
    with pytest.raises(PermissionDenied):
        Play(DENIED)(OPERATIONS[name][0](session()))


@pytest.mark.parametrize(
    ("name", "value"),
    [("delete", False), ("delete run", False), ("get", None), ("run", None), ("runs", None)],
)
def test_what_is_not_there(name: str, value: Any) -> None:
    """Deleting it again is no error; anything else says that it is not there."""
    play, operation = Play(UNKNOWN), OPERATIONS[name][0](session())
    if value is None:
        with pytest.raises(NotFound):
            play(operation)
    else:
        assert play(operation) is value


def test_deleting_says_what_there_was() -> None:
    assert Play(DONE)(tasks.delete_task(session(), TASK)) is True
    assert Play(DONE)(tasks.delete_run(session(), TASK, RUN)) is True


@pytest.mark.parametrize("name", ["delete", "delete run"])
@pytest.mark.parametrize(("trouble", "deleted"), [(LOST, True), (REFUSED, False)])
def test_what_is_gone_after_a_lost_answer_was_deleted(name: str, trouble: Unreachable, deleted: bool) -> None:
    """Else a delete that worked would say that there was nothing to delete."""
    assert Play(trouble, UNKNOWN)(OPERATIONS[name][0](session())) is deleted


@pytest.mark.parametrize("name", ["delete", "enable", "disable", "update run", "delete run"])
def test_what_can_be_said_twice_is_repeated(name: str) -> None:
    play = Play(LOST, DONE)
    play(OPERATIONS[name][0](session()))
    assert len(play.requests) == 2


# --- lists -------------------------------------------------------------------------------------------


def book(request: Request, total: int = 250, most: int = 100) -> Any:
    start, size = int(request.params["start"]), min(int(request.params["num"]), most)
    numbers = range(start, min(start + size, total + 1))
    after = start + size if start + size <= total else -1
    listed = [wire(f"{number:032x}", title=f"task {number}") for number in numbers]
    return {**page(*listed, next_start=after), "total": total, "activeTasksAvailable": 7}


@pytest.mark.parametrize(("most", "asked"), [(100, 3), (30, 9), (250, 3)])
@pytest.mark.parametrize("operation", [tasks.list_tasks, tasks.search_org_tasks])
def test_all_pages(operation: Any, most: int, asked: int) -> None:
    play = Play(otherwise=lambda request: book(request, most=most))
    found = play(operation(session()))
    assert [task.title for task in found] == [f"task {number}" for number in range(1, 251)]
    assert len(play.requests) == asked


def test_filters_go_with_every_page() -> None:
    play = Play(otherwise=book)
    play(tasks.list_tasks(session(), item_id=ITEM, active=True))
    assert {(r.params["itemId"], r.params["active"]) for r in play.requests} == {(ITEM, "true")}


def test_survey_tells_the_free_slots() -> None:
    found, free = Play(otherwise=book)(tasks.survey(session()))
    assert (len(found), free) == (250, 7)
    assert Play(page())(tasks.survey(session())) == ([], None)


@pytest.mark.parametrize(
    ("first", "expected"),
    [
        (page(wire(), next_start=-1), 1),
        (page(wire(), next_start=None), 1),
        (page(wire(), next_start="no number"), 1),
        (page(wire(), next_start=0), 1),
        (page(wire(), next_start=1), 1),
        (page(next_start=101), 0),
        ({"tasks": [wire()]}, 1),
        ({"tasks": None, "total": 0}, 0),
        ({"total": 0}, 0),
        ({"tasks": [None, wire(), "odd", 5]}, 1),
    ],
)
def test_the_last_page(first: Any, expected: int) -> None:
    play = Play(first)
    assert len(play(tasks.list_tasks(session()))) == expected


@pytest.mark.parametrize(
    "next_start",
    [
        lambda start: start + 1,
        lambda start: start + 100,
        lambda start: 10**18 + start * 2,
        lambda start: {1: 101, 101: 51, 51: 101}.get(start, 1),
        lambda start: str(start + 100),
        lambda start: start + 0.5,
    ],
    ids=["by one", "by a hundred", "huge", "a circle", "text", "a half"],
)
def test_a_list_that_never_ends_does(next_start: Callable[[int], Any]) -> None:
    play = Play(otherwise=lambda r: page(wire(), next_start=next_start(int(r.params["start"]))))
    with suppress(ArcGISTasksError):
        play(tasks.list_tasks(session()))
    assert len(play.requests) <= 1000


@pytest.mark.parametrize(("answer", "count"), [(page(), 0), ({**page(wire()), "total": 812}, 812)])
def test_count(answer: Any, count: int) -> None:
    assert Play(answer)(tasks.count_tasks(session())) == count


def test_count_without_total() -> None:
    play = Play({"tasks": [wire()]}, otherwise=lambda r: book(r, total=3))
    assert play(tasks.count_tasks(session())) == 3


# --- create ------------------------------------------------------------------------------------------

DAILY = {"minute": "0", "hour": "0", "dayOfMonth": "*", "month": "*", "dayOfWeek": "?"}
SCENE = {
    "service_url": "https://gis.example.com/SceneServer",
    "num_of_caching_service_instances": 2,
    "layer": "{}",
    "update_mode": "PARTIAL_UPDATE_NODES",
}
REPORT = {"reportType": "org", "reportSubType": "activity", "timeDuration": "daily"}
FORMS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"task_type": "ExecuteNotebook"}, {"type": "ExecuteNotebook", "itemId": ITEM}),
    (
        {"task_type": "ExecuteNotebook", "parameters": {"region": "Süd", "n": [1, None]}},
        {
            "type": "ExecuteNotebook",
            "itemId": ITEM,
            "parameters": {
                "updatePortalItem": True,
                "saveInjectedParameters": False,
                "notebookParameters": {"region": "Süd", "n": [1, None]},
            },
        },
    ),
    (
        {"parameters": {"notebookParameters": '{"a": 1}', "updatePortalItem": False}},
        {
            "type": "ExecuteNotebook",
            "itemId": ITEM,
            "parameters": {
                "updatePortalItem": False,
                "saveInjectedParameters": False,
                "notebookParameters": {"a": 1},
            },
        },
    ),
    ({"task_type": "UpdateInsightsWorkbook"}, {"type": "UpdateInsightsWorkbook", "itemId": ITEM}),
    (
        {"task_type": "ExecuteSceneCook", "parameters": SCENE},
        {"type": "ExecuteSceneCook", "itemId": ITEM, "parameters": SCENE},
    ),
    (
        {"task_type": "ExecuteWorkflowManager", "parameters": {"x": 1}},
        {"type": "ExecuteWorkflowManager", "itemId": ITEM, "parameters": {"x": 1}},
    ),
    (
        {"task_type": "ExecuteReport", "item_id": None, "parameters": REPORT},
        {"type": "ExecuteReport", "parameters": REPORT},
    ),
    (
        {"task_type": "GPService", "task_url": GP_TASK, "parameters": {"Input": 5}},
        {
            "type": "GPService",
            "itemId": ITEM,
            "taskUrl": GP_TASK,
            "taskURL": GP_TASK,
            "parameters": {"Input": 5},
        },
    ),
    ({"task_type": "RunDataPipeline"}, {"type": "RunDataPipeline", "itemId": ITEM}),
    (
        {"title": "Ünicode & <more>", "max_occurrences": 3, "starts_at": START, "ends_at": END},
        {
            "type": "ExecuteNotebook",
            "itemId": ITEM,
            "title": "Ünicode & <more>",
            "maxOccurrences": "3",
            "startDate": START_MS,
            "endDate": END_MS,
        },
    ),
]


def read_json(form: dict[str, str]) -> dict[str, Any]:
    """The form with its JSON read, so that neither spaces nor the order of keys matter."""
    read: dict[str, Any] = dict(form)
    if "parameters" in read:
        read["parameters"] = json.loads(read["parameters"])
        inner = read["parameters"].get("notebookParameters")
        if inner is not None:
            assert isinstance(inner, str), "the portal keeps notebook parameters as text"
            read["parameters"]["notebookParameters"] = json.loads(inner)
    return read


@pytest.mark.parametrize(("fields", "form"), FORMS, ids=[str(fields)[:60] for fields, _ in FORMS])
def test_create(fields: dict[str, Any], form: dict[str, Any]) -> None:
    play = Play(DONE)
    assert play(tasks.create_task(session(), definition(**fields))) == TASK
    (request,) = play.requests
    assert (request.method, request.url) == ("POST", f"{MINE}/createTask")
    assert read_json(play.forms[0]) == {**DAILY, **form}


def test_schedule_is_five_fields_in_the_portals_dialect() -> None:
    play = Play(DONE)
    play(tasks.create_task(session(), definition(schedule="30 4 * * 1-5")))
    assert {name: play.forms[0][name] for name in CRON} == CRON


@pytest.mark.parametrize(
    "answer",
    [
        {"success": True},
        {"success": True, "taskId": None},
        {"success": True, "taskId": "a/b"},
        {"success": False, "taskId": TASK},
    ],
    ids=str,
)
def test_create_without_an_id(answer: Any) -> None:
    with pytest.raises(PortalError):
        Play(answer)(tasks.create_task(session(), definition()))


@pytest.mark.parametrize(
    "fields", [{"title": "half \ud800"}, {"task_type": "GPService", "task_url": f"{GP_TASK}\udfff"}]
)
def test_text_that_can_not_be_sent(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"^(title|task_url): "):
        Play()(tasks.create_task(session(), definition(**fields)))


def created(at: float, **others: Any) -> dict[str, Any]:
    return wire(title="New", created=int(at * 1000), cronSchedule=DAILY, **others)


@pytest.mark.parametrize("lost", [LOST, b"", b"{half", response(b"<html>", 503), {"error": {"code": 500}}])
def test_a_lost_answer_to_create_is_looked_for(lost: Any) -> None:
    others = [
        wire("a" * 32, title="Other", created=int(NOON * 1000), cronSchedule=DAILY),
        wire("b" * 32, title="New", created=int(NOON * 1000 - 60_000), cronSchedule=DAILY),
        wire("c" * 32, title="New", created=int(NOON * 1000 + 10), cronSchedule=CRON),
    ]
    play = Play({"username": "gis"}, lost, page(*others, created(NOON + 0.01)))
    s = session(owner="gis")
    play(s.fetch("GET", "/community/self"))
    assert play(tasks.create_task(s, definition(title="New"))) == TASK
    assert play.asked == ["GET self", "POST createTask", "GET tasks"]
    assert (play.forms[2]["itemId"], play.forms[2]["types"]) == (ITEM, "ExecuteNotebook")


def test_a_lost_answer_to_create_that_stays_lost() -> None:
    play = Play(LOST, otherwise=page(created(NOON - 3600)))
    with pytest.raises(WriteUnanswered, match="may or may not"):
        play(tasks.create_task(session(), definition(title="New")))
    assert play.asked.count("POST createTask") == 1
    assert play.asked.count("GET tasks") >= 2


@pytest.mark.parametrize("ahead", [-7200.0, 7200.0])
def test_a_lost_answer_is_looked_for_by_the_portals_clock(ahead: float) -> None:
    date = http_date(NOON + ahead)
    play = Play(response({"username": "gis"}, date=date), LOST, page(created(NOON + ahead + 0.5)))
    assert play(tasks.create_task(session(ReadyToken("t")), definition(title="New"))) == TASK


@pytest.mark.parametrize("trouble", [REFUSED, response(b"", 429)])
def test_create_is_repeated_when_it_was_not_carried_out(trouble: Any) -> None:
    play = Play(trouble, trouble, DONE)
    assert play(tasks.create_task(session(), definition())) == TASK
    assert play.asked == ["POST createTask"] * 3


# --- update ------------------------------------------------------------------------------------------

UNCHANGED: dict[str, Any] = {
    "type": "ExecuteNotebook",
    "title": "Nightly",
    "itemId": ITEM,
    "maxOccurrences": "-1",
    "parameters": {
        "updatePortalItem": False,
        "saveInjectedParameters": True,
        "notebookParameters": {"region": "north"},
    },
    **CRON,
}
OTHER_ITEM = "f" * 32
CHANGES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"title": "Weekly"}, {"title": "Weekly"}),
    ({"title": ""}, {"title": ""}),
    ({"schedule": "@daily"}, DAILY),
    ({"schedule": "0 12 ? * 2#1"}, {"minute": "0", "hour": "12", "dayOfWeek": "2#1"}),
    ({"max_occurrences": 7}, {"maxOccurrences": "7"}),
    ({"max_occurrences": None}, {"maxOccurrences": "-1"}),
    ({"item_id": OTHER_ITEM}, {"itemId": OTHER_ITEM}),
    ({"task_type": "RunDataPipeline"}, {"type": "RunDataPipeline"}),
    ({"starts_at": START}, {"startDate": START_MS}),
    ({"ends_at": END}, {"endDate": END_MS}),
    ({"task_url": GP_TASK}, {"taskUrl": GP_TASK, "taskURL": GP_TASK}),
    (
        {"parameters": {"region": "south"}},
        {"parameters": {**UNCHANGED["parameters"], "notebookParameters": {"region": "south"}}},
    ),
    (
        {"parameters": {"notebookParameters": {"a": 1}, "updatePortalItem": True}},
        {
            "parameters": {
                "updatePortalItem": True,
                "saveInjectedParameters": True,
                "notebookParameters": {"a": 1},
            }
        },
    ),
    ({"title": "T", "max_occurrences": 1}, {"title": "T", "maxOccurrences": "1"}),
]


@pytest.mark.parametrize(("changes", "changed"), CHANGES, ids=[str(changes)[:60] for changes, _ in CHANGES])
def test_update_changes_what_is_named_and_nothing_else(
    changes: dict[str, Any], changed: dict[str, Any]
) -> None:
    play = Play(wire(), DONE)
    play(tasks.update_task(session(), TASK, **changes))
    get, post = play.requests
    assert (get.method, get.url) == ("GET", f"{MINE}/{TASK}")
    assert (post.method, post.url) == ("POST", f"{MINE}/{TASK}/update")
    assert read_json(play.forms[1]) == {**UNCHANGED, **changed}


TOLD: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"maxOccurrences": 10}, {"maxOccurrences": "10"}),
    ({"maxOccurrences": None}, {"maxOccurrences": None}),
    ({"parameters": None}, {"parameters": None}),
    ({"parameters": {}}, {"parameters": None}),
    ({"startDate": int(START_MS)}, {"startDate": START_MS}),
    ({"endDate": int(END_MS)}, {"endDate": END_MS}),
    ({"endDate": 0, "startDate": -1}, {}),
    (
        {"taskUrl": GP_TASK, "type": "GPService"},
        {"taskUrl": GP_TASK, "taskURL": GP_TASK, "type": "GPService"},
    ),
    (
        {"taskURL": GP_TASK, "type": "GPService"},
        {"taskUrl": GP_TASK, "taskURL": GP_TASK, "type": "GPService"},
    ),
    ({"type": "SomethingNew"}, {"type": "SomethingNew"}),
    ({"itemId": None}, {"itemId": None}),
    ({"parameters": json.dumps({"notebookParameters": "{}"})}, {"parameters": {"notebookParameters": {}}}),
    (
        {"cronSchedule": {**CRON, "minute": "0", "dayOfWeek": "6L"}},
        {"minute": "0", "dayOfWeek": "6L"},
    ),
    ({"cronSchedule": {**CRON, "minute": 5}}, {"minute": "5"}),
    ({"active": False, "taskState": "paused"}, {}),
]


@pytest.mark.parametrize(("told", "sent"), TOLD, ids=[str(told)[:60] for told, _ in TOLD])
def test_update_sends_back_what_the_portal_told(told: dict[str, Any], sent: dict[str, Any]) -> None:
    play = Play(wire(**told), DONE)
    play(tasks.update_task(session(), TASK, title="New"))
    expected = {**UNCHANGED, **sent, "title": "New"}
    assert read_json(play.forms[1]) == {name: value for name, value in expected.items() if value is not None}


def test_update_of_a_task_without_a_title() -> None:
    play = Play(wire(title=None), DONE)
    play(tasks.update_task(session(), TASK, ends_at=END))
    assert "title" not in play.forms[1]


def test_update_returns_the_task_as_it_was() -> None:
    assert Play(wire(), DONE)(tasks.update_task(session(), TASK, title="New")).title == "Nightly"


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, "nothing to change"),
        ({"active": True}, "active"),
        ({"isActive": True}, "isActive"),
        ({"maxOccurrences": 1}, "maxOccurrences"),
        ({"title": None}, "title"),
        ({"schedule": None}, "schedule"),
        ({"schedule": "every day"}, "schedule"),
        ({"schedule": "0 0 1 * 1"}, "schedule"),
        ({"max_occurrences": 0}, "max_occurrences"),
        ({"max_occurrences": -1}, "max_occurrences"),
        ({"max_occurrences": "5"}, "max_occurrences"),
        ({"max_occurrences": 1.5}, "max_occurrences"),
        ({"max_occurrences": True}, "max_occurrences"),
        ({"item_id": "a/b"}, "item_id"),
        ({"item_id": ""}, "item_id"),
        ({"task_type": "executenotebook"}, "task_type"),
        ({"starts_at": datetime(2027, 1, 1)}, "starts_at"),
        ({"ends_at": "2027-01-01"}, "ends_at"),
        ({"parameters": "{}"}, "parameters"),
        ({"parameters": [1]}, "parameters"),
        ({"parameters": {"a": {1}}}, "parameters"),
        ({"title": 5}, "title"),
        ({"task_url": 5}, "task_url"),
    ],
    ids=str,
)
def test_update_refuses_before_anything_is_sent(changes: dict[str, Any], text: str) -> None:
    play = Play()
    with pytest.raises(ValueError, match=text):
        play(tasks.update_task(session(), TASK, **changes))


@pytest.mark.parametrize(
    "told",
    [
        {"cronSchedule": "0 0 * * ?"},
        {"cronSchedule": [1]},
        {"cronSchedule": None},
        {"itemId": "a/b"},
        {"itemId": 5},
        {"type": None},
        {"title": 5},
        {"parameters": [1]},
        {"parameters": "no JSON"},
        {"startDate": "soon"},
    ],
    ids=str,
)
def test_update_of_an_odd_task_is_carried_out_or_refused_by_name(told: dict[str, Any]) -> None:
    play = Play(wire(**told), DONE)
    try:
        play(tasks.update_task(session(), TASK, title="New"))
    except ArcGISTasksError:
        return
    assert play.forms[1]["title"] == "New"


# --- runs --------------------------------------------------------------------------------------------


def run(number: int, created: Any = None, status: str = "succeeded") -> dict[str, Any]:
    told = {"runId": f"{number:032x}", "status": status, "result": "", "task": wire()}
    return told if created is None else {**told, "created": created}


def test_runs_are_sorted_newest_first() -> None:
    shuffled = [run(2, 2000), run(9), run(4, 4000), run(1, 1000), run(3, "3000")]
    found = Play({"runs": shuffled})(tasks.get_runs(session(), TASK))
    assert [int(r.id, 16) for r in found] == [4, 3, 2, 1, 9]
    assert {r.portal_task_id for r in found} == {TASK}


def test_runs_from_kubernetes() -> None:
    told = [
        {**run(1), "created": "Oct 22, 2021, 3:00:31 AM", "modified": "Oct 22, 2021, 3:01:00 AM"},
        {**run(2), "created": "Oct 23, 2021, 3:00:31 AM"},
    ]
    newest, oldest = Play({"runs": told})(tasks.get_runs(session(), TASK))
    assert newest.created == datetime(2021, 10, 23, 3, 0, 31, tzinfo=UTC)
    assert oldest.modified == datetime(2021, 10, 22, 3, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "answer", [{"runs": None}, {"runs": {}}, {"runs": "x"}, {"total": 0}, {"runs": [{}]}]
)
def test_runs_that_are_none(answer: Any) -> None:
    with pytest.raises(PortalError, match="makes no sense"):
        Play(answer)(tasks.get_runs(session(), TASK))


def test_runs_without_objects_are_skipped() -> None:
    assert len(Play({"runs": [None, 5, run(1), "x"]})(tasks.get_runs(session(), TASK))) == 1


@pytest.mark.parametrize("status", ["executing", "submitfailed", "paused by hand"])
def test_update_run_keeps_the_status(status: str) -> None:
    play = Play(run(1, 1000, status), DONE)
    play(tasks.update_run(session(), TASK, f"{1:032x}", result="by hand"))
    assert play.asked == ["GET " + f"{1:032x}", "POST update"]
    assert play.forms[1] == {"status": status, "result": "by hand"}


def test_update_run_keeps_the_result() -> None:
    play = Play(DONE)
    play(tasks.update_run(session(), TASK, RUN, status="failed"))
    assert "result" not in play.forms[0]


def test_update_run_can_empty_the_result() -> None:
    play = Play(DONE)
    play(tasks.update_run(session(), TASK, RUN, status="failed", result=""))
    assert play.forms[0]["result"] == ""


@pytest.mark.parametrize("given", [{}, {"status": "paused"}, {"status": "unknown"}, {"status": ""}])
def test_update_run_refuses_before_anything_is_sent(given: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="status"):
        Play()(tasks.update_run(session(), TASK, RUN, **given))


# --- ids and names -----------------------------------------------------------------------------------

BAD_IDS = ["", "a/b", "../x", "a?b", "a#b", "a%2Fb", "a b", "ä", "a\nb", ".", "..", "a" * 129, None, 5, ["a"]]
BY_ID: dict[str, Callable[[Session, Any], Operation[Any]]] = {
    "get": tasks.get_task,
    "update": lambda s, bad: tasks.update_task(s, bad, title="x"),
    "delete": tasks.delete_task,
    "enable": tasks.enable_task,
    "disable": tasks.disable_task,
    "runs": tasks.get_runs,
    "run of": lambda s, bad: tasks.get_run(s, bad, RUN),
    "run": lambda s, bad: tasks.get_run(s, TASK, bad),
    "update run": lambda s, bad: tasks.update_run(s, TASK, bad, status="failed"),
    "update run result": lambda s, bad: tasks.update_run(s, TASK, bad, result="x"),
    "delete run": lambda s, bad: tasks.delete_run(s, TASK, bad),
}


@pytest.mark.parametrize("bad", BAD_IDS, ids=repr)
@pytest.mark.parametrize("name", BY_ID)
def test_an_id_that_is_none_is_refused_before_anything_is_sent(name: str, bad: Any) -> None:
    with pytest.raises(ValueError, match=r"portal_(task|run)_id: .* is not a portal id"):
        Play()(BY_ID[name](session(), bad))


@pytest.mark.parametrize(
    ("owner", "path"),
    [
        ("gis", "gis"),
        ("Jane.Doe@example.com", "Jane.Doe%40example.com"),
        ("DOMAIN\\jane", "DOMAIN%5Cjane"),
        ("a/b", "a%2Fb"),
        ("../../admin", "..%2F..%2Fadmin"),
        ("a?f=html#x", "a%3Ff%3Dhtml%23x"),
        ("a%2Fb", "a%252Fb"),
        ("jäne doe", "j%C3%A4ne%20doe"),
        ("%2e%2e", "%252e%252e"),
    ],
)
def test_a_user_name_stays_within_its_part_of_the_path(owner: str, path: str) -> None:
    play = Play(page())
    play(tasks.list_tasks(session(owner=owner, credentials=ReadyToken("t"))))
    assert play.requests[0].url == f"{USERS}/{path}/tasks"


@pytest.mark.parametrize("owner", [".", "..", ""])
def test_a_user_name_that_is_none(owner: str) -> None:
    with pytest.raises(ValueError, match="owner"):
        Play()(tasks.list_tasks(session(owner=owner, credentials=ReadyToken("t"))))


@pytest.mark.parametrize("name", ["..", ".", "\ud800"])
def test_a_user_name_from_the_portal_that_is_none(name: str) -> None:
    with pytest.raises(ArcGISTasksError):
        Play({"username": name})(tasks.list_tasks(session(ReadyToken("t"))))


# --- who ---------------------------------------------------------------------------------------------

PORTAL = {"id": "0123456789ABCDEF", "name": "GIS", "portalName": "Our portal", "currentVersion": "2024.1"}
PERSON = {"username": "gis", "role": "org_publisher", "privileges": ["portal:user:createItem"]}


def test_who_am_i() -> None:
    play = Play({**PORTAL, "enterpriseVersion": "11.4"}, PERSON)
    me = play(tasks.who_am_i(session()))
    assert play.asked == ["GET self", "GET self"]
    assert (me.username, me.role, me.portal_name, me.version) == (
        "gis",
        "org_publisher",
        "Our portal",
        "11.4",
    )
    assert (me.org_id, me.privileges, me.is_administrator) == (
        PORTAL["id"],
        {"portal:user:createItem"},
        False,
    )


@pytest.mark.parametrize(
    ("portal", "person", "name"),
    [
        ({**PORTAL, "user": PERSON}, DENIED, "gis"),
        ({**PORTAL, "user": PERSON}, {"error": {"code": 400, "message": "no user"}}, "gis"),
        (PORTAL, DENIED, None),
        (PORTAL, {"appInfo": {}}, None),
        ({"id": 5}, {"username": "gis", "privileges": None}, "gis"),
        ({**PORTAL, "user": "gis"}, {"appInfo": {}}, None),
        ({**PORTAL, "user": ["gis"]}, DENIED, None),
        ({"x": None}, {"username": {"a": 1}, "role": []}, None),
    ],
)
def test_who_am_i_in_odd_answers(portal: Any, person: Any, name: str | None) -> None:
    assert Play(portal, person)(tasks.who_am_i(session())).username == name


@pytest.mark.parametrize(
    ("told", "admin"),
    [
        ({"role": "org_admin"}, True),
        ({"role": "xyz", "privileges": ["portal:admin:viewUsers"]}, True),
        ({"role": "org_user", "privileges": ["portal:user:viewOrgItems"]}, False),
    ],
)
def test_administrators(told: Any, admin: bool) -> None:
    me = Play(PORTAL, {"username": "gis", **told})(tasks.who_am_i(session()))
    assert me.is_administrator is admin


# --- parameters of notebooks -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "present", "overriding", "merged"),
    [
        ("GPService", {"a": 1, "b": 2}, {"b": 3}, {"a": 1, "b": 3}),
        ("GPService", {}, {"b": 3}, {"b": 3}),
        ("ExecuteNotebook", {"notebookParameters": '{"a": 1, "b": 2}'}, {"b": 3}, {"a": 1, "b": 3}),
        ("ExecuteNotebook", {"notebookParameters": {"a": 1}}, {"b": 3}, {"a": 1, "b": 3}),
        ("ExecuteNotebook", {}, {"b": 3}, {"b": 3}),
        ("ExecuteNotebook", {"notebookParameters": ""}, {"b": 3}, {"b": 3}),
        ("ExecuteNotebook", {"notebookParameters": "no JSON"}, {"b": 3}, {"b": 3}),
        ("ExecuteNotebook", {"notebookParameters": "[1]"}, {"b": 3}, {"b": 3}),
        ("ExecuteNotebook", {"notebookParameters": 5}, {"b": 3}, {"b": 3}),
        ("ExecuteNotebook", {"notebookParameters": "[" * 100_000}, {"b": 3}, {"b": 3}),
    ],
    ids=lambda value: str(value)[:40],
)
def test_overriding_parameters(kind: str, present: Any, overriding: Any, merged: Any) -> None:
    task = Play(wire(type=kind, parameters={**present, "updatePortalItem": False}))(
        tasks.get_task(session(), TASK)
    )
    result = tasks.merged_parameters(task, overriding)
    assert result.pop("updatePortalItem") is False
    if kind == "ExecuteNotebook":
        result = json.loads(result["notebookParameters"])
    assert result == merged


def test_overriding_the_whole_form() -> None:
    task = Play(wire())(tasks.get_task(session(), TASK))
    whole = {"notebookParameters": "{}", "saveInjectedParameters": False}
    assert tasks.merged_parameters(task, whole) == {"updatePortalItem": False, **whole}
