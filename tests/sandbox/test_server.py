"""The portal on HTTP."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import socket
import ssl
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

import aiohttp
import pytest

from airflow_provider_arcgis_tasks.sandbox.clock import ManualClock
from airflow_provider_arcgis_tasks.sandbox.rules import Rules
from airflow_provider_arcgis_tasks.sandbox.server import Sandbox
from tests.sandbox.client import NOON, cron


@pytest.fixture
def sandbox():
    with Sandbox() as sandbox:
        yield sandbox


def connect(sandbox: Sandbox) -> http.client.HTTPConnection:
    address = urlsplit(sandbox.url)
    assert address.hostname is not None
    if address.scheme == "https":
        tls = ssl.create_default_context(cafile=sandbox.ca_bundle)
        return http.client.HTTPSConnection(address.hostname, address.port, context=tls, timeout=10)
    return http.client.HTTPConnection(address.hostname, address.port, timeout=10)


def ask(sandbox: Sandbox, method: str, path: str, connection=None, headers=None, **params):
    """Send a request as a client would; return status, headers and text."""
    connection = connection or connect(sandbox)
    target = f"{urlsplit(sandbox.url).path}/sharing/rest/{path}"
    text, body = urlencode({"f": "json", **params}), None
    head = {"X-Esri-Authorization": f"Bearer {sandbox.portal.issue_token()}", **(headers or {})}
    if method == "POST":
        body, head["Content-Type"] = text, "application/x-www-form-urlencoded"
    else:
        target = f"{target}?{text}"
    connection.request(method, target, body, head)
    reply = connection.getresponse()
    return reply.status, reply.headers, reply.read().decode()


def test_it_listens_on_the_loopback_only(sandbox):
    assert sandbox.url.startswith("http://127.0.0.1:")
    assert sandbox.url.endswith("/portal")
    assert sandbox.ca_bundle is None


def test_a_task_from_creation_to_its_run():
    clock = ManualClock(NOON)
    with Sandbox(clock=clock) as sandbox:
        item_id = sandbox.add_item(type="Notebook", title="Nightly")
        sandbox.plan(item_id, outcome="succeeded", duration=10, result=lambda inputs: {"got": inputs})
        parameters = json.dumps({"notebookParameters": {"name": "ü & 'x'"}})
        _, _, text = ask(
            sandbox, "POST", "community/users/analyst/tasks/createTask",
            type="ExecuteNotebook", itemId=item_id, parameters=parameters, **cron("* * * * ?"),
        )  # fmt: skip
        task_id = json.loads(text)["taskId"]
        clock.advance(75)
        _, headers, text = ask(sandbox, "GET", f"community/users/analyst/tasks/{task_id}/runs")
        (run,) = json.loads(text)["runs"]
        assert json.loads(run["result"]) == {"got": {"name": "ü & 'x'"}}
        assert headers["Date"] == "Fri, 15 Jan 2027 12:01:15 GMT"
        assert headers["Content-Type"] == "application/json;charset=utf-8"
        assert len(sandbox.portal.fired) == 1


def test_time_goes_faster():
    with Sandbox(speed=3600) as sandbox:
        begun = sandbox.portal.clock.now()
        time.sleep(0.05)
        assert sandbox.portal.clock.now() - begun >= 180


def test_rules_reach_the_portal():
    with Sandbox(rules=Rules(errors_in_status=True)) as sandbox:
        assert ask(sandbox, "GET", "community/users/nobody")[0] == 404


def test_users_and_context():
    with Sandbox(username="ann@x", password="p@ss/w:rd%?", context="", seed=5) as sandbox:
        assert urlsplit(sandbox.url).path == ""
        form = {"username": "ann@x", "password": "p@ss/w:rd%?", "client": "requestip"}
        _, _, text = ask(sandbox, "POST", "generateToken", **form)
        assert "token" in json.loads(text)


@pytest.mark.parametrize("tls", [False, True])
def test_the_connection_uri(tls):
    with Sandbox(tls=tls, username="ann@x", password="p@ss/w:rd%?") as sandbox:
        parts = urlsplit(sandbox.connection_uri)
        assert parts.scheme == "arcgis"
        login, _, host = parts.netloc.rpartition("@")
        assert [unquote(text) for text in login.split(":")] == ["ann@x", "p@ss/w:rd%?"]
        assert unquote(host) == sandbox.url
        assert dict(parse_qsl(parts.query)) == ({"ca_bundle": sandbox.ca_bundle} if tls else {})


def test_tls_with_its_own_authority():
    with Sandbox(tls=True) as sandbox:
        assert sandbox.url.startswith("https://127.0.0.1:")
        assert ask(sandbox, "GET", "info")[0] == 200
        bundle = sandbox.ca_bundle
        assert bundle is not None
        assert os.listdir(os.path.dirname(bundle)) == ["ca.pem"]
        stranger = http.client.HTTPSConnection("127.0.0.1", urlsplit(sandbox.url).port, timeout=10)
        with pytest.raises(ssl.SSLCertVerificationError):
            stranger.request("GET", "/")
    assert not os.path.exists(bundle)


def test_tls_needs_the_extra(monkeypatch):
    from airflow_provider_arcgis_tasks.sandbox import server

    server._make_certificates.cache_clear()
    monkeypatch.setitem(sys.modules, "trustme", None)
    with pytest.raises(ImportError, match=r"pip install 'airflow-provider-arcgis-tasks\[sandbox\]'"):
        Sandbox(tls=True).start()


def test_connections_are_kept_and_counted(sandbox):
    connection = connect(sandbox)
    for _ in range(5):
        assert ask(sandbox, "GET", "info", connection)[0] == 200
    assert sandbox.connections_opened == 1
    ask(sandbox, "GET", "info")
    assert sandbox.connections_opened == 2


def test_replies_come_at_once(sandbox):
    connection = connect(sandbox)
    ask(sandbox, "GET", "info", connection)
    begun = time.perf_counter()
    for _ in range(50):
        ask(sandbox, "GET", "info", connection)
    assert time.perf_counter() - begun < 1, "50 requests, each 40 ms with delayed acknowledgements"


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("kind", ["lost_request", "lost_reply"])
def test_a_lost_reply_is_a_lost_connection(kind, tls):
    with Sandbox(tls=tls) as sandbox:
        sandbox.fault(kind, "info")
        with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError, ssl.SSLError)):
            ask(sandbox, "GET", "info")
        assert sandbox.portal.count("info", took_effect=True) == (kind == "lost_reply")
        assert ask(sandbox, "GET", "info")[0] == 200


def test_a_hang_up_breaks_off_the_body(sandbox):
    sandbox.fault("hang_up", "info")
    with pytest.raises(http.client.IncompleteRead):
        ask(sandbox, "GET", "info")


def test_a_slow_reply_is_slow_and_blocks_nobody(sandbox):
    sandbox.fault("slow", "info", delay=0.4)
    with ThreadPoolExecutor(1) as pool:
        begun = time.perf_counter()
        slow = pool.submit(ask, sandbox, "GET", "info")
        while not sandbox.portal.count("info"):
            time.sleep(0.01)
        assert ask(sandbox, "GET", "")[0] == 200
        assert not slow.done()
        assert slow.result()[0] == 200
        assert time.perf_counter() - begun >= 0.4


def test_other_faults_arrive(sandbox):
    sandbox.fault("too_many", "info", retry_after=3)
    sandbox.fault("empty", "info")
    status, headers, _ = ask(sandbox, "GET", "info")
    assert (status, headers["Retry-After"]) == (429, "3")
    assert ask(sandbox, "GET", "info")[::2] == (200, "")


def test_many_threads_get_their_answers():
    with Sandbox(rules=Rules(active_task_limit=1000)) as sandbox:
        item_id = sandbox.add_item()
        path = "community/users/analyst/tasks/createTask"

        def create(_):
            fields = {"type": "ExecuteNotebook", "itemId": item_id, **cron("0 4 * * ?")}
            return json.loads(ask(sandbox, "POST", path, **fields)[2])["taskId"]

        with ThreadPoolExecutor(8) as pool:
            made = set(pool.map(create, range(80)))
        assert made == set(sandbox.portal.tasks)
        assert len(made) == 80


async def test_it_serves_the_loop_it_is_used_from(sandbox):
    async with aiohttp.ClientSession() as session:

        async def info():
            async with session.get(f"{sandbox.url}/sharing/rest/info", params={"f": "json"}) as reply:
                return (await reply.json())["authInfo"]["isTokenBasedSecurity"]

        assert await asyncio.gather(*(info() for _ in range(20))) == [True] * 20


def test_stopping_ends_the_thread_and_frees_the_port():
    with Sandbox() as sandbox:
        port = urlsplit(sandbox.url).port
        ask(sandbox, "GET", "info", connect(sandbox))
    assert "arcgis-sandbox" not in [thread.name for thread in threading.enumerate()]
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


def test_stopping_does_not_wait_for_the_slow():
    with ThreadPoolExecutor(1) as pool:
        with Sandbox() as sandbox:
            sandbox.fault("slow", "info", delay=60)
            slow = pool.submit(ask, sandbox, "GET", "info")
            while not sandbox.portal.count("info"):
                time.sleep(0.01)
            begun = time.perf_counter()
        assert time.perf_counter() - begun < 5
        with pytest.raises((http.client.HTTPException, OSError)):
            slow.result()


def test_stopping_closes_idle_connections():
    with Sandbox() as sandbox:
        connection = connect(sandbox)
        ask(sandbox, "GET", "info", connection)
    connection.sock.settimeout(5)
    assert connection.sock.recv(1) == b""


def test_stopping_twice_or_without_a_start():
    sandbox = Sandbox()
    sandbox.stop()
    sandbox.start()
    with pytest.raises(RuntimeError, match="already running"):
        sandbox.start()
    sandbox.stop()
    sandbox.stop()


def test_a_stopped_sandbox_starts_again_where_it_was_with_all_it_knows():
    sandbox = Sandbox()
    with sandbox:
        url, item_id = sandbox.url, sandbox.add_item()
    with sandbox:
        assert sandbox.url == url
        assert ask(sandbox, "GET", f"content/items/{item_id}")[0] == 200


def test_a_port_that_is_taken(sandbox):
    port = urlsplit(sandbox.url).port
    with pytest.raises(OSError, match=str(port)):
        Sandbox(port).start()
    assert [thread.name for thread in threading.enumerate()].count("arcgis-sandbox") == 1
