"""What we compare our trigger with: waits made as the trigger of the dbt Cloud provider makes them.

That trigger (4.11.1) keeps one hook for one wait, which reads the Airflow connection once; asks at once and
then every `poll_interval` seconds, without jitter; opens an HTTP client for each request and closes it
after; and turns any exception into an event that says error. dbt Cloud needs no sign-in. A portal does, so
here the hook signs in once for each wait and keeps the token, as it keeps the connection. The settings for
TLS are made once for the process, as aiohttp does with its own when nothing is said of them.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from functools import cache
from typing import Any
from urllib.parse import unquote

import aiohttp
from airflow.sdk import BaseHook, Connection
from airflow.triggers.base import BaseTrigger, TriggerEvent

_FINAL = frozenset({"succeeded", "failed", "skipped", "submitfailed"})


class PollingHook(BaseHook):
    """One wait's own way to the portal."""

    def __init__(self, arcgis_conn_id: str) -> None:
        super().__init__()
        self._conn_id = arcgis_conn_id
        self._connection: Connection | None = None
        self._token = ""

    async def get_run_status(self, portal_task_id: str, portal_run_id: str) -> str:
        """Ask for the run once."""
        connection = await self._resolved()
        if not self._token:
            self._token = await self._sign_in(connection)
        path = f"community/users/{connection.login}/tasks/{portal_task_id}/runs/{portal_run_id}"
        run = await self._request(connection, "GET", path, {"X-Esri-Authorization": f"Bearer {self._token}"})
        return str(run["status"])

    async def _resolved(self) -> Connection:
        if self._connection is None:
            self._connection = await self.aget_connection(self._conn_id)
        return self._connection

    async def _sign_in(self, connection: Connection) -> str:
        form = {
            "username": connection.login,
            "password": connection.password,
            "client": "referer",
            "referer": _base(connection),
            "expiration": "60",
        }
        answer = await self._request(connection, "POST", "generateToken", {}, form)
        return str(answer["token"])

    async def _request(
        self,
        connection: Connection,
        method: str,
        path: str,
        headers: dict[str, str],
        form: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        url = f"{_base(connection)}/sharing/rest/{path}"
        tls = _tls(connection.extra_dejson.get("ca_bundle"))
        async with (
            aiohttp.ClientSession(headers={"Referer": _base(connection), **headers}) as client,
            client.request(method, url, params={"f": "json"}, data=form, ssl=tls) as response,
        ):
            response.raise_for_status()
            answer: dict[str, Any] = await response.json(content_type=None)
        if "error" in answer:
            raise RuntimeError(str(answer["error"]))
        return answer


class PollingTrigger(BaseTrigger):
    """Waits for one run of a portal task."""

    def __init__(
        self, arcgis_conn_id: str, portal_task_id: str, portal_run_id: str, poll_interval: float
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.arcgis_conn_id = arcgis_conn_id
        self.portal_task_id = portal_task_id
        self.portal_run_id = portal_run_id
        self.poll_interval = poll_interval

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class and its arguments."""
        arguments = ("arcgis_conn_id", "portal_task_id", "portal_run_id", "poll_interval")
        return f"{__name__}.PollingTrigger", {name: getattr(self, name) for name in arguments}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Ask until the run is over."""
        hook = PollingHook(self.arcgis_conn_id)
        try:
            status = await self._status(hook)
            while status not in _FINAL:
                await asyncio.sleep(self.poll_interval)
                status = await self._status(hook)
        except Exception as problem:  # noqa: BLE001 - so does the trigger of the dbt Cloud provider
            status = f"error: {problem!r}"
        yield TriggerEvent({"status": status, "portal_run_id": self.portal_run_id})  # type: ignore[no-untyped-call]

    async def _status(self, hook: PollingHook) -> str:
        return await hook.get_run_status(self.portal_task_id, self.portal_run_id)


def _base(connection: Connection) -> str:
    return unquote(connection.host or "")


@cache
def _tls(ca_bundle: str | None) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=ca_bundle)
