"""The calls that the official client and the provider both make. Arguments are in the client's words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Call:
    """A call on a portal with `portal_tasks` portal tasks of the type `kind`.

    `raises`: what the official client ends with, after all was sent.
    """

    name: str
    verb: str
    given: Mapping[str, Any] = field(default_factory=dict)
    kind: str = "ExecuteNotebook"
    portal_tasks: int = 1
    raises: str = ""


GP_TASK = "https://g.example/GPServer/Clip"
SCENE = "https://gis.example.com/server/rest/services/Hosted/City/SceneServer"

NEEDED: Mapping[str, dict[str, Any]] = {
    "ExecuteNotebook": {},
    "UpdateInsightsWorkbook": {},
    "ExecuteSceneCook": {
        "parameters": {
            "service_url": SCENE,
            "num_of_caching_service_instances": 2,
            "layer": "{}",
            "update_mode": "PARTIAL_UPDATE_NODES",
        }
    },
    "ExecuteWorkflowManager": {"parameters": {"jobTemplateId": "x"}},
    "ExecuteReport": {"parameters": {"reportType": "org", "reportSubType": "content", "title": "Content"}},
    "GPService": {"parameters": {"distance": 5}, "task_url": GP_TASK},
    "RunDataPipeline": {},
}
"""What the portal wants to have with each type."""

DAILY = "0 4 * * ?"
DATES: dict[str, Any] = {"start_date": "2030-01-02T03:04:05+00:00", "end_date": "2031-01-02T03:04:05+00:00"}
PARAMETERS = {"b": [1, 2]}
EVERYTHING: dict[str, Any] = {
    "title": "New ü",
    "cron": "15 3 1 * ?",
    "occurences": 7,
    "parameters": PARAMETERS,
    **DATES,
}


def _create(name: str, kind: str = "ExecuteNotebook", **given: Any) -> Call:
    return Call(f"create {name}", "create", {"task_type": kind, "cron": DAILY, **NEEDED[kind], **given}, kind)


def _update(name: str, kind: str = "ExecuteNotebook", **given: Any) -> Call:
    return Call(f"update {name}", "update", given, kind)


CALLS = [
    *(_create(kind, kind) for kind in NEEDED),
    _create("with title", title="Nightly ü"),
    _create("with occurences", occurences=3),
    _create("with dates", **DATES),
    _create("with parameters", parameters=PARAMETERS),
    _create("with everything", **EVERYTHING),
    _create("by cron, every day", cron="0 4 * * *"),
    _create("by cron, on weekdays", cron="30 4 * * 1-5"),
    _create("by cron, on days of the month", cron="0 4 1,15 * *"),
    _create("by alias", cron="daily"),
    Call("all", "all"),
    Call("all, of 101", "all", portal_tasks=101, raises="KeyError"),
    Call("all, with properties", "all properties"),
    Call("count", "count"),
    Call("search by item", "search", {"item": True}),
    Call("search by active", "search", {"active": True}),
    Call("search by inactive", "search", {"active": False}),
    Call("search by one type", "search", {"types": "ExecuteNotebook"}),
    Call("search by types", "search", {"types": "ExecuteNotebook,GPService"}),
    Call("search by everything", "search", {"item": True, "active": True, "types": "ExecuteNotebook"}),
    Call("task.properties", "properties"),
    _update("title", title="New ü"),
    _update("title of GPService", "GPService", title="New ü"),
    _update("cron", cron="15 3 1 * ?"),
    _update("cron, on weekdays", cron="30 4 * * 1-5"),
    _update("occurences", occurences=7),
    _update("dates", **DATES),
    _update("parameters", parameters=PARAMETERS),
    _update("parameters of GPService", "GPService", parameters={"distance": 6}),
    _update("task_url", "GPService", task_url=f"{GP_TASK}2"),
    _update("everything", **EVERYTHING),
    Call("enable(True)", "enable"),
    Call("enable(False)", "disable"),
    Call("start", "start"),
    Call("stop", "stop"),
    Call("task.delete", "delete"),
    Call("runs", "runs"),
    Call("runs, with properties", "runs properties"),
    Call("run.properties", "run properties"),
    Call("run.update status", "run update", {"status": "failed"}),
    Call("run.update description", "run update", {"description": "by hand"}),
    Call("run.update both", "run update", {"status": "failed", "description": "by hand"}),
    Call("run.delete", "run delete"),
]
