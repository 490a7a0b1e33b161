"""Drives operations through either transport, and HTTP servers that misbehave on purpose."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from airflow_provider_arcgis_tasks.connection import PortalSettings
from airflow_provider_arcgis_tasks.portal import Operation, Pause, Request, Response, Unreachable
from airflow_provider_arcgis_tasks.portal.effects import Effect, Now, Reply
from airflow_provider_arcgis_tasks.portal.session import Session
from airflow_provider_arcgis_tasks.sandbox import Sandbox
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


class Drive:
    """One transport. Pauses cost no time: they set the clock of the operations ahead instead."""

    def __init__(self, kind: Kind, settings: HttpSettings | None = None) -> None:
        settings = settings or HttpSettings()
        self.transport: Any = SyncTransport(settings) if kind == "sync" else AsyncTransport(settings)
        self.runner = asyncio.Runner() if kind == "async" else None
        self.requests: list[Request] = []
        self.pauses: list[float] = []

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
            return perform(operation, lambda effect: self._shortcut(effect) or self.transport(effect))
        return self.runner.run(aperform(operation, self.ahandle))

    def together(self, *operations: Operation[T]) -> list[T]:
        """Carry out operations at the same time: tasks of one loop, or threads with a transport each."""
        if self.runner is not None:

            async def gathered() -> list[T]:
                return await asyncio.gather(*(aperform(one, self.ahandle) for one in operations))

            return self.runner.run(gathered())
        results: dict[int, T] = {}

        def carry_out(number: int, operation: Operation[T]) -> None:
            with SyncTransport(self.transport._settings) as own:
                results[number] = perform(operation, lambda effect: self._shortcut(effect) or own(effect))

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

    async def ahandle(self, effect: Effect) -> Reply:
        if isinstance(effect, Pause):
            await asyncio.sleep(0)
        return self._shortcut(effect) or await self.transport(effect)

    def _shortcut(self, effect: Effect) -> Reply:
        match effect:
            case Pause(seconds):
                self.pauses.append(seconds)
                time.sleep(0.001 if self.runner is None else 0)  # lets other threads go on
                return float("nan")  # which nobody looks at
            case Now():
                return time.time() + sum(self.pauses)
            case Request():
                self.requests.append(effect)
        return None


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
