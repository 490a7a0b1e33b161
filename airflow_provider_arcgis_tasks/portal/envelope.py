"""Reads the portal's answers: JSON, its several forms of error, and what is no answer at all.

The forms are those of the REST pages of the portal, of ArcGIS Server and of OAuth 2; as a rule an error
comes in the body of an answer whose HTTP status is 200.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from email.utils import parsedate_to_datetime
from math import isfinite
from typing import Any, TypeAlias

from airflow_provider_arcgis_tasks.portal.effects import Response
from airflow_provider_arcgis_tasks.portal.errors import (
    InvalidRequest,
    LimitReached,
    NotFound,
    PermissionDenied,
    PortalError,
)

JSON: TypeAlias = dict[str, Any]

_TOKEN_CODES = frozenset({401, 498, 499})
_BY_CODE = {400: InvalidRequest, 403: PermissionDenied, 404: NotFound, 409: InvalidRequest}
_LIMIT_WORDS = ("limit", "maximum", "exceed", "too many", "quota", "active tasks")


class NoAnswer(Exception):
    """Not an answer of the portal's: try again later.

    `acted` tells whether the portal may have carried out what was asked. `retry_after` is in seconds.
    """

    def __init__(
        self, reason: str, *, acted: bool, retry_after: float | None = None, misdirected: bool = False
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.acted = acted
        self.retry_after = retry_after
        self.misdirected = misdirected
        """The address itself looks wrong: HTML where JSON was asked for, or a redirect."""


class TokenRefused(Exception):
    """The portal wants a token, or another one. `error` is what it said."""

    def __init__(self, error: PortalError) -> None:
        super().__init__(str(error))
        self.error = error


def read(response: Response, secrets: Iterable[str] = ()) -> JSON:
    """The JSON object of an answer.

    Raises `NoAnswer`, `TokenRefused`, or a `PortalError` of the fitting kind, whose texts show none of the
    `secrets` and are not long, whatever the portal says.
    """
    if response.status == 429:
        raise NoAnswer(
            "the portal asks to slow down (HTTP 429)", acted=False, retry_after=_retry_after(response)
        )
    if 300 <= response.status < 400:
        place = _fit_to_tell(response.headers.get("location", "elsewhere").split("?")[0], secrets)
        raise NoAnswer(f"the portal redirects to {place}", acted=False, misdirected=True)
    body = _json(response)
    error = _error(body, response.status, secrets) if isinstance(body, dict) else None
    if error is None and isinstance(body, dict) and body and response.status < 400:
        return body
    if error is not None and error.code in _TOKEN_CODES:
        raise TokenRefused(error)
    if response.status >= 500 or (error is not None and error.code >= 500):
        said = f": {error}" if error else ""
        raise NoAnswer(
            f"the portal answered HTTP {response.status}{said}",
            acted=True,
            retry_after=_retry_after(response),
        )
    if error is not None and error.code == 429:
        raise NoAnswer(
            f"the portal asks to slow down: {error}", acted=False, retry_after=_retry_after(response)
        )
    if error is not None:
        raise error
    if response.status == 401:
        raise TokenRefused(
            PortalError(401, "The web server in front of the portal asks for a sign-in of its own.")
        )
    raise NoAnswer(_what_it_was(response), acted=True, misdirected=_is_html(response))


def _json(response: Response) -> Any:
    try:
        return json.loads(response.body)
    except (ValueError, RecursionError):
        return None


def _error(body: Mapping[str, Any], status: int, secrets: Iterable[str]) -> PortalError | None:
    told = _told_error(body, status)
    if told is None:
        return None
    return type(told)(
        told.code,
        _fit_to_tell(told.message, secrets),
        message_code=told.message_code and _fit_to_tell(told.message_code, secrets),
        details=[_fit_to_tell(detail, secrets) for detail in told.details[:_MOST_DETAILS]],
        advice=told.advice,
    )


def _fit_to_tell(text: str, secrets: Iterable[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, "***")
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}..."


_LONGEST_TEXT = 1000
_MOST_DETAILS = 10


def _told_error(body: Mapping[str, Any], status: int) -> PortalError | None:
    nested = body.get("error")
    if isinstance(nested, Mapping):
        return _make(
            _number(nested.get("code")) or (status if status >= 400 else 400),
            nested.get("message") or nested.get("error_description") or nested.get("error"),
            nested.get("messageCode"),
            nested.get("details"),
        )
    if isinstance(nested, str):
        return _make(_number(body.get("code")) or 400, body.get("error_description") or nested)
    if (
        body.get("status") in ("error", "failed")
        and "runId" not in body
        and ("messages" in body or "statusMessage" in body)
    ):
        messages = body.get("messages") or body.get("statusMessage")
        text = "; ".join(map(str, messages)) if isinstance(messages, list) else str(messages)
        return _make(_number(body.get("code")) or 400, text)
    code = _number(body.get("code"))
    if code is not None and code >= 400 and "message" in body:
        return _make(code, body["message"], body.get("messageCode"), body.get("details"))
    if status >= 400:
        return _make(status, body.get("message") or f"HTTP {status}")
    return None


def _make(code: int, message: Any, message_code: Any = None, details: Any = None) -> PortalError:
    told = [str(detail) for detail in details] if isinstance(details, list) else []
    text = str(message or "The portal answered with an error")
    kind = _BY_CODE.get(code, PortalError)
    said = " ".join([text, *told]).lower()
    if code in (400, 403, 409) and "task" in said and any(word in said for word in _LIMIT_WORDS):
        kind = LimitReached
    return kind(
        code,
        text,
        message_code=str(message_code) if message_code else None,
        details=told,
        advice=_ADVICE.get(kind),
    )


_ADVICE: Mapping[type[PortalError], str] = {
    PermissionDenied: (
        "The signed-in user may not do this: check its role and privileges, "
        "and `owner`, if that names somebody else's portal tasks."
    )
}


def _number(value: Any) -> int | None:
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        return None


def _retry_after(response: Response) -> float | None:
    """Seconds, from either form of the header: a number, or a date to compare with the answer's own."""
    told = response.headers.get("retry-after", "")
    try:
        seconds = float(told)
    except ValueError:
        try:
            moments = [parsedate_to_datetime(text) for text in (told, response.headers.get("date", ""))]
            seconds = (moments[0] - moments[1]).total_seconds()
        except (ValueError, TypeError, OverflowError):
            return None
    return min(max(seconds, 0.0), 3600.0) if isfinite(seconds) else None


def _is_html(response: Response) -> bool:
    return response.body.lstrip()[:1] == b"<"


def _what_it_was(response: Response) -> str:
    if _is_html(response):
        return f"HTML instead of JSON (HTTP {response.status})"
    what = "something that is not a JSON object" if response.body else "an empty answer"
    return f"{what} (HTTP {response.status})"
