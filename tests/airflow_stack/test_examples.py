"""The example DAGs, unchanged, in a real Airflow against the sandbox."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from airflow_provider_arcgis_tasks.hooks import ArcGISTasksHook
from airflow_provider_arcgis_tasks.portal import TaskDefinition
from airflow_provider_arcgis_tasks.sandbox import Sandbox
from scripts.airflow_api import DagRun
from scripts.airflow_stack import AirflowStack

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]


@pytest.fixture(scope="module", autouse=True)
def notebook(portal: Sandbox) -> str:
    item_id = portal.add_item("ExecuteNotebook", "Sample notebook")
    portal.plan(item_id, duration=60, result=lambda inputs: {"counted": inputs.get("region", "all")})
    return item_id


@pytest.fixture
def hook(portal: Sandbox, monkeypatch: pytest.MonkeyPatch) -> ArcGISTasksHook:
    monkeypatch.setenv("AIRFLOW_CONN_ARCGIS_DEFAULT", portal.connection_uri)
    return ArcGISTasksHook()


def succeed(stack: AirflowStack, dag_id: str, conf: dict[str, object] | None = None) -> DagRun:
    run = stack.run(dag_id, conf)
    assert stack.api.wait(run) == "success", stack.api.trouble(run)
    return run


def inputs_since(portal: Sandbox, count: int) -> list[dict[str, Any]]:
    return [dict(fired.inputs) for fired in portal.portal.fired[count:]]


def test_notebook_gets_its_parameters_and_its_result_is_used(stack: AirflowStack, portal: Sandbox) -> None:
    before = len(portal.portal.fired)
    run = succeed(stack, "example_arcgis_notebook", {"region": "south"})
    assert [inputs["region"] for inputs in inputs_since(portal, before)] == ["south"]
    assert stack.api.returned(run, "report") == 'The notebook succeeded and says: {"counted": "south"}'
    assert not portal.portal.tasks


def test_every_region_is_run_once(stack: AirflowStack, portal: Sandbox) -> None:
    before = len(portal.portal.fired)
    run = succeed(stack, "example_arcgis_regions")
    regions = ["north", "east", "south", "west"]
    assert sorted(inputs["region"] for inputs in inputs_since(portal, before)) == sorted(regions)
    assert [json.loads(result)["counted"] for result in stack.api.returned(run, "summarize")] == regions
    assert {task.name for task in stack.api.tasks(run) if task.map_index >= 0} == {
        f"run_region[{region}]" for region in regions
    }
    assert not portal.portal.tasks


def test_nightly_schedule_is_created_once_and_its_runs_are_seen(
    stack: AirflowStack, portal: Sandbox, hook: ArcGISTasksHook
) -> None:
    every_five_minutes: dict[str, object] = {"portal_schedule": "*/5 * * * *"}
    nights = [succeed(stack, "example_arcgis_nightly", every_five_minutes) for _ in range(2)]
    (schedule,) = portal.portal.tasks
    assert [stack.api.returned(night, "schedule") for night in nights] == [schedule] * 2
    for night in nights:
        seen = stack.api.returned(night, "wait")
        assert seen["portal_run_id"] in {fired.run_id for fired in portal.portal.fired}
        assert seen["portal_run_id"] in stack.api.returned(night, "publish")
    hook.delete_task(schedule)


def test_watchdog_enables_what_the_portal_has_taken_out(
    stack: AirflowStack, portal: Sandbox, hook: ArcGISTasksHook
) -> None:
    failing = portal.add_item("ExecuteNotebook", "Fails")
    portal.plan(failing, outcome="failed", duration=1)
    every_minute = TaskDefinition(task_type="ExecuteNotebook", item_id=failing, schedule="* * * * *")
    taken_out, paused = hook.create_task(every_minute), hook.create_task(every_minute)
    hook.disable_task(paused)
    wait_until_inactive(hook, taken_out)
    portal.plan(failing, duration=1)

    run = succeed(stack, "example_arcgis_watchdog")
    assert taken_out in stack.api.returned(run, "report")
    assert hook.get_task(taken_out).active
    assert not hook.get_task(paused).active

    idle = succeed(stack, "example_arcgis_watchdog")
    assert stack.api.returned(idle, "report").startswith("0 portal tasks")


def wait_until_inactive(hook: ArcGISTasksHook, portal_task_id: str) -> None:
    deadline = time.monotonic() + 30
    while hook.get_task(portal_task_id).active:
        assert time.monotonic() < deadline
        time.sleep(0.5)
