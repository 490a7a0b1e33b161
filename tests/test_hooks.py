"""The hook over Airflow connections, against the sandbox. Names no secret, tries no password twice."""

from __future__ import annotations

import asyncio
import json
import re
import ssl
import time
from collections.abc import Iterator
from contextlib import nullcontext
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import trustme

from airflow_provider_arcgis_tasks.hooks import ArcGISTasksHook
from airflow_provider_arcgis_tasks.portal import (
    NotFound,
    PermissionDenied,
    PortalUnreachable,
    SignInRefused,
    TaskDefinition,
    TaskType,
    tasks,
)
from airflow_provider_arcgis_tasks.sandbox import Rules, Sandbox
from tests.transport.drive import serve

HTML = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 13\r\n\r\n<html></html>"


@pytest.fixture
def portal() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Make a connection in JSON; by default to the sandbox that is given."""

    def make(sandbox: Sandbox | None = None, conn_id: str = "portal", **fields: Any) -> str:
        usual: dict[str, Any] = {"conn_type": "arcgis"}
        if sandbox is not None:
            usual |= {"host": sandbox.url, "login": sandbox.username, "password": sandbox.password}
            usual["extra"] = {"ca_bundle": sandbox.ca_bundle} if sandbox.ca_bundle else {}
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps({**usual, **fields}))
        return conn_id

    return make


@pytest.fixture
def hook(portal: Sandbox, connect: Any) -> ArcGISTasksHook:
    return ArcGISTasksHook(connect(portal))


# --- methods -----------------------------------------------------------------------------------------


def test_a_portal_task_and_its_runs(portal: Sandbox, hook: ArcGISTasksHook) -> None:
    item = portal.add_item("Notebook", "Nightly")
    definition = TaskDefinition(
        task_type=TaskType.EXECUTE_NOTEBOOK, item_id=item, schedule="* * * * *", title="T", max_occurrences=7
    )
    with hook:
        task_id = hook.create_task(definition)
        assert hook.get_task(task_id).title == "T"
        assert hook.count_tasks() == 1
        hook.update_task(task_id, title="U")
        (found,) = hook.search_tasks(item_id=item, active=True, task_types=["ExecuteNotebook"])
        assert (found.id, found.title, found.max_occurrences) == (task_id, "U", 7)
        assert hook.search_tasks(active=False) == []
        assert hook.search_tasks(task_types=[TaskType.GP_SERVICE]) == []
        hook.disable_task(task_id)
        assert hook.get_task(task_id).active is False
        hook.enable_task(task_id)
        assert hook.get_task(task_id).active is True
        portal.portal.clock.advance(120)  # type: ignore[attr-defined]
        newest, oldest = hook.get_runs(task_id)
        assert newest.created is not None
        assert oldest.created is not None
        assert newest.created > oldest.created
        hook.update_run(task_id, oldest.id, result="by hand")
        assert hook.get_run(task_id, oldest.id).result == "by hand"
        assert hook.get_run(task_id, oldest.id).status == oldest.status
        assert [hook.delete_run(task_id, oldest.id), hook.delete_run(task_id, oldest.id)] == [True, False]
        assert [hook.delete_task(task_id), hook.delete_task(task_id)] == [True, False]
        with pytest.raises(NotFound):
            hook.get_task(task_id)
        assert hook.who_am_i().username == portal.username
    assert portal.portal.count("generateToken") == 1
    assert portal.connections_opened == 1


def test_administrators_see_everybodys_tasks(portal: Sandbox, connect: Any) -> None:
    item = portal.add_item()
    definition = TaskDefinition(task_type="ExecuteNotebook", item_id=item, schedule="@daily", title="T")
    own = ArcGISTasksHook(connect(portal))
    task_id = own.create_task(definition)
    admin = ArcGISTasksHook(connect(portal, "admin", login="administrator"))
    assert [task.id for task in admin.search_org_tasks(owner=portal.username)] == [task_id]
    assert admin.search_org_tasks(owner="administrator") == []
    assert admin.search_tasks() == []
    acting = ArcGISTasksHook("admin", owner=portal.username)
    assert acting.get_task(task_id).owner == portal.username
    assert [task.id for task in acting.search_tasks()] == [task_id]
    connect(portal, "other", login="administrator", extra={"owner": portal.username})
    assert ArcGISTasksHook("other").count_tasks() == 1
    with pytest.raises(PermissionDenied, match="check its role"):
        own.search_org_tasks()
    with pytest.raises(PermissionDenied):
        ArcGISTasksHook("portal", owner="administrator").search_tasks()


def test_arguments_are_checked_before_anything_is_sent(portal: Sandbox, hook: ArcGISTasksHook) -> None:
    for call in (
        lambda: hook.get_task("a/b"),
        lambda: hook.update_task("a", titel="x"),
        lambda: hook.update_run("a", "b", status="done"),
        lambda: hook.search_tasks(item_id="../x"),
        lambda: hook.search_tasks(task_types=["Notebook"]),
    ):
        with pytest.raises(ValueError, match=r"portal_task_id|titel|status|item_id|task_type"):
            call()
    assert not portal.portal.journal


def test_a_hook_can_be_used_again_after_its_block(portal: Sandbox, hook: ArcGISTasksHook) -> None:
    for _ in range(2):
        with hook:
            assert hook.count_tasks() == 0
    assert portal.portal.count("generateToken") == 1
    assert portal.connections_opened == 2


def test_making_one_does_no_io_and_reads_no_connection() -> None:
    hook = ArcGISTasksHook("no_such_connection")
    assert (hook.arcgis_conn_id, hook.owner, hook.sharers) == ("no_such_connection", None, 0)
    assert ArcGISTasksHook().arcgis_conn_id == "arcgis_default"


# --- connections -------------------------------------------------------------------------------------


@pytest.mark.parametrize("tls", [False, True])
def test_connection_as_uri(tls: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    with Sandbox(tls=tls, password="p@ss:w/rd?&=%20ü") as sandbox:
        monkeypatch.setenv("AIRFLOW_CONN_ARCGIS_DEFAULT", sandbox.connection_uri)
        with ArcGISTasksHook() as hook:
            assert hook.count_tasks() == 0


@pytest.mark.parametrize(
    "uri",
    [
        "arcgis://{login}:{password}@127.0.0.1:{port}/portal?allow_http=true&timeout=5",
        "arcgis://{login}:{password}@{url}",
        "arcgis://:@{url}?token={token}",
        "arcgis://{url}?token={token}&verify=false",
        "arcgis://{login}:{password}@{url}?__extra__=" + quote('{"timeout": 5, "verify": false}'),
    ],
)
def test_connection_as_uri_in_other_forms(uri: str, portal: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    port = portal.url.rpartition(":")[2].partition("/")[0]
    values = {"login": portal.username, "password": portal.password, "port": port}
    values |= {"url": quote(portal.url, safe=""), "token": portal.portal.issue_token()}
    if "127.0.0.1" in uri:
        uri = uri.replace("127.0.0.1", quote("http://127.0.0.1", safe=""))
    monkeypatch.setenv("AIRFLOW_CONN_PORTAL", uri.format(**values))
    assert ArcGISTasksHook("portal").count_tasks() == 0


def test_connection_as_json_with_extra_as_text(portal: Sandbox, connect: Any) -> None:
    extra = json.dumps({"token": portal.portal.add_api_key(), "timeout": "5"})
    assert ArcGISTasksHook(connect(portal, extra=extra)).count_tasks() == 0
    assert portal.portal.count("generateToken") == 0


@pytest.mark.parametrize("extra", ["no JSON", "[1]", '"text"', "5"])
def test_extra_that_is_no_object(extra: str, portal: Sandbox, connect: Any) -> None:
    """Airflow takes it for an empty one, and would so ignore what was meant."""
    hook = ArcGISTasksHook(connect(portal, extra=extra))
    with pytest.raises(ValueError, match="extra: is not a JSON object"):
        hook.count_tasks()

    async def open_it() -> None:
        async with hook:
            pass

    with pytest.raises(ValueError, match="extra: is not a JSON object"):
        asyncio.run(open_it())
    assert not portal.portal.journal


def test_app_login(portal: Sandbox, connect: Any) -> None:
    app = portal.portal.register_app()
    extra = {"client_id": app.client_id, "client_secret": app.client_secret}
    hook = ArcGISTasksHook(connect(portal, login=None, password=None, extra=extra))
    assert hook.count_tasks() == 0
    assert portal.portal.count("oauthToken") == 1


# --- asynchronous ------------------------------------------------------------------------------------


def test_hooks_of_one_loop_share_client_and_token(portal: Sandbox, connect: Any) -> None:
    connect(portal)

    async def look(number: int) -> int:
        async with ArcGISTasksHook("portal") as hook:
            for _ in range(3):
                await hook.arun(tasks.count_tasks(hook.session))
            return hook.sharers

    async def play() -> list[int]:
        return await asyncio.gather(*(look(number) for number in range(50)))

    assert max(asyncio.run(play())) > 10
    assert portal.portal.count("generateToken") == 1
    assert portal.connections_opened <= 20


def test_sharing_ends_with_the_last_one(portal: Sandbox, connect: Any) -> None:
    connect(portal)

    async def play() -> None:
        async with ArcGISTasksHook("portal") as one:
            async with ArcGISTasksHook("portal") as other:
                assert one.session is other.session
                assert one.sharers == 2
            assert one.sharers == 1
            assert await one.arun(tasks.count_tasks(one.session)) == 0
        assert one.sharers == 0
        async with ArcGISTasksHook("portal") as third:
            assert third.sharers == 1

    asyncio.run(play())


def test_different_connections_and_owners_do_not_share(portal: Sandbox, connect: Any) -> None:
    connect(portal)
    connect(portal, "admin", login="administrator")

    async def play() -> None:
        async with (
            ArcGISTasksHook("portal") as one,
            ArcGISTasksHook("admin") as two,
            ArcGISTasksHook("admin", owner=portal.username) as three,
        ):
            assert len({id(hook.session) for hook in (one, two, three)}) == 3
            for hook in (one, two, three):
                assert hook.sharers == 1
                await hook.arun(tasks.count_tasks(hook.session))

    asyncio.run(play())


def test_loops_do_not_share(portal: Sandbox, connect: Any) -> None:
    hook = ArcGISTasksHook(connect(portal))

    async def look() -> int:
        async with hook:
            return await hook.arun(tasks.count_tasks(hook.session))

    assert [asyncio.run(look()), asyncio.run(look())] == [0, 0]


def test_arun_wants_an_open_hook(hook: ArcGISTasksHook) -> None:
    async def play() -> None:
        await hook.arun(tasks.count_tasks(hook.session))

    with pytest.raises(RuntimeError, match="async with"):
        asyncio.run(play())


def test_a_wrong_password_is_tried_once_by_all_together(portal: Sandbox, connect: Any) -> None:
    connect(portal, password="wrong")

    async def look() -> None:
        async with ArcGISTasksHook("portal") as hook:
            await hook.arun(tasks.count_tasks(hook.session))

    async def play() -> list[BaseException | None]:
        return await asyncio.gather(*(look() for _ in range(20)), return_exceptions=True)

    assert {type(result) for result in asyncio.run(play())} == {SignInRefused}
    assert portal.portal.count("generateToken") == 1


def test_a_wrong_password_is_tried_once_by_one_hook(portal: Sandbox, connect: Any) -> None:
    hook = ArcGISTasksHook(connect(portal, password="wrong"))
    for call in (hook.count_tasks, hook.search_tasks, hook.who_am_i):
        with pytest.raises(SignInRefused, match="Check user and password"):
            call()
    assert portal.portal.count("generateToken") == 1


# --- Test connection ---------------------------------------------------------------------------------


def try_out(conn_id: str) -> tuple[bool, str]:
    return ArcGISTasksHook(conn_id).test_connection()


@pytest.fixture
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give up after a second instead of five."""
    monkeypatch.setattr("airflow_provider_arcgis_tasks.hooks._TEST_SECONDS", 1.0)


def test_all_is_well(portal: Sandbox, connect: Any) -> None:
    item = portal.add_item()
    definition = TaskDefinition(task_type="ExecuteNotebook", item_id=item, schedule="@daily", title="T")
    hook = ArcGISTasksHook(connect(portal))
    hook.create_task(definition)
    assert try_out("portal") == (
        True,
        f"Signed in to Sandbox 11.4 at {portal.url} as analyst (org_publisher): "
        "1 portal task, room for 19 more active ones.",
    )
    connect(portal, "admin", login="administrator", extra={"owner": "analyst"})
    worked, text = try_out("admin")
    assert (worked, "as administrator (org_admin): 1 portal task of analyst" in text) == (True, True)


def test_portals_that_tell_less(connect: Any) -> None:
    with Sandbox(rules=Rules(optional_fields="absent")) as sandbox:
        worked, text = try_out(connect(sandbox))
    assert worked
    assert text.endswith(": 0 portal tasks.")


TROUBLES: dict[str, tuple[dict[str, Any], str]] = {
    "wrong password": ({"password": "wrong"}, r"Invalid username or password\..*Check user and password"),
    "unknown user": ({"login": "nobody"}, "Check user and password"),
    "wrong token": ({"extra": {"token": "wrong"}}, r"Invalid token\..*put a new one there"),
    "wrong app": (
        {"extra": {"client_id": "a", "client_secret": "b"}},
        r"Invalid client_id or client_secret.*Check client_id and client_secret",
    ),
    "no password": ({"password": None}, "^password: login and password belong together"),
    "no host": ({"host": None}, "^host: the connection names no portal"),
    "no permission": ({"extra": {"owner": "administrator"}}, "do not have permissions.*check its role"),
    "odd extra": ({"extra": {"verifiy": True}}, "^extra: 'verifiy' is not known"),
    "no JSON": ({"extra": "{"}, "^extra: is not a JSON object"),
    "no file": ({"extra": {"ca_bundle": "/no/such/file"}}, "^ca_bundle: there is no file"),
    "a useless file": ({"extra": {"ca_bundle": __file__}}, "^ca_bundle: .* holds no certificates"),
    "refused": (
        {"host": "http://127.0.0.1:1/portal"},
        r"No usable answer from http://127\.0\.0\.1:1/portal: ",
    ),
    "plain HTTP": ({"host": "http://gis.example.com"}, "^host: .*plain HTTP"),
}


@pytest.mark.usefixtures("hurry")
@pytest.mark.parametrize("name", TROUBLES)
def test_what_is_wrong_is_told(name: str, portal: Sandbox, connect: Any) -> None:
    fields, text = TROUBLES[name]
    if name == "refused":
        fields = {**fields, "extra": {"timeout": 1}}
    worked, told = try_out(connect(portal, **fields))
    assert not worked
    assert re.search(text, told, re.DOTALL), told
    assert portal.password not in told
    assert portal.portal.count("generateToken") + portal.portal.count("oauthToken") <= 1


@pytest.mark.usefixtures("hurry")
def test_a_wrong_context_path(portal: Sandbox, connect: Any) -> None:
    worked, told = try_out(connect(portal, host=portal.url.replace("/portal", "/arcgis")))
    assert not worked
    assert "context path" in told


@pytest.mark.usefixtures("hurry")
def test_html_instead_of_json(connect: Any) -> None:
    with serve(HTML) as served:
        worked, told = try_out(connect(host=served.url, login="a", password="sec-ret"))
    assert not worked
    assert "HTML instead of JSON" in told
    assert "context path" in told


@pytest.mark.usefixtures("hurry")
def test_a_redirect_to_a_sign_in_page(connect: Any) -> None:
    moved = b"HTTP/1.1 302 Found\r\nLocation: https://sso.example.com/?x=sec-ret\r\nContent-Length: 0\r\n\r\n"
    with serve(moved) as served:
        worked, told = try_out(connect(host=served.url, login="a", password="sec-ret"))
    assert not worked
    assert "redirects to https://sso.example.com/." in told
    assert "sec-ret" not in told


@pytest.mark.usefixtures("hurry")
def test_a_certificate_that_is_not_trusted(connect: Any) -> None:
    with Sandbox(tls=True) as sandbox:
        worked, told = try_out(connect(sandbox, extra={}))
        assert (worked, "CERTIFICATE_VERIFY_FAILED" in told, "ca_bundle" in told) == (False, True, True)
        assert not sandbox.portal.journal
        assert try_out(connect(sandbox))[0]
        assert try_out(connect(sandbox, extra={"verify": False}))[0]


@pytest.mark.parametrize("owner", [None, "analyst"])
def test_an_app_without_a_user(owner: str | None, connect: Any) -> None:
    with Sandbox(rules=Rules(app_token_has_user=False)) as sandbox:
        app = sandbox.portal.register_app()
        extra = {"client_id": app.client_id, "client_secret": app.client_secret, "owner": owner}
        worked, told = try_out(connect(sandbox, login=None, password=None, extra=extra))
    assert worked is (owner is not None)
    assert ("as an application: 0 portal tasks" if worked else "`owner` in the connection's extra") in told


def test_a_web_server_that_asks_for_a_sign_in_of_its_own(connect: Any) -> None:
    challenge = b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Negotiate\r\nContent-Length: 0\r\n\r\n"
    with serve(challenge) as served:
        worked, told = try_out(connect(host=served.url, login="a", password="sec-ret"))
        assert len(served.requests) == 1
    assert not worked
    assert "sign-in of its own" in told


def test_a_client_certificate_alone(connect: Any, tmp_path: Path) -> None:
    client = trustme.CA().issue_cert("gis@example.com")
    path = tmp_path / "client.pem"
    client.private_key_and_cert_chain_pem.write_to_path(str(path))
    with Sandbox(tls=True) as sandbox:
        extra = {"ca_bundle": sandbox.ca_bundle, "client_cert": str(path)}
        worked, told = try_out(connect(sandbox, login=None, password=None, extra=extra))
        assert sandbox.portal.count("generateToken") == 0
    assert not worked
    assert "client certificate as a sign-in" in told


def test_a_web_server_that_demands_a_client_certificate(connect: Any, tmp_path: Path) -> None:
    """All the way from the connection's extra, in a worker and in a triggerer."""
    authority = trustme.CA()
    files = {name: str(tmp_path / f"{name}.pem") for name in ("ca_bundle", "client_cert", "client_key")}
    client = authority.issue_cert("gis@example.com")
    authority.cert_pem.write_to_path(files["ca_bundle"])
    client.cert_chain_pems[0].write_to_path(files["client_cert"])
    client.private_key_pem.write_to_path(files["client_key"])
    demanding = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(demanding)
    authority.configure_trust(demanding)
    demanding.verify_mode = ssl.CERT_REQUIRED

    async def alook(hook: ArcGISTasksHook) -> int:
        async with hook:
            return await hook.arun(tasks.count_tasks(hook.session))

    with serve(tls=demanding) as served:
        for without, refused in (("", False), ("ca_bundle", True), ("client_cert", True)):
            given = {name: path for name, path in files.items() if name != without}
            extra = {"token": "tok", "owner": "gis", "unreachable_timeout": 0.3, **given}
            hook = ArcGISTasksHook(connect(host=served.url, extra=extra))
            for look in (hook.count_tasks, lambda hook=hook: asyncio.run(alook(hook))):
                with pytest.raises(PortalUnreachable) if refused else nullcontext():
                    assert look() == 0
        assert served.heads.count("get /") == 4


def test_no_such_connection() -> None:
    """As Airflow's own page never asks for one, any clear answer will do: here, its own error."""
    with pytest.raises(Exception, match="no_such_connection"):
        try_out("no_such_connection")


def test_it_ends_soon(connect: Any, portal: Sandbox) -> None:
    portal.fault("unavailable", None, times=None)
    begun = time.monotonic()
    worked, told = try_out(connect(portal))
    assert time.monotonic() - begun < 8
    assert not worked
    assert "503" in told


def test_the_way_of_airflows_button(portal: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """It finds the hook by the connection's type, through the installed package's entry point."""
    try:
        distribution("airflow-provider-arcgis-tasks")
    except PackageNotFoundError:
        pytest.skip("the package is not installed here")
    from airflow.models.connection import Connection

    monkeypatch.setenv("AIRFLOW_CONN_PORTAL", portal.connection_uri)
    worked, told = Connection(conn_id="portal", uri=portal.connection_uri).test_connection()
    assert worked, told
    assert "as analyst (org_publisher)" in told
