"""The methods of the hook, signing in and longer stories, through both transports against the sandbox."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_arcgis_tasks.portal import (
    ArcGISTasksError,
    NotFound,
    PermissionDenied,
    SignInRefused,
    tasks,
)
from airflow_provider_arcgis_tasks.portal import oneshot as shots
from airflow_provider_arcgis_tasks.portal.credentials import AppLogin, ReadyToken
from airflow_provider_arcgis_tasks.portal.oneshot import Job, Mark
from airflow_provider_arcgis_tasks.portal.session import Session
from airflow_provider_arcgis_tasks.sandbox import FaultKind, Sandbox
from tests.transport.drive import Drive, Kind, sandbox_session, sandbox_settings
from tests.transport.place import METHODS, Place

both_schemes = pytest.mark.parametrize("place", ["http", "https"], indirect=True)


@both_schemes
@pytest.mark.parametrize("name", METHODS)
def test_method(place: Place, name: str) -> None:
    method = METHODS[name]
    assert method.check(place, method.call(place))
    assert place.sandbox.portal.count("generateToken") == 1
    assert place.sandbox.portal.tokens_in_urls == 0
    assert place.connections <= 1
    assert not place.drive.pauses
    assert method.resource in place.asked


def test_operation_for_administrators(place: Place) -> None:
    session = token_session(place, "administrator")
    found = place.drive(tasks.search_org_tasks(session, owner=place.sandbox.username))
    assert [task.id for task in found] == [place.task]
    session = token_session(place, place.sandbox.username)
    with pytest.raises(PermissionDenied):
        place.drive(tasks.search_org_tasks(session))


def token_session(place: Place, username: str) -> Session:
    settings = sandbox_settings(place.sandbox, token=place.sandbox.portal.issue_token(username))
    assert isinstance(settings.credentials, ReadyToken)
    return settings.session()


def test_all_pages_of_250_tasks(place: Place) -> None:
    form = {"type": "ExecuteNotebook", "itemId": place.item, "minute": "0", "hour": "0", "dayOfMonth": "1"}
    for number in range(249):
        place.by_hand("createTask", title=f"{number}", month="1", dayOfWeek="?", **form)
    found = place.drive(tasks.list_tasks(place.session))
    assert {task.id for task in found} == set(place.sandbox.portal.tasks)
    assert (len(found), place.asked["tasks"]) == (250, 3)


def test_one_shot_from_beginning_to_end(kind: Kind) -> None:
    with Sandbox(speed=600) as sandbox:
        settings = sandbox_settings(sandbox)
        item = sandbox.add_item()
        sandbox.plan(item, duration=120, result=lambda inputs: {"got": inputs})
        job = Job(task_type="ExecuteNotebook", item_id=item, title="T", parameters={"a": "ü"})
        session, mark = settings.session(), Mark("a" * 16)
        with Drive(kind, settings.http) as drive:
            drive._shortcut = lambda effect: None  # type: ignore[method-assign]  # in real time
            shot = drive(shots.start(session, job, mark))
            run = drive(shots.wait(session, shot.portal_task_id, job, mark, 5))
            drive(shots.finish(session, shot.portal_task_id, mark=mark, keep=False))
        assert (run.status, json.loads(run.result or "")) == ("succeeded", {"got": {"a": "ü"}})
        assert len(sandbox.portal.fired) == 1
        assert not sandbox.portal.tasks


# --- signing in --------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["password", "app", "token", "API key"])
@both_schemes
def test_sign_in(place: Place, how: str) -> None:
    portal = place.sandbox.portal
    extra: dict[str, str] = {}
    if how == "app":
        app = portal.register_app()
        extra = {"client_id": app.client_id, "client_secret": app.client_secret}
    elif how != "password":
        extra = {"token": portal.issue_token() if how == "token" else portal.add_api_key()}
    session = sandbox_session(place.sandbox, **extra)
    assert [task.id for task in place.drive(tasks.list_tasks(session))] == [place.task]
    assert portal.tokens_in_urls == 0
    assert (portal.count("generateToken"), portal.count("oauthToken")) == (how == "password", how == "app")


@pytest.mark.parametrize("extra", [{}, {"client_id": "x", "client_secret": "y"}, {"token": "z"}], ids=str)
def test_wrong_credentials_are_tried_once(place: Place, extra: dict[str, str]) -> None:
    portal = place.sandbox.portal
    settings = sandbox_settings(place.sandbox, **extra)
    if not extra:
        portal.add_user(place.sandbox.username, "another")
    session = settings.session()
    for _ in range(5):
        with pytest.raises(SignInRefused):
            place.drive(tasks.count_tasks(session))
    if isinstance(settings.credentials, ReadyToken):
        return
    resource = "oauthToken" if isinstance(settings.credentials, AppLogin) else "generateToken"
    assert portal.count(resource) == 1


def test_token_is_renewed_once_for_all(place: Place) -> None:
    portal, operations = place.sandbox.portal, range(25 if place.drive.runner else 5)
    place.drive.together(*(tasks.get_task(place.session, place.task) for _ in operations))
    assert portal.count("generateToken") == 1
    portal.expire_tokens()
    found = place.drive.together(*(tasks.get_task(place.session, place.task) for _ in operations))
    assert [task.id for task in found] == [place.task] * len(operations)
    assert portal.count("generateToken") == 2


def test_connections_are_shared(place: Place) -> None:
    for _ in range(3):
        place.drive(tasks.count_tasks(place.session))
    assert place.connections <= 1
    if place.drive.runner is not None:
        place.drive.together(*(tasks.count_tasks(place.session) for _ in range(200)))
        assert place.connections <= 20


# --- faults ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [kind for kind in FaultKind if not kind.startswith(("slow", "token"))])
def test_a_fault_while_signing_in(place: Place, fault: str) -> None:
    place.sandbox.fault(fault, "generateToken")
    assert place.drive(tasks.count_tasks(place.session)) == 1
    assert place.sandbox.portal.count("generateToken") == 2


@pytest.mark.parametrize(
    ("code", "kind_of_error"), [(400, ArcGISTasksError), (403, PermissionDenied), (404, NotFound)]
)
@pytest.mark.parametrize("name", METHODS)
def test_refusals_are_final(place: Place, name: str, code: int, kind_of_error: type[Exception]) -> None:
    method = METHODS[name]
    body = {"error": {"code": code, "message": "Not now.", "details": ["Why"]}}
    place.sandbox.fault("error", method.resource, body=body, status=200 if code == 400 else code)
    if name == "test_connection":
        worked, told = method.call(place)
        assert (worked, told.startswith("Not now. Why")) == (False, True)
    elif code == 404 and name.startswith("delete"):
        assert method.call(place) is False
    else:
        with pytest.raises(kind_of_error, match=r"Not now\. Why"):
            method.call(place)
    assert place.asked[method.resource] == 1
    assert not place.drive.pauses


def test_a_portal_that_goes_down_and_comes_back(place: Place) -> None:
    place.drive(tasks.who_am_i(place.session))
    now = place.sandbox.portal.clock.now()
    place.sandbox.portal.down(now, now + 3600)
    place.sandbox.fault("lost_request", None, times=3)
    answered = iter(range(6))
    shortcut = place.drive._shortcut

    def back_after_six_pauses(effect: Any) -> Any:
        if type(effect).__name__ == "Pause" and next(answered, None) is None:
            place.sandbox.portal.clock.advance(3600)
        return shortcut(effect)

    place.drive._shortcut = back_after_six_pauses  # type: ignore[method-assign]
    assert place.drive(tasks.get_task(place.session, place.task)).id == place.task
    assert len(place.drive.pauses) >= 7
