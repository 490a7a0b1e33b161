"""The ways to sign in: what each of them sends, and the token that comes back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import TypeAlias

from airflow_provider_arcgis_tasks.portal.clock import PortalClock
from airflow_provider_arcgis_tasks.portal.envelope import JSON
from airflow_provider_arcgis_tasks.portal.errors import PortalError

_MINUTES_ASKED = "60"
_LEAD_SECONDS = 300.0
_SHORTEST_USE_SECONDS = 1.0
_LIFETIME_IF_NOT_TOLD = 60.0


@dataclass(frozen=True, slots=True)
class Password:
    """A built-in (or LDAP or Active Directory) account. REST: generateToken."""

    username: str
    password: str = field(repr=False)

    path = "/generateToken"

    def form(self, referer: str) -> Mapping[str, str]:
        """The form to send. The token is bound to `referer`, which later requests repeat."""
        return {
            "username": self.username,
            "password": self.password,
            "client": "referer",
            "referer": referer,
            "expiration": _MINUTES_ASKED,
            "f": "json",
        }


@dataclass(frozen=True, slots=True)
class AppLogin:
    """OAuth 2 client credentials of a registered application. REST: oauth2/token."""

    client_id: str
    client_secret: str = field(repr=False)

    path = "/oauth2/token"

    def form(self, referer: str) -> Mapping[str, str]:
        """The form to send; `referer` plays no part here."""
        return {
            "client_id": self.client_id,
            "client_secret": self.client_secret,
            "grant_type": "client_credentials",
            "expiration": _MINUTES_ASKED,
            "f": "json",
        }


@dataclass(frozen=True, slots=True)
class ReadyToken:
    """A token or API key made elsewhere. It can't be renewed here."""

    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class WebTier:
    """The client certificate of the TLS connection is the sign-in; no token is sent."""


Renewable: TypeAlias = Password | AppLogin
Credentials: TypeAlias = Password | AppLogin | ReadyToken | WebTier


@dataclass(frozen=True, slots=True)
class Token:
    """A token and the local time (epoch seconds) from which it is to be renewed."""

    value: str = field(repr=False)
    renew_at: float = float("inf")

    @classmethod
    def read(cls, body: JSON, clock: PortalClock, now: float) -> Token:
        """Read the answer to a sign-in.

        The portal's word on the lifetime counts, not ours: it shortens what was asked for without saying
        so. Renewal comes five minutes before the end, or after four fifths of a short life.
        """
        value = body.get("token") or body.get("access_token")
        if not isinstance(value, str) or not fits_header(value):
            raise PortalError(0, "The portal's answer to the sign-in holds no usable token.")
        lifetime = clock.local_seconds(_lifetime(body, clock.time(now)))
        return cls(value, now + max(lifetime - min(_LEAD_SECONDS, lifetime / 5), _SHORTEST_USE_SECONDS))


def fits_header(value: str) -> bool:
    """Whether text can be sent in a header as it is: visible ASCII, no blanks, no line breaks."""
    return bool(value) and value.isascii() and value.isprintable() and " " not in value


def _lifetime(body: JSON, portal_time: float) -> float:
    try:
        if "expires_in" in body:
            lifetime = float(body["expires_in"])
        else:
            lifetime = float(body["expires"]) / 1000 - portal_time
    except (KeyError, TypeError, ValueError, OverflowError):
        return _LIFETIME_IF_NOT_TOLD
    return lifetime if isfinite(lifetime) else _LIFETIME_IF_NOT_TOLD
