"""The portal as a whole: formats, faults, the journal."""

from __future__ import annotations

import json
import time

import pytest

from airflow_provider_arcgis_tasks.sandbox.clock import ManualClock
from airflow_provider_arcgis_tasks.sandbox.faults import FaultKind
from airflow_provider_arcgis_tasks.sandbox.model import Portal
from tests.sandbox.client import NOON, ROOT, Client, error_of, make_portal


def test_a_reply_says_what_time_it_is():
    clock, _, client, _ = make_portal()
    assert client.reply("GET", "").headers["Date"] == "Fri, 15 Jan 2027 12:00:00 GMT"
    clock.advance(61.9)
    assert client.reply("GET", "").headers["Date"] == "Fri, 15 Jan 2027 12:01:01 GMT"


@pytest.mark.parametrize("form", ["", "html"])
def test_without_f_json_the_answer_is_a_page(form):
    _, _, client, item_id = make_portal()
    task_id = client.create(item_id, title="<b>")
    reply = client.reply("GET", client.path(task_id), f=form)
    assert reply.status == 200
    assert reply.headers["Content-Type"].startswith("text/html")
    assert b"&lt;b&gt;" in reply.body
    assert b"<b>" not in reply.body


def test_a_write_without_f_json_takes_effect():
    _, portal, client, item_id = make_portal()
    task_id = client.create(item_id)
    reply = client.reply("POST", client.path(task_id, "delete"), f="")
    assert reply.body.startswith(b"<!DOCTYPE html>")
    assert portal.tasks == {}


def test_pjson_is_json():
    _, _, client, _ = make_portal()
    assert json.loads(client.reply("GET", "info", f="pjson").body)


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/portal",
        "/portal/home",
        "/sharing/rest/info",
        "/portal/rest/info",
        "/arcgis/sharing/rest/info",
        f"{ROOT}/nothing",
        f"{ROOT}/community/users/analyst/tasks/1/cancel",
        f"{ROOT}/community/users/analyst/tasks/1/runs/2/cancel",
    ],
)
def test_elsewhere_is_a_page_with_404(path):
    reply = make_portal()[1].handle("GET", path, {"f": "json"})
    assert reply.status == 404
    assert reply.headers["Content-Type"].startswith("text/html")


@pytest.mark.parametrize(
    ("url", "root"),
    [
        ("https://org.maps.arcgis.example.com", "/sharing/rest"),
        ("https://host.example.com/", "/sharing/rest"),
        ("https://host.example.com:7443/arcgis", "/arcgis/sharing/rest"),
        ("https://host.example.com/a/b/", "/a/b/sharing/rest"),
    ],
)
def test_contexts(url, root):
    portal = Portal(ManualClock(NOON), url=url)
    reply = portal.handle("GET", f"{root}/info", {"f": "json"})
    assert (
        json.loads(reply.body)["authInfo"]["tokenServicesUrl"]
        == f"{url.rstrip('/')}/sharing/rest/generateToken"
    )
    assert portal.handle("GET", f"{root}/", {"f": "json"}).status == 200


def test_the_main_user_can_be_named():
    portal = Portal(ManualClock(NOON), username="ann", password="p")
    client = Client(portal, "ann")
    assert client.get("community/self")["username"] == "ann"
    assert "token" in client.post("generateToken", username="ann", password="p")


def test_the_journal():
    _, portal, client, item_id = make_portal()
    portal.fault("unavailable", "runs")
    task_id = client.create(item_id)
    client.reply("GET", client.path(task_id, "runs"))
    client.task("0")
    client.token = None
    client.tasks()
    assert [
        (entry.operation, entry.user, entry.status, entry.error, entry.fault, entry.took_effect)
        for entry in portal.journal
    ] == [
        ("createTask", "analyst", 200, 0, "", True),
        ("runs", None, 503, 0, "unavailable", False),
        ("task", "analyst", 200, 404, "", False),
        ("tasks", None, 200, 499, "", False),
    ]
    first = portal.journal[0]
    assert (first.time, first.method, first.path) == (NOON, "POST", f"{ROOT}/{client.path('createTask')}")


def test_counts():
    _, portal, client, item_id = make_portal()
    portal.fault("lost_reply", "createTask")
    for _ in range(2):
        client.reply("POST", client.path("createTask"), type="ExecuteNotebook", itemId=item_id)
    client.create(item_id)
    assert portal.count("createTask") == 3
    assert portal.count("createTask", took_effect=True) == 1
    assert portal.count("createTask", took_effect=False) == 2
    assert portal.count("deleteTask") == 0


def create_under(kind, **options):
    _, portal, client, item_id = make_portal()
    fault = portal.fault(kind, "createTask", **options)
    fields = {"minute": "0", "hour": "4", "dayOfMonth": "*", "month": "*", "dayOfWeek": "?"}
    reply = client.reply("POST", client.path("createTask"), type="ExecuteNotebook", itemId=item_id, **fields)
    assert fault.happened == 1
    assert portal.journal[-1].fault == kind
    return reply, len(portal.tasks)


@pytest.mark.parametrize(
    ("kind", "made"),
    [(kind, kind in ("lost_reply", "hang_up", "truncated", "empty", "slow")) for kind in FaultKind],
)
def test_which_faults_let_a_request_take_effect(kind, made):
    assert create_under(kind)[1] == made


def test_lost_replies():
    assert create_under("lost_request")[0].lost == "before"
    assert create_under("lost_reply")[0].lost == "before"
    assert create_under("hang_up")[0].lost == "midway"


def test_spoiled_replies():
    reply, _ = create_under("truncated")
    assert reply.status == 200
    assert reply.body.startswith(b'{"success": true')
    with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        json.loads(reply.body)
    assert create_under("empty")[0].body == b""
    slow, _ = create_under("slow", delay=2.5)
    assert slow.delay == 2.5
    assert json.loads(slow.body)["success"] is True


def test_refusing_faults():
    assert error_of(json.loads(create_under("token_expired")[0].body))[0] == 498
    assert error_of(json.loads(create_under("token_required")[0].body))[0] == 499
    reply, _ = create_under("error", status=500, body={"error": {"code": 7}})
    assert (reply.status, json.loads(reply.body)) == (500, {"error": {"code": 7}})
    assert error_of(json.loads(create_under("error")[0].body))[0] == 500


def test_gateway_faults():
    reply, _ = create_under("too_many", retry_after=7)
    assert (reply.status, reply.headers["Retry-After"]) == (429, "7")
    assert "Retry-After" not in create_under("too_many", retry_after=None)[0].headers
    reply, _ = create_under("unavailable")
    assert reply.status == 503
    assert reply.body.startswith(b"<!DOCTYPE html>")
    reply, _ = create_under("html")
    assert (reply.status, reply.headers["Content-Type"]) == (200, "text/html;charset=utf-8")


def statuses(client, count, path="info"):
    return [client.reply("GET", path).status for _ in range(count)]


def test_faults_come_as_often_as_ordered():
    _, portal, client, _ = make_portal()
    fault = portal.fault("unavailable", "info", times=2, after=1)
    assert statuses(client, 5) == [200, 503, 503, 200, 200]
    assert fault.happened == 2


def test_a_fault_until_it_is_cancelled():
    _, portal, client, _ = make_portal()
    fault = portal.fault("unavailable", times=None)
    assert statuses(client, 3) == [503] * 3
    fault.cancel()
    assert statuses(client, 2) == [200] * 2


def test_faults_queue_up():
    _, portal, client, _ = make_portal()
    portal.fault("unavailable", "info")
    portal.fault("too_many", "info")
    assert statuses(client, 3) == [503, 429, 200]


def test_a_fault_matches_an_operation_or_a_path():
    _, portal, client, item_id = make_portal()
    task_id = client.create(item_id)
    portal.fault("unavailable", "task", times=None)
    assert statuses(client, 1, client.path()) == [200]
    assert statuses(client, 1, client.path(task_id, "runs")) == [200]
    assert statuses(client, 1, client.path(task_id)) == [503]
    portal.fault("too_many", r"/runs$", times=None)
    assert statuses(client, 1, client.path(task_id, "runs")) == [429]


def test_an_unknown_fault():
    with pytest.raises(ValueError, match="gremlins"):
        make_portal()[1].fault("gremlins")


def test_down_means_503_for_everything():
    clock, portal, client, _ = make_portal()
    fault = portal.fault("too_many")
    portal.down(NOON + 10, NOON + 20)
    clock.set(NOON + 10)
    assert statuses(client, 2) == [503, 503]
    assert fault.happened == 0
    clock.set(NOON + 20)
    assert statuses(client, 2) == [429, 200]


def test_it_is_cheap():
    _, portal, client, item_id = make_portal()
    for _ in range(3):
        client.create(item_id)
    path, headers = f"{ROOT}/{client.path()}", {"X-Esri-Authorization": f"Bearer {client.token}"}
    params = {"f": "json", "start": "1", "num": "100"}
    begun = time.process_time()
    for _ in range(1000):
        portal.handle("GET", path, params, headers)
    assert time.process_time() - begun < 1, "1 ms for a request that takes 0.06 ms"
