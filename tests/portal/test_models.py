"""What is read from a portal's objects, and what a definition lets through."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_arcgis_tasks.portal import PortalRun, PortalTask, RunStatus, TaskDefinition, TaskType
from airflow_provider_arcgis_tasks.portal.models import TaskPage, check_id, parse_time, to_milliseconds

calmly = settings(deadline=None, database=None)

SAMPLE: dict[str, Any] = {
    "id": "5837aa",
    "itemId": "029bff",
    "type": "ExecuteNotebook",
    "title": "OnceAMinute10times",
    "userId": "admin",
    "cronSchedule": {"minute": "*/1", "hour": "*", "dayOfMonth": "*", "month": "*", "dayOfWeek": "?"},
    "runIntervalSeconds": 60,
    "lastStart": 1589460540000,
    "nextStart": 1589460600000,
    "maxOccurrences": 10,
    "parameters": {
        "updatePortalItem": True,
        "saveInjectedParameters": False,
        "notebookParameters": "{}",
    },
    "created": 1589456737000,
    "updated": 1589460535000,
    "startDate": 1589428800000,
    "endDate": 1589515200000,
    "active": False,
    "taskState": "paused",
}


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type, misc]


def test_task() -> None:
    assert PortalTask.from_wire(SAMPLE) == PortalTask(
        id="5837aa",
        type="ExecuteNotebook",
        title="OnceAMinute10times",
        item_id="029bff",
        owner="admin",
        schedule="*/1 * * * ?",
        active=False,
        state="paused",
        max_occurrences=10,
        parameters=SAMPLE["parameters"],
        next_start=utc(2020, 5, 14, 12, 50),
        last_start=utc(2020, 5, 14, 12, 49),
        starts_at=utc(2020, 5, 14, 4),
        ends_at=utc(2020, 5, 15, 4),
        created=utc(2020, 5, 14, 11, 45, 37),
        updated=utc(2020, 5, 14, 12, 48, 55),
    )
    assert PortalTask.from_wire({**SAMPLE, "somethingNew": 1}).raw["somethingNew"] == 1


ODD = [None, "", "x", [], {}, [1], {"a": 1}, True, 1.5, float("nan"), 10**400, "\ud800", "[" * 5000]


@pytest.mark.parametrize("name", [name for name in SAMPLE if name != "id"])
def test_any_field_may_be_absent(name: str) -> None:
    PortalTask.from_wire({key: value for key, value in SAMPLE.items() if key != name})


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: repr(odd)[:20])
@pytest.mark.parametrize("name", [name for name in SAMPLE if name != "id"])
def test_any_field_may_be_odd(name: str, odd: Any) -> None:
    task = PortalTask.from_wire({**SAMPLE, name: odd})
    assert task.id == "5837aa"
    assert isinstance(task.type, str)
    assert isinstance(task.parameters, dict)
    for text in (task.title, task.item_id, task.owner, task.state, task.task_url):
        assert text is None or isinstance(text, str)
    for moment in (task.next_start, task.created, task.starts_at):
        assert moment is None or moment.tzinfo is UTC


@pytest.mark.parametrize("bad", [None, "", "a/b", 5, [], "a b", "../x", "a" * 200])
def test_an_object_without_a_usable_id(bad: Any) -> None:
    with pytest.raises(ValueError, match="id"):
        PortalTask.from_wire({**SAMPLE, "id": bad})
    with pytest.raises(ValueError, match="runId"):
        PortalRun.from_wire({"runId": bad})


@pytest.mark.parametrize(
    ("told", "limit"),
    [(10, 10), ("10", 10), (-1, None), (None, None), ("x", None), (True, None), (0, 0), (float("inf"), None)],
)
def test_max_occurrences(told: Any, limit: int | None) -> None:
    assert PortalTask.from_wire({"id": "a", "maxOccurrences": told}).max_occurrences == limit


def test_spellings() -> None:
    assert PortalTask.from_wire({"id": "a", "maxOccurences": 3}).max_occurrences == 3
    assert PortalTask.from_wire({"id": "a", "taskURL": "u"}).task_url == "u"
    assert PortalTask.from_wire({"id": "a", "taskUrl": "u"}).task_url == "u"
    assert PortalTask.from_wire({"taskId": "a"}).id == "a"
    assert PortalTask.from_wire({"id": "a", "active": "true"}).active is True
    assert PortalTask.from_wire({"id": "a", "active": "False"}).active is False
    assert PortalTask.from_wire({"id": "a", "parameters": '{"x": 1}'}).parameters == {"x": 1}


# --- times -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "moment"),
    [
        (1634961600000, utc(2021, 10, 23, 4)),
        (1634961600500, utc(2021, 10, 23, 4, 0, 0, 500_000)),
        (1634961600000.0, utc(2021, 10, 23, 4)),
        ("1634961600000", utc(2021, 10, 23, 4)),
        ("Apr 21, 2021, 10:42:17 PM", utc(2021, 4, 21, 22, 42, 17)),
        ("Apr 1, 2021, 12:00:00 AM", utc(2021, 4, 1)),
        (" Oct 23, 2021, 4:00:31 AM ", utc(2021, 10, 23, 4, 0, 31)),
        ("2021-10-23T04:00:00Z", utc(2021, 10, 23, 4)),
        ("2021-10-23T06:00:00+02:00", utc(2021, 10, 23, 4)),
        ("2021-10-23T04:00:00", utc(2021, 10, 23, 4)),
        ("0001-01-01T00:00:00+10:00", None),
        ("9999-12-31T23:59:59-12:00", None),
        *[(none, None) for none in (None, 0, -1, "", "soon", True, False, [], {}, "0", "-1", "nan", "inf")],
        *[(none, None) for none in (float("nan"), float("inf"), 10**30, 10**400, "1e400", "Apr 99, 2021")],
    ],
    ids=lambda value: str(value)[:30],
)
def test_times(told: Any, moment: datetime | None) -> None:
    assert parse_time(told) == moment


@calmly
@given(st.datetimes(datetime(1970, 1, 2), datetime(9000, 1, 1), timezones=st.just(UTC)))
def test_milliseconds_and_back(moment: datetime) -> None:
    assert parse_time(to_milliseconds(moment)) == pytest.approx(moment, abs=timedelta(milliseconds=1))


@calmly
@given(st.text() | st.floats() | st.integers() | st.datetimes(timezones=st.timezones()).map(str))
def test_any_time(told: Any) -> None:
    moment = parse_time(told)
    assert moment is None or moment.utcoffset() == timedelta(0)


# --- runs --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "status", "finished"),
    [
        ("scheduled", RunStatus.SCHEDULED, False),
        ("executing", RunStatus.EXECUTING, False),
        ("succeeded", RunStatus.SUCCEEDED, True),
        ("failed", RunStatus.FAILED, True),
        ("skipped", RunStatus.SKIPPED, True),
        ("submitfailed", RunStatus.SUBMITFAILED, True),
        ("Succeeded", RunStatus.SUCCEEDED, True),
        ("SUBMITFAILED", RunStatus.SUBMITFAILED, True),
        ("cancelled", RunStatus.UNKNOWN, False),
        ("unknown", RunStatus.UNKNOWN, False),
        ("", RunStatus.UNKNOWN, False),
        (None, RunStatus.UNKNOWN, False),
        (5, RunStatus.UNKNOWN, False),
        (["succeeded"], RunStatus.UNKNOWN, False),
    ],
)
def test_status(told: Any, status: RunStatus, finished: bool) -> None:
    run = PortalRun.from_wire({"runId": "a", "status": told})
    assert (run.status, run.status.finished) == (status, finished)
    assert run.status_text == (told if isinstance(told, str) else "")


@pytest.mark.parametrize(
    ("told", "result"),
    [
        ("text", "text"),
        ("", ""),
        (None, None),
        ({"a": 1}, '{"a": 1}'),
        ([1], "[1]"),
        (5, "5"),
        (False, "false"),
    ],
)
def test_result(told: Any, result: str | None) -> None:
    assert PortalRun.from_wire({"runId": "a", "result": told}).result == result


def test_run() -> None:
    run = PortalRun.from_wire(
        {"runId": "a", "status": "failed", "created": 1634961631000, "modified": 1634961700000, "url": ""},
        "t",
    )
    assert (run.id, run.portal_task_id, run.result) == ("a", "t", None)
    assert (run.created, run.modified) == (utc(2021, 10, 23, 4, 0, 31), utc(2021, 10, 23, 4, 1, 40))
    assert run.raw["url"] == ""
    assert PortalRun.from_wire({"id": "b"}).id == "b"


@pytest.mark.parametrize(
    ("told", "page"),
    [
        ({}, (0, None, -1, None)),
        (
            {"tasks": [SAMPLE], "total": 5, "nextStart": 2, "activeTasksAvailable": 19},
            (1, 5, 2, 19),
        ),
        ({"tasks": "x", "total": None, "nextStart": None, "activeTasksAvailable": "3"}, (0, None, -1, 3)),
        ({"tasks": {}, "nextStart": [], "activeTasksAvailable": {}}, (0, None, -1, None)),
        ({"nextStart": float("nan"), "total": float("inf")}, (0, None, -1, None)),
    ],
)
def test_page(told: Any, page: Any) -> None:
    read = TaskPage.from_wire(told)
    assert (len(read.tasks), read.total, read.next_start, read.free_slots) == page


# --- ids ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("good", ["029b61ca770e428d9468a2a55f40b9fb", "a", "A-b_9", "x" * 128])
def test_ids(good: str) -> None:
    assert check_id("item_id", good) == good


@pytest.mark.parametrize(
    "bad", ["ä", "\u0663", "a/b", "..", "a.b", "", "x" * 129, b"a", 5, None, " a", "a\n"]
)
def test_what_is_no_id(bad: Any) -> None:
    with pytest.raises(ValueError, match=r"item_id: .* is not a portal id"):
        check_id("item_id", bad)


@calmly
@given(st.text() | st.none() | st.integers() | st.binary() | st.lists(st.text()))
def test_any_id(value: Any) -> None:
    """Whatever is let through can't change a URL; the refusal names the field and stays short."""
    try:
        good = check_id("item_id", value)
    except ValueError as refusal:
        text = str(refusal)
    else:
        assert set(good) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")
        text = "item_id"
    assert text.startswith("item_id")
    assert len(text) < 250


# --- definitions -------------------------------------------------------------------------------------

NAIVE = datetime(2027, 1, 1)
GP = "https://gis.example.com/server/rest/services/Tools/GPServer/Clip"
MINIMAL: dict[TaskType, dict[str, Any]] = {
    TaskType.EXECUTE_NOTEBOOK: {"item_id": "a"},
    TaskType.UPDATE_INSIGHTS_WORKBOOK: {"item_id": "a"},
    TaskType.EXECUTE_SCENE_COOK: {
        "item_id": "a",
        "parameters": {"service_url": "u", "num_of_caching_service_instances": 2, "update_mode": "x"},
    },
    TaskType.EXECUTE_WORKFLOW_MANAGER: {"item_id": "a"},
    TaskType.EXECUTE_REPORT: {"parameters": {"reportType": "org"}},
    TaskType.GP_SERVICE: {"item_id": "a", "task_url": GP},
    TaskType.RUN_DATA_PIPELINE: {"item_id": "a"},
}


@pytest.mark.parametrize("kind", TaskType)
def test_minimal_definitions(kind: TaskType) -> None:
    made = TaskDefinition(task_type=kind.value, schedule="@daily", **MINIMAL[kind])
    assert made.task_type is kind
    assert str(made.cron) == "0 0 * * ?"


@pytest.mark.parametrize(
    ("kind", "missing", "text"),
    [
        *[(kind, "item_id", "item_id: ") for kind in TaskType if "item_id" in MINIMAL[kind]],
        (TaskType.EXECUTE_SCENE_COOK, "parameters", "parameters: .*service_url"),
        (TaskType.EXECUTE_REPORT, "parameters", "parameters: .*reportType"),
        (TaskType.GP_SERVICE, "task_url", "task_url: .*GPServer"),
    ],
)
def test_what_a_type_needs(kind: TaskType, missing: str, text: str) -> None:
    fields = {name: value for name, value in MINIMAL[kind].items() if name != missing}
    with pytest.raises(ValueError, match=text):
        TaskDefinition(task_type=kind, schedule="@daily", **fields)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"task_type": "executenotebook"}, "task_type: .*ExecuteNotebook"),
        ({"task_type": None}, "task_type: "),
        ({"task_type": 5}, "task_type: "),
        ({"item_id": "a/b"}, "item_id: "),
        ({"item_id": "{{ var.value.x }}"}, "item_id: "),
        ({"item_id": ""}, "item_id: "),
        ({"item_id": 5}, "item_id: "),
        ({"schedule": "often"}, "schedule"),
        ({"schedule": ""}, "schedule"),
        ({"schedule": None}, "schedule"),
        ({"schedule": 5}, "schedule"),
        ({"schedule": timedelta(hours=1)}, "schedule"),
        ({"schedule": "0 0 1 * 1"}, "schedule"),
        ({"title": 5}, "title: "),
        ({"title": b"x"}, "title: "),
        ({"parameters": "{}"}, "parameters: "),
        ({"parameters": [1]}, "parameters: "),
        ({"parameters": {"a": {1}}}, "parameters: "),
        ({"parameters": {"a": NAIVE}}, "parameters: "),
        ({"parameters": {("a",): 1}}, "parameters: "),
        ({"task_url": GP}, "task_url: only GPService"),
        ({"task_type": "GPService", "task_url": "https://h/rest/services/Tools/GPServer"}, "task_url: "),
        ({"task_type": "GPService", "task_url": ""}, "task_url: "),
        ({"task_type": "GPService", "task_url": 5}, "task_url: "),
        ({"max_occurrences": 0}, "max_occurrences: "),
        ({"max_occurrences": -1}, "max_occurrences: "),
        ({"max_occurrences": "5"}, "max_occurrences: "),
        ({"max_occurrences": 2.5}, "max_occurrences: "),
        ({"max_occurrences": True}, "max_occurrences: "),
        ({"starts_at": NAIVE}, "starts_at: "),
        ({"ends_at": NAIVE}, "ends_at: "),
        ({"starts_at": "2027-01-01T00:00:00Z"}, "starts_at: "),
        ({"starts_at": 1589428800000}, "starts_at: "),
        ({"starts_at": utc(2027, 1, 2), "ends_at": utc(2027, 1, 1)}, "ends_at: "),
        ({"starts_at": utc(2027, 1, 1), "ends_at": utc(2027, 1, 1)}, "ends_at: "),
    ],
    ids=lambda value: str(value)[:60],
)
def test_what_a_definition_refuses(fields: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        TaskDefinition(**{"task_type": "ExecuteNotebook", "item_id": "a", "schedule": "@daily", **fields})


def test_window_in_any_zone() -> None:
    east = timezone(timedelta(hours=9))
    made = TaskDefinition(
        task_type="ExecuteNotebook",
        item_id="a",
        schedule="@daily",
        starts_at=datetime(2027, 1, 1, 9, tzinfo=east),
        ends_at=utc(2027, 1, 1, 0, 1),
    )
    assert made.starts_at is not None
    assert to_milliseconds(made.starts_at) == to_milliseconds(utc(2027, 1, 1))


VALUES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.binary(max_size=5)
)


@calmly
@given(
    st.fixed_dictionaries(
        {"task_type": st.sampled_from(list(TaskType)) | VALUES, "schedule": st.just("@daily") | VALUES},
        optional={
            "item_id": VALUES | st.just("a"),
            "title": VALUES,
            "parameters": VALUES | st.dictionaries(st.text(max_size=5), VALUES, max_size=3),
            "task_url": VALUES | st.just(GP),
            "max_occurrences": VALUES,
            "starts_at": VALUES | st.datetimes(),
            "ends_at": VALUES | st.datetimes(timezones=st.timezones()),
        },
    )
)
def test_any_definition(fields: dict[str, Any]) -> None:
    """Templates may render to anything: a definition, or a `ValueError`."""
    try:
        made = TaskDefinition(**fields)
    except ValueError:
        return
    assert made.max_occurrences is None or type(made.max_occurrences) is int
    assert made.title is None or made.title.encode()
