"""What lies below the operations, the same for both transports: limits, TLS, proxies, redirects, secrets."""

from __future__ import annotations

import gzip
import os
import socket
import ssl
import threading
import time
import tracemalloc
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import trustme

from airflow_provider_arcgis_tasks.portal import PortalUnreachable, Request, Response, Unreachable, tasks
from airflow_provider_arcgis_tasks.portal.address import PortalAddress
from airflow_provider_arcgis_tasks.portal.credentials import Password, ReadyToken
from airflow_provider_arcgis_tasks.portal.session import Session
from airflow_provider_arcgis_tasks.sandbox import Sandbox
from airflow_provider_arcgis_tasks.transport import HttpSettings
from tests.transport.drive import (
    FINE,
    Drive,
    Kind,
    Served,
    drip,
    proxying,
    sandbox_session,
    sandbox_settings,
    serve,
)

HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.fixture
def drive(kind: Kind) -> Iterator[Drive]:
    with Drive(kind) as opened:
        yield opened


def get(url: str, timeout: float = 5.0, **params: str) -> Request:
    return Request("GET", f"{url}/x", params, {"X-Esri-Authorization": "Bearer tok"}, timeout)


def post(url: str, timeout: float = 5.0, **params: str) -> Request:
    return Request("POST", f"{url}/x", params, {"X-Esri-Authorization": "Bearer tok"}, timeout)


def unreachable(reply: Response | Unreachable) -> Unreachable:
    assert isinstance(reply, Unreachable), reply
    return reply


def session(served: Served, **options: Any) -> Session:
    return Session(PortalAddress(served.url), ReadyToken("tok"), owner="gis", **options)


# --- what is sent, and what comes back ---------------------------------------------------------------


def test_get(drive: Drive) -> None:
    with serve() as served:
        reply = drive.exchange(get(served.url, a="ü&=+ %", b=""))
    assert isinstance(reply, Response)
    assert (reply.status, reply.body, reply.headers["content-type"]) == (
        200,
        b'{"id": "fine"}',
        "application/json",
    )
    line, *headers = served.heads.split("\r\n")
    assert line.startswith("get /x?a=%c3%bc%26%3d%2b")
    assert "x-esri-authorization: bearer tok" in headers
    assert "accept-encoding: gzip, deflate" in headers
    assert "tok" not in line


def test_post(drive: Drive) -> None:
    with serve() as served:
        drive.exchange(post(served.url, a="ü&=+ %", b=""))
    head, _, body = served.heads.partition("\r\n\r\n")
    assert head.startswith("post /x http/1.1")
    assert "content-type: application/x-www-form-urlencoded" in head
    assert body == "a=%c3%bc%26%3d%2b+%25&b="


def test_paths_arrive_as_they_were_quoted(drive: Drive) -> None:
    """Neither library may tidy up what keeps a user name in its part of the path."""
    with serve() as served:
        for name in ("a%2Fb", "..%2F..%2Fadmin", "%252e%252e", "a%3Ff%3Dhtml", "j%C3%A4ne%20doe", "A%5CB"):
            drive.exchange(Request("GET", f"{served.url}/users/{name}/tasks", {"f": "json"}))
            _, users, arrived, last = served.requests[-1].split(b" ")[1].decode().split("/")
            assert (users, unquote(arrived), last) == ("users", unquote(name), "tasks?f=json")


@pytest.mark.parametrize("context", ["ポータル", "por tal", "ö", "a%2Fb"])
def test_addresses_in_any_script(drive: Drive, context: str) -> None:
    """They go into the header `Referer` as well, where only ASCII may stand."""
    with serve() as served:
        address = PortalAddress.parse(f"{served.url}/{context}")
        assert drive(tasks.count_tasks(Session(address, ReadyToken("tok"), owner="gis"))) == 0
    path = unquote(served.requests[0].split(b" ")[1].decode())
    assert path.startswith(f"/{unquote(context)}/sharing/rest/community/users/gis/tasks?")


def test_headers_are_in_lower_case(drive: Drive) -> None:
    with serve(HEAD + b"DATE: now\r\nrETRY-aFTER: 5\r\nContent-Length: 2\r\n\r\n{}") as served:
        reply = drive.exchange(get(served.url))
    assert isinstance(reply, Response)
    assert {"date": "now", "retry-after": "5"}.items() <= reply.headers.items()


def test_connections_are_kept_and_closed(drive: Drive) -> None:
    with serve() as served:
        for _ in range(3):
            drive.exchange(get(served.url))
        assert served.connections == 1
        if drive.runner is None:
            drive.transport.close()
        else:
            drive.runner.run(drive.transport.aclose())
        assert isinstance(drive.exchange(get(served.url)), Response)
        assert served.connections == 2


def test_cookies_are_not_kept(drive: Drive) -> None:
    with serve(FINE.replace(b"\r\n", b"\r\nSet-Cookie: esri_auth=secret; Path=/\r\n", 1)) as served:
        drive.exchange(get(served.url))
        drive.exchange(get(served.url))
    assert "cookie:" not in served.heads


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_compressed_answers(drive: Drive, encoding: str) -> None:
    body = gzip.compress(b'{"id": 1}') if encoding == "gzip" else zlib.compress(b'{"id": 1}')
    head = f"Content-Encoding: {encoding}\r\nContent-Length: {len(body)}\r\n\r\n"
    with serve(HEAD + head.encode() + body) as served:
        reply = drive.exchange(get(served.url))
    assert isinstance(reply, Response)
    assert reply.body == b'{"id": 1}'


# --- limits ------------------------------------------------------------------------------------------


@contextmanager
def at_most(megabytes: int) -> Iterator[None]:
    """See to it that no more memory is in use at any moment than that."""
    tracemalloc.start(1)
    try:
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < megabytes << 20


@pytest.mark.parametrize("form", ["told", "chunked", "until the end"])
def test_a_body_of_100_megabytes_is_not_read(drive: Drive, form: str) -> None:
    megabyte = bytes(1 << 20)
    sent: list[int] = []

    def flood(connection: socket.socket, request: bytes) -> None:
        head = {"told": b"Content-Length: 104857600\r\n", "chunked": b"Transfer-Encoding: chunked\r\n"}
        connection.sendall(HEAD + head.get(form, b"Connection: close\r\n") + b"\r\n")
        for _ in range(100):
            connection.sendall(b"100000\r\n" + megabyte + b"\r\n" if form == "chunked" else megabyte)
            sent.append(1)
        connection.close()

    with serve(flood) as served, at_most(megabytes=90):
        reply = unreachable(drive.exchange(get(served.url, timeout=30)))
    assert "larger than 32 MB" in reply.reason
    assert reply.sent
    assert sum(sent) < 60


def bomb(encoding: str) -> bytes:
    """A gigabyte of zeros in one megabyte, in parts that can be repeated."""
    packer = zlib.compressobj(1, wbits=31 if encoding == "gzip" else 15)
    begin = packer.compress(b"0") + packer.flush(zlib.Z_FULL_FLUSH)
    part = packer.compress(bytes(16 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    return begin + part * 64


@pytest.mark.parametrize("chunked", [False, True], ids=["told", "chunked"])
@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_body_that_would_unpack_to_a_gigabyte(drive: Drive, encoding: str, chunked: bool) -> None:
    """Neither all of it nor one chunk of it is unpacked beyond the limit."""
    packed = bomb(encoding)
    size = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % len(packed)
    head = HEAD + b"Content-Encoding: %s\r\n%s\r\n\r\n" % (encoding.encode(), size)
    body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(packed), packed) if chunked else packed
    with serve(head + body) as served, at_most(megabytes=90):
        reply = unreachable(drive.exchange(get(served.url, timeout=30)))
    assert "larger than 32 MB" in reply.reason
    assert reply.sent


def test_a_body_of_20_megabytes_is_read(drive: Drive) -> None:
    body = b'{"x": "' + b"a" * (20 << 20) + b'"}'
    with serve(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body) as served:
        reply = drive.exchange(get(served.url, timeout=30))
    assert isinstance(reply, Response)
    assert reply.body == body


DRIPS = {
    "status": b"HTTP/1.1 200 ",
    "header": b"HTTP/1.1 200 OK\r\nX: ",
    "body": HEAD + b"Content-Length: 100000\r\n\r\n",
    "chunk": HEAD + b"Transfer-Encoding: chunked\r\n\r\n186a0\r\n",
    "body without length": HEAD + b"\r\n",
}


def seconds_for(drive: Drive, request: Request) -> float:
    """How long it takes to find that this request gets no whole answer, though it was sent."""
    begun = time.monotonic()
    assert unreachable(drive.exchange(request)).sent
    return time.monotonic() - begun


@pytest.mark.parametrize("part", DRIPS)
def test_an_answer_that_drips_ends_in_time(drive: Drive, part: str) -> None:
    with serve(drip(DRIPS[part], seconds=5)) as served:
        assert 0.3 < seconds_for(drive, post(served.url, timeout=0.4)) < 2


@pytest.mark.parametrize("part", ["status", "body"])
def test_an_answer_that_drips_through_tls_ends_in_time(
    kind: Kind, part: str, tls: ssl.SSLContext, ca_bundle: str
) -> None:
    with (
        serve(drip(DRIPS[part], seconds=5), tls) as served,
        Drive(kind, HttpSettings(ca_bundle=ca_bundle)) as drive,
    ):
        assert 0.3 < seconds_for(drive, post(served.url, timeout=0.4)) < 2


def test_a_proxy_that_drips_ends_in_time(kind: Kind) -> None:
    with serve(drip(b"HTTP/1.1 200 OK\r\nX: ", seconds=5)) as proxy:
        with Drive(kind, HttpSettings(proxy=proxy.url)) as drive:
            begun = time.monotonic()
            unreachable(drive.exchange(post("https://portal.invalid", timeout=0.4)))
        assert 0.3 < time.monotonic() - begun < 2


def test_answers_that_announce_another_one_end_in_time(drive: Drive) -> None:
    def announce(connection: socket.socket, request: bytes) -> None:
        while True:
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" * 50)
            time.sleep(0.001)

    with serve(announce) as served:
        assert seconds_for(drive, post(served.url, timeout=0.4)) < 2


def test_a_late_beginning_leaves_less_time_for_the_rest(drive: Drive) -> None:
    def stop_half_way(connection: socket.socket, request: bytes) -> None:
        time.sleep(0.8)
        connection.sendall(HEAD)
        time.sleep(2)

    with serve(stop_half_way) as served:
        assert 0.9 < seconds_for(drive, post(served.url, timeout=1)) < 1.6


def test_every_answer_on_a_kept_connection_has_all_its_time(drive: Drive) -> None:
    def pause(connection: socket.socket, request: bytes) -> None:
        time.sleep(0.25)
        connection.sendall(FINE)

    with serve(pause) as served:
        replies = [drive.exchange(get(served.url, timeout=0.7)) for _ in range(3)]
    assert all(isinstance(reply, Response) for reply in replies)
    assert served.connections == 1


def test_silence_ends_in_time(drive: Drive) -> None:
    with serve(lambda connection, request: time.sleep(4)) as served:
        begun = time.monotonic()
        reply = unreachable(drive.exchange(post(served.url, timeout=0.3)))
    assert 0.25 < time.monotonic() - begun < 2
    assert reply.sent


# --- sent or not -------------------------------------------------------------------------------------


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def test_a_refused_connection_sent_nothing(drive: Drive) -> None:
    reply = unreachable(drive.exchange(post(f"http://127.0.0.1:{closed_port()}")))
    assert (reply.sent, "refused" in reply.reason.lower() or "Connect call failed" in reply.reason) == (
        False,
        True,
    )


def test_an_unknown_host_sent_nothing(drive: Drive) -> None:
    assert not unreachable(drive.exchange(post("http://no-such-portal.invalid"))).sent


def test_a_connection_that_is_not_made_in_time_sent_nothing(drive: Drive) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        waiting = []
        for _ in range(3):  # fills the backlog, so that the next one is left without an answer
            waiting.append(socket.socket())
            waiting[-1].setblocking(False)
            waiting[-1].connect_ex(listener.getsockname())
        begun = time.monotonic()
        reply = unreachable(
            drive.exchange(post(f"http://127.0.0.1:{listener.getsockname()[1]}", timeout=0.3))
        )
        assert time.monotonic() - begun < 2
        for connection in waiting:
            connection.close()
    # aiohttp may run into the time for the whole exchange first, and then does not know
    assert not reply.sent or drive.runner is not None


GARBAGE = [
    b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
    b"\x15\x03\x01\x00\x02\x02\x70",
    b"HTTP/1.1 abc OK\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX: " + b"a" * 200_000 + b"\r\n\r\n",
    HEAD + b"".join(b"X-%d: a\r\n" % number for number in range(20_000)) + b"\r\n",
    HEAD + b"Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\nabcd",
    HEAD + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
    HEAD + b"Content-Length: 100\r\n\r\nshort",
    b"HTTP/1.1 302 Found\r\nLocation: http://[bad\xff/\r\nContent-Length: 0\r\n\r\n",
    HEAD + b"Set-Cookie: =\x00;;;\r\nContent-Type: text/html; charset=\xff\r\nContent-Length: 2\r\n\r\n{}",
    HEAD + b"Content-Length: -5\r\n\r\n{}",
    HEAD + b"Content-Length: 2\r\nContent-Length: 5\r\n\r\n{}abc",
    b"HTTP/1.1 200 OK\nContent-Length: 2\n\n{}",
    b"HTTP/1.1 999 \xff\xfe\r\nContent-Length: 2\r\n\r\n{}",
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n" * 50,
    b"HTTP/0.9\r\n\r\n",
]


@pytest.mark.parametrize("garbage", GARBAGE, ids=lambda garbage: repr(garbage[:50]))
def test_whatever_bytes_come_back(drive: Drive, garbage: bytes) -> None:
    """A response, or unreachable after something was sent: never another exception, never `not sent`."""

    def answer(connection: socket.socket, request: bytes) -> None:
        connection.sendall(garbage)
        connection.close()

    with serve(answer) as served:
        reply = drive.exchange(post(served.url, timeout=3))
    assert isinstance(reply, Response) or reply.sent
    assert len(served.requests) == 1


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"], ids=["none", "half"]
)
def test_a_write_is_sent_once_though_its_connection_breaks(drive: Drive, answer: bytes) -> None:
    """On a kept connection as well, where HTTP libraries like to try again."""
    healthy = [True]

    def reply(connection: socket.socket, request: bytes) -> None:
        if healthy[0]:
            connection.sendall(FINE)
        else:
            connection.sendall(answer)
            connection.close()

    with serve(reply) as served:
        drive.exchange(get(served.url))
        healthy[0] = False
        assert unreachable(drive.exchange(post(served.url))).sent
    assert [request[:4] for request in served.requests] == [b"GET ", b"POST"]


# --- TLS ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    return context


@pytest.fixture(scope="module")
def ca_bundle(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


def test_a_certificate_of_an_unknown_authority_is_refused(
    kind: Kind, tls: ssl.SSLContext, ca_bundle: str
) -> None:
    with serve(tls=tls) as served:
        with Drive(kind) as drive:
            reply = unreachable(drive.exchange(post(served.url)))
            assert "CERTIFICATE_VERIFY_FAILED" in reply.reason
            assert not reply.sent
            with pytest.raises(PortalUnreachable, match="ca_bundle in the connection's extra"):
                drive(tasks.count_tasks(session(served, unreachable_timeout=2)))
        assert not served.requests
        for settings in (HttpSettings(ca_bundle=ca_bundle), HttpSettings(verify=False)):
            with Drive(kind, settings) as drive:
                assert isinstance(drive.exchange(post(served.url)), Response)


def test_a_certificate_for_another_host_is_refused(kind: Kind, authority: trustme.CA, ca_bundle: str) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("gis.example.com").configure_cert(context)
    with serve(tls=context) as served, Drive(kind, HttpSettings(ca_bundle=ca_bundle)) as drive:
        reply = unreachable(drive.exchange(post(served.url)))
    assert ("CERTIFICATE_VERIFY_FAILED" in reply.reason, reply.sent, served.requests) == (True, False, [])


def test_the_environment_decides_nothing_about_certificates(
    kind: Kind, tls: ssl.SSLContext, ca_bundle: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with serve(tls=tls) as served:
        for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
            monkeypatch.setenv(name, ca_bundle)
        with Drive(kind) as drive:
            assert not unreachable(drive.exchange(post(served.url))).sent
        (tmp_path / "wrong.pem").write_text("no certificate")
        for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
            monkeypatch.setenv(name, str(tmp_path / "wrong.pem"))
        with Drive(kind, HttpSettings(ca_bundle=ca_bundle)) as drive:
            assert isinstance(drive.exchange(post(served.url)), Response)


@pytest.mark.parametrize("minimum", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_client_certificate_that_is_demanded(
    kind: Kind, authority: trustme.CA, ca_bundle: str, tmp_path: Path, minimum: ssl.TLSVersion
) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    context.minimum_version = context.maximum_version = minimum
    client = authority.issue_cert("gis@example.com")
    both, cert, key = (str(tmp_path / name) for name in ("both.pem", "cert.pem", "key.pem"))
    client.private_key_and_cert_chain_pem.write_to_path(both)
    client.cert_chain_pems[0].write_to_path(cert)
    client.private_key_pem.write_to_path(key)
    with serve(tls=context) as served:
        with Drive(kind, HttpSettings(ca_bundle=ca_bundle)) as drive:
            unreachable(drive.exchange(post(served.url)))
            assert not served.requests
        for files in ({"client_cert": both}, {"client_cert": cert, "client_key": key}):
            with Drive(kind, HttpSettings(ca_bundle=ca_bundle, **files)) as drive:
                assert isinstance(drive.exchange(post(served.url)), Response)


@pytest.mark.parametrize("name", ["ca_bundle", "client_cert"])
def test_a_file_that_holds_no_certificate(kind: Kind, name: str, tmp_path: Path) -> None:
    path = tmp_path / "empty.pem"
    path.write_text("nothing of use")
    with (
        Drive(kind, HttpSettings(**{name: str(path)})) as drive,
        pytest.raises(ValueError, match=f"^{name}: "),
    ):
        drive.exchange(post("https://127.0.0.1:1"))


@pytest.mark.parametrize("how", ["garbage", "cut"])
def test_tls_that_breaks_after_the_request_was_sent(
    kind: Kind, tls: ssl.SSLContext, ca_bundle: str, how: str
) -> None:
    """The portal may have acted on it: to say `not sent` would make a second portal task."""

    def spoil(connection: socket.socket, request: bytes) -> None:
        if how == "garbage":
            os.write(connection.fileno(), b"this is no TLS record at all" * 20)
            time.sleep(0.2)
        bare = socket.socket(fileno=os.dup(connection.fileno()))
        bare.shutdown(socket.SHUT_RDWR)
        bare.close()

    with serve(spoil, tls=tls) as served, Drive(kind, HttpSettings(ca_bundle=ca_bundle)) as drive:
        reply = unreachable(drive.exchange(post(served.url, title="x")))
    assert reply.sent
    assert len(served.requests) == 1


@pytest.mark.parametrize(("scheme", "with_tls"), [("https", False), ("http", True)])
def test_the_wrong_protocol(kind: Kind, tls: ssl.SSLContext, scheme: str, with_tls: bool) -> None:
    with serve(tls=tls if with_tls else None) as served, Drive(kind, HttpSettings(verify=False)) as drive:
        unreachable(drive.exchange(post(served.url.replace(served.scheme, scheme, 1), timeout=0.3)))


# --- proxies -----------------------------------------------------------------------------------------

PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXY_VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def test_a_proxy_for_http(kind: Kind) -> None:
    """Only the proxy can reach that host, and it alone sees the password meant for it."""
    with serve() as served, serve(proxying) as proxy:
        address = proxy.url.replace("//", "//bob:hunter2@")
        with Drive(kind, HttpSettings(proxy=address)) as drive:
            assert isinstance(drive.exchange(post(f"http://portal.invalid:{served.port}", a="b")), Response)
    assert proxy.heads.startswith(f"post http://portal.invalid:{served.port}/x ")
    assert "proxy-authorization: basic ym9iomh1bnrlcji=" in proxy.heads
    assert "hunter2" not in served.heads


@pytest.mark.parametrize("where", ["setting", "environment"])
def test_a_proxy_for_https(kind: Kind, where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What goes through the tunnel is sealed, and the certificate is still checked."""
    with Sandbox(tls=True) as sandbox, serve(proxying) as proxy:
        chosen = {"proxy": proxy.url} if where == "setting" else {}
        if where == "environment":
            monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        settings = sandbox_settings(sandbox, **chosen)
        with Drive(kind, settings.http) as drive:
            assert drive(tasks.count_tasks(settings.session())) == 0
        assert proxy.heads.startswith("connect 127.0.0.1:")
        assert "esri" not in proxy.heads
        with Drive(kind, HttpSettings(proxy=proxy.url)) as drive:
            reply = unreachable(drive.exchange(post(sandbox.url)))
        assert "CERTIFICATE_VERIFY_FAILED" in reply.reason


@pytest.mark.parametrize(
    ("variables", "proxied"),
    [
        ({}, False),
        ({"HTTP_PROXY": "proxy"}, True),
        ({"http_proxy": "proxy"}, True),
        ({"HTTPS_PROXY": "proxy"}, False),
        ({"HTTP_PROXY": "proxy", "NO_PROXY": "127.0.0.1"}, False),
        ({"HTTP_PROXY": "proxy", "NO_PROXY": "example.com"}, True),
        ({"HTTP_PROXY": "proxy", "no_proxy": "*"}, False),
    ],
    ids=str,
)
def test_proxies_of_the_environment(
    kind: Kind, variables: dict[str, str], proxied: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve() as served, serve(proxying) as proxy, Drive(kind) as drive:
        for name, value in variables.items():
            monkeypatch.setenv(name, proxy.url if value == "proxy" else value)
        assert isinstance(drive.exchange(get(served.url)), Response)
        assert bool(proxy.requests) is proxied


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_is_not_there(kind: Kind, scheme: str) -> None:
    settings = HttpSettings(proxy=f"http://bob:hunter2@127.0.0.1:{closed_port()}")
    with Drive(kind, settings) as drive:
        reply = unreachable(drive.exchange(post(f"{scheme}://portal.invalid")))
    assert not reply.sent
    assert "hunter2" not in reply.reason
    assert "hunter2" not in repr(settings)


def test_a_proxy_that_refuses(kind: Kind) -> None:
    denied = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
    with serve(denied) as proxy, Drive(kind, HttpSettings(proxy=proxy.url)) as drive:
        unreachable(drive.exchange(post("https://portal.invalid")))


# --- to nobody else ----------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed(drive: Drive, status: int) -> None:
    with serve() as elsewhere:
        moved = f"HTTP/1.1 {status} Moved\r\nLocation: {elsewhere.url}/y?token=t\r\nContent-Length: 0\r\n\r\n"
        with serve(moved.encode()) as served:
            for request in (get(served.url), post(served.url)):
                reply = drive.exchange(request)
                assert isinstance(reply, Response)
                assert reply.status == status
            s = session(served, unreachable_timeout=3)
            with pytest.raises(PortalUnreachable, match=rf"redirects to {elsewhere.url}/y\."):
                drive(tasks.count_tasks(s))
    assert elsewhere.connections == 0


def test_a_password_does_not_follow_a_redirect(drive: Drive) -> None:
    with serve() as elsewhere:
        moved = f"HTTP/1.1 307 Moved\r\nLocation: {elsewhere.url}/y\r\nContent-Length: 0\r\n\r\n"
        with serve(moved.encode()) as served:
            s = Session(PortalAddress(served.url), Password("gis", "pass-word"), unreachable_timeout=2)
            with pytest.raises(PortalUnreachable):
                drive(tasks.count_tasks(s))
    assert elsewhere.connections == 0
    assert "pass-word" in served.heads


def test_netrc_is_not_used(kind: Kind, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login bob password hunter2\ndefault login bob password hunter2\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(netrc))
    with serve() as served, Drive(kind) as drive:
        drive.exchange(get(served.url))
    assert "\r\nauthorization:" not in served.heads


def test_credentials_go_to_the_portal_only_in_their_place(kind: Kind) -> None:
    """The password in the form of the sign-in, the token in its header, and neither in a URL."""
    with Sandbox() as sandbox, Drive(kind) as drive:
        seen: list[tuple[str, str, dict[str, str], dict[str, str]]] = []
        handle = sandbox.portal.handle

        def spy(method: str, path: str, params: Any, headers: Any, **others: Any) -> Any:
            seen.append((method, path, dict(params), dict(headers)))
            return handle(method, path, params, headers, **others)

        sandbox.portal.handle = spy  # type: ignore[method-assign, assignment]
        drive(tasks.who_am_i(sandbox_session(sandbox)))
    sign_in, *others = seen
    assert sign_in[2]["password"] == sandbox.password
    assert len(others) == 2
    for method, path, params, headers in others:
        assert (method, params) == ("GET", {})
        assert sandbox.password not in str((path, headers))
        token = next(value for name, value in headers.items() if name.lower() == "x-esri-authorization")
        assert token.removeprefix("Bearer ") not in path


# --- killed on the way -------------------------------------------------------------------------------


def test_a_cancelled_renewal_lets_the_others_go_on() -> None:
    import asyncio

    from airflow_provider_arcgis_tasks.transport import AsyncTransport, aperform

    async def play() -> None:
        with Sandbox() as sandbox:
            s = sandbox_session(sandbox)
            sandbox.fault("slow", "generateToken", delay=5)
            async with AsyncTransport(HttpSettings()) as transport:
                slow = asyncio.create_task(aperform(tasks.count_tasks(s), transport))
                while not sandbox.portal.count("generateToken"):  # noqa: ASYNC110 - in another thread
                    await asyncio.sleep(0.01)
                other = asyncio.create_task(aperform(tasks.count_tasks(s), transport))
                await asyncio.sleep(0.05)
                slow.cancel()
                assert await asyncio.wait_for(other, 3) == 0
                with pytest.raises(asyncio.CancelledError):
                    await slow
            assert sandbox.portal.count("generateToken") == 2

    asyncio.run(play())


def test_threads_share_a_session() -> None:
    with Sandbox() as sandbox, Drive("sync") as drive:
        s = sandbox_session(sandbox)
        before = threading.active_count()
        assert drive.together(*(tasks.count_tasks(s) for _ in range(8))) == [0] * 8
        assert sandbox.portal.count("generateToken") == 1
        assert threading.active_count() <= before + 1
