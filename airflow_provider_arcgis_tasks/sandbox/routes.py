"""Which path leads to which resource."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from airflow_provider_arcgis_tasks.sandbox import accounts_api, tasks_api
from airflow_provider_arcgis_tasks.sandbox.state import Request, State
from airflow_provider_arcgis_tasks.sandbox.wire import Reply

Handler = Callable[..., dict[str, Any] | Reply]


class Operation(StrEnum):
    """What a client asks a portal to do."""

    ROOT = "root"
    INFO = "info"
    GENERATE_TOKEN = "generateToken"  # noqa: S105
    AUTHORIZE = "authorize"
    SIGN_IN = "signin"
    OAUTH_TOKEN = "oauthToken"  # noqa: S105
    SELF = "self"
    USER = "user"
    PORTAL = "portal"
    ITEM = "item"
    ALL_TASKS = "allScheduledTasks"
    TASKS = "tasks"
    TASK = "task"
    CREATE_TASK = "createTask"
    UPDATE_TASK = "updateTask"
    DELETE_TASK = "deleteTask"
    ENABLE_TASK = "enableTask"
    DISABLE_TASK = "disableTask"
    RUNS = "runs"
    RUN = "run"
    UPDATE_RUN = "updateRun"
    DELETE_RUN = "deleteRun"
    UNKNOWN = "unknown"


WRITES = frozenset(
    {
        Operation.GENERATE_TOKEN,
        Operation.SIGN_IN,
        Operation.OAUTH_TOKEN,
        Operation.CREATE_TASK,
        Operation.UPDATE_TASK,
        Operation.DELETE_TASK,
        Operation.ENABLE_TASK,
        Operation.DISABLE_TASK,
        Operation.UPDATE_RUN,
        Operation.DELETE_RUN,
    }
)
SIGN_INS = frozenset({Operation.AUTHORIZE, Operation.SIGN_IN, Operation.OAUTH_TOKEN})

_HANDLERS: dict[Operation, Handler] = {
    Operation.ROOT: accounts_api.show_root,
    Operation.INFO: accounts_api.show_info,
    Operation.GENERATE_TOKEN: accounts_api.generate_token,
    Operation.AUTHORIZE: accounts_api.authorize,
    Operation.SIGN_IN: accounts_api.sign_in,
    Operation.OAUTH_TOKEN: accounts_api.oauth_token,
    Operation.SELF: accounts_api.show_self,
    Operation.USER: accounts_api.show_user,
    Operation.PORTAL: accounts_api.show_portal,
    Operation.ITEM: accounts_api.show_item,
    Operation.ALL_TASKS: tasks_api.list_all_tasks,
    Operation.TASKS: tasks_api.list_tasks,
    Operation.TASK: tasks_api.get_task,
    Operation.CREATE_TASK: tasks_api.create_task,
    Operation.UPDATE_TASK: tasks_api.update_task,
    Operation.DELETE_TASK: tasks_api.delete_task,
    Operation.ENABLE_TASK: tasks_api.enable_task,
    Operation.DISABLE_TASK: tasks_api.disable_task,
    Operation.RUNS: tasks_api.list_runs,
    Operation.RUN: tasks_api.get_run,
    Operation.UPDATE_RUN: tasks_api.update_run,
    Operation.DELETE_RUN: tasks_api.delete_run,
}
_ON_TASK = {
    "update": Operation.UPDATE_TASK,
    "delete": Operation.DELETE_TASK,
    "enable": Operation.ENABLE_TASK,
    "disable": Operation.DISABLE_TASK,
    "runs": Operation.RUNS,
}
_ON_RUN = {"update": Operation.UPDATE_RUN, "delete": Operation.DELETE_RUN}


@dataclass(frozen=True, slots=True)
class Route:
    """An operation and the ids its path names."""

    operation: Operation
    ids: Sequence[str] = ()

    def carry_out(self, state: State, request: Request) -> dict[str, Any] | Reply:
        """Do what the request asks for."""
        return _HANDLERS[self.operation](state, request, *self.ids)


def find_route(path: Sequence[str]) -> Route:
    """Return the resource at a path below `sharing/rest`; `UNKNOWN` if there is none."""
    match path:
        case ["community", "users", user, "tasks", *rest]:
            return _task_route(user, rest)
        case ["community", "users", user]:
            return Route(Operation.USER, (user,))
        case ["community", "self"]:
            return Route(Operation.SELF)
        case ["portals", portal_id]:
            return Route(Operation.PORTAL, (portal_id,))
        case ["portals", portal_id, "allScheduledTasks"]:
            return Route(Operation.ALL_TASKS, (portal_id,))
        case ["content", "items", item_id]:
            return Route(Operation.ITEM, (item_id,))
        case ["generateToken"]:
            return Route(Operation.GENERATE_TOKEN)
        case ["oauth2", "authorize"]:
            return Route(Operation.AUTHORIZE)
        case ["oauth2", "token"]:
            return Route(Operation.OAUTH_TOKEN)
        case ["info"]:
            return Route(Operation.INFO)
        case [] | [""]:
            return Route(Operation.ROOT)
    return Route(Operation.UNKNOWN)


def _task_route(user: str, rest: Sequence[str]) -> Route:
    match rest:
        case []:
            return Route(Operation.TASKS, (user,))
        case ["createTask"]:
            return Route(Operation.CREATE_TASK, (user,))
        case [task_id]:
            return Route(Operation.TASK, (user, task_id))
        case [task_id, verb] if verb in _ON_TASK:
            return Route(_ON_TASK[verb], (user, task_id))
        case [task_id, "runs", run_id]:
            return Route(Operation.RUN, (user, task_id, run_id))
        case [task_id, "runs", run_id, verb] if verb in _ON_RUN:
            return Route(_ON_RUN[verb], (user, task_id, run_id))
    return Route(Operation.UNKNOWN)
