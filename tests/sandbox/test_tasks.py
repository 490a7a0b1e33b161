"""The resources of portal tasks."""

from __future__ import annotations

import json

import pytest

from airflow_provider_arcgis_tasks.sandbox.state import ORGANIZATION, TaskType
from tests.sandbox.client import GP_TASK, NOON, Client, cron, error_of, make_portal

DAY = 86_400


def ms(seconds: float) -> int:
    return round(seconds * 1000)


def test_a_new_task_is_shown_whole():
    _, _, client, item_id = make_portal()
    task_id = client.create(
        item_id,
        "*/30 * * * ?",
        title="Report ü",
        parameters=json.dumps({"notebookParameters": {"day": 1}, "saveInjectedParameters": True}),
        startDate=ms(NOON),
        endDate=ms(NOON + DAY),
        maxOccurrences=3,
    )
    assert client.task(task_id) == {
        "id": task_id,
        "itemId": item_id,
        "type": "ExecuteNotebook",
        "title": "Report ü",
        "userId": "analyst",
        "cronSchedule": cron("*/30 * * * ?"),
        "runIntervalSeconds": 1800,
        "nextStart": ms(NOON + 1800),
        "maxOccurrences": 3,
        "parameters": {"notebookParameters": '{"day": 1}', "saveInjectedParameters": True},
        "created": ms(NOON),
        "updated": ms(NOON),
        "startDate": ms(NOON),
        "endDate": ms(NOON + DAY),
        "active": True,
        "taskState": "active",
    }


def test_ids_are_32_hexadecimal_digits():
    _, _, client, item_id = make_portal()
    for value in (item_id, client.create(item_id)):
        assert len(value) == 32
        assert int(value, 16) >= 0


def test_a_list_holds_the_same_objects():
    _, _, client, item_id = make_portal()
    task_id = client.create(item_id)
    assert client.tasks() == {
        "total": 1,
        "start": 1,
        "num": 1,
        "nextStart": -1,
        "activeTasksAvailable": 19,
        "tasks": [client.task(task_id)],
    }


def test_an_empty_list():
    _, _, client, _ = make_portal()
    answer = client.tasks()
    assert (answer["total"], answer["nextStart"], answer["tasks"]) == (0, -1, [])


def test_pages():
    _, _, client, item_id = make_portal()
    made = [client.create(item_id) for _ in range(7)]
    first, second, third = (client.tasks(start=start, num=3) for start in (1, 4, 7))
    assert [page["nextStart"] for page in (first, second, third)] == [4, 7, -1]
    assert [page["num"] for page in (first, second, third)] == [3, 3, 1]
    assert [page["total"] for page in (first, second, third)] == [7, 7, 7]
    assert [task["id"] for page in (first, second, third) for task in page["tasks"]] == made


def test_the_last_page_may_be_full():
    _, _, client, item_id = make_portal()
    for _ in range(4):
        client.create(item_id)
    assert client.tasks(start=3, num=2)["nextStart"] == -1
    assert client.tasks(start=99, num=2)["tasks"] == []


def test_a_page_holds_no_more_than_its_maximum():
    _, _, client, item_id = make_portal(active_task_limit=500)
    for _ in range(101):
        client.create(item_id)
    answer = client.tasks(num=1000)
    assert (answer["num"], answer["nextStart"], answer["total"]) == (100, 101, 101)


@pytest.mark.parametrize("params", [{"num": 0}, {"num": "x"}, {"start": 0}, {"start": -1}])
def test_bad_pages(params):
    _, _, client, _ = make_portal()
    code, text = error_of(client.tasks(**params))
    assert code == 400
    assert next(iter(params)) in text


def test_filters():
    _, portal, client, notebook = make_portal()
    pipeline = portal.add_item("Data Pipeline")
    one = client.create(notebook, title="b")
    two = client.create(pipeline, type="RunDataPipeline", title="a")
    client.act(two, "disable")

    def found(**params):
        return [task["id"] for task in client.tasks(**params)["tasks"]]

    assert found(itemId=notebook) == [one]
    assert found(active="true") == [one]
    assert found(active="false") == [two]
    assert found(types="RunDataPipeline") == [two]
    assert found(types="ExecuteNotebook, RunDataPipeline") == [one, two]
    assert found(types="GPService") == []
    assert found(types='["ExecuteNotebook"]') == []
    assert found(taskState="paused") == [two]
    assert found(itemId=notebook, active="false") == []
    assert error_of(client.tasks(active="yes"))[0] == 400


def test_sorting():
    clock, _, client, item_id = make_portal()
    b = client.create(item_id, "0 5 * * ?", title="b")
    clock.advance(60)
    a = client.create(item_id, "0 6 * * ?", title="a")
    clock.advance(60)
    client.act(b, "disable")
    client.act(b, "enable")

    def order(**params):
        return [task["id"] for task in client.tasks(**params)["tasks"]]

    assert order() == [b, a]
    assert order(sortField="title") == [a, b]
    assert order(sortField="TITLE", sortOrder="desc") == [b, a]
    assert order(sortField="created", sortOrder="desc") == [a, b]
    assert order(sortField="updated") == [a, b]
    assert order(sortField="nextStart", sortOrder="desc") == [a, b]
    assert error_of(client.tasks(sortField="colour"))[0] == 400
    assert error_of(client.tasks(sortField="title", sortOrder="up"))[0] == 400


@pytest.mark.parametrize("kind", list(TaskType))
def test_every_type_can_be_made(kind):
    _, portal, client, _ = make_portal()
    more = {}
    if kind in (TaskType.EXECUTE_REPORT, TaskType.EXECUTE_SCENE_COOK):
        more["parameters"] = '{"a": 1}'
    if kind is TaskType.GP_SERVICE:
        more["taskURL"] = GP_TASK
    task = client.task(client.create(portal.add_item(kind), type=kind, **more))
    assert task["type"] == kind
    assert task.get("taskUrl") == (GP_TASK if kind is TaskType.GP_SERVICE else None)


def test_a_report_needs_no_item():
    _, _, client, _ = make_portal()
    answer = client.try_create(type="ExecuteReport", parameters='{"reportType": "org"}')
    assert "itemId" not in client.task(answer["taskId"])


@pytest.mark.parametrize("key", ["taskUrl", "taskURL"])
def test_both_spellings_of_the_url_are_read(key):
    _, portal, client, _ = make_portal()
    item_id = portal.add_item("GPService")
    task_id = client.create(item_id, type="GPService", **{key: GP_TASK})
    assert client.task(task_id)["taskUrl"] == GP_TASK


@pytest.mark.parametrize(
    ("params", "named"),
    [
        ({"type": "Nonsense"}, "type"),
        ({"type": "executenotebook"}, "type"),
        ({"type": ""}, "type"),
        ({"itemId": ""}, "itemId"),
        ({"itemId": "0" * 32}, "itemId"),
        ({"minute": ""}, "minute"),
        ({"minute": "61"}, "minute"),
        ({"hour": "*/0"}, "hour"),
        ({"dayOfMonth": "40"}, "dayOfMonth"),
        ({"dayOfMonth": "30", "month": "2"}, "dayOfMonth"),
        ({"month": "13"}, "month"),
        ({"dayOfWeek": "0", "dayOfMonth": "?"}, "dayOfWeek"),
        ({"dayOfMonth": "1", "dayOfWeek": "2"}, "dayOfWeek"),
        ({"maxOccurrences": "0"}, "maxOccurrences"),
        ({"maxOccurrences": "-2"}, "maxOccurrences"),
        ({"maxOccurrences": "many"}, "maxOccurrences"),
        ({"startDate": "2027-01-01"}, "startDate"),
        ({"endDate": "1.5"}, "endDate"),
        ({"startDate": "2000", "endDate": "1000"}, "endDate"),
        ({"parameters": "a=1"}, "parameters"),
        ({"parameters": "[1]"}, "parameters"),
        ({"parameters": '{"notebookParameters": "a=1"}'}, "parameters"),
        ({"parameters": '{"notebookParameters": 5}'}, "parameters"),
        ({"type": "ExecuteSceneCook"}, "parameters"),
        ({"type": "ExecuteReport", "parameters": "{}"}, "parameters"),
        ({"type": "GPService"}, "taskUrl"),
        ({"type": "GPService", "taskUrl": GP_TASK.rpartition("/")[0]}, "taskUrl"),
        ({"type": "GPService", "taskUrl": "Clip"}, "taskUrl"),
    ],
)
def test_a_bad_definition_is_refused_by_name(params, named):
    _, portal, client, item_id = make_portal()
    code, text = error_of(client.try_create(**{"itemId": item_id, **params}))
    assert code == 400
    assert f"{named}: " in text
    assert client.tasks()["total"] == 0
    assert portal.count("createTask", took_effect=False) == 1


def test_both_dates_may_be_the_same():
    _, _, client, item_id = make_portal()
    assert client.create(item_id, startDate=ms(NOON + 60), endDate=ms(NOON + 60))


def test_minus_one_is_no_limit():
    _, _, client, item_id = make_portal()
    assert client.task(client.create(item_id, maxOccurrences=-1))["maxOccurrences"] == -1
    assert client.task(client.create(item_id))["maxOccurrences"] == -1


def test_the_limit_of_active_tasks():
    _, _, client, item_id = make_portal(active_task_limit=2)
    first, _ = client.create(item_id), client.create(item_id)
    assert client.tasks()["activeTasksAvailable"] == 0
    code, text = error_of(client.try_create(itemId=item_id))
    assert code == 400
    assert "2 active tasks" in text
    client.act(first, "disable")
    assert client.tasks()["activeTasksAvailable"] == 1
    client.create(item_id)
    assert error_of(client.act(first, "enable"))[0] == 400
    form = {"type": "ExecuteNotebook", "itemId": item_id, **cron("0 4 * * ?")}
    assert error_of(client.act(first, "update", isActive="true", **form))[0] == 400
    assert client.task(first)["active"] is False


def test_the_limit_is_each_user_s_own():
    _, portal, client, item_id = make_portal(active_task_limit=1)
    client.create(item_id)
    admin = Client(portal, "administrator")
    assert admin.create(portal.add_item(owner="administrator"))


def test_an_update_changes_what_it_names_and_keeps_the_rest():
    clock, _, client, item_id = make_portal()
    task_id = client.create(
        item_id,
        title="old",
        parameters='{"a": 1}',
        startDate=1,
        endDate=ms(NOON + 99 * DAY),
        maxOccurrences=5,
    )
    clock.advance(60)
    before = client.task(task_id)
    answer = client.act(task_id, "update", type="ExecuteNotebook", itemId=item_id, **cron("0 5 * * ?"))
    assert answer == {"success": True, "taskId": task_id}
    after = client.task(task_id)
    changed = {name for name in after if after[name] != before.get(name)}
    assert changed == {"cronSchedule", "nextStart", "updated"}
    assert after["nextStart"] == ms(NOON + 17 * 3600)


@pytest.mark.parametrize("missing", ["type", "itemId", "minute", "hour", "dayOfMonth", "month", "dayOfWeek"])
def test_an_update_needs_the_required_fields_again(missing):
    _, _, client, item_id = make_portal()
    task_id = client.create(item_id, title="old")
    form = {"type": "ExecuteNotebook", "itemId": item_id, "title": "new", **cron("0 5 * * ?")}
    del form[missing]
    code, text = error_of(client.act(task_id, "update", **form))
    assert code == 400
    assert f"{missing}: " in text
    assert client.task(task_id)["title"] == "old"


def test_an_update_switches_off_and_on():
    _, _, client, item_id = make_portal()
    task_id = client.create(item_id)
    form = {"type": "ExecuteNotebook", "itemId": item_id, **cron("0 4 * * ?")}
    client.act(task_id, "update", isActive="false", **form)
    paused = client.task(task_id)
    assert (paused["active"], paused["taskState"], "nextStart" in paused) == (False, "paused", False)
    client.act(task_id, "update", **form)
    assert client.task(task_id)["active"] is False
    client.act(task_id, "update", isActive="true", **form)
    assert client.task(task_id)["nextStart"] == ms(NOON + 16 * 3600)
    assert error_of(client.act(task_id, "update", isActive="maybe", **form))[0] == 400


def test_disable_and_enable():
    clock, _, client, item_id = make_portal()
    task_id = client.create(item_id)
    clock.advance(60)
    assert client.act(task_id, "disable") == {"success": True, "taskId": task_id}
    disabled = client.task(task_id)
    assert (disabled["active"], disabled["taskState"]) == (False, "paused")
    assert disabled["updated"] == ms(NOON + 60)
    assert "nextStart" not in disabled
    assert client.act(task_id, "enable") == {"success": True, "taskId": task_id}
    assert client.task(task_id)["nextStart"] == ms(NOON + 16 * 3600)


def test_delete_takes_the_runs_along():
    clock, _, client, item_id = make_portal()
    task_id = client.create(item_id, "* * * * ?")
    clock.advance(300)
    assert client.runs(task_id)
    assert client.act(task_id, "delete") == {"success": True, "taskId": task_id}
    for answer in (
        client.task(task_id),
        client.get(client.path(task_id, "runs")),
        client.act(task_id, "delete"),
        client.act(task_id, "enable"),
        client.act(task_id, "disable"),
        client.act(task_id, "update"),
    ):
        assert error_of(answer)[0] == 404
    assert client.tasks()["total"] == 0


def test_unknown_tasks_and_runs():
    _, _, client, item_id = make_portal()
    assert error_of(client.task("0" * 32))[0] == 404
    task_id = client.create(item_id)
    assert error_of(client.get(client.path(task_id, "runs", "0" * 32)))[0] == 404
    assert error_of(client.act(task_id, "runs/0/delete"))[0] == 404
    assert error_of(client.act(task_id, "runs/0/update", status="failed"))[0] == 404


def test_writes_want_post():
    _, portal, client, item_id = make_portal()
    task_id = client.create(item_id)
    assert error_of(client.get(client.path(task_id, "delete")))[0] == 405
    assert error_of(client.get(client.path("createTask")))[0] == 405
    assert portal.tasks.keys() == {task_id}


def test_reads_take_post_too():
    _, _, client, item_id = make_portal()
    task_id = client.create(item_id)
    assert client.post(client.path())["total"] == 1
    assert client.post(client.path(task_id))["id"] == task_id


def test_other_users_tasks_are_out_of_reach():
    _, portal, client, item_id = make_portal()
    task_id = client.create(item_id)
    portal.add_user("bob", "secret")
    bob = Client(portal, "bob")
    bob.username = "analyst"
    for answer in (
        bob.tasks(),
        bob.task(task_id),
        bob.act(task_id, "delete"),
        bob.act(task_id, "enable"),
        bob.get(bob.path(task_id, "runs")),
        bob.try_create(itemId=item_id),
        bob.get("portals/self/allScheduledTasks"),
    ):
        assert error_of(answer)[0] == 403
    assert portal.tasks.keys() == {task_id}


def test_a_task_has_one_address():
    _, portal, client, item_id = make_portal()
    task_id = client.create(item_id)
    admin = Client(portal, "administrator")
    assert error_of(admin.task(task_id))[0] == 404


def test_other_users_items_are_out_of_reach():
    _, portal, client, _ = make_portal()
    theirs = portal.add_item(owner="administrator")
    assert error_of(client.try_create(itemId=theirs))[0] == 403
    assert error_of(client.get(f"content/items/{theirs}"))[0] == 403


def test_scheduling_a_notebook_is_a_privilege():
    _, portal, _, _ = make_portal()
    portal.add_user("viewer", "secret", role="org_user", privileges=())
    viewer = Client(portal, "viewer")
    code, text = error_of(viewer.try_create(itemId=portal.add_item(owner="viewer")))
    assert code == 403
    assert "permissions" in text
    pipeline = portal.add_item("RunDataPipeline", owner="viewer")
    assert viewer.create(pipeline, type="RunDataPipeline")


def test_administrators_act_for_others():
    _, portal, client, item_id = make_portal()
    admin = Client(portal, "administrator")
    admin.username = "analyst"
    task_id = admin.create(item_id)
    assert client.task(task_id)["userId"] == "analyst"
    assert admin.act(task_id, "disable")["success"]
    assert admin.act(task_id, "delete")["success"]
    admin.username = "nobody"
    assert error_of(admin.tasks())[0] == 404


@pytest.mark.parametrize("portal_id", ["self", ORGANIZATION])
def test_administrators_see_every_task(portal_id):
    _, portal, client, item_id = make_portal()
    mine = client.create(item_id)
    admin = Client(portal, "administrator")
    theirs = admin.create(portal.add_item(owner="administrator"))
    path = f"portals/{portal_id}/allScheduledTasks"
    assert [task["id"] for task in admin.get(path)["tasks"]] == [mine, theirs]
    assert [task["id"] for task in admin.post(path)["tasks"]] == [mine, theirs]
    assert [task["userId"] for task in admin.get(path, userFilter="analyst")["tasks"]] == ["analyst"]
    assert admin.get(path, num=1)["nextStart"] == 2
    assert admin.get(path, itemId=item_id)["total"] == 1


def test_another_portal_s_tasks():
    _, portal, _, _ = make_portal()
    admin = Client(portal, "administrator")
    assert error_of(admin.get("portals/other/allScheduledTasks"))[0] == 404


def test_a_username_may_need_quoting():
    _, portal, _, _ = make_portal()
    name = "ann@example.com/ü#1"
    portal.add_user(name, "secret")
    client = Client(portal, name)
    client.username = "ann%40example.com%2F%C3%BC%231"
    task_id = client.create(portal.add_item(owner=name))
    assert client.task(task_id)["userId"] == name


def test_only_users_own_items():
    _, portal, _, _ = make_portal()
    with pytest.raises(ValueError, match="nobody"):
        portal.add_item(owner="nobody")
