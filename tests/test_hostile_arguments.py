"""Whatever templates render to: a clear `ValueError` before anything is sent, or requests that are in order.

A made-up portal answers in the place of the transport; the operators, the sensor and the hook are real.
"""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_arcgis_tasks import hooks
from airflow_provider_arcgis_tasks.portal import ArcGISTasksError, InvalidRequest, NotFound, TaskDefinition
from airflow_provider_arcgis_tasks.portal.effects import Effect, Reply
from airflow_provider_arcgis_tasks.sandbox import Sandbox
from tests.portal.play import Play
from tests.portal.test_hostile import ANYTHING, ITEM, RUN, TASK, check, hostile, usual

CONNECTION = "arcgis://gis:secret@https%3A%2F%2Fgis.example.com%2Fportal"


def answer_all(patch: pytest.MonkeyPatch) -> Play:
    """Put a portal where all goes well in the place of the transport; it remembers what it was asked."""
    play = Play(otherwise=usual)

    class Transport:
        def __init__(self, settings: object) -> None:
            pass

        def __call__(self, effect: Effect) -> Reply:
            reply: Reply = play.reply(effect)
            return reply

        def close(self) -> None:
            pass

    patch.setattr(hooks, "SyncTransport", Transport)
    patch.setenv("AIRFLOW_CONN_ARCGIS_DEFAULT", CONNECTION)
    return play


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Play:
    return answer_all(monkeypatch)


def makers() -> dict[str, tuple[Any, dict[str, Any]]]:
    """Each operator and the sensor, with arguments that are in order."""
    from airflow_provider_arcgis_tasks import operators, sensors

    new = {"task_type": "ExecuteNotebook", "item_id": ITEM}
    one = {"portal_task_id": TASK}
    soon = {"timeout": 60, "poll_interval": 5}
    return {
        "create": (operators.ArcGISCreateTaskOperator, {**new, "schedule": "@daily", "title": "T"}),
        "update": (operators.ArcGISUpdateTaskOperator, {**one, "title": "T"}),
        "delete": (operators.ArcGISDeleteTaskOperator, one),
        "enable": (operators.ArcGISEnableTaskOperator, one),
        "disable": (operators.ArcGISDisableTaskOperator, one),
        "run an item": (operators.ArcGISTriggerTaskOperator, {**new, **soon}),
        "run what a task runs": (operators.ArcGISTriggerTaskOperator, {**one, **soon}),
        "run deferred": (operators.ArcGISTriggerTaskOperator, {**new, **soon, "deferrable": True}),
        "sense": (sensors.ArcGISTaskRunSensor, {**one, "portal_run_id": RUN, "timeout": 60}),
        "sense deferred": (sensors.ArcGISTaskRunSensor, {**one, "timeout": 60, "deferrable": True}),
    }


NAMES = list(makers())


def execute(name: str, **rendered: Any) -> Any:
    """Carry out an operator whose templates have rendered to what is given."""
    kind, arguments = makers()[name]
    operator = kind(task_id="go", **arguments)
    odd = {field: value for field, value in rendered.items() if isinstance(value, str)}
    for field, value in rendered.items():
        assert field in operator.template_fields
        setattr(operator, field, f"{{{{ odd.{field} }}}}" if field in odd else value)
    operator.render_template_fields({"odd": odd})
    ti = SimpleNamespace(
        dag_id="dag",
        task_id="go",
        run_id="run",
        map_index=-1,
        start_date=datetime.fromtimestamp(Play().now, UTC),
        try_number=1,
        max_tries=0,
        xcom_push=lambda key, value: None,
    )
    return operator.execute({"ti": ti})


# --- one by one --------------------------------------------------------------------------------------

NO_ID = ["None", "null", "a/b", "../x", "a?f=html", "a#b", "a b", "a\nb", "%2e%2e", "ü", "[]", "x" * 200]
NO_ID += [f"https://other.example.com/home/item.html?id={ITEM}", "{'id': 1}", " ", 5, ["a"], {"a": 1}, b"a"]
NO_TEXT = [5, ["a"], b"a", "half \ud800"]
NO_TIME = ["None", "yesterday", "2026-01-31T06:00:00", "2026-01-31", "06:00", 5, [1]]
NO_SECONDS = ["None", "soon", "", "0", "-1", "nan", "inf", "1e10", None, [1]]
NO_STATUS = ["None", "done", "", "['failed']", ["done"], [None], 5]

COMMON = {"arcgis_conn_id": [None, "", " ", 5], "portal_owner": [5, ["a"], "..", ".", " ", "half \ud800"]}
NEW = {
    "item_id": NO_ID,
    "portal_task_type": ["None", "", "Notebook", "executenotebook", None, 5],
    "title": NO_TEXT,
    "parameters": ["None", "{}", "[1]", 5, [1], {"a": b"b"}, {("a",): 1}],
    "task_url": [*NO_TEXT, "None", "https://gis.example.com"],
}
SCHEDULE = {
    "schedule": ["None", "rubbish", "* * *", "99 * * * *", "\ud800", 5, ["@daily"]],
    "max_occurrences": ["None", "many", "1.5", "0", "-1", 0, 1.5, float("inf"), float("nan"), [1]],
    "starts_at": NO_TIME,
    "ends_at": NO_TIME,
}
RUN_NOW = {"poll_interval": NO_SECONDS, "timeout": NO_SECONDS}
SENSE = {"newer_than": NO_TIME, "success_statuses": NO_STATUS, "failure_statuses": NO_STATUS}
ONE = {"portal_task_id": [*NO_ID, "", None]}

RUBBISH: dict[str, dict[str, list[Any]]] = {
    "create": {**COMMON, **NEW, **SCHEDULE},
    "update": {**COMMON, **ONE, **NEW, **SCHEDULE, "task_url": NO_TEXT},
    "delete": {**COMMON, **ONE},
    "enable": {**COMMON, **ONE},
    "disable": {**COMMON, **ONE},
    "run an item": {**COMMON, **NEW, **RUN_NOW, "portal_task_id": [TASK]},
    "run what a task runs": {**COMMON, **ONE, **NEW, **RUN_NOW, "item_id": [ITEM], "task_url": []},
    "run deferred": {**COMMON, **NEW, **RUN_NOW, "portal_task_id": [TASK]},
    "sense": {**COMMON, **ONE, "portal_run_id": NO_ID, **SENSE},
    "sense deferred": {**COMMON, **ONE, "portal_run_id": NO_ID, **SENSE},
}
del RUBBISH["update"]["portal_task_type"]


@pytest.mark.parametrize("name", NAMES)
def test_rubbish_is_refused_by_name_before_anything_is_sent(play: Play, name: str) -> None:
    kind, _ = makers()[name]
    assert set(RUBBISH[name]) == set(kind.template_fields)
    for field, values in RUBBISH[name].items():
        said = {"portal_owner": "owner", "portal_task_type": "task_type"}.get(field, field)
        for value in values:
            with pytest.raises(ValueError, match=rf"^({said}[: ]|item_id, portal_task_id: )") as refusal:
                execute(name, **{field: value})
            assert len(str(refusal.value)) < 400
            assert not play.requests


@pytest.mark.parametrize("name", NAMES)
def test_what_is_in_order_is_sent(play: Play, name: str) -> None:
    """So that the rubbish above is refused for what it is."""
    from airflow.sdk.exceptions import TaskDeferred

    try:
        execute(name)
    except (ArcGISTasksError, TaskDeferred):  # this portal always says the same, so nothing runs now
        assert name.startswith("run")
    assert [request.url.rpartition("/")[2] for request in play.requests[:1]] == ["generateToken"]
    assert len(play.requests) > 1


def test_the_values_of_half_an_update_are_all_checked_first(play: Play) -> None:
    with pytest.raises(ValueError, match=r"^nothing to change"):
        execute("update", title="")
    assert not play.requests


@pytest.mark.parametrize(
    "title", ["夜間バッチ", "تقرير", "Δοκιμή", "👩‍🚀\u202e", "a\x00b\r\nX: y", "'\"<&>%", "x" * 5000]
)
@pytest.mark.parametrize("name", ["create", "update", "run an item"])
def test_titles_in_any_script_are_sent_as_they_are(play: Play, name: str, title: str) -> None:
    try:
        execute(name, title=title)
    except ArcGISTasksError:
        assert name.startswith("run")
    sent = [request.params["title"] for request in play.requests if "title" in request.params]
    assert sent
    assert all(told.startswith(title[:150]) for told in sent)
    assert not any(title in request.url or title in str(request.headers) for request in play.requests)


@pytest.mark.parametrize("name", NAMES)
def test_ids_of_another_portal(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """They look right, so the portal is asked; it knows none of them, and nothing is made or waited for."""
    with Sandbox() as here, Sandbox(seed=7) as there:
        item = there.add_item()
        monkeypatch.setenv("AIRFLOW_CONN_ARCGIS_DEFAULT", there.connection_uri)
        theirs = hooks.ArcGISTasksHook().create_task(
            TaskDefinition(task_type="ExecuteNotebook", item_id=item, schedule="@daily", title="T")
        )
        monkeypatch.setenv("AIRFLOW_CONN_ARCGIS_DEFAULT", here.connection_uri)
        _, arguments = makers()[name]
        ids = {"item_id": item, "portal_task_id": theirs}
        fields = {field: value for field, value in ids.items() if field in arguments}
        if name == "delete":
            assert execute(name, **fields) == theirs
        else:
            with pytest.raises(ArcGISTasksError) as e:
                execute(name, **fields)
            assert isinstance(e.value, NotFound | InvalidRequest)
        assert here.portal.tasks == {}


# --- anything ----------------------------------------------------------------------------------------


@st.composite
def renderings(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    name = draw(st.sampled_from(NAMES))
    fields = st.sampled_from([field for field in RUBBISH[name] if field != "arcgis_conn_id"])
    values = ANYTHING | st.floats() | st.dictionaries(st.text(max_size=3), ANYTHING, max_size=2)
    return name, draw(st.dictionaries(fields, values, min_size=1, max_size=3))


@hostile
@given(renderings())
def test_whatever_templates_render_to(rendered: tuple[str, dict[str, Any]]) -> None:
    from airflow.sdk.exceptions import TaskDeferred

    name, fields = rendered
    with pytest.MonkeyPatch.context() as patch:
        play = answer_all(patch)
        try:
            execute(name, **fields)
        except ValueError:
            assert not play.requests
        except (ArcGISTasksError, TaskDeferred):
            assert play.requests
    for request in play.requests:
        check(request)
