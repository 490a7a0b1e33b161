"""Drives operations through either transport, and HTTP servers that misbehave on purpose."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit

from airflow_provider_arcgis_tasks.connection import PortalSettings
from airflow_provider_arcgis_tasks.portal import Operation, Pause, Request, Response, Unreachable
from airflow_provider_arcgis_tasks.portal.effects import Effect, Now, Reply
from airflow_provider_arcgis_tasks.portal.session import Session
from airflow_provider_arcgis_tasks.sandbox import Fault, Sandbox
from airflow_provider_arcgis_tasks.sandbox.routes import find_route
from airflow_provider_arcgis_tasks.transport import (
    AsyncTransport,
    HttpSettings,
    SyncTransport,
    aperform,
    perform,
)

T = TypeVar("T")

Kind = Literal["sync", "async"]
KINDS: list[Kind] = ["sync", "async"]


class HastyLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock can be put forward."""

    ahead = 0.0

    def time(self) -> float:
        return super().time() + self.ahead


class Drive:
    """One transport. Waiting costs no time: it sets the clock of the operations ahead instead.

    `slow`: a fault that lets answers come too late; nobody waits for them.
    """

    def __init__(self, kind: Kind, settings: HttpSettings | None = None) -> None:
        settings = settings or HttpSettings()
        self.transport: Any = SyncTransport(settings) if kind == "sync" else AsyncTransport(settings)
        self.runner = asyncio.Runner(loop_factory=HastyLoop) if kind == "async" else None
        self.start_anew()

    def start_anew(self) -> None:
        """Forget what went before."""
        self.pauses: list[float] = []
        self.waits: list[float] = []
        self.slow: Fault | None = None

    def __enter__(self) -> Drive:
        return self

    def __exit__(self, *_: object) -> None:
        if self.runner is None:
            self.transport.close()
        else:
            self.runner.run(self.transport.aclose())
            self.runner.close()

    def __call__(self, operation: Operation[T]) -> T:
        if self.runner is None:
            return perform(operation, self.handle)
        return self.runner.run(aperform(operation, self.ahandle))

    def together(self, *operations: Operation[T]) -> list[T]:
        """Carry out operations at the same time: tasks of one loop, or threads with a transport each."""
        if self.runner is not None:

            async def gathered() -> list[T]:
                return await asyncio.gather(*(aperform(one, self.ahandle) for one in operations))

            return self.runner.run(gathered())
        results: dict[int, T] = {}

        def carry_out(number: int, operation: Operation[T]) -> None:
            def handle(effect: Effect) -> Reply:
                if isinstance(effect, Pause):
                    time.sleep(0.001)  # lets other threads go on
                return self._shortcut(effect) or own(effect)

            with SyncTransport(self.transport._settings) as own:
                results[number] = perform(operation, handle)

        threads = [threading.Thread(target=carry_out, args=numbered) for numbered in enumerate(operations)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return [results[number] for number in range(len(operations))]

    def exchange(self, request: Request) -> Response | Unreachable:
        """Send one request."""
        reply = self.transport(request) if self.runner is None else self.runner.run(self.transport(request))
        assert isinstance(reply, Response | Unreachable)
        return reply

    def handle(self, effect: Effect) -> Reply:
        if isinstance(effect, Request) and self._is_slow(effect):
            return self._run_out_of_time(effect)
        return self._shortcut(effect) or self.transport(effect)

    async def ahandle(self, effect: Effect) -> Reply:
        if isinstance(effect, Pause):
            await asyncio.sleep(0)
        if isinstance(effect, Request) and self._is_slow(effect):
            return await self._arun_out_of_time(effect)
        return self._shortcut(effect) or await self.transport(effect)

    def _shortcut(self, effect: Effect) -> Reply:
        match effect:
            case Pause(seconds):
                self.pauses.append(seconds)
                return float("nan")  # which nobody looks at
            case Now():
                return time.time() + sum(self.pauses) + sum(self.waits)
        return None

    def _is_slow(self, request: Request) -> bool:
        fault = self.slow
        if fault is None or fault.happened == fault.times:
            return False
        below = urlsplit(request.url).path.partition("/sharing/rest/")[2]
        return find_route(below.split("/")).operation == fault.match

    def _run_out_of_time(self, request: Request) -> Reply:
        """Send a request, and wait for next to no time for the answer."""
        assert self.slow is not None
        hits = self.slow.happened
        reply = self.transport(hurried := replace(request, timeout=0.005))
        while not reply.sent:  # this machine was too busy even to connect
            reply = self.transport(hurried)
        while self.slow.happened == hits:
            time.sleep(0.001)
        self.waits.append(request.timeout)
        return reply

    async def _arun_out_of_time(self, request: Request) -> Reply:
        """Send a request, and put the loop's clock forward as soon as it has arrived."""
        assert self.slow is not None
        hits = self.slow.happened
        sending = asyncio.ensure_future(self.transport(request))
        while self.slow.happened == hits:  # noqa: ASYNC110 - counted in the sandbox's thread
            await asyncio.sleep(0.001)
        loop = asyncio.get_running_loop()
        assert isinstance(loop, HastyLoop)
        loop.ahead += request.timeout + 1  # one more, as aiohttp rounds up
        self.waits.append(request.timeout)
        return await sending


def sandbox_settings(sandbox: Sandbox, **extra: Any) -> PortalSettings:
    """The settings of a connection to the sandbox, as Airflow would pass them on."""
    if sandbox.ca_bundle:
        extra = {"ca_bundle": sandbox.ca_bundle, **extra}
    return PortalSettings.read(
        host=sandbox.url, login=sandbox.username, password=sandbox.password, extra=extra
    )


def sandbox_session(sandbox: Sandbox, **extra: Any) -> Session:
    return sandbox_settings(sandbox, **extra).session()


# --- servers -----------------------------------------------------------------------------------------

FINE = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 14\r\n\r\n{"id": "fine"}'


@dataclass
class Served:
    """What a server of ours has seen."""

    port: int
    scheme: str
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    @property
    def heads(self) -> str:
        return b"".join(self.requests).decode("latin-1").lower()


Handler = Callable[[socket.socket, bytes], None]


@contextlib.contextmanager
def serve(handler: Handler | bytes = FINE, tls: ssl.SSLContext | None = None) -> Iterator[Served]:
    """A server that reads a request and lets `handler` answer on the bare socket, again and again."""
    listener = socket.create_server(("127.0.0.1", 0))
    served = Served(listener.getsockname()[1], "https" if tls else "http")
    over = threading.Event()

    def converse(connection: socket.socket) -> None:
        with contextlib.suppress(OSError), contextlib.ExitStack() as closing:
            connection.settimeout(15)
            if tls is not None:
                connection = tls.wrap_socket(connection, server_side=True)
            closing.callback(connection.close)
            while not over.is_set() and (request := read_request(connection)):
                served.requests.append(request)
                if isinstance(handler, bytes):
                    connection.sendall(handler)
                else:
                    handler(connection, request)
                if b"\r\nConnection: close\r\n" in request:
                    break

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                served.connections += 1
                threading.Thread(target=converse, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield served
    finally:
        over.set()
        listener.close()


def read_request(connection: socket.socket) -> bytes:
    head = b""
    while b"\r\n\r\n" not in head:
        chunk = connection.recv(65536)
        if not chunk:
            return b""
        head += chunk
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    missing = int(lengths[0].split(b":")[1]) - len(head.partition(b"\r\n\r\n")[2]) if lengths else 0
    while missing > 0:
        chunk = connection.recv(missing)
        head, missing = head + chunk, missing - len(chunk)
    return head


def drip(begin: bytes, seconds: float) -> Handler:
    """Send `begin` and then a byte now and then, for so many seconds."""

    def handler(connection: socket.socket, request: bytes) -> None:
        connection.sendall(begin)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            connection.sendall(b"a")
            time.sleep(0.1)

    return handler


def proxying(connection: socket.socket, request: bytes) -> None:
    """A proxy: CONNECT tunnels; anything else is passed on to 127.0.0.1 at the named port."""
    method, target, _ = request.split(b" ", 2)
    place = target if method == b"CONNECT" else target.split(b"/")[2]
    port = int(place.rpartition(b":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=10) as upstream:
        if method == b"CONNECT":
            connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=pump, args=(upstream, connection), daemon=True)
            back.start()
            pump(connection, upstream)
            back.join()
        else:
            path = b"/" + target.split(b"/", 3)[3]
            passed_on = request.replace(target, path, 1).replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
            upstream.sendall(passed_on)
            pump(upstream, connection)
    connection.close()


def pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while chunk := source.recv(65536):
            sink.sendall(chunk)
        sink.shutdown(socket.SHUT_WR)
