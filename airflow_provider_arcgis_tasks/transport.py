"""Carries out portal operations: `perform` in a worker, `aperform` in a triggerer.

The only module that knows HTTP libraries: requests for the worker, aiohttp for the triggerer. Both are
imported when a transport is opened, so that parsing a DAG does not pay for them.
"""

from __future__ import annotations

import asyncio
import io
import ssl
import time
import zlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http.client import HTTPResponse
from http.cookiejar import DefaultCookiePolicy
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from airflow_provider_arcgis_tasks.portal.effects import (
    Effect,
    Now,
    Operation,
    Pause,
    Reply,
    Request,
    Response,
    Unreachable,
)

if TYPE_CHECKING:
    import aiohttp
    import requests

T = TypeVar("T")

MOST_CONNECTIONS = 20
_LARGEST_BODY = 32 * 1024 * 1024
_TOO_LARGE = f"the answer is larger than {_LARGEST_BODY >> 20} MB"
_CHUNK = 64 * 1024
_GZIP_OR_ZLIB = zlib.MAX_WBITS | 32
_CONNECT_SECONDS = 10.0
_KEEP_ALIVE_SECONDS = 75.0


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """How to reach the portal. `proxy`: its URL; None for what the environment says (HTTPS_PROXY, ...)."""

    verify: bool = True
    ca_bundle: str | None = None
    client_cert: str | None = None
    client_key: str | None = None
    proxy: str | None = field(default=None, repr=False)

    def proxy_for(self, url: str) -> str | None:
        """The proxy for a URL, if any."""
        if self.proxy:
            return self.proxy
        parts = urlsplit(url)
        return None if proxy_bypass(parts.netloc) else getproxies().get(parts.scheme)


def perform(operation: Operation[T], handle: Callable[[Effect], Reply]) -> T:
    """Carry out an operation in this thread; `handle` answers its effects."""
    try:
        effect = next(operation)
        while True:
            effect = operation.send(handle(effect))
    except StopIteration as done:
        return cast("T", done.value)
    finally:
        operation.close()


async def aperform(operation: Operation[T], handle: Callable[[Effect], Awaitable[Reply]]) -> T:
    """Carry out an operation in this event loop; `handle` answers its effects."""
    try:
        effect = next(operation)
        while True:
            effect = operation.send(await handle(effect))
    except StopIteration as done:
        return cast("T", done.value)
    finally:
        operation.close()


class SyncTransport:
    """Answers effects with requests, `time.sleep` and `time.time`, for one portal. Use `with`."""

    def __init__(self, settings: HttpSettings) -> None:
        self._settings = settings
        self._client: requests.Session | None = None
        self._proxy: str | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections. The transport can be used again afterwards."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def __call__(self, effect: Effect) -> Reply:
        """Answer one effect."""
        match effect:
            case Request():
                return self._exchange(effect)
            case Pause(seconds):
                time.sleep(seconds)
                return None
            case Now():
                return time.time()

    def _exchange(self, request: Request) -> Response | Unreachable:
        import requests
        import urllib3

        if self._client is None:
            self._client = _open_session(self._settings)
            self._proxy = self._settings.proxy_for(request.url)
        proxy = self._proxy
        timeout: Any = urllib3.Timeout(
            total=request.timeout, connect=min(_CONNECT_SECONDS, request.timeout), read=request.timeout
        )
        try:
            with self._client.request(
                request.method,
                request.url,
                **_message(request),
                timeout=timeout,
                proxies={"http": proxy, "https": proxy} if proxy else None,
                verify=self._settings.verify,
                allow_redirects=False,
                stream=True,
            ) as response:
                return _response(response.status_code, response.headers, _read_body(response.raw))
        except (
            requests.RequestException,
            urllib3.exceptions.HTTPError,
            zlib.error,
            OSError,
            UnicodeError,
        ) as problem:
            cause = _root_cause(problem)
            return Unreachable(_reason(cause), sent=not _never_sent(cause))


def _open_session(settings: HttpSettings) -> requests.Session:
    import requests
    from requests.adapters import HTTPAdapter
    from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

    tls = _tls_context(settings)
    pools = {"http": _timed(HTTPConnectionPool), "https": _timed(HTTPSConnectionPool)}

    class Adapter(HTTPAdapter):
        """Uses the same TLS settings as the asynchronous transport, and bounds the time of an answer."""

        def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
            super().init_poolmanager(*args, **kwargs, ssl_context=tls)
            self.poolmanager.pool_classes_by_scheme = pools

        def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
            manager = super().proxy_manager_for(*args, **kwargs, ssl_context=tls)
            manager.pool_classes_by_scheme = pools
            return manager

        def cert_verify(self, *args: Any, **kwargs: Any) -> None:
            """Leave it to the TLS settings."""

    client = requests.Session()
    client.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    client.trust_env = False  # no .netrc, and no REQUESTS_CA_BUNDLE against the connection's own word
    for scheme in ("http://", "https://"):
        client.mount(scheme, Adapter())
    if not settings.verify:
        import urllib3

        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    return client


def _timed(pool: Any) -> Any:
    """The same kind of connection pool, but each answer has to end within the socket's timeout."""
    connection = type("Connection", (pool.ConnectionCls,), {"response_class": _TimedAnswer})
    return type("Pool", (pool,), {"ConnectionCls": connection})


class _TimedAnswer(HTTPResponse):
    def __init__(self, sock: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp = io.BufferedReader(_TimedReader(sock, self.fp.detach()))


class _TimedReader(io.RawIOBase):
    """Bounds all reads together; the socket by itself bounds each of them."""

    def __init__(self, sock: Any, raw: io.RawIOBase) -> None:
        self._sock = sock
        self._raw = raw
        self._end = time.monotonic() + sock.gettimeout()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError("the answer did not end in time")
        self._sock.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


def _read_body(raw: Any) -> bytes:
    body = bytearray()
    while chunk := raw.read(_CHUNK, decode_content=False):
        body += chunk
        if len(body) > _LARGEST_BODY:
            raise OSError(_TOO_LARGE)
    return bytes(body)


def _root_cause(problem: BaseException) -> BaseException:
    """What lies at the bottom of the exceptions that requests and urllib3 wrap around each other."""
    while True:
        within = (getattr(problem, "reason", None), *problem.args)
        inner = next((cause for cause in within if isinstance(cause, BaseException)), None)
        if inner is None:
            return problem
        problem = inner


def _never_sent(cause: BaseException) -> bool:
    """Whether the connection was not even made."""
    import urllib3.exceptions as errors

    return isinstance(
        cause,
        errors.NewConnectionError
        | errors.ConnectTimeoutError
        | ssl.SSLCertVerificationError
        | ConnectionRefusedError,
    )


class AsyncTransport:
    """Answers effects with aiohttp, `asyncio.sleep` and `time.time`, for one portal. Use `async with`."""

    def __init__(self, settings: HttpSettings) -> None:
        self._settings = settings
        self._client: aiohttp.ClientSession | None = None
        self._proxy: str | None = None
        self._opening = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections. The transport can be used again afterwards."""
        if self._client is not None:
            client, self._client = self._client, None
            await client.close()

    async def __call__(self, effect: Effect) -> Reply:
        """Answer one effect."""
        match effect:
            case Request():
                return await self._exchange(effect)
            case Pause(seconds):
                await asyncio.sleep(seconds)
                return None
            case Now():
                return time.time()

    async def _exchange(self, request: Request) -> Response | Unreachable:
        client = await self._opened(request.url)
        import aiohttp

        try:
            async with client.request(
                request.method,
                request.url,
                **_message(request),
                timeout=aiohttp.ClientTimeout(total=request.timeout, sock_connect=_CONNECT_SECONDS),
                proxy=self._proxy,
                allow_redirects=False,
            ) as response:
                return _response(response.status, response.headers, await _aread_body(response))
        except (aiohttp.ClientError, zlib.error, TimeoutError, OSError) as problem:
            never_sent = isinstance(problem, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError)
            return Unreachable(_reason(problem), sent=not never_sent)

    async def _opened(self, url: str) -> aiohttp.ClientSession:
        async with self._opening:
            if self._client is None:
                # Importing aiohttp and reading certificates take long enough to hold up a triggerer.
                tls = await asyncio.to_thread(_prepare, self._settings)
                import aiohttp

                self._proxy = self._settings.proxy_for(url)
                self._client = aiohttp.ClientSession(
                    connector=aiohttp.TCPConnector(
                        limit=MOST_CONNECTIONS, ssl=tls, keepalive_timeout=_KEEP_ALIVE_SECONDS
                    ),
                    cookie_jar=aiohttp.DummyCookieJar(),
                    auto_decompress=False,
                    trust_env=False,
                )
                # The session decides what is sent again; aiohttp would by itself send any GET twice.
                self._client._retry_connection = False
            return self._client


def _message(request: Request) -> dict[str, Any]:
    key = "params" if request.method == "GET" else "data"
    return {key: dict(request.params), "headers": {"Accept-Encoding": "gzip, deflate", **request.headers}}


def _response(status: int, named: Mapping[str, str], body: bytes) -> Response:
    headers = {name.lower(): value for name, value in named.items()}
    return Response(status, headers, _unpacked(body, headers.get("content-encoding", "")))


def _unpacked(body: bytes, encoding: str) -> bytes:
    """Unpack here: older versions of the libraries unpack to any size, a gigabyte out of one megabyte."""
    if encoding.strip().lower() not in ("gzip", "deflate"):
        return body
    unpacked = zlib.decompressobj(_GZIP_OR_ZLIB).decompress(body, _LARGEST_BODY + 1)
    if len(unpacked) > _LARGEST_BODY:
        raise OSError(_TOO_LARGE)
    return unpacked


async def _aread_body(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_chunked(_CHUNK):
        body += chunk
        if len(body) > _LARGEST_BODY:
            raise OSError(_TOO_LARGE)
    return bytes(body)


def _prepare(settings: HttpSettings) -> ssl.SSLContext:
    import aiohttp  # noqa: F401  # in this thread, so that the event loop finds it loaded

    return _tls_context(settings)


def _tls_context(settings: HttpSettings) -> ssl.SSLContext:
    import certifi

    try:
        context = ssl.create_default_context(cafile=settings.ca_bundle)
    except ssl.SSLError:
        raise ValueError(f"ca_bundle: {settings.ca_bundle!r} holds no certificates in PEM form") from None
    if settings.ca_bundle is None:
        context.load_verify_locations(certifi.where())  # for machines whose own store is empty
    if not settings.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if settings.client_cert:
        try:
            context.load_cert_chain(settings.client_cert, settings.client_key)
        except ssl.SSLError as problem:
            raise ValueError(
                f"client_cert: {settings.client_cert!r} and its client_key can't be used: {problem.reason}"
            ) from None
    return context


def _reason(problem: BaseException) -> str:
    """What went wrong, in one line and without the query of a URL."""
    text = " ".join(str(problem).split()).split("?")[0]
    return f"{type(problem).__name__}: {text}" if text else type(problem).__name__
