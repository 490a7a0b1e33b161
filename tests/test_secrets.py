"""With everything logged at DEBUG: no password, token or client secret anywhere but where it belongs."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sqlite3
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_arcgis_tasks.connection import PortalSettings
from airflow_provider_arcgis_tasks.portal import ArcGISTasksError, Request, TaskDefinition, tasks
from airflow_provider_arcgis_tasks.portal import oneshot as shots
from airflow_provider_arcgis_tasks.portal.credentials import AppLogin, Password, ReadyToken, Token
from airflow_provider_arcgis_tasks.portal.oneshot import Job, Mark
from airflow_provider_arcgis_tasks.sandbox import Sandbox
from tests.dag_runs import hurry, run_dag
from tests.portal.play import Play, response, session
from tests.transport.drive import KINDS, Drive, Kind, proxying, serve

PASSWORD = "pass-s3cret-word"
PROXY_PASSWORD = "proxy-s3cret-word"
JOB = Job(task_type="ExecuteNotebook", item_id="a", title="T").to_dict()
FAULTS = ["lost_reply", "hang_up", "truncated", "empty", "token_expired", "too_many", "unavailable", "html"]


@dataclass
class Watch:
    """Everything that was said while it looked, and the secrets that there are."""

    sandbox: Sandbox
    caplog: pytest.LogCaptureFixture
    secrets: set[str] = field(default_factory=lambda: {PASSWORD, PROXY_PASSWORD})
    said: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Take note of every token that is ever issued; the sandbox forgets those that expire."""
        accounts = self.sandbox.portal._accounts
        keep = accounts._keep

        def overhear(token: Any) -> Any:
            self.secrets.add(token.value)
            return keep(token)

        accounts._keep = overhear  # type: ignore[method-assign]

    def attempt(self, act: Callable[[], Any]) -> None:
        """Do something that may fail; note the error as a log or a terminal would show it."""
        try:
            self.said.append(repr(act()))
        except (ArcGISTasksError, ValueError) as problem:
            self.said += ["".join(traceback.format_exception(problem)), repr(problem), str(problem.args)]
            self.said.append(json.dumps(problem.to_dict()) if isinstance(problem, ArcGISTasksError) else "")

    def assert_silent(self) -> None:
        for record in self.caplog.records:
            self.said += [record.getMessage(), repr(record.args), str(record.exc_text), repr(record.__dict__)]
        assert len(self.said) > 5
        for text in self.said:
            self.assert_in_none_of_it(text)
        assert self.sandbox.portal.tokens_in_urls == 0
        for exchange in self.sandbox.portal.journal:
            assert not any(secret in exchange.path for secret in self.secrets)

    def assert_in_none_of_it(self, text: str) -> None:
        for secret in self.secrets:
            place = text.find(secret)
            assert place < 0, f"{secret} in {text[max(place - 200, 0) : place + 200]}"


@pytest.fixture(params=[False, True], ids=["http", "https"])
def watch(request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture) -> Iterator[Watch]:
    caplog.set_level(logging.DEBUG)
    for name in ("", "airflow_provider_arcgis_tasks", "urllib3", "requests", "aiohttp", "asyncio"):
        caplog.set_level(logging.DEBUG, logger=name)
    with Sandbox(tls=request.param, password=PASSWORD) as sandbox:
        yield Watch(sandbox, caplog)


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    chosen: Kind = request.param
    return chosen


def settings_of(sandbox: Sandbox, password: str = PASSWORD, **extra: Any) -> PortalSettings:
    if sandbox.ca_bundle:
        extra = {"ca_bundle": sandbox.ca_bundle, **extra}
    return PortalSettings.read(host=sandbox.url, login=sandbox.username, password=password, extra=extra)


def sign_ins(watch: Watch) -> Iterator[PortalSettings]:
    app = watch.sandbox.portal.register_app()
    key = watch.sandbox.portal.add_api_key()
    watch.secrets |= {app.client_secret, key, "wrong-s3cret", "wrong-t0ken"}
    yield settings_of(watch.sandbox)
    yield settings_of(watch.sandbox, "wrong-s3cret")
    yield settings_of(watch.sandbox, token=key)
    yield settings_of(watch.sandbox, token="wrong-t0ken")
    yield settings_of(watch.sandbox, client_id=app.client_id, client_secret=app.client_secret)
    yield settings_of(watch.sandbox, client_id=app.client_id, client_secret="wrong-s3cret")


def test_whatever_goes_well_or_wrong(watch: Watch, kind: Kind) -> None:
    sandbox = watch.sandbox
    item = sandbox.add_item()
    definition = TaskDefinition(task_type="ExecuteNotebook", item_id=item, schedule="@daily", title="T")
    for settings in sign_ins(watch):
        session = settings.session()
        watch.said += [repr(settings), repr(session), repr(settings.http), repr(settings.credentials)]
        with Drive(kind, settings.http) as drive:
            for fault in [None, *FAULTS]:
                if fault is not None:
                    sandbox.fault(fault, "createTask")
                    sandbox.fault(fault, "tasks")
                watch.attempt(lambda d=drive, s=session: d(tasks.create_task(s, definition)))
                watch.attempt(lambda d=drive, s=session: d(tasks.list_tasks(s)))
            watch.attempt(lambda d=drive, s=session: d(tasks.who_am_i(s)))
            watch.attempt(lambda d=drive, s=session: d(tasks.get_task(s, "0" * 32)))
            watch.said += [repr(drive.transport), repr(session._token)]
    assert len(watch.secrets) > 10
    watch.assert_silent()


@pytest.mark.parametrize("fault", ["lost_request", "truncated", "html", "unavailable", "error"])
def test_a_sign_in_that_does_not_come_about(watch: Watch, kind: Kind, fault: str) -> None:
    watch.sandbox.fault(fault, "generateToken", times=None)
    settings = settings_of(watch.sandbox, unreachable_timeout=5)
    with Drive(kind, settings.http) as drive:
        watch.attempt(lambda: drive(tasks.count_tasks(settings.session())))
    watch.assert_silent()


ECHOES: dict[str, Callable[[str], Any]] = {
    "error": lambda said: {
        "error": {"code": 400, "message": said, "messageCode": said, "details": [said, f"not {said}"]}
    },
    "forbidden": lambda said: {"error": {"code": 403, "message": "No.", "details": [said]}},
    "refusal": lambda said: {"error": {"code": 498, "message": said, "details": []}},
    "server error": lambda said: {"error": {"code": 500, "message": said}},
    "slow down": lambda said: {"error": {"code": 429, "message": said}},
    "oauth": lambda said: {"error": said, "error_description": f"wrong: {said}"},
    "administration": lambda said: {"status": "error", "messages": [said, said], "code": 400},
    "status": lambda said: {"status": "failed", "statusMessage": said},
    "plain": lambda said: {"code": 400, "message": said, "details": [said]},
    "unreadable": lambda said: {"token": 5, "echo": said, "success": "no"},
    "gateway": lambda said: response(said.encode(), 502, server=said),
    "redirect": lambda said: response(b"", 302, location=f"https://gis.example.com/{said}?{said}"),
}


@pytest.mark.parametrize("form", ECHOES)
@pytest.mark.parametrize("from_the_first", [True, False], ids=["sign-in", "after it"])
def test_a_portal_that_repeats_what_it_was_sent(
    caplog: pytest.LogCaptureFixture, form: str, from_the_first: bool
) -> None:
    caplog.set_level(logging.DEBUG)
    secrets = {PASSWORD, "client-s3cret", "t0ken-s3cret"}
    credentials = [Password("gis", PASSWORD), AppLogin("id", "client-s3cret"), ReadyToken("t0ken-s3cret")]

    def echo(request: Request) -> Any:
        if "oken" in request.url and not from_the_first:
            return {name: "t0ken-s3cret" for name in ("token", "access_token")} | {"expires_in": 3600}
        return ECHOES[form](" ".join([*request.params.values(), *request.headers.values()]))

    for signing_in in credentials:
        play = Play(otherwise=echo)
        with pytest.raises(ArcGISTasksError) as e:
            play(tasks.delete_run(session(signing_in, unreachable_timeout=5, owner="gis"), "a", "b"))
        sent = str([(request.params, request.headers) for request in play.requests])
        assert any(secret in sent for secret in secrets)
        told = [str(e.value), repr(e.value), json.dumps(e.value.to_dict()), caplog.text]
        assert not [secret for secret in secrets for text in told if secret in text]


def test_a_portal_that_is_not_there_and_one_that_is_not_trusted(watch: Watch, kind: Kind) -> None:
    for host in ("http://127.0.0.1:1", "https://no-such-portal.invalid", watch.sandbox.url):
        settings = PortalSettings.read(
            host=host, login="gis", password=PASSWORD, extra={"unreachable_timeout": 2, "timeout": 2}
        )
        with Drive(kind, settings.http) as drive:
            watch.attempt(lambda d=drive, s=settings: d(tasks.count_tasks(s.session())))
    watch.assert_silent()


@pytest.mark.parametrize("there", [True, False])
def test_a_proxy_with_a_password(watch: Watch, kind: Kind, there: bool) -> None:
    with serve(proxying) as proxy:
        port = proxy.port if there else 1
        settings = settings_of(
            watch.sandbox, proxy=f"http://bob:{PROXY_PASSWORD}@127.0.0.1:{port}", unreachable_timeout=3
        )
        watch.said += [repr(settings), repr(settings.http)]
        with Drive(kind, settings.http) as drive:
            watch.attempt(lambda: drive(tasks.count_tasks(settings.session())))
            watch.said.append(repr(drive.transport))
    watch.assert_silent()


@pytest.mark.parametrize("bad", ["s3cret with blanks", "s3cret\nline", "s3cret…", "s3cret\x00"])
@pytest.mark.parametrize("name", ["token", "client_secret", "password", "proxy", "referer"])
def test_secrets_of_an_odd_form(watch: Watch, kind: Kind, name: str, bad: str) -> None:
    watch.secrets.add("s3cret")
    fields: dict[str, Any] = {"password": bad} if name == "password" else {name: bad}
    if name == "client_secret":
        fields["client_id"] = "a"
    if name == "proxy":
        fields["proxy"] = f"http://bob:{bad}@127.0.0.1:1"

    def act() -> Any:
        settings = settings_of(watch.sandbox, **{"unreachable_timeout": 2, **fields})
        with Drive(kind, settings.http) as drive:
            return drive(tasks.count_tasks(settings.session()))

    watch.attempt(act)
    watch.said += [""] * 6
    watch.secrets -= {PASSWORD, PROXY_PASSWORD}
    watch.assert_silent()


def test_one_shot_tasks(watch: Watch, kind: Kind) -> None:
    """Their titles and marks are on the portal and in the log for everybody to see."""
    settings = settings_of(watch.sandbox)
    item = watch.sandbox.add_item()
    job = Job(task_type="ExecuteNotebook", item_id=item, title="T")
    with Drive(kind, settings.http) as drive:
        session = settings.session()
        watch.attempt(lambda: drive(shots.start(session, job, Mark.of("dag", "task", "run"))))
        watch.attempt(lambda: drive(shots.give_up(session, Mark.of("dag", "task", "run"))))
    watch.said += [json.dumps([task.definition.title for task in watch.sandbox.portal.tasks.values()])] * 5
    watch.assert_silent()


def test_reprs() -> None:
    headers = {"X-Esri-Authorization": "Bearer s3cret"}
    request = Request("POST", "https://gis.example.com", {"password": "s3cret"}, headers)
    for text in (repr(Token("s3cret", 5.0)), repr(request), str(request)):
        assert "s3cret" not in text


# --- in Airflow --------------------------------------------------------------------------------------


def test_hooks_and_triggers(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow_provider_arcgis_tasks import triggers
    from airflow_provider_arcgis_tasks.hooks import ArcGISTasksHook

    monkeypatch.setenv("AIRFLOW_CONN_PORTAL", watch.sandbox.connection_uri)
    wrong = watch.sandbox.connection_uri.replace(PASSWORD, "wrong-s3cret")
    monkeypatch.setenv("AIRFLOW_CONN_WRONG", wrong)
    watch.secrets.add("wrong-s3cret")
    usual: dict[str, Any] = {"poll_interval": 0.1, "deadline": 1.0}
    for conn_id in ("portal", "wrong"):
        hook = ArcGISTasksHook(conn_id)
        watch.attempt(hook.test_connection)
        watch.attempt(hook.search_tasks)
        watch.said += [repr(hook), str(hook.__dict__), repr(vars(hook).get("_own"))]
        made = [
            triggers.ArcGISTaskRunTrigger(arcgis_conn_id=conn_id, portal_task_id="a", **usual),
            triggers.ArcGISOneShotTrigger(
                arcgis_conn_id=conn_id, portal_task_id="a", job=JOB, mark="0123456789abcdef.0.1", **usual
            ),
            triggers.ArcGISStartTrigger(arcgis_conn_id=conn_id, mark="0123456789abcdef.0.1", **usual),
        ]
        for trigger in made:
            watch.said += [json.dumps(trigger.serialize()), repr(trigger), str(vars(trigger))]

            async def first_event(trigger: Any = trigger) -> Any:
                return [event.payload async for event in trigger.run()]

            watch.said.append(json.dumps(asyncio.run(first_event(), debug=True)))
    watch.assert_silent()


WRONG = {"user": "wr0ng-password", "app": "wr0ng-client-s3cret", "key": "wr0ng-api-key"}


def connect(patch: pytest.MonkeyPatch, sandbox: Sandbox) -> set[str]:
    """Make connections `user`, `app` and `key`, and `wrong_user` and so on with secrets that are refused."""
    app = sandbox.portal.register_app()
    right = {"user": PASSWORD, "app": app.client_secret, "key": sandbox.portal.add_api_key()}
    for prefix, secrets in (("", right), ("WRONG_", WRONG)):
        fields: dict[str, dict[str, Any]] = {
            "user": {"login": sandbox.username, "password": secrets["user"]},
            "app": {"extra": {"client_id": app.client_id, "client_secret": secrets["app"]}},
            "key": {"extra": {"token": secrets["key"]}},
        }
        for name, given in fields.items():
            connection = json.dumps({"conn_type": "arcgis", "host": sandbox.url, **given})
            patch.setenv(f"AIRFLOW_CONN_{prefix}{name.upper()}", connection)
    return {*right.values(), *WRONG.values()}


def what_airflow_keeps() -> dict[str, str]:
    """All rows of all tables of the metadata database, and all files beside it, as text."""
    home = Path(os.environ["AIRFLOW_HOME"])
    with closing(sqlite3.connect(home / "airflow.db")) as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        kept = {name: repr(database.execute(f'SELECT * FROM "{name}"').fetchall()) for name in tables}
    files = [path for path in home.rglob("*") if path.is_file() and not path.name.startswith("airflow.db")]
    return kept | {str(path): path.read_bytes().decode("latin-1") for path in files}


@pytest.fixture
def unmasked(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is promised holds without Airflow's help, which masks what it knows to be a secret."""
    from airflow._shared.secrets_masker import secrets_masker as in_core
    from airflow.sdk._shared.secrets_masker import secrets_masker as in_tasks

    for module in (in_core, in_tasks):
        monkeypatch.setattr(module.SecretsMasker, "add_mask", lambda *_: None)


def every_operator(item: str, failing: str) -> dict[str, Callable[..., Any]]:
    """One of each, waiting in the worker and in the triggerer; `create` makes what the others need."""
    from airflow_provider_arcgis_tasks.operators import (
        ArcGISCreateTaskOperator,
        ArcGISDeleteTaskOperator,
        ArcGISDisableTaskOperator,
        ArcGISEnableTaskOperator,
        ArcGISTriggerTaskOperator,
        ArcGISUpdateTaskOperator,
    )
    from airflow_provider_arcgis_tasks.sensors import ArcGISTaskRunSensor

    new = {"task_type": "ExecuteNotebook", "item_id": item}
    one = {"portal_task_id": "{{ ti.xcom_pull(task_ids='create') or 'a' * 32 }}"}
    run = partial(ArcGISTriggerTaskOperator, poll_interval=0.2, timeout=60)
    sense = partial(ArcGISTaskRunSensor, **one, poke_interval=0.2)
    return {
        "create": partial(ArcGISCreateTaskOperator, **new, schedule="* * * * *", title="Often"),
        "update": partial(ArcGISUpdateTaskOperator, **one, parameters={"region": "north"}),
        "disable": partial(ArcGISDisableTaskOperator, **one),
        "enable": partial(ArcGISEnableTaskOperator, **one),
        "run": partial(run, **new),
        "run_deferred": partial(run, **one, deferrable=True),
        "run_failing": partial(run, item_id=failing, deferrable=True),
        "sense": partial(sense, timeout=30),
        "sense_in_vain": partial(sense, timeout=1, success_statuses=["skipped"], deferrable=True),
        "missing": partial(
            ArcGISEnableTaskOperator, portal_task_id="b" * 32, retries=1, retry_delay=timedelta(0)
        ),
        "delete": partial(ArcGISDeleteTaskOperator, **one),
    }


def run_all(makers: Mapping[str, Callable[..., Any]], conn_ids: Iterable[str]) -> dict[str, str]:
    """The states of the tasks of a DAG: one after the other, whatever becomes of the one before."""
    from airflow.sdk import chain

    def build() -> None:
        pairs = zip(makers.items(), cycle(conn_ids), strict=False)
        chain(
            *(
                make(task_id=task_id, arcgis_conn_id=conn_id, trigger_rule="all_done")
                for (task_id, make), conn_id in pairs
            )
        )

    return run_dag(build).states


def test_airflow_is_told_none(
    airflow_database: None,
    unmasked: None,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Its database holds none (rendered templates, XComs and links, triggers, ...), nor does any log."""
    hurry(monkeypatch)
    with Sandbox(speed=120, password=PASSWORD) as sandbox:
        watch = Watch(sandbox, caplog)
        watch.secrets |= connect(monkeypatch, sandbox)
        item, failing = sandbox.add_item(), sandbox.add_item()
        sandbox.plan(failing, outcome="failed", duration=5, result="cell 3: boom")
        makers = every_operator(item, failing)
        went_well = run_all(makers, ["user", "app", "key"])
        went_wrong = run_all(makers, ["wrong_user", "wrong_app", "wrong_key"])

    assert {name for name, state in went_well.items() if state != "success"} == {
        "run_failing",
        "sense_in_vain",
        "missing",
    }
    assert set(went_wrong.values()) == {"failed"}

    printed, kept = "".join(capfd.readouterr()), what_airflow_keeps()
    assert item in kept["rendered_task_instance_fields"]
    assert "/home/item.html" in kept["xcom"]
    for trigger in ("ArcGISOneShotTrigger", "ArcGISTaskRunTrigger"):
        assert trigger in kept["trigger"]
    assert "cell 3: boom" in printed
    assert "Check user and password" in printed
    for text in (printed, *kept.values()):
        watch.assert_in_none_of_it(text)
    watch.assert_silent()
