"""The portal on HTTP, on the loopback interface."""

from __future__ import annotations

import asyncio
import ssl
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from functools import lru_cache, partial
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlencode

from aiohttp import web

from airflow_provider_arcgis_tasks.sandbox.clock import Clock, RealClock
from airflow_provider_arcgis_tasks.sandbox.faults import Fault
from airflow_provider_arcgis_tasks.sandbox.model import SAMPLE_SECRET, USERNAME, Portal
from airflow_provider_arcgis_tasks.sandbox.records import Result
from airflow_provider_arcgis_tasks.sandbox.rules import Rules
from airflow_provider_arcgis_tasks.sandbox.wire import Reply

HOST = "127.0.0.1"
EXTRA_HINT = "no trustme: pip install 'airflow-provider-arcgis-tasks[sandbox]'"


class Sandbox:
    """A portal on HTTP, served by a thread of its own while the `with` block lasts.

    Args:
        port: on 127.0.0.1; 0 takes a free one.
        tls: serve HTTPS with a certificate of a private authority, whose certificate is in `ca_bundle`.
        speed: portal seconds in one real second.
        rules: how the portal behaves where real portals may differ.
        context: the first part of the path, such as `portal`; may be empty as on ArcGIS Online.
        username: the main user.
        password: that user's and the administrator's password.
        seed: from which ids and tokens follow.
        clock: the portal's clock, instead of `speed`.

    Attributes:
        portal: the portal itself.
        connections_opened: how many connections clients have made.
    """

    def __init__(
        self,
        port: int = 0,
        tls: bool = False,
        speed: float = 1.0,
        *,
        rules: Rules | None = None,
        context: str = "portal",
        username: str = USERNAME,
        password: str = SAMPLE_SECRET,
        seed: int = 0,
        clock: Clock | None = None,
    ) -> None:
        self.portal = Portal(
            clock or RealClock(speed), rules, url=HOST, seed=seed, username=username, password=password
        )
        self.tls = tls
        self.connections_opened = 0
        self._port = port
        self._context = context.strip("/")
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._thread: Thread | None = None
        self._end: Callable[[], object] = _nothing

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """The portal's address, as a user would type it."""
        return self.portal.url

    @property
    def username(self) -> str:
        """The main user."""
        return self.portal.username

    @property
    def password(self) -> str:
        """The main user's password."""
        return self.portal.password

    @property
    def ca_bundle(self) -> str | None:
        """The file with the certificate of the authority; None without `tls`."""
        return None if self._folder is None else str(Path(self._folder.name) / "ca.pem")

    @property
    def connection_uri(self) -> str:
        """The Airflow connection, for a variable such as `AIRFLOW_CONN_ARCGIS_DEFAULT`."""
        login = f"{quote(self.username, safe='')}:{quote(self.password, safe='')}"
        extras = f"?{urlencode({'ca_bundle': self.ca_bundle})}" if self.ca_bundle else ""
        return f"arcgis://{login}@{quote(self.url, safe='')}{extras}"

    def start(self) -> Self:
        """Serve, from now until `stop`; a sandbox that is started again keeps its port and all it knows.

        Raises:
            ImportError: `tls` needs a package that isn't installed.
            OSError: the port is taken.
            OverflowError: there is no such port.
        """
        if self._thread is not None:
            raise RuntimeError("the sandbox is already running")
        certificates = self._certificates() if self.tls else None
        port: Future[int] = Future()
        work = self._serve(certificates, port)
        self._thread = Thread(target=asyncio.run, args=(work,), name="arcgis-sandbox", daemon=True)
        self._thread.start()
        try:
            self._port = port.result()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Close every connection and end the thread."""
        if self._thread is not None:
            self._end()
            self._thread.join()
            self._thread = None
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def add_item(self, type: str = "Notebook", title: str = "", owner: str | None = None) -> str:
        """Add an item and return its id; see `Portal.add_item`."""
        return self.portal.add_item(type, title, owner)

    def plan(
        self,
        key: str | None,
        outcome: str = "succeeded",
        duration: float = 30.0,
        result: Result = "",
        times: int | None = None,
    ) -> None:
        """Decide what coming runs of an item do; see `Portal.plan`."""
        self.portal.plan(key, outcome, duration, result, times)

    def fault(self, kind: str, match: str | None = None, times: int | None = 1, **options: Any) -> Fault:
        """Order a fault; see `Portal.fault`."""
        return self.portal.fault(kind, match, times, **options)

    def _certificates(self) -> ssl.SSLContext:
        authority, chain = _make_certificates()
        self._folder = tempfile.TemporaryDirectory(prefix="arcgis-sandbox-")
        Path(self._folder.name, "ca.pem").write_bytes(authority)
        key_file = Path(self._folder.name, "server.pem")
        key_file.write_bytes(chain)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(key_file)
        key_file.unlink()
        return context

    async def _serve(self, certificates: ssl.SSLContext | None, port: Future[int]) -> None:
        loop, stopping = asyncio.get_running_loop(), asyncio.Event()
        runner = web.ServerRunner(_Server(self), shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, HOST, self._port, ssl_context=certificates).start()
            taken: int = runner.addresses[0][1]
            self.portal.url = f"{'https' if certificates else 'http'}://{HOST}:{taken}/{self._context}"
            self._end = partial(loop.call_soon_threadsafe, stopping.set)
            port.set_result(taken)
            await stopping.wait()
        except (OSError, OverflowError) as error:
            port.set_exception(error)
        finally:
            self._end = _nothing
            await runner.cleanup()


def _nothing() -> None:
    pass


class _Server(web.Server):
    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__(self._handle, access_log=None)
        self._sandbox = sandbox

    def connection_made(self, handler: Any, transport: asyncio.Transport) -> None:
        self._sandbox.connections_opened += 1
        super().connection_made(handler, transport)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        form = {name: value for name, value in (await request.post()).items() if isinstance(value, str)}
        headers: Mapping[str, str] = request.headers
        reply = self._sandbox.portal.handle(
            request.method, request.raw_path, form, headers, ip=request.remote or ""
        )
        if reply.delay:
            await asyncio.sleep(reply.delay)
        if reply.lost:
            return await _break_off(request, reply)
        return web.Response(status=reply.status, headers=reply.headers, body=reply.body)


async def _break_off(request: web.BaseRequest, reply: Reply) -> web.StreamResponse:
    response = web.StreamResponse(status=reply.status or 200, headers=reply.headers)
    if reply.lost == "midway":
        response.content_length = len(reply.body)
        await response.prepare(request)
        await response.write(reply.body[: len(reply.body) // 2])
    if request.transport is not None:
        request.transport.close()
    return response


@lru_cache(maxsize=1)
def _make_certificates() -> tuple[bytes, bytes]:
    try:
        import trustme
    except ImportError:
        raise ImportError(EXTRA_HINT) from None
    authority = trustme.CA()
    certificate = authority.issue_cert(HOST, "localhost")
    return authority.cert_pem.bytes(), certificate.private_key_and_cert_chain_pem.bytes()
