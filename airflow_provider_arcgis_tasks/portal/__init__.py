"""The portal's side: models, errors, and the operations of its task API.

Imports no Airflow and no HTTP library, reads no clock and never sleeps.
"""

from airflow_provider_arcgis_tasks.portal.effects import (
    DeadlinePassed,
    Effect,
    Operation,
    Pause,
    Request,
    Response,
    Unreachable,
    until,
)
from airflow_provider_arcgis_tasks.portal.errors import (
    ArcGISTasksError,
    InvalidRequest,
    LimitReached,
    NotFound,
    PermissionDenied,
    PortalError,
    PortalUnreachable,
    RunFailed,
    SignInRefused,
    Superseded,
    TaskVanished,
    WaitTimeout,
    WriteUnanswered,
)
from airflow_provider_arcgis_tasks.portal.models import (
    PortalRun,
    PortalTask,
    RunStatus,
    TaskDefinition,
    TaskType,
)
from airflow_provider_arcgis_tasks.portal.schedules import AlreadyExists

__all__ = [
    "AlreadyExists",
    "ArcGISTasksError",
    "DeadlinePassed",
    "Effect",
    "InvalidRequest",
    "LimitReached",
    "NotFound",
    "Operation",
    "Pause",
    "PermissionDenied",
    "PortalError",
    "PortalRun",
    "PortalTask",
    "PortalUnreachable",
    "Request",
    "Response",
    "RunFailed",
    "RunStatus",
    "SignInRefused",
    "Superseded",
    "TaskDefinition",
    "TaskType",
    "TaskVanished",
    "Unreachable",
    "WaitTimeout",
    "WriteUnanswered",
    "until",
]
