"""The hook: portal operations for DAGs, over an Airflow connection of type `arcgis`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self, TypeVar
from weakref import WeakKeyDictionary

from airflow.sdk import BaseHook

from airflow_provider_arcgis_tasks.connection import PortalSettings
from airflow_provider_arcgis_tasks.portal import tasks
from airflow_provider_arcgis_tasks.portal.effects import Operation
from airflow_provider_arcgis_tasks.portal.errors import ArcGISTasksError
from airflow_provider_arcgis_tasks.portal.models import (
    PortalRun,
    PortalTask,
    RunStatus,
    TaskDefinition,
    TaskType,
)
from airflow_provider_arcgis_tasks.portal.session import Session
from airflow_provider_arcgis_tasks.transport import AsyncTransport, SyncTransport, aperform, perform

if TYPE_CHECKING:
    from airflow.sdk import Connection

T = TypeVar("T")

_TEST_SECONDS = 5.0


class ArcGISTasksHook(BaseHook):
    """Works with the scheduled tasks of an ArcGIS portal.

    Making one does no I/O; the connection is read when it is first needed. Use it as it is, in a `with`
    block (which closes its HTTP connections at the end), or in an `async with` block: there, all hooks on
    the same connection in one event loop share one HTTP client, one token and one renewal of it.

    Args:
        arcgis_conn_id: The Airflow connection, of type `arcgis`.
        owner: Whose portal tasks, as a user name of the portal; by default the connection's `owner`, or else
            the signed-in user. Only administrators may name others.

    Every method may raise `PortalUnreachable`, `SignInRefused`, `PermissionDenied` or another
    `PortalError`, and `ValueError` for what can't be sent; see `airflow_provider_arcgis_tasks.portal`.
    """

    conn_name_attr = "arcgis_conn_id"
    default_conn_name = "arcgis_default"
    conn_type = "arcgis"
    hook_name = "ArcGIS portal"

    def __init__(self, arcgis_conn_id: str = default_conn_name, owner: str | None = None) -> None:
        super().__init__()
        if not isinstance(arcgis_conn_id, str) or not arcgis_conn_id.strip():
            raise ValueError(f"arcgis_conn_id: {arcgis_conn_id!r} is not the name of a connection")
        self.arcgis_conn_id = arcgis_conn_id
        self.owner = owner
        self._own: tuple[Session, SyncTransport] | None = None
        self._shared: _SharedPortal | None = None

    # --- carrying out operations ---------------------------------------------------------------------

    @property
    def session(self) -> Session:
        """What the operations of `airflow_provider_arcgis_tasks.portal` take as their first argument."""
        return self._shared.session if self._shared is not None else self._opened()[0]

    @property
    def sharers(self) -> int:
        """How many hooks in this event loop use the same client and token now, this one included."""
        return self._shared.users if self._shared is not None else 0

    def run(self, operation: Operation[T]) -> T:
        """Carry out an operation in this thread, such as `tasks.list_tasks(hook.session)`."""
        return perform(operation, self._opened()[1])

    async def arun(self, operation: Operation[T]) -> T:
        """Carry out an operation in this event loop. The hook must be open: `async with hook`."""
        if self._shared is None:
            raise RuntimeError("arun: open the hook first, with `async with ArcGISTasksHook(...) as hook`")
        return await aperform(operation, self._shared.transport)

    def _opened(self) -> tuple[Session, SyncTransport]:
        if self._own is None:
            settings = _read(self.get_connection(self.arcgis_conn_id), self.owner)
            self._own = settings.session(), SyncTransport(settings.http)
        return self._own

    def close(self) -> None:
        """Close the HTTP connections of this thread's use; the hook can be used again."""
        if self._own is not None:
            self._own[1].close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        connection = await self.aget_connection(self.arcgis_conn_id)
        self._shared = _SharedPortal.join(_read(connection, self.owner, await _extra(connection)))
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._shared is not None:
            shared, self._shared = self._shared, None
            await shared.leave()

    # --- portal tasks --------------------------------------------------------------------------------

    def search_tasks(
        self,
        item_id: str | None = None,
        active: bool | None = None,
        task_types: Iterable[TaskType | str] | None = None,
    ) -> list[PortalTask]:
        """All portal tasks that match, complete over all pages; one request a page of 100.

        `active`: True for those that go on running, False for completed, paused or disabled ones.
        REST: all-user-scheduled-tasks.
        """
        return self.run(tasks.list_tasks(self.session, item_id=item_id, active=active, task_types=task_types))

    def search_org_tasks(
        self,
        owner: str | None = None,
        item_id: str | None = None,
        active: bool | None = None,
        task_types: Iterable[TaskType | str] | None = None,
    ) -> list[PortalTask]:
        """Portal tasks of the whole organization, or of one `owner`; for administrators.

        REST: portals/self/allScheduledTasks. Raises `PermissionDenied` for anybody else.
        """
        return self.run(
            tasks.search_org_tasks(
                self.session, owner=owner, item_id=item_id, active=active, task_types=task_types
            )
        )

    def count_tasks(self) -> int:
        """How many portal tasks there are, by one small request."""
        return self.run(tasks.count_tasks(self.session))

    def get_task(self, portal_task_id: str) -> PortalTask:
        """One portal task. Raises `NotFound`. REST: get-specific-task."""
        return self.run(tasks.get_task(self.session, portal_task_id))

    def create_task(self, definition: TaskDefinition) -> str:
        """Create a portal task and return its id. REST: create-new-scheduled-task.

        If the answer is lost, the task is looked for and never created twice; raises `WriteUnanswered` if
        it can't be found.
        """
        return self.run(tasks.create_task(self.session, definition))

    def update_task(self, portal_task_id: str, **changes: Any) -> None:
        """Change what is named, and nothing else. REST: update-task.

        `changes`: `schedule`, `title`, `parameters`, `task_url`, `item_id`, `task_type`, `max_occurrences`
        (None: no limit), `starts_at`, `ends_at` (aware datetimes).
        """
        self.run(tasks.update_task(self.session, portal_task_id, **changes))

    def delete_task(self, portal_task_id: str) -> bool:
        """Delete a portal task with all its run records. False: there was none. REST: delete-task."""
        return self.run(tasks.delete_task(self.session, portal_task_id))

    def enable_task(self, portal_task_id: str) -> None:
        """Make a portal task active. REST: enable-task."""
        self.run(tasks.enable_task(self.session, portal_task_id))

    def disable_task(self, portal_task_id: str) -> None:
        """Make a portal task inactive. REST: disable-task."""
        self.run(tasks.disable_task(self.session, portal_task_id))

    # --- portal runs ---------------------------------------------------------------------------------

    def get_runs(self, portal_task_id: str) -> list[PortalRun]:
        """The runs that the portal still keeps (30 as a rule), newest first. REST: runs-for-task."""
        return self.run(tasks.get_runs(self.session, portal_task_id))

    def get_run(self, portal_task_id: str, portal_run_id: str) -> PortalRun:
        """One run. Raises `NotFound`."""
        return self.run(tasks.get_run(self.session, portal_task_id, portal_run_id))

    def update_run(
        self,
        portal_task_id: str,
        portal_run_id: str,
        status: RunStatus | str | None = None,
        result: str | None = None,
    ) -> None:
        """Edit the record of a run, not the work that it stands for. REST: edit-run.

        What is not given stays as it is. Raises `ValueError` for an unknown status.
        """
        self.run(tasks.update_run(self.session, portal_task_id, portal_run_id, status=status, result=result))

    def delete_run(self, portal_task_id: str, portal_run_id: str) -> bool:
        """Delete the record of a run. False: there was none. REST: delete-run."""
        return self.run(tasks.delete_run(self.session, portal_task_id, portal_run_id))

    # --- the connection ------------------------------------------------------------------------------

    def who_am_i(self) -> tasks.WhoAmI:
        """Who is signed in, at which portal. REST: community/self, portals/self."""
        return self.run(tasks.who_am_i(self.session))

    def test_connection(self) -> tuple[bool, str]:
        """Sign in and look around; what Airflow's "Test connection" shows.

        Never raises for anything that is wrong with the connection, and tries a password once.
        """
        try:
            settings = _read(self.get_connection(self.arcgis_conn_id), self.owner)
            quick = replace(settings, timeout=min(settings.timeout, 10.0), unreachable_timeout=_TEST_SECONDS)
            self._own = quick.session(), SyncTransport(quick.http)
            with self:
                return True, self._look_around()
        except (ArcGISTasksError, ValueError, OSError) as problem:
            return False, str(problem)

    def _look_around(self) -> str:
        me = self.who_am_i()
        count, free_slots = self.run(tasks.count_with_slots(self.session))
        owner = self.run(self.session.owner())
        version = f" {me.version}" if me.version else ""
        slots = "" if free_slots is None else f", room for {free_slots} more active ones"
        whose = "" if owner == me.username else f" of {owner}"
        return (
            f"Signed in to {me.portal_name or 'the portal'}{version} at {self.session.address} as "
            f"{me.username or 'an application'}{f' ({me.role})' if me.role else ''}: "
            f"{count} portal task{'' if count == 1 else 's'}{whose}{slots}."
        )


@dataclass(eq=False)
class _SharedPortal:
    """What all hooks on one connection in one event loop share; closed when the last one leaves."""

    session: Session
    transport: AsyncTransport
    others: dict[PortalSettings, _SharedPortal]
    settings: PortalSettings
    users: int = field(default=0)

    @classmethod
    def join(cls, settings: PortalSettings) -> _SharedPortal:
        others = _shared_portals.setdefault(asyncio.get_running_loop(), {})
        if settings not in others:
            others[settings] = cls(settings.session(), AsyncTransport(settings.http), others, settings)
        shared = others[settings]
        shared.users += 1
        return shared

    async def leave(self) -> None:
        self.users -= 1
        if not self.users:
            self.others.pop(self.settings, None)
            await self.transport.aclose()


_shared_portals: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[PortalSettings, _SharedPortal]] = (
    WeakKeyDictionary()
)


def _read(
    connection: Connection, owner: str | None, extra: Mapping[str, Any] | None = None
) -> PortalSettings:
    _check_extra(connection)
    return PortalSettings.read(
        host=connection.host,
        port=connection.port,
        schema=connection.schema,
        login=connection.login,
        password=connection.password,
        extra=connection.extra_dejson if extra is None else extra,
        owner=owner,
    )


async def _extra(connection: Connection) -> Mapping[str, Any]:
    """The extra fields, read in the way that lets Airflow mask secrets without blocking the event loop."""
    read = getattr(connection, "aextra_dejson", None)
    if read is None:  # before Airflow 3.3.2
        return connection.extra_dejson
    _check_extra(connection)
    extra: Mapping[str, Any] = await read()
    return extra


def _check_extra(connection: Connection) -> None:
    """Airflow takes an extra that is no JSON object for an empty one; we rather say so."""
    try:
        usable = isinstance(json.loads(connection.extra or "{}"), dict)
    except ValueError:
        usable = False
    if not usable:
        raise ValueError('extra: is not a JSON object; write it like {"owner": "gis_automation"}')
