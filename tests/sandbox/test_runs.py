"""What fires when, and what becomes of it."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime

import pytest

from tests.sandbox.client import NOON, Client, cron, error_of, make_portal

MINUTE, HOUR, DAY = 60, 3600, 86_400


def ms(seconds: float) -> int:
    return round(seconds * 1000)


def at(moment: float) -> str:
    """Say "at this minute, once a year" in the portal's cron."""
    when = datetime.fromtimestamp(moment, UTC)
    return f"{when.minute} {when.hour} {when.day} {when.month} ?"


def test_a_run_s_life():
    clock, portal, client, item_id = make_portal(NOON + 15)
    portal.plan(item_id, duration=90, result="done")
    task_id = client.create(item_id, at(NOON + 2 * MINUTE), maxOccurrences=1)
    clock.set(NOON + 2 * MINUTE - 1)
    assert client.runs(task_id) == []
    clock.set(NOON + 2 * MINUTE)
    (run,) = client.runs(task_id)
    assert run["status"] == "executing"
    assert run["created"] == run["modified"] == ms(NOON + 2 * MINUTE)
    clock.advance(89)
    assert client.statuses(task_id) == ["executing"]
    clock.advance(1)
    (run,) = client.runs(task_id)
    assert run == {
        "runId": run["runId"],
        "status": "succeeded",
        "result": "done",
        "created": ms(NOON + 120),
        "modified": ms(NOON + 210),
        "url": "",
        "task": client.task(task_id),
    }
    assert client.get(client.path(task_id, "runs", run["runId"])) == run


def test_the_task_follows_its_fires():
    clock, _, client, item_id = make_portal()
    task_id = client.create(item_id, "0 * * * ?")
    assert "lastStart" not in client.task(task_id)
    clock.set(NOON + HOUR + 10)
    task = client.task(task_id)
    assert task["lastStart"] == task["updated"] == ms(NOON + HOUR)
    assert task["nextStart"] == ms(NOON + 2 * HOUR)


def test_many_fires_between_two_requests():
    clock, portal, client, item_id = make_portal()
    task_id = client.create(item_id, "*/30 * * * ?")
    clock.advance(DAY)
    assert len(client.runs(task_id)) == 30
    assert [fired.start for fired in portal.fired] == [NOON + 1800 * (n + 1) for n in range(48)]
    assert client.runs(task_id)[-1]["created"] == ms(NOON + DAY)


def test_a_fire_needs_its_minute_to_begin():
    clock, _, client, item_id = make_portal()
    task_id = client.create(item_id, at(NOON))
    assert client.task(task_id)["nextStart"] == ms(NOON + 365 * DAY)
    clock.advance(HOUR)
    assert client.runs(task_id) == []


def test_occurrences_run_out():
    clock, _, client, item_id = make_portal()
    task_id = client.create(item_id, "* * * * ?", maxOccurrences=3)
    clock.advance(2 * MINUTE)
    assert client.task(task_id)["active"] is True
    clock.advance(HOUR)
    task = client.task(task_id)
    assert (task["active"], task["taskState"], "nextStart" in task) == (False, "completed", False)
    assert client.statuses(task_id) == ["succeeded"] * 3
    assert client.tasks()["activeTasksAvailable"] == 20


def test_a_completed_task_goes_on_executing():
    clock, portal, client, item_id = make_portal()
    portal.plan(item_id, duration=600)
    task_id = client.create(item_id, at(NOON + MINUTE), maxOccurrences=1)
    clock.advance(2 * MINUTE)
    assert client.task(task_id)["active"] is False
    assert client.statuses(task_id) == ["executing"]
    clock.advance(10 * MINUTE)
    assert client.statuses(task_id) == ["succeeded"]


def test_enabling_a_completed_task():
    clock, _, client, item_id = make_portal()
    task_id = client.create(item_id, "* * * * ?", maxOccurrences=1)
    clock.advance(HOUR)
    client.act(task_id, "enable")
    clock.advance(HOUR)
    assert len(client.runs(task_id)) == 2


def test_the_window():
    clock, portal, client, item_id = make_portal(NOON + 30)
    task_id = client.create(
        item_id, "* * * * ?", startDate=ms(NOON + 10 * MINUTE), endDate=ms(NOON + 12 * MINUTE)
    )
    assert client.task(task_id)["nextStart"] == ms(NOON + 10 * MINUTE)
    clock.set(NOON + 12 * MINUTE - 1)
    assert client.task(task_id)["active"] is True
    clock.set(NOON + 13 * MINUTE)
    task = client.task(task_id)
    assert (task["active"], task["taskState"]) == (False, "completed")
    assert [fired.start for fired in portal.fired] == [NOON + n * MINUTE for n in (10, 11, 12)]


def test_a_window_of_one_minute_fires_once_in_every_zone():
    clock, portal, client, item_id = make_portal(NOON + 30, cron_zone="Asia/Kathmandu")
    begin = ms(NOON + 2 * MINUTE)
    client.create(item_id, "* * * * ?", startDate=begin, endDate=begin + 59_999, maxOccurrences=1)
    clock.advance(HOUR)
    assert [fired.start for fired in portal.fired] == [NOON + 2 * MINUTE]


def test_a_window_without_a_fire_time():
    clock, portal, client, item_id = make_portal(NOON + 30)
    task_id = client.create(item_id, at(NOON + HOUR), endDate=ms(NOON + 10 * MINUTE))
    task = client.task(task_id)
    assert (task["active"], "nextStart" in task) == (True, False)
    clock.advance(11 * MINUTE)
    assert client.task(task_id)["taskState"] == "completed"
    assert portal.fired == []


def test_a_window_in_the_past():
    _, _, client, item_id = make_portal()
    task_id = client.create(item_id, endDate=1000)
    assert client.task(task_id)["active"] is False


def test_failures_in_a_row_take_a_task_out_of_service():
    clock, portal, client, item_id = make_portal()
    portal.plan(item_id, "failed", result="boom")
    task_id = client.create(item_id, "* * * * ?")
    clock.advance(5 * MINUTE + 29)
    assert client.task(task_id)["active"] is True
    clock.advance(HOUR)
    task = client.task(task_id)
    assert (task["active"], task["taskState"]) == (False, "failed")
    assert client.statuses(task_id) == ["failed"] * 5
    assert client.runs(task_id)[0]["result"] == "boom"


def test_a_success_forgives_failures():
    clock, portal, client, item_id = make_portal()
    portal.plan(item_id, "failed", times=4)
    portal.plan(item_id, "succeeded", times=1)
    portal.plan(item_id, "failed", times=4)
    portal.plan(item_id, "succeeded")
    task_id = client.create(item_id, "* * * * ?", maxOccurrences=10)
    clock.advance(HOUR)
    assert client.task(task_id)["taskState"] == "completed"
    assert client.statuses(task_id) == [*["failed"] * 4, "succeeded", *["failed"] * 4, "succeeded"]


def test_enabling_forgives_failures():
    clock, portal, client, item_id = make_portal()
    portal.plan(item_id, "failed")
    task_id = client.create(item_id, "* * * * ?")
    clock.advance(HOUR)
    client.act(task_id, "enable")
    clock.advance(4 * MINUTE)
    assert client.task(task_id)["active"] is True
    clock.advance(2 * MINUTE)
    assert client.task(task_id)["active"] is False


def test_a_task_does_not_overtake_itself():
    clock, portal, client, item_id = make_portal()
    portal.plan(item_id, duration=150)
    task_id = client.create(item_id, "* * * * ?")
    clock.advance(4 * MINUTE)
    assert client.statuses(task_id) == ["succeeded", "skipped", "skipped", "executing"]
    assert [fired.start for fired in portal.fired] == [NOON + MINUTE, NOON + 4 * MINUTE]


def test_two_tasks_of_one_item_run_side_by_side():
    clock, portal, client, item_id = make_portal()
    portal.plan(item_id, duration=600)
    client.create(item_id, at(NOON + MINUTE))
    client.create(item_id, at(NOON + MINUTE))
    clock.advance(MINUTE)
    assert len(portal.fired) == 2


def test_a_disabled_task_does_not_fire():
    clock, portal, client, item_id = make_portal()
    task_id = client.create(item_id, "* * * * ?")
    client.act(task_id, "disable")
    clock.advance(HOUR)
    assert portal.fired == []
    client.act(task_id, "enable")
    clock.advance(MINUTE)
    assert len(portal.fired) == 1


def test_an_update_moves_the_next_fire():
    clock, portal, client, item_id = make_portal()
    task_id = client.create(item_id, at(NOON + MINUTE))
    client.act(task_id, "update", type="ExecuteNotebook", itemId=item_id, **cron(at(NOON + 3 * MINUTE)))
    clock.advance(HOUR)
    assert [fired.start for fired in portal.fired] == [NOON + 3 * MINUTE]


def test_deleting_stops_what_has_not_begun_and_nothing_else():
    clock, portal, client, item_id = make_portal()
    before = client.create(item_id, at(NOON + MINUTE), title="before")
    during = client.create(item_id, at(NOON + MINUTE), title="during")
    client.act(before, "delete")
    clock.advance(MINUTE)
    client.act(during, "delete")
    clock.advance(HOUR)
    (fired,) = portal.fired
    assert (fired.title, fired.task_id, fired.end) == ("during", during, NOON + MINUTE + 30)


def test_what_fired_is_remembered():
    clock, portal, client, item_id = make_portal()
    portal.plan(item_id, "failed", 45, {"rows": 0})
    parameters = {"notebookParameters": '{"day": 1}'}
    task_id = client.create(item_id, at(NOON + MINUTE), title="t", parameters=json.dumps(parameters))
    clock.advance(2 * MINUTE)
    (run,) = client.runs(task_id)
    (fired,) = portal.fired
    assert fired.run_id == run["runId"]
    assert (fired.task_id, fired.item_id, fired.type) == (task_id, item_id, "ExecuteNotebook")
    assert (fired.owner, fired.title, fired.outcome, fired.result) == (
        "analyst",
        "t",
        "failed",
        '{"rows": 0}',
    )
    assert (fired.parameters, fired.inputs) == (parameters, {"day": 1})
    assert (fired.scheduled_for, fired.start, fired.end) == (NOON + 60, NOON + 60, NOON + 105)


def test_a_notebook_can_answer_from_its_parameters():
    clock, portal, client, item_id = make_portal()
    portal.plan(item_id, result=lambda inputs: {"double": 2 * inputs["n"]})
    parameters = json.dumps({"notebookParameters": {"n": 21}})
    task_id = client.create(item_id, at(NOON + MINUTE), parameters=parameters)
    clock.advance(HOUR)
    assert client.runs(task_id)[0]["result"] == '{"double": 42}'


def test_a_notebook_that_raises_fails():
    clock, portal, client, item_id = make_portal()
    portal.plan(item_id, result=lambda inputs: inputs["n"])
    task_id = client.create(item_id, at(NOON + MINUTE))
    clock.advance(HOUR)
    (run,) = client.runs(task_id)
    assert (run["status"], run["result"]) == ("failed", "KeyError: 'n'")


def test_a_plan_for_what_is_not_executed_may_raise_too():
    clock, portal, client, item_id = make_portal()
    portal.plan(item_id, "submitfailed", result=lambda inputs: inputs["n"])
    task_id = client.create(item_id, at(NOON + MINUTE), maxOccurrences=1)
    clock.advance(HOUR)
    assert client.statuses(task_id) == ["failed"]


def test_other_types_see_all_their_parameters():
    clock, portal, client, _ = make_portal()
    item_id = portal.add_item("ExecuteSceneCook")
    portal.plan(item_id, result=lambda inputs: inputs["layer"])
    task_id = client.create(item_id, at(NOON + 60), type="ExecuteSceneCook", parameters='{"layer": "{}"}')
    clock.advance(HOUR)
    assert client.runs(task_id)[0]["result"] == "{}"


def outcomes(clock, client, item_id, count):
    task_id = client.create(item_id, "* * * * ?", maxOccurrences=count)
    clock.advance((count + 1) * MINUTE)
    return client.statuses(task_id)


def test_plans_queue_up():
    clock, portal, client, item_id = make_portal()
    portal.plan(item_id, "failed")
    portal.plan(item_id, "submitfailed", times=2)
    portal.plan(item_id, "succeeded")
    assert outcomes(clock, client, item_id, 5) == [
        "failed",
        "submitfailed",
        "submitfailed",
        "succeeded",
        "succeeded",
    ]


def test_a_plan_for_a_number_of_runs_ends():
    clock, portal, client, item_id = make_portal()
    portal.plan(item_id, "failed", times=2)
    assert outcomes(clock, client, item_id, 3) == ["failed", "failed", "succeeded"]


def test_a_later_plan_replaces_one_that_has_been_used():
    clock, portal, client, item_id = make_portal()
    portal.plan(item_id, "failed")
    assert outcomes(clock, client, item_id, 2) == ["failed", "failed"]
    portal.plan(item_id, "succeeded")
    assert outcomes(clock, client, item_id, 2) == ["succeeded", "succeeded"]


def test_plans_by_type_and_for_all():
    clock, portal, client, item_id = make_portal()
    portal.plan(None, "skipped")
    portal.plan("ExecuteNotebook", "failed")
    assert outcomes(clock, client, item_id, 1) == ["failed"]
    other = portal.add_item("RunDataPipeline")
    task_id = client.create(other, "* * * * ?", type="RunDataPipeline", maxOccurrences=1)
    clock.advance(MINUTE)
    assert client.statuses(task_id) == ["skipped"]
    portal.plan(item_id, "submitfailed")
    assert outcomes(clock, client, item_id, 1) == ["submitfailed"]


@pytest.mark.parametrize("outcome", ["skipped", "submitfailed"])
def test_what_is_not_executed_does_not_count_as_fired(outcome):
    clock, portal, client, item_id = make_portal()
    portal.plan(item_id, outcome, result="why")
    task_id = client.create(item_id, at(NOON + MINUTE))
    clock.advance(MINUTE)
    (run,) = client.runs(task_id)
    assert (run["status"], run["result"]) == (outcome, "why")
    assert portal.fired == []


def test_a_run_may_never_end():
    clock, portal, client, item_id = make_portal()
    portal.plan(item_id, duration=math.inf)
    task_id = client.create(item_id, at(NOON + MINUTE))
    clock.advance(300 * DAY)
    assert client.statuses(task_id) == ["executing"]
    assert portal.fired[0].end == math.inf


def test_a_status_nobody_knows():
    clock, portal, client, item_id = make_portal()
    portal.plan(item_id, "quarantined")
    assert outcomes(clock, client, item_id, 1) == ["quarantined"]


def finished_run(client: Client, clock, item_id):
    task_id = client.create(item_id, at(NOON + MINUTE))
    clock.advance(2 * MINUTE)
    return task_id, client.runs(task_id)[0]["runId"]


def test_editing_a_run_edits_the_record():
    clock, portal, client, item_id = make_portal()
    task_id, run_id = finished_run(client, clock, item_id)
    path = client.path(task_id, "runs", run_id)
    clock.advance(5)
    answer = client.post(f"{path}/update", status="failed", result="by hand")
    assert answer == {"success": True, "taskId": task_id, "runId": run_id}
    run = client.get(path)
    assert (run["status"], run["result"], run["modified"]) == ("failed", "by hand", ms(clock.now()))
    client.post(f"{path}/update", status="skipped")
    assert client.get(path)["result"] == "by hand"
    assert portal.fired[0].outcome == "succeeded"


@pytest.mark.parametrize("status", ["", "SUCCEEDED", "done"])
def test_a_run_takes_no_other_status(status):
    clock, _, client, item_id = make_portal()
    task_id, run_id = finished_run(client, clock, item_id)
    code, text = error_of(client.post(client.path(task_id, "runs", run_id, "update"), status=status))
    assert code == 400
    assert "status: " in text


def test_deleting_a_run():
    clock, _, client, item_id = make_portal()
    task_id, run_id = finished_run(client, clock, item_id)
    path = client.path(task_id, "runs", run_id)
    assert client.post(f"{path}/delete") == {"success": True, "taskId": task_id, "runId": run_id}
    assert client.runs(task_id) == []
    assert error_of(client.post(f"{path}/delete"))[0] == 404


def test_a_portal_is_repeatable():
    def play(seed):
        clock, portal, client, item_id = make_portal()
        task_id = client.create(item_id, "* * * * ?")
        clock.advance(seed * HOUR)
        return item_id, task_id, client.runs(task_id), list(portal.fired)

    assert play(1) == play(1)


def test_looking_often_or_seldom_makes_no_difference():
    def play(step):
        clock, portal, client, item_id = make_portal(run_record_delay=31, time_in_scheduled=7)
        portal.plan(item_id, "failed", 100, times=3)
        portal.plan(item_id, "succeeded", 50)
        task_id = client.create(item_id, "*/2 * * * ?")
        while clock.now() < NOON + HOUR:
            client.runs(task_id)
            clock.advance(step)
        clock.set(NOON + 2 * HOUR)
        return client.runs(task_id), list(portal.fired)

    assert play(HOUR) == play(13)
