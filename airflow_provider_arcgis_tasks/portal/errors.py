"""What can go wrong with a portal. Every text says what happened and, where it is known, what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_arcgis_tasks.portal.models import PortalRun


class ArcGISTasksError(Exception):
    """Base of everything that this package raises of its own, bad arguments (`ValueError`) apart."""

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON from which `error_from_dict` makes the same error: for a trigger's event."""
        return {"type": type(self).__name__, "message": str(self)}


class PortalError(ArcGISTasksError):
    """The portal answered with an error.

    `code`, `message_code`, `message` and `details` are the portal's own (REST: the `error` object);
    `advice` is ours. All of them are in the text.
    """

    may_have_acted = False
    """The same request was sent before and got no answer, so the portal may have carried it out then."""

    def __init__(
        self,
        code: int,
        message: str,
        *,
        message_code: str | None = None,
        details: Sequence[str] = (),
        advice: str | None = None,
    ) -> None:
        self.code = code
        self.message = message
        self.message_code = message_code
        self.details = tuple(details)
        self.advice = advice
        super().__init__(self._text())

    def _text(self) -> str:
        said = [self.message, *(detail for detail in self.details if detail != self.message)]
        numbers = f"code {self.code}" + (f", {self.message_code}" if self.message_code else "")
        text = f"{' '.join(part.strip() for part in said if part.strip())} ({numbers})"
        return f"{text} {self.advice}" if self.advice else text

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON from which `error_from_dict` makes the same error."""
        return {
            "type": type(self).__name__,
            "code": self.code,
            "message": self.message,
            "message_code": self.message_code,
            "details": list(self.details),
            "advice": self.advice,
        }


class SignInRefused(PortalError):
    """The portal does not accept the credentials or the token. Never tried again by itself."""


class PermissionDenied(PortalError):
    """Signed in, but not allowed to do this (code 403)."""


class NotFound(PortalError):
    """No such portal task, portal run, user or item, or not for this user (code 404)."""


class LimitReached(PortalError):
    """The portal allows no more of this: active portal tasks, as a rule."""


class InvalidRequest(PortalError):
    """The portal does not accept a parameter (code 400)."""


class PortalUnreachable(ArcGISTasksError):
    """The portal could not be asked: network, gateway, time-out. Says nothing about any run."""


class WriteUnanswered(PortalUnreachable):
    """A write was sent and no answer came: the portal may or may not have carried it out."""


class WaitTimeout(ArcGISTasksError, TimeoutError):
    """The time given for waiting is over and the portal run has not finished."""


class TaskVanished(ArcGISTasksError):
    """The one-shot task that was waited for is no longer on the portal: somebody deleted it."""


class Superseded(ArcGISTasksError):
    """A later attempt of the same Airflow task instance has taken over."""


class RunFailed(ArcGISTasksError):
    """The portal reported that the run did not succeed. `run` is its last known state."""

    def __init__(self, message: str, run: PortalRun) -> None:
        super().__init__(message)
        self.run = run


_PLAIN = {
    kind.__name__: kind
    for kind in (PortalUnreachable, WriteUnanswered, WaitTimeout, TaskVanished, Superseded)
}
_FROM_PORTAL = {
    kind.__name__: kind
    for kind in (PortalError, SignInRefused, PermissionDenied, NotFound, LimitReached, InvalidRequest)
}


def error_from_dict(facts: Mapping[str, Any]) -> ArcGISTasksError:
    """Make the error again that `to_dict` described."""
    kind = str(facts.get("type"))
    message = str(facts.get("message"))
    if kind in _FROM_PORTAL:
        return _FROM_PORTAL[kind](
            int(facts.get("code") or 0),
            message,
            message_code=facts.get("message_code"),
            details=facts.get("details") or (),
            advice=facts.get("advice"),
        )
    return _PLAIN.get(kind, ArcGISTasksError)(message)
