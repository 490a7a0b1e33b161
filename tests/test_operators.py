"""Operators and the sensor, in DAGs that `dag.test()` runs against the sandbox over HTTP."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_arcgis_tasks.hooks import ArcGISTasksHook
from airflow_provider_arcgis_tasks.portal import TaskDefinition
from airflow_provider_arcgis_tasks.sandbox import FaultKind, Rules, Sandbox
from tests import dag_runs
from tests.dag_runs import Outcome

PARAMETERS: dict[str, dict[str, Any]] = {
    "ExecuteNotebook": {"region": "north"},
    "UpdateInsightsWorkbook": {},
    "ExecuteSceneCook": {
        "service_url": "https://gis.example.com/server/rest/services/Hosted/City/SceneServer",
        "num_of_caching_service_instances": 2,
        "layer": "{}",
        "update_mode": "PARTIAL_UPDATE_NODES",
    },
    "ExecuteWorkflowManager": {"jobTemplateId": "x"},
    "ExecuteReport": {"reportType": "org", "reportSubType": "activity", "timeDuration": "daily"},
    "GPService": {"distance": 5},
    "RunDataPipeline": {},
}
TOOL = "https://gis.example.com/server/rest/services/Tools/GPServer/Buffer"


@pytest.fixture
def portal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    with Sandbox(speed=120) as sandbox:
        monkeypatch.setenv("AIRFLOW_CONN_ARCGIS_DEFAULT", sandbox.connection_uri)
        yield sandbox


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    dag_runs.hurry(monkeypatch)


@pytest.fixture
def run_dag(airflow_database: None) -> Callable[..., Outcome]:
    return dag_runs.run_dag


@pytest.mark.parametrize("deferrable", [False, True], ids=["worker", "deferred"])
@pytest.mark.parametrize("task_type", PARAMETERS)
def test_trigger_runs_every_task_type(
    portal: Sandbox, run_dag: Callable[..., Any], task_type: str, deferrable: bool
) -> None:
    from airflow_provider_arcgis_tasks.links import ArcGISPortalLink
    from airflow_provider_arcgis_tasks.operators import ArcGISTriggerTaskOperator

    item = portal.add_item(type=task_type, title="thing")
    portal.plan(item, duration=30, result="done")

    outcome = run_dag(
        lambda: ArcGISTriggerTaskOperator(
            task_id="go",
            item_id=item,
            task_type=task_type,
            parameters=PARAMETERS[task_type],
            task_url=TOOL if task_type == "GPService" else None,
            deferrable=deferrable,
            poll_interval=0.2,
            timeout=60,
        )
    )

    assert outcome.state == "success"
    [fired] = portal.portal.fired
    assert fired.type == task_type
    assert outcome.returned["go"] == {
        "portal_task_id": fired.task_id,
        "portal_run_id": fired.run_id,
        "status": "succeeded",
        "result": "done",
    }
    assert outcome.pushed["portal_task_id"] == fired.task_id
    assert outcome.pushed[ArcGISPortalLink().xcom_key] == f"{portal.url}/home/item.html?id={item}"
    if task_type == "ExecuteNotebook":
        assert fired.inputs == {"region": "north"}
    elif PARAMETERS[task_type]:
        assert fired.parameters == PARAMETERS[task_type]
    assert portal.portal.tasks == {}


DEFERRED_OR_NOT = pytest.mark.parametrize("deferrable", [False, True], ids=["worker", "deferred"])


def trigger(**arguments: Any) -> Any:
    from airflow_provider_arcgis_tasks.operators import ArcGISTriggerTaskOperator

    return ArcGISTriggerTaskOperator(**{"task_id": "go", "poll_interval": 0.2, "timeout": 60, **arguments})


@pytest.fixture
def notebook(portal: Sandbox) -> str:
    return portal.add_item(type="ExecuteNotebook", title="Count")


@DEFERRED_OR_NOT
@pytest.mark.parametrize("outcome", ["failed", "skipped", "submitfailed"])
def test_a_run_that_does_not_succeed_fails_the_task(
    portal: Sandbox, notebook: str, run_dag: Callable[..., Outcome], outcome: str, deferrable: bool
) -> None:
    portal.plan(notebook, outcome=outcome, duration=10, result="cell 3: boom")
    told = run_dag(lambda: trigger(item_id=notebook, deferrable=deferrable))
    assert told.state == "failed"
    assert "go" not in told.returned
    assert portal.portal.tasks == {}


def test_ctrl_c_leaves_nothing_armed(
    portal: Sandbox, notebook: str, run_dag: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow_provider_arcgis_tasks import transport

    armed = []

    def sleep(seconds: float) -> None:
        if not armed:
            armed.extend(portal.portal.tasks)
            raise KeyboardInterrupt
        time.sleep(seconds)

    interrupted = SimpleNamespace(sleep=sleep, time=time.time, monotonic=time.monotonic)
    monkeypatch.setattr(transport, "time", interrupted)
    told = run_dag(lambda: trigger(item_id=notebook))
    assert told.state == "failed"
    assert len(armed) == 1
    assert portal.portal.tasks == {}


@DEFERRED_OR_NOT
def test_mapped_over_a_list(
    portal: Sandbox, notebook: str, run_dag: Callable[..., Outcome], deferrable: bool
) -> None:
    from airflow_provider_arcgis_tasks.operators import ArcGISTriggerTaskOperator

    regions = ["north", "south"]
    portal.plan(notebook, duration=30, result=lambda inputs: {"inputs": inputs})
    told = run_dag(
        lambda: ArcGISTriggerTaskOperator.partial(
            task_id="go",
            item_id=notebook,
            task_type="ExecuteNotebook",
            deferrable=deferrable,
            poll_interval=0.2,
        ).expand(parameters=[{"region": region} for region in regions])
    )
    assert told.state == "success"
    assert sorted(fired.inputs["region"] for fired in portal.portal.fired) == regions
    assert [
        json.loads(told.returned["go", index]["result"])["inputs"]["region"] for index in (0, 1)
    ] == regions


@DEFERRED_OR_NOT
def test_an_existing_portal_task_is_run_once_more_and_left_alone(
    portal: Sandbox, notebook: str, run_dag: Callable[..., Outcome], deferrable: bool
) -> None:
    hook = ArcGISTasksHook()
    nightly = hook.create_task(
        TaskDefinition(
            task_type="ExecuteNotebook",
            item_id=notebook,
            schedule="0 3 1 1 *",
            title="Nightly",
            parameters={"region": "all", "year": 2026},
            max_occurrences=7,
        )
    )
    before = hook.get_task(nightly).raw
    told = run_dag(
        lambda: trigger(portal_task_id=nightly, parameters={"region": "north"}, deferrable=deferrable)
    )
    assert told.state == "success"
    [fired] = portal.portal.fired
    assert fired.inputs == {"region": "north", "year": 2026}
    assert fired.task_id != nightly
    assert hook.get_task(nightly).raw == before
    assert hook.count_tasks() == 1


@DEFERRED_OR_NOT
@pytest.mark.parametrize(
    ("keep", "outcome", "kept"),
    [
        ("on_failure", "failed", True),
        ("on_failure", "succeeded", False),
        ("always", "succeeded", True),
    ],
)
def test_keep_task(
    portal: Sandbox,
    notebook: str,
    run_dag: Callable[..., Outcome],
    keep: str,
    outcome: str,
    kept: bool,
    deferrable: bool,
) -> None:
    portal.plan(notebook, outcome=outcome, duration=10)
    run_dag(lambda: trigger(item_id=notebook, keep_task=keep, title="Count all", deferrable=deferrable))
    assert [task.title for task in ArcGISTasksHook().search_tasks()] == ["Count all"] * kept
    assert all(task.active is False for task in ArcGISTasksHook().search_tasks())


@DEFERRED_OR_NOT
def test_timeout_before_the_run_has_finished(
    portal: Sandbox, notebook: str, run_dag: Callable[..., Outcome], deferrable: bool
) -> None:
    portal.plan(notebook, duration=1e6)
    told = run_dag(lambda: trigger(item_id=notebook, timeout=3, deferrable=deferrable))
    assert told.state == "failed"
    assert len(portal.portal.fired) == 1
    assert not any(task.active for task in ArcGISTasksHook().search_tasks())


def test_without_waiting(portal: Sandbox, notebook: str, run_dag: Callable[..., Outcome]) -> None:
    told = run_dag(lambda: trigger(item_id=notebook, wait_for_completion=False))
    [task] = ArcGISTasksHook().search_tasks()
    assert told.returned["go"] == {
        "portal_task_id": task.id,
        "portal_run_id": None,
        "status": "scheduled",
        "result": None,
    }


@DEFERRED_OR_NOT
def test_lost_replies_make_no_second_task(
    portal: Sandbox, notebook: str, run_dag: Callable[..., Outcome], deferrable: bool
) -> None:
    portal.fault(FaultKind.LOST_REPLY, match="createTask", times=1)
    told = run_dag(lambda: trigger(item_id=notebook, deferrable=deferrable))
    assert told.state == "success"
    assert len(portal.portal.fired) == 1
    assert portal.portal.count("createTask") == 1


@DEFERRED_OR_NOT
def test_waits_for_a_free_slot(
    monkeypatch: pytest.MonkeyPatch, run_dag: Callable[..., Outcome], deferrable: bool
) -> None:
    with Sandbox(speed=120, rules=Rules(active_task_limit=1)) as portal:
        monkeypatch.setenv("AIRFLOW_CONN_ARCGIS_DEFAULT", portal.connection_uri)
        item = portal.add_item(type="ExecuteNotebook", title="Count")
        ends = datetime.fromtimestamp(portal.portal.clock.now(), UTC) + timedelta(minutes=4)
        ArcGISTasksHook().create_task(
            TaskDefinition(
                task_type="ExecuteNotebook", item_id=item, schedule="0 3 1 1 *", title="Other", ends_at=ends
            )
        )
        told = run_dag(lambda: trigger(item_id=item, deferrable=deferrable))
        assert told.state == "success"
        [fired] = portal.portal.fired
        assert fired.start >= ends.timestamp()


def test_a_wrong_password_is_tried_once_by_each_of_them(
    portal: Sandbox, monkeypatch: pytest.MonkeyPatch, notebook: str, run_dag: Callable[..., Outcome]
) -> None:
    from airflow_provider_arcgis_tasks import operators

    wrong = portal.connection_uri.replace(portal.password, "wrong")
    monkeypatch.setenv("AIRFLOW_CONN_ARCGIS_DEFAULT", wrong)
    new = {"task_type": "ExecuteNotebook", "item_id": notebook}
    one = {"portal_task_id": "a" * 32}
    retrying = {"retries": 3, "retry_delay": timedelta(0)}

    def build() -> None:
        operators.ArcGISCreateTaskOperator(task_id="create", **new, **retrying, schedule="@daily")
        operators.ArcGISUpdateTaskOperator(task_id="update", **one, **retrying, title="T")
        operators.ArcGISEnableTaskOperator(task_id="enable", **one, **retrying)
        operators.ArcGISDisableTaskOperator(task_id="disable", **one, **retrying)
        operators.ArcGISDeleteTaskOperator(task_id="delete", **one, **retrying)
        trigger(task_id="run", **new, **retrying)
        trigger(task_id="run_deferred", **new, **retrying, deferrable=True)
        trigger(task_id="run_another", **one, **retrying)
        sense(task_id="poke", **one, **retrying)
        sense(task_id="reschedule", **one, **retrying, mode="reschedule")
        sense(task_id="defer", **one, **retrying, deferrable=True)

    told = run_dag(build)
    assert set(told.states.values()) == {"failed"}
    assert portal.portal.count("generateToken") == len(portal.portal.journal) == len(told.states) == 11


@pytest.mark.parametrize("retries", [0, 3])
@pytest.mark.parametrize("waiting", ["run", "sensor"])
def test_a_password_that_becomes_wrong_while_deferred_is_tried_once(
    portal: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
    notebook: str,
    run_dag: Callable[..., Outcome],
    waiting: str,
    retries: int,
) -> None:
    """Though there is something to clean up."""
    from airflow_provider_arcgis_tasks.triggers import PortalTrigger

    often = {"retries": retries, "retry_delay": timedelta(0), "deferrable": True}
    rare = TaskDefinition(task_type="ExecuteNotebook", item_id=notebook, schedule="0 3 1 1 *", title="Rare")
    never = ArcGISTasksHook().create_task(rare)
    before = portal.portal.count("generateToken")
    open_hook = PortalTrigger._hook

    def with_a_wrong_password(waiter: PortalTrigger) -> ArcGISTasksHook:
        wrong = portal.connection_uri.replace(portal.password, "wrong")
        monkeypatch.setenv("AIRFLOW_CONN_ARCGIS_DEFAULT", wrong)
        return open_hook(waiter)

    monkeypatch.setattr(PortalTrigger, "_hook", with_a_wrong_password)
    told = run_dag(
        lambda: (
            trigger(item_id=notebook, **often)
            if waiting == "run"
            else sense(task_id="go", portal_task_id=never, **often)
        )
    )
    assert told.states == {"go": "failed"}
    assert portal.portal.count("generateToken") - before == 2  # by the worker, and in vain by the triggerer


def test_one_task_operators(portal: Sandbox, notebook: str, run_dag: Callable[..., Outcome]) -> None:
    from airflow_provider_arcgis_tasks.operators import (
        ArcGISCreateTaskOperator,
        ArcGISDeleteTaskOperator,
        ArcGISDisableTaskOperator,
        ArcGISEnableTaskOperator,
        ArcGISUpdateTaskOperator,
    )

    def create() -> Any:
        return ArcGISCreateTaskOperator(
            task_id="create",
            task_type="ExecuteNotebook",
            item_id=notebook,
            schedule="30 2 * * 1-5",
            title="Nightly",
            parameters={"region": "all"},
        )

    made = run_dag(create).returned["create"]
    assert run_dag(create).returned["create"] == made
    assert portal.portal.count("updateTask") == 0
    hook = ArcGISTasksHook()
    assert hook.get_task(made).schedule == "30 2 ? * 2-6"
    before = dict(hook.get_task(made).raw)

    run_dag(lambda: ArcGISDisableTaskOperator(task_id="off", portal_task_id=made))
    assert hook.get_task(made).active is False
    run_dag(lambda: ArcGISEnableTaskOperator(task_id="on", portal_task_id=made))
    assert hook.get_task(made).active is True

    told = run_dag(lambda: ArcGISUpdateTaskOperator(task_id="change", portal_task_id=made, title="Weekday"))
    assert told.returned["change"] == made
    changed = {name for name, value in hook.get_task(made).raw.items() if value != before.get(name)}
    assert changed <= {"title", "updated"}

    told = run_dag(lambda: ArcGISDeleteTaskOperator(task_id="away", portal_task_id=made))
    assert hook.count_tasks() == 0
    assert run_dag(lambda: ArcGISDeleteTaskOperator(task_id="again", portal_task_id=made)).state == "success"
    strict = run_dag(
        lambda: ArcGISDeleteTaskOperator(task_id="again", portal_task_id=made, ignore_missing=False)
    )
    assert strict.state == "failed"


@pytest.mark.parametrize(
    ("if_exists", "schedule"), [("update", "0 5 * * ?"), ("reuse", "0 4 * * ?"), ("fail", "0 4 * * ?")]
)
def test_create_when_it_exists(
    portal: Sandbox, notebook: str, run_dag: Callable[..., Outcome], if_exists: str, schedule: str
) -> None:
    from airflow_provider_arcgis_tasks.operators import ArcGISCreateTaskOperator

    hook = ArcGISTasksHook()
    made = hook.create_task(
        TaskDefinition(
            task_type="ExecuteNotebook",
            item_id=notebook,
            schedule="0 4 * * *",
            title="Nightly",
            max_occurrences=3,
        )
    )
    told = run_dag(
        lambda: ArcGISCreateTaskOperator(
            task_id="create",
            task_type="ExecuteNotebook",
            item_id=notebook,
            schedule="0 5 * * *",
            title="Nightly",
            if_exists=if_exists,
        )
    )
    assert told.state == ("failed" if if_exists == "fail" else "success")
    task = hook.get_task(made)
    assert (task.schedule, task.max_occurrences) == (schedule, 3)
    assert hook.count_tasks() == 1


SENSOR_MODES = pytest.mark.parametrize(
    "how",
    [{"mode": "poke"}, {"mode": "reschedule"}, {"deferrable": True}],
    ids=["poke", "reschedule", "deferred"],
)


@pytest.fixture
def every_minute(portal: Sandbox, notebook: str) -> str:
    return ArcGISTasksHook().create_task(
        TaskDefinition(task_type="ExecuteNotebook", item_id=notebook, schedule="* * * * *", title="Often")
    )


def sense(**arguments: Any) -> Any:
    from airflow_provider_arcgis_tasks.sensors import ArcGISTaskRunSensor

    return ArcGISTaskRunSensor(**{"task_id": "wait", "poke_interval": 0.5, "timeout": 30, **arguments})


@SENSOR_MODES
def test_sensor_waits_for_the_first_run_after_a_time(
    portal: Sandbox, every_minute: str, run_dag: Callable[..., Outcome], how: dict[str, Any]
) -> None:
    since = datetime.fromtimestamp(portal.portal.clock.now() + 61, UTC)
    told = run_dag(lambda: sense(portal_task_id=every_minute, newer_than=since.isoformat(), **how))
    assert told.state == "success"
    first = next(fired for fired in portal.portal.fired if fired.start >= since.timestamp())
    assert told.returned["wait"]["portal_run_id"] == first.run_id
    assert told.returned["wait"]["portal_task_id"] == every_minute
    assert told.returned["wait"]["status"] == "succeeded"


@SENSOR_MODES
def test_sensor_fails_with_the_run(
    portal: Sandbox, notebook: str, every_minute: str, run_dag: Callable[..., Outcome], how: dict[str, Any]
) -> None:
    portal.plan(notebook, outcome="failed", duration=5)
    assert run_dag(lambda: sense(portal_task_id=every_minute, **how)).state == "failed"


@SENSOR_MODES
def test_sensor_takes_the_statuses_that_it_is_given(
    portal: Sandbox, notebook: str, every_minute: str, run_dag: Callable[..., Outcome], how: dict[str, Any]
) -> None:
    portal.plan(notebook, outcome="failed", duration=5)
    told = run_dag(lambda: sense(portal_task_id=every_minute, success_statuses=["failed"], **how))
    assert told.returned["wait"]["status"] == "failed"


@SENSOR_MODES
@pytest.mark.parametrize(("soft_fail", "state"), [(False, "failed"), (True, "skipped")])
def test_sensor_timeout(
    portal: Sandbox,
    notebook: str,
    run_dag: Callable[..., Outcome],
    how: dict[str, Any],
    soft_fail: bool,
    state: str,
) -> None:
    never = ArcGISTasksHook().create_task(
        TaskDefinition(task_type="ExecuteNotebook", item_id=notebook, schedule="0 3 1 1 *", title="Rare")
    )
    told = run_dag(lambda: sense(portal_task_id=never, timeout=1, soft_fail=soft_fail, **how))
    assert told.states["wait"] == state


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"keep_task": "sometimes"}, "keep_task"),
        ({"if_exists": "maybe"}, "if_exists"),
    ],
)
def test_a_wrong_choice_is_refused_when_the_dag_is_parsed(arguments: dict[str, Any], named: str) -> None:
    from airflow_provider_arcgis_tasks.operators import ArcGISCreateTaskOperator, ArcGISTriggerTaskOperator

    kind, more = (
        (ArcGISCreateTaskOperator, {"schedule": "@daily"})
        if "if_exists" in arguments
        else (ArcGISTriggerTaskOperator, {})
    )
    with pytest.raises(ValueError, match=named):
        kind(task_id="go", task_type="ExecuteNotebook", item_id="a" * 32, **more, **arguments)
