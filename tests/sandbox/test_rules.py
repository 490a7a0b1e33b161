"""Every switch does what it says."""

from __future__ import annotations

import json
from dataclasses import fields

import pytest

from airflow_provider_arcgis_tasks.sandbox.rules import Rules
from tests.sandbox.client import GP_TASK, NOON, Client, cron, error_of, make_portal
from tests.sandbox.test_runs import DAY, HOUR, MINUTE, at, ms


def test_every_switch_is_explained():
    for field in fields(Rules):
        assert f"\n        {field.name}: " in (Rules.__doc__ or ""), field.name


@pytest.mark.parametrize(
    ("switch", "value", "said"),
    [
        ("overlap", "queue", "'queue' is not a valid Overlap"),
        ("optional_fields", "maybe", "'maybe' is not a valid OptionalFields"),
        ("cron_zone", "Mars", "Mars"),
        ("runs_order", "", "'' is not a valid RunsOrder"),
        ("hidden_fields", frozenset({"nextStart"}), "write task.nextStart"),
    ],
)
def test_a_wrong_switch_is_refused(switch, value, said):
    with pytest.raises(ValueError, match=said):
        Rules(**{switch: value})


@pytest.mark.parametrize(
    ("zone", "hours"), [("UTC", 4), ("Europe/Berlin", 3), ("-07:00", 11), ("Asia/Tokyo", 19)]
)
def test_cron_zone(zone, hours):
    clock, portal, client, item_id = make_portal(NOON - 12 * HOUR, cron_zone=zone)
    task_id = client.create(item_id, "0 4 * * ?")
    assert client.task(task_id)["nextStart"] == ms(NOON - 12 * HOUR + hours * HOUR)
    clock.advance(DAY)
    assert [fired.start for fired in portal.fired] == [NOON - 12 * HOUR + hours * HOUR]


def test_strict_quartz():
    _, _, client, item_id = make_portal(strict_quartz=True)
    code, text = error_of(client.try_create("0 0 * * *", itemId=item_id))
    assert code == 400
    assert "dayOfWeek: " in text
    assert client.create(item_id, "0 0 * * ?")


def test_least_interval():
    _, _, client, item_id = make_portal(least_interval_minutes=15)
    for schedule in ("* * * * ?", "*/10 * * * ?", "0,14 3 * * ?"):
        code, text = error_of(client.try_create(schedule, itemId=item_id))
        assert code == 400
        assert "15 minutes" in text
    for schedule in ("*/15 * * * ?", "0 4 * * ?", at(NOON + MINUTE)):
        assert client.create(item_id, schedule)


def test_never_fires():
    _, _, client, item_id = make_portal(never_fires="refuse")
    code, text = error_of(client.try_create(at(NOON + HOUR), itemId=item_id, endDate=ms(NOON + MINUTE)))
    assert code == 400
    assert "endDate: " in text


def sample(**rules):
    clock, portal, client, _ = make_portal(**rules)
    item_id = portal.add_item("GPService")
    task_id = client.create(
        item_id, "* * * * ?", type="GPService", taskUrl=GP_TASK, parameters='{"a": 1}', endDate=ms(NOON + DAY)
    )
    bare = client.create(item_id, at(NOON + DAY), type="GPService", taskUrl=GP_TASK)
    clock.advance(MINUTE)
    return client, client.task(task_id), client.task(bare), client.runs(task_id)[0]


def test_optional_fields_present():
    _, task, bare, run = sample()
    assert "title" in task
    assert {"lastStart", "nextStart", "endDate", "taskUrl", "parameters", "taskState"} <= task.keys()
    assert not {"lastStart", "parameters", "startDate", "endDate"} & bare.keys()
    assert run["result"] == ""


def test_optional_fields_null():
    _, task, bare, run = sample(optional_fields="null")
    assert task.keys() == bare.keys()
    assert {name for name, value in bare.items() if value is None} == {
        "title", "lastStart", "parameters", "startDate", "endDate",
    }  # fmt: skip
    assert run["result"] is None


def test_optional_fields_absent():
    client, task, _, run = sample(optional_fields="absent")
    assert task.keys() == {
        "id", "itemId", "type", "userId", "cronSchedule", "maxOccurrences", "created", "updated", "active",
    }  # fmt: skip
    assert run.keys() == {"runId", "status", "task"}
    assert "activeTasksAvailable" not in client.tasks()


def test_hidden_fields():
    _, task, _, run = sample(hidden_fields=frozenset({"task.nextStart", "run.created"}))
    assert "nextStart" not in task
    assert "created" in task
    assert "created" not in run


@pytest.mark.parametrize(("as_text", "expected"), [(True, '{"a": 1}'), (False, {"a": 1})])
def test_notebook_parameters_as_text(as_text, expected):
    clock, portal, client, item_id = make_portal(notebook_parameters_as_text=as_text)
    parameters = json.dumps({"notebookParameters": {"a": 1}})
    task_id = client.create(item_id, "* * * * ?", parameters=parameters)
    assert client.task(task_id)["parameters"] == {"notebookParameters": expected}
    clock.advance(MINUTE)
    assert portal.fired[0].inputs == {"a": 1}


def test_task_url_key():
    _, task, _, _ = sample(task_url_key="taskURL")
    assert task["taskURL"] == GP_TASK
    assert "taskUrl" not in task


def test_an_update_may_clear_what_it_does_not_name():
    _, _, client, item_id = make_portal(update_keeps_omitted=False)
    task_id = client.create(
        item_id, title="t", parameters='{"a": 1}', endDate=ms(NOON + DAY), maxOccurrences=5
    )
    client.act(task_id, "update", type="ExecuteNotebook", itemId=item_id, **cron("0 4 * * ?"))
    task = client.task(task_id)
    assert task["title"] is None
    assert task["maxOccurrences"] == -1
    assert not {"parameters", "endDate"} & task.keys()


def test_runs_kept():
    clock, portal, client, item_id = make_portal(runs_kept=2)
    task_id = client.create(item_id, "* * * * ?")
    clock.advance(5 * MINUTE)
    assert [run["created"] for run in client.runs(task_id)] == [ms(NOON + 240), ms(NOON + 300)]
    assert len(portal.fired) == 5


def test_failures_to_disable():
    clock, portal, client, item_id = make_portal(failures_to_disable=2)
    portal.plan(item_id, "failed")
    task_id = client.create(item_id, "* * * * ?")
    clock.advance(HOUR)
    assert client.statuses(task_id) == ["failed", "failed"]


def test_failing_statuses():
    clock, portal, client, item_id = make_portal(failing_statuses=frozenset({"submitfailed"}))
    portal.plan(item_id, "failed", times=9)
    portal.plan(item_id, "submitfailed")
    task_id = client.create(item_id, "* * * * ?")
    clock.advance(HOUR)
    assert client.statuses(task_id) == ["failed"] * 9 + ["submitfailed"] * 5


def test_counts_towards_occurrences():
    clock, portal, client, item_id = make_portal(counts_towards_occurrences=frozenset({"succeeded"}))
    portal.plan(item_id, "failed", times=2)
    task_id = client.create(item_id, "* * * * ?", maxOccurrences=1)
    clock.advance(HOUR)
    assert client.statuses(task_id) == ["failed", "failed", "succeeded"]


def test_completes_when_finished():
    clock, portal, client, item_id = make_portal(completes_when="finished")
    portal.plan(item_id, duration=300)
    task_id = client.create(item_id, "* * * * ?", maxOccurrences=1)
    clock.advance(2 * MINUTE)
    task = client.task(task_id)
    assert (task["active"], "nextStart" in task) == (True, False)
    clock.advance(4 * MINUTE)
    assert client.task(task_id)["taskState"] == "completed"
    assert client.statuses(task_id) == ["succeeded"]


def test_enabling_may_not_reset_occurrences():
    clock, _, client, item_id = make_portal(enabling_resets_occurrences=False)
    task_id = client.create(item_id, "* * * * ?", maxOccurrences=1)
    clock.advance(HOUR)
    client.act(task_id, "enable")
    clock.advance(HOUR)
    assert len(client.runs(task_id)) == 1
    assert client.task(task_id)["active"] is False


def test_overlap_in_parallel():
    clock, portal, client, item_id = make_portal(overlap="parallel")
    portal.plan(item_id, duration=150)
    task_id = client.create(item_id, "* * * * ?", maxOccurrences=3)
    clock.advance(3 * MINUTE)
    assert client.statuses(task_id) == ["executing"] * 3


@pytest.mark.parametrize(
    ("missed", "starts"),
    [
        ("skip", [NOON + n * MINUTE for n in (1, 6, 7)]),
        ("catch_up", [NOON + MINUTE, NOON + 330, NOON + 6 * MINUTE, NOON + 7 * MINUTE]),
    ],
)
def test_missed_fires(missed, starts):
    clock, portal, client, item_id = make_portal(missed_fires=missed)
    portal.plan(item_id, duration=10)
    task_id = client.create(item_id, "* * * * ?")
    portal.down(NOON + 90, NOON + 330)
    clock.set(NOON + 2 * MINUTE)
    assert client.reply("GET", client.path()).status == 503
    clock.set(NOON + 7 * MINUTE)
    assert [run["created"] for run in client.runs(task_id)] == [ms(start) for start in starts]
    assert [fired.start for fired in portal.fired] == starts


def test_a_caught_up_fire_keeps_its_nominal_time():
    clock, portal, client, item_id = make_portal(missed_fires="catch_up")
    task_id = client.create(item_id, at(NOON + 2 * MINUTE), maxOccurrences=1)
    portal.down(NOON + 90, NOON + 330)
    clock.advance(HOUR)
    assert client.task(task_id)["lastStart"] == ms(NOON + 2 * MINUTE)
    assert (portal.fired[0].scheduled_for, portal.fired[0].start) == (NOON + 2 * MINUTE, NOON + 330)


def test_run_record_delay():
    clock, portal, client, item_id = make_portal(run_record_delay=31)
    task_id = client.create(item_id, at(NOON + MINUTE))
    clock.set(NOON + MINUTE + 30)
    assert client.task(task_id)["lastStart"] == ms(NOON + MINUTE)
    assert client.runs(task_id) == []
    clock.advance(1)
    assert client.runs(task_id)[0]["created"] == ms(NOON + MINUTE + 31)
    assert (portal.fired[0].scheduled_for, portal.fired[0].start) == (NOON + 60, NOON + 91)


def test_deleting_before_the_record_appears():
    clock, portal, client, item_id = make_portal(run_record_delay=31)
    task_id = client.create(item_id, at(NOON + MINUTE))
    clock.set(NOON + MINUTE + 30)
    client.act(task_id, "delete")
    clock.advance(HOUR)
    assert portal.fired == []


def test_time_in_scheduled():
    clock, portal, client, item_id = make_portal(time_in_scheduled=20)
    task_id = client.create(item_id, at(NOON + MINUTE))
    clock.set(NOON + MINUTE + 19)
    assert client.statuses(task_id) == ["scheduled"]
    assert portal.fired == []
    clock.advance(1)
    assert client.statuses(task_id) == ["executing"]
    clock.advance(30)
    assert client.statuses(task_id) == ["succeeded"]


@pytest.mark.parametrize("order", ["oldest", "newest", "shuffled"])
def test_runs_order(order):
    clock, _, client, item_id = make_portal(runs_order=order)
    task_id = client.create(item_id, "* * * * ?", maxOccurrences=20)
    clock.advance(HOUR)
    created = [run["created"] for run in client.runs(task_id)]
    assert len(created) == 20
    assert (created == sorted(created)) is (order == "oldest")
    assert (created == sorted(created, reverse=True)) is (order == "newest")


def test_list_lag():
    clock, portal, client, item_id = make_portal(list_lag=5)
    task_id = client.create(item_id)
    admin = Client(portal, "administrator")
    assert client.tasks()["total"] == 0
    assert admin.get("portals/self/allScheduledTasks")["total"] == 0
    assert client.task(task_id)["id"] == task_id
    clock.advance(5)
    assert client.tasks()["total"] == 1


def test_page_sizes():
    _, _, client, item_id = make_portal(page_size=2, page_size_max=3)
    for _ in range(5):
        client.create(item_id)
    assert client.tasks()["num"] == 2
    assert client.tasks(num=100)["num"] == 3


@pytest.mark.parametrize("in_status", [False, True])
def test_errors_in_status(in_status):
    _, _, client, _ = make_portal(errors_in_status=in_status)
    reply = client.reply("GET", client.path("0" * 32))
    assert reply.status == (404 if in_status else 200)
    assert error_of(json.loads(reply.body))[0] == 404


def test_json_content_type():
    _, _, client, _ = make_portal(json_content_type="text/plain;charset=utf-8")
    assert client.reply("GET", client.path()).headers["Content-Type"] == "text/plain;charset=utf-8"
