"""Reads what a client wants a portal task to be, and refuses what a portal could not carry out."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from airflow_provider_arcgis_tasks.sandbox.accounts import SCHEDULE_NOTEBOOKS, User
from airflow_provider_arcgis_tasks.sandbox.quartz import FIELDS, Schedule, parse
from airflow_provider_arcgis_tasks.sandbox.records import UNLIMITED, Definition
from airflow_provider_arcgis_tasks.sandbox.refusals import Refusal, bad_parameter, forbidden
from airflow_provider_arcgis_tasks.sandbox.state import Request, State, TaskType

_TYPES = frozenset(TaskType)
_NEED_PARAMETERS = frozenset({TaskType.EXECUTE_SCENE_COOK, TaskType.EXECUTE_REPORT})
NOTHING = Definition(
    type="",
    item_id=None,
    title=None,
    fields={},
    schedule=Schedule(frozenset(), frozenset(), frozenset(), lambda year, month: set()),
    parameters=None,
    task_url=None,
    max_occurrences=UNLIMITED,
    starts_at=None,
    ends_at=None,
)
_GP_TASK = re.compile(r"https?://.+/GPServer/[^/]+/?")


def read_definition(state: State, request: Request, owner: User, kept: Definition) -> Definition:
    """Read the fields of a create or update request.

    Args:
        state: the portal.
        request: the request.
        owner: whose portal task it is.
        kept: the definition that lends what the request doesn't say.

    Raises:
        Refusal: a field is missing or wrong; the refusal names it.
    """
    params = request.params
    kind = _type(params, request.user)
    fields = _cron_fields(params)
    definition = Definition(
        type=kind,
        item_id=_item_id(state, request, owner, kind),
        title=_text(params, "title", kept.title),
        fields=fields,
        schedule=_schedule(state, fields, request.now),
        parameters=_parameters(state, params, kind, kept.parameters),
        task_url=_task_url(params, kind, kept.task_url),
        max_occurrences=_max_occurrences(params, kept.max_occurrences),
        starts_at=_date(params, "startDate", kept.starts_at),
        ends_at=_date(params, "endDate", kept.ends_at),
    )
    _check_window(definition)
    return definition


def read_flag(params: Mapping[str, str], name: str) -> bool | None:
    """Read `true` or `false`; None if the request doesn't say.

    Raises:
        Refusal: it is something else.
    """
    text = params.get(name, "").lower()
    if text not in ("", "true", "false"):
        raise bad_parameter(name, "has to be true or false")
    return text == "true" if text else None


def _type(params: Mapping[str, str], user: User) -> str:
    kind = params.get("type", "")
    if kind not in _TYPES:
        raise bad_parameter("type", f"{kind!r} is not a type of scheduled task")
    if kind == TaskType.EXECUTE_NOTEBOOK and SCHEDULE_NOTEBOOKS not in user.privileges:
        raise forbidden()
    return kind


def _item_id(state: State, request: Request, owner: User, kind: str) -> str | None:
    item_id = request.params.get("itemId", "")
    if not item_id:
        if kind == TaskType.EXECUTE_REPORT:
            return None
        raise bad_parameter("itemId", "is required")
    item = state.items.get(item_id)
    if item is None:
        text = "Item does not exist or is inaccessible."
        raise Refusal(400, text, "itemId: there is no such item", message_code="CONT_0001")
    if item.owner != owner.username and not request.user.is_admin:
        raise forbidden()
    return item_id


def _cron_fields(params: Mapping[str, str]) -> dict[str, str]:
    for name in FIELDS:
        if not params.get(name, "").strip():
            raise bad_parameter(name, "is required")
    return {name: params[name] for name in FIELDS}


def _schedule(state: State, fields: Mapping[str, str], now: float) -> Schedule:
    try:
        schedule = parse(fields, strict=state.rules.strict_quartz)
    except ValueError as error:
        name, _, reason = str(error).partition(": ")
        raise bad_parameter(name, reason) from None
    least = state.rules.least_interval_minutes
    if least is not None and schedule.shortest_interval(now, state.scheduler.zone) < least * 60:
        raise bad_parameter("minute", f"the interval has to be {least:g} minutes or longer")
    if schedule.next_fire(now, state.scheduler.zone) is None:
        raise bad_parameter("dayOfMonth", "there is no such day")
    return schedule


def _text(params: Mapping[str, str], name: str, kept: str | None) -> str | None:
    return params.get(name) or kept


def _date(params: Mapping[str, str], name: str, kept: int | None) -> int | None:
    text = params.get(name, "")
    if not text:
        return kept
    return _whole(name, text)


def _whole(name: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise bad_parameter(name, f"{text!r} is not a whole number") from None


def _max_occurrences(params: Mapping[str, str], kept: int) -> int:
    text = params.get("maxOccurrences", "")
    number = _whole("maxOccurrences", text) if text else kept
    if number < 1 and number != UNLIMITED:
        raise bad_parameter("maxOccurrences", "has to be above 0, or -1 for no limit")
    return number


def _parameters(
    state: State, params: Mapping[str, str], kind: str, kept: dict[str, Any] | None
) -> dict[str, Any] | None:
    parameters = _json_object("parameters", params["parameters"]) if params.get("parameters") else kept
    if not parameters and kind in _NEED_PARAMETERS:
        raise bad_parameter("parameters", f"is required for {kind}")
    if parameters and kind == TaskType.EXECUTE_NOTEBOOK and "notebookParameters" in parameters:
        return {
            **parameters,
            "notebookParameters": _notebook_parameters(state, parameters["notebookParameters"]),
        }
    return parameters


def _notebook_parameters(state: State, value: Any) -> Any:
    known = value if isinstance(value, dict) else _json_object("parameters", value)
    if state.rules.notebook_parameters_as_text:
        return value if isinstance(value, str) else json.dumps(known)
    return value


def _json_object(name: str, text: Any) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (TypeError, ValueError):
        value = None
    if not isinstance(value, dict):
        raise bad_parameter(name, "is not a JSON object")
    return value


def _task_url(params: Mapping[str, str], kind: str, kept: str | None) -> str | None:
    url = params.get("taskUrl") or params.get("taskURL") or kept
    if kind == TaskType.GP_SERVICE and not (url and _GP_TASK.fullmatch(url)):
        raise bad_parameter("taskUrl", "has to be the URL of one task of a geoprocessing service")
    return url


def _check_window(definition: Definition) -> None:
    starts_at, ends_at = definition.starts_at, definition.ends_at
    if starts_at is not None and ends_at is not None and ends_at < starts_at:
        raise bad_parameter("endDate", "is before startDate")
