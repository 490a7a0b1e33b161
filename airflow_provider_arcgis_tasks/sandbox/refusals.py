"""The portal's way of saying no: an error envelope, most often with HTTP status 200."""

from __future__ import annotations

from typing import Any


class Refusal(Exception):
    """A request that the portal refuses.

    Attributes:
        code: the code in the envelope.
        body: the envelope.
    """

    def __init__(self, code: int, message: str, *details: str, message_code: str = "") -> None:
        super().__init__(message)
        self.code = code
        error: dict[str, Any] = {"code": code}
        if message_code:
            error["messageCode"] = message_code
        self.body = {"error": {**error, "message": message, "details": list(details)}}


def bad_parameter(name: str, reason: str) -> Refusal:
    """Return the refusal of one request parameter."""
    return Refusal(400, f"'{name}' parameter is invalid.", f"{name}: {reason}")


def forbidden() -> Refusal:
    """Return the refusal of a request that needs more rights."""
    text = "You do not have permissions to access this resource or perform this operation."
    return Refusal(403, text, text, message_code="GWM_0003")


def unknown(what: str, message_code: str = "") -> Refusal:
    """Return the refusal of a request for something that isn't there."""
    return Refusal(404, f"{what} does not exist or is inaccessible.", message_code=message_code)


def token_invalid() -> Refusal:
    """Return the refusal of a token that is unknown, expired or bound to someone else."""
    return Refusal(498, "Invalid token.", "Invalid token.")


def token_required() -> Refusal:
    """Return the refusal of a request without a token."""
    return Refusal(499, "Token Required", "Token Required", message_code="GWM_0003")


def no_token(reason: str) -> Refusal:
    """Return the refusal to make a token."""
    return Refusal(400, "Unable to generate token.", reason)
