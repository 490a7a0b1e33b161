"""Makes sure that a schedule exists on the portal."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from airflow_provider_arcgis_tasks.portal.cron import next_fire
from airflow_provider_arcgis_tasks.portal.effects import Operation
from airflow_provider_arcgis_tasks.portal.errors import ArcGISTasksError
from airflow_provider_arcgis_tasks.portal.models import PortalTask, TaskDefinition
from airflow_provider_arcgis_tasks.portal.session import Session
from airflow_provider_arcgis_tasks.portal.tasks import (
    create_task,
    differing_fields,
    get_task,
    list_tasks,
    send_changes,
)

log = logging.getLogger(__name__)

_LATEST = datetime.max.replace(tzinfo=UTC)


class IfExists(StrEnum):
    """What to do when the portal task is there already."""

    UPDATE = "update"
    REUSE = "reuse"
    FAIL = "fail"


class AlreadyExists(ArcGISTasksError):
    """There is such a portal task, and `if_exists` is `fail`."""


def ensure_task(session: Session, definition: TaskDefinition, if_exists: IfExists) -> Operation[PortalTask]:
    """Make sure that a portal task of this item, type and title exists; return it as it then is.

    Of several that match, the oldest counts. `update` changes what the definition gives and differs,
    `reuse` leaves the task as it is, `fail` raises `AlreadyExists`. Whether it is active is left alone.
    """
    present = yield from _find(session, definition)
    if present is None:
        portal_task_id = yield from create_task(session, definition)
        log.info("Created portal task %s, %r", portal_task_id, definition.title)
    else:
        portal_task_id = present.id
        yield from _settle(session, present, definition, if_exists)
    task = yield from get_task(session, portal_task_id)
    yield from _check_next_start(session, task, definition)
    return task


def _find(session: Session, definition: TaskDefinition) -> Operation[PortalTask | None]:
    tasks = yield from list_tasks(session, item_id=definition.item_id, task_types=[definition.task_type])
    same = [task for task in tasks if task.title == definition.title and task.item_id == definition.item_id]
    return min(same, key=lambda task: (task.created or _LATEST, task.id), default=None)


def _settle(
    session: Session, present: PortalTask, definition: TaskDefinition, if_exists: IfExists
) -> Operation[None]:
    if if_exists is IfExists.FAIL:
        raise AlreadyExists(
            f"Portal task {present.id} has this item, type and title {present.title!r} already; "
            "write if_exists='update' or 'reuse' to go on with it."
        )
    changed = differing_fields(present, definition) if if_exists is IfExists.UPDATE else {}
    if changed:
        yield from send_changes(session, present, changed)
        log.info("Updated %s of portal task %s, %r", ", ".join(changed), present.id, present.title)
    else:
        log.info("Portal task %s, %r, is there already", present.id, present.title)
    if present.active is False:
        log.warning(
            "Portal task %s is not active (%s): it runs when somebody enables it", present.id, present.state
        )


def _check_next_start(session: Session, task: PortalTask, definition: TaskDefinition) -> Operation[None]:
    """Warn if the portal means to run at another time than the schedule says."""
    present = datetime.fromtimestamp((yield from session.portal_time()), UTC)
    after = max(present, definition.starts_at or present)
    expected = next_fire(definition.schedule, after)
    if task.next_start is None or expected is None or task.active is False:
        return
    if abs(task.next_start - expected) >= timedelta(minutes=1):
        log.warning(
            "The portal means to run portal task %s next at %s, while %r means %s (UTC): "
            "it seems to read cron in another zone",
            task.id,
            task.next_start.isoformat(),
            definition.schedule,
            expected.isoformat(),
        )
