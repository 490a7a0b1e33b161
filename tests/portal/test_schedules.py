"""Making sure that a schedule exists, against the sandbox's portal."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any

import pytest

from airflow_provider_arcgis_tasks.portal import AlreadyExists, PortalTask, TaskDefinition, tasks
from airflow_provider_arcgis_tasks.portal.schedules import IfExists, ensure_task
from tests.portal.play import LOST, NOON, World


def definition(world: World, **others: Any) -> TaskDefinition:
    fields = {"task_type": "ExecuteNotebook", "item_id": world.item, "schedule": "0 4 * * *", "title": "T"}
    return TaskDefinition(**{**fields, **others})


def ensure(world: World, if_exists: str = "update", **others: Any) -> PortalTask:
    return world(ensure_task(world.session(), definition(world, **others), IfExists(if_exists)))


@pytest.mark.parametrize("if_exists", IfExists)
def test_made_when_there_is_none(if_exists: str) -> None:
    world = World()
    made = ensure(world, if_exists, parameters={"a": 1}, max_occurrences=5)
    assert list(world.portal.tasks) == [made.id]
    assert (made.title, made.schedule, made.max_occurrences) == ("T", "0 4 * * ?", 5)


@pytest.mark.parametrize(
    "others",
    [
        {"title": "Another"},
        {"task_type": "RunDataPipeline"},
        {"item_id": "other"},
    ],
    ids=str,
)
def test_another_title_type_or_item_is_another_task(others: dict[str, str]) -> None:
    world = World()
    if "item_id" in others:
        others = {"item_id": world.portal.add_item()}
    assert ensure(world).id != ensure(world, **others).id
    assert len(world.portal.tasks) == 2


def test_a_report_without_an_item_is_not_that_of_an_item() -> None:
    world = World()
    fields: dict[str, Any] = {"task_type": "ExecuteReport", "parameters": {"reportType": "org"}}
    of_item, without = ensure(world, **fields), ensure(world, item_id=None, **fields)
    assert of_item.id != without.id
    assert ensure(world, item_id=None, **fields).id == without.id


def test_update_twice_sends_one_create_and_no_update() -> None:
    world = World()
    fields = {
        "parameters": {"b": 2, "a": 1},
        "max_occurrences": 5,
        "ends_at": datetime(2028, 1, 1, tzinfo=UTC),
    }
    first = ensure(world, **fields)
    world.pass_time(600)
    assert ensure(world, **{**fields, "parameters": {"a": 1, "b": 2}}) == first
    assert (world.portal.count("createTask"), world.portal.count("updateTask")) == (1, 0)


@pytest.mark.parametrize(
    ("others", "attribute", "value"),
    [
        ({"schedule": "0 5 * * *"}, "schedule", "0 5 * * ?"),
        ({"max_occurrences": 9}, "max_occurrences", 9),
        ({"ends_at": datetime(2029, 1, 1, tzinfo=UTC)}, "ends_at", datetime(2029, 1, 1, tzinfo=UTC)),
    ],
)
def test_update_changes_what_differs(others: dict[str, Any], attribute: str, value: Any) -> None:
    world = World()
    first = ensure(world, parameters={"a": 1}, max_occurrences=5)
    after = ensure(world, **{"parameters": {"a": 1}, "max_occurrences": 5, **others})
    assert after.id == first.id
    assert getattr(after, attribute) == value
    unchanged = {"title", "item_id", "parameters", "max_occurrences", "schedule", "ends_at"} - {attribute}
    assert {name: getattr(after, name) for name in unchanged} == {
        name: getattr(first, name) for name in unchanged
    }


def test_update_leaves_what_the_definition_does_not_name() -> None:
    world = World()
    ensure(world, max_occurrences=5, parameters={"a": 1}, ends_at=datetime(2029, 1, 1, tzinfo=UTC))
    after = ensure(world, schedule="0 5 * * *")
    assert (after.max_occurrences, after.ends_at) == (5, datetime(2029, 1, 1, tzinfo=UTC))
    assert '{"a": 1}' in str(after.parameters)


def test_reuse_leaves_it_as_it_is() -> None:
    world = World()
    first = ensure(world)
    assert ensure(world, "reuse", schedule="0 5 * * *") == first
    assert world.portal.count("updateTask") == 0


def test_fail() -> None:
    world = World()
    first = ensure(world)
    with pytest.raises(AlreadyExists, match=first.id):
        ensure(world, "fail")
    assert len(world.portal.tasks) == 1


def test_the_oldest_of_several_counts() -> None:
    world = World()
    first = ensure(world)
    world.pass_time(60)
    world(tasks.create_task(world.session(), definition(world)))
    assert ensure(world, schedule="0 5 * * *").id == first.id
    assert len(world.portal.tasks) == 2


def test_a_lost_answer_makes_one_task() -> None:
    world = World()
    lost: list[str] = []

    def lose(request: Any) -> Any:
        if request.url.endswith("/createTask") and not lost:
            lost.append(request.url)
            world.portal.handle(
                "POST", request.url[len("https://gis.example.com") :], request.params, request.headers
            )
            return LOST
        return None

    world.tap = lose
    made = ensure(world)
    assert list(world.portal.tasks) == [made.id]
    assert lost


@pytest.mark.parametrize(("zone", "warned"), [("UTC", False), ("+02:00", True), ("-05:00", True)])
def test_a_portal_in_another_zone_is_warned_of(
    zone: str, warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(cron_zone=zone)
    with caplog.at_level(logging.WARNING):
        ensure(world, starts_at=datetime.fromtimestamp(NOON, UTC))
    assert ("another zone" in caplog.text) is warned


def test_an_inactive_task_is_warned_of_and_left_inactive(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    world(tasks.disable_task(world.session(), ensure(world).id))
    with caplog.at_level(logging.WARNING):
        assert ensure(world, schedule="0 5 * * *").active is False
    assert "not active (paused)" in caplog.text
