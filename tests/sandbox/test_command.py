"""`python -m airflow_provider_arcgis_tasks.sandbox`."""

from __future__ import annotations

import json
import os
import signal
import ssl
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from contextlib import contextmanager

import pytest

COMMAND = [sys.executable, "-m", "airflow_provider_arcgis_tasks.sandbox"]


@contextmanager
def running(facts, *options, stop=signal.SIGTERM):
    process = subprocess.Popen(
        [*COMMAND, "--port", "0", "--json", str(facts), *options], stdout=subprocess.PIPE, text=True
    )
    try:
        end = time.monotonic() + 30
        while not facts.exists():
            assert process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.02)
        yield json.loads(facts.read_text()), process
    finally:
        process.send_signal(stop)
        assert process.wait(10) == 0


def refusal(*options):
    done = subprocess.run([*COMMAND, *options], capture_output=True, text=True, timeout=30)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    return done.stderr


def fetch(facts, path):
    tls = ssl.create_default_context(cafile=facts["caBundle"]) if facts["caBundle"] else None
    with urllib.request.urlopen(f"{facts['url']}/sharing/rest/{path}", context=tls, timeout=10) as reply:
        return json.load(reply)


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_it_is_told_to_stop(tmp_path, stop):
    with running(tmp_path / "facts.json", "--tls", stop=stop) as (facts, process):
        assert fetch(facts, "info?f=json")["authInfo"]["isTokenBasedSecurity"] is True
        assert facts["pid"] == process.pid
        assert len({item["id"] for item in facts["items"]}) == 7
        assert os.path.exists(facts["caBundle"])
    assert not os.path.exists(facts["caBundle"])


def test_what_it_prints(tmp_path):
    with running(tmp_path / "facts.json", "--speed", "120") as (facts, process):
        lines = [process.stdout.readline() for _ in range(14)]
    text = "".join(lines)
    assert lines[0] == f"export AIRFLOW_CONN_ARCGIS_DEFAULT='{facts['connectionUri']}'\n" or lines[
        0
    ].endswith(f"{facts['connectionUri']}\n")
    for part in (facts["url"], facts["username"], facts["password"], "120 portal seconds", "above 60"):
        assert part in text
    for item in facts["items"]:
        assert f"{item['id']}  {item['taskType']}" in text


def test_ids_are_the_same_each_time(tmp_path):
    def ids(name, *options):
        with running(tmp_path / name, *options) as (facts, _):
            return [item["id"] for item in facts["items"]]

    assert ids("1") == ids("2")
    assert ids("3", "--seed", "7") != ids("1b", "--seed", "8")
    assert len(ids("4", "--seed-items", "GPService", "ExecuteNotebook")) == 2
    assert ids("5", "--seed-items") == []


def test_plans_and_rules(tmp_path):
    options = [
        "--speed", "600",
        "--plan", "ExecuteNotebook=failed:6:boom: it broke",
        "--rule", "cron_zone=Asia/Tokyo",
        "--rule", "errors_in_status=true",
        "--rule", "hidden_fields=run.url,run.modified",
        "--rule", "least_interval_minutes=1",
        "--username", "ann", "--password", "p@ss", "--context", "arcgis",
    ]  # fmt: skip
    with running(tmp_path / "facts.json", *options) as (facts, _):
        assert facts["url"].endswith("/arcgis")
        form = {"f": "json", "username": "ann", "password": "p@ss", "client": "requestip"}
        token = post(facts, "generateToken", form)["token"]
        task = {"f": "json", "token": token, "type": "ExecuteNotebook", "itemId": facts["items"][0]["id"]}
        schedule = {"minute": "*", "hour": "*", "dayOfMonth": "*", "month": "*", "dayOfWeek": "?"}
        tasks = "community/users/ann/tasks"
        task_id = post(facts, f"{tasks}/createTask", {**task, **schedule, "maxOccurrences": "1"})["taskId"]
        runs = []
        while not runs or runs[0]["status"] == "executing":
            time.sleep(0.02)
            runs = post(facts, f"{tasks}/{task_id}/runs", {"f": "json", "token": token})["runs"]
        assert (runs[0]["status"], runs[0]["result"]) == ("failed", "boom: it broke")
        assert not {"url", "modified"} & runs[0].keys()


def post(facts, path, form):
    body = urllib.parse.urlencode(form).encode()
    with urllib.request.urlopen(f"{facts['url']}/sharing/rest/{path}", body, timeout=10) as reply:
        return json.load(reply)


def test_facts_on_standard_output():
    process = subprocess.Popen([*COMMAND, "--port", "0", "--json", "-"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    facts = json.loads(process.stdout.readline())
    assert facts["url"].startswith("http://127.0.0.1:")
    process.terminate()
    assert process.wait(10) == 0


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--rule", "gremlins=1"], "no rule 'gremlins'"),
        (["--rule", "cron_zone=Mars"], "unknown time zone 'Mars'"),
        (["--rule", "runs_kept=many"], "--rule"),
        (["--plan", "Nonsense=failed"], "TYPE=OUTCOME"),
        (["--plan", "ExecuteNotebook"], "TYPE=OUTCOME"),
        (["--plan", "ExecuteNotebook=failed:soon"], "--plan"),
        (["--speed", "0"], "above 0"),
        (["--port", "99999"], "port must be 0-65535"),
        (["--seed-items", "Nonsense"], "Nonsense"),
    ],
)
def test_mistakes_are_explained(options, text):
    assert text in refusal("--port", "0", *options)


def test_a_port_that_is_taken(tmp_path):
    with running(tmp_path / "facts.json") as (facts, _):
        port = facts["url"].rpartition(":")[2].partition("/")[0]
        assert port in refusal("--port", port)


def test_help_names_every_option():
    done = subprocess.run([*COMMAND, "--help"], capture_output=True, text=True, check=True)
    for option in ("--port", "--tls", "--speed", "--plan", "--rule", "--json", "cron_zone", "examples"):
        assert option in done.stdout
