"""With everything logged at DEBUG: no password, token or client secret anywhere but where it belongs."""

from __future__ import annotations

import asyncio
import json
import logging
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from airflow_provider_arcgis_tasks.connection import PortalSettings
from airflow_provider_arcgis_tasks.portal import ArcGISTasksError, TaskDefinition, tasks
from airflow_provider_arcgis_tasks.portal import oneshot as shots
from airflow_provider_arcgis_tasks.portal.credentials import Token
from airflow_provider_arcgis_tasks.portal.oneshot import Job, Mark
from airflow_provider_arcgis_tasks.sandbox import Sandbox
from tests.transport.drive import KINDS, Drive, Kind, proxying, serve

PASSWORD = "pass-s3cret-word"
PROXY_PASSWORD = "proxy-s3cret-word"
FAULTS = ["lost_reply", "hang_up", "truncated", "empty", "token_expired", "too_many", "unavailable", "html"]


@dataclass
class Watch:
    """Everything that was said while it looked, and the secrets that there are."""

    sandbox: Sandbox
    caplog: pytest.LogCaptureFixture
    secrets: set[str] = field(default_factory=lambda: {PASSWORD, PROXY_PASSWORD})
    said: list[str] = field(default_factory=list)

    def attempt(self, act: Callable[[], Any]) -> None:
        """Do something that may fail; note the error as a log or a terminal would show it."""
        try:
            self.said.append(repr(act()))
        except (ArcGISTasksError, ValueError) as problem:
            self.said += ["".join(traceback.format_exception(problem)), repr(problem), str(problem.args)]
            self.said.append(json.dumps(problem.to_dict()) if isinstance(problem, ArcGISTasksError) else "")

    def assert_silent(self) -> None:
        self.secrets |= set(self.sandbox.portal._accounts._tokens)
        for record in self.caplog.records:
            self.said += [record.getMessage(), repr(record.args), str(record.exc_text), repr(record.__dict__)]
        assert len(self.said) > 5
        for text in self.said:
            leaked = [secret for secret in self.secrets if secret in text]
            assert not leaked, f"{leaked} in {text[:500]}"
        assert self.sandbox.portal.tokens_in_urls == 0
        for exchange in self.sandbox.portal.journal:
            assert not any(secret in exchange.path for secret in self.secrets)


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
            watch.said += [
                repr(drive.requests),
                str(drive.requests),
                repr(drive.transport),
                repr(session._token),
            ]
    watch.assert_silent()


@pytest.mark.parametrize("fault", ["lost_request", "truncated", "html", "unavailable", "error"])
def test_a_sign_in_that_does_not_come_about(watch: Watch, kind: Kind, fault: str) -> None:
    watch.sandbox.fault(fault, "generateToken", times=None)
    settings = settings_of(watch.sandbox, unreachable_timeout=5)
    with Drive(kind, settings.http) as drive:
        watch.attempt(lambda: drive(tasks.count_tasks(settings.session())))
    watch.assert_silent()


def test_a_portal_that_repeats_what_it_was_sent(watch: Watch, kind: Kind) -> None:
    """Its words are told as they are, so this is only so for what it says about us being unreadable."""
    watch.sandbox.fault("error", "generateToken", body={"token": 5, "echo": PASSWORD}, times=None)
    settings = settings_of(watch.sandbox, unreachable_timeout=5)
    with Drive(kind, settings.http) as drive:
        watch.attempt(lambda: drive(tasks.count_tasks(settings.session())))
    watch.assert_silent()


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
    assert "s3cret" not in repr(Token("s3cret", 5.0))


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
                arcgis_conn_id=conn_id, portal_task_id="a", mark="0123456789abcdef.0.1", **usual
            ),
            triggers.ArcGISStartTrigger(arcgis_conn_id=conn_id, mark="0123456789abcdef.0.1", **usual),
        ]
        for trigger in made:
            watch.said += [json.dumps(trigger.serialize()), repr(trigger), str(vars(trigger))]

            async def first_event(trigger: Any = trigger) -> Any:
                return [event.payload async for event in trigger.run()]

            watch.said.append(json.dumps(asyncio.run(first_event(), debug=True)))
    watch.assert_silent()
