"""Reads an Airflow connection of type `arcgis`; imports nothing of Airflow."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from airflow_provider_arcgis_tasks.portal.address import PortalAddress
from airflow_provider_arcgis_tasks.portal.credentials import (
    AppLogin,
    Credentials,
    Password,
    ReadyToken,
    WebTier,
    fits_header,
)
from airflow_provider_arcgis_tasks.portal.session import Session
from airflow_provider_arcgis_tasks.transport import HttpSettings

_KNOWN_EXTRA = frozenset(
    {
        "client_id",
        "client_secret",
        "token",
        "verify",
        "ca_bundle",
        "client_cert",
        "client_key",
        "proxy",
        "referer",
        "timeout",
        "unreachable_timeout",
        "owner",
        "allow_http",
    }
)


@dataclass(frozen=True, slots=True)
class PortalSettings:
    """Everything that a connection says. Equal settings may share one session and one HTTP client."""

    address: PortalAddress
    credentials: Credentials
    http: HttpSettings
    owner: str | None = None
    referer: str | None = None
    timeout: float = 30.0
    unreachable_timeout: float = 600.0

    @classmethod
    def read(
        cls,
        *,
        host: str | None,
        port: int | None = None,
        schema: str | None = None,
        login: str | None = None,
        password: str | None = None,
        extra: Mapping[str, Any] | None = None,
        owner: str | None = None,
    ) -> PortalSettings:
        """Read the fields of a connection. `owner` goes before the one in `extra`.

        Raises `ValueError` that names the field, its value (unless it is a secret) and what to write.
        """
        given = {name: value for name, value in (extra or {}).items() if value not in (None, "")}
        fields = _Fields(given)
        client_cert = fields.path("client_cert")
        return cls(
            address=PortalAddress.parse(
                _address(host, port, schema), allow_http=fields.flag("allow_http", default=False)
            ),
            credentials=_credentials(login, password, fields, client_cert),
            http=HttpSettings(
                verify=fields.flag("verify", default=True),
                ca_bundle=fields.path("ca_bundle"),
                client_cert=client_cert,
                client_key=fields.path("client_key"),
                proxy=fields.proxy(),
            ),
            owner=owner or fields.text("owner"),
            referer=fields.header("referer"),
            timeout=fields.seconds("timeout", default=30.0),
            unreachable_timeout=fields.seconds("unreachable_timeout", default=600.0),
        )

    def session(self) -> Session:
        """A new session with these settings; nothing is sent before it is used."""
        return Session(
            self.address,
            self.credentials,
            owner=self.owner,
            referer=self.referer,
            timeout=self.timeout,
            unreachable_timeout=self.unreachable_timeout,
        )


def _address(host: str | None, port: int | None, schema: str | None) -> str:
    """Put the address together. `schema` may be the protocol, as in Airflow's HTTP hook, or the context."""
    if not host or not host.strip():
        raise ValueError(
            "host: the connection names no portal; write its address, such as https://gis.example.com/portal"
        )
    host, schema = host.strip(), (schema or "").strip().strip("/")
    protocol = schema.lower() if schema.lower() in ("http", "https") else ""
    scheme, separator, rest = host.partition("://")
    if not separator:
        scheme, rest = protocol or "https", host
    place, slash, path = rest.partition("/")
    if port and not place.rpartition("]")[2].count(":"):
        place = f"{place}:{port}"
    if schema and not protocol and not path.strip("/"):
        slash, path = "/", schema
    return f"{scheme}://{place}{slash}{path}"


def _credentials(
    login: str | None, password: str | None, fields: _Fields, client_cert: str | None
) -> Credentials:
    """The one way to sign in that the connection names: a token, an application, a user, a certificate."""
    token, client_id = fields.header("token"), fields.text("client_id")
    client_secret = fields.text("client_secret")
    if token:
        return ReadyToken(token)
    if client_id or client_secret:
        if not (client_id and client_secret):
            missing = "client_secret" if client_id else "client_id"
            raise ValueError(f"{missing}: client_id and client_secret belong together; add the missing one")
        return AppLogin(client_id, client_secret)
    if login and password:
        return Password(login, password)
    if login or password:
        missing = "password" if login else "login"
        raise ValueError(f"{missing}: login and password belong together; add the missing one")
    if client_cert:
        return WebTier()
    raise ValueError(
        "login: the connection has no way to sign in; give login and password, or in extra a token, "
        "or client_id and client_secret, or a client_cert"
    )


class _Fields:
    """Reads values that may be JSON or, from a connection URI, text."""

    def __init__(self, extra: Mapping[str, Any]) -> None:
        unknown = sorted(set(extra) - _KNOWN_EXTRA)
        if unknown:
            raise ValueError(
                f"extra: {', '.join(map(repr, unknown))} is not known here; "
                f"known are {', '.join(sorted(_KNOWN_EXTRA))}"
            )
        self._extra = extra

    def text(self, name: str) -> str | None:
        value = self._extra.get(name)
        return None if value is None else str(value).strip() or None

    def header(self, name: str) -> str | None:
        """Text that goes into an HTTP header. An unusable value is not shown: it may be a secret."""
        value = self.text(name)
        if value is not None and not fits_header(value):
            raise ValueError(f"{name}: holds blanks, line breaks or other characters that it can't have")
        return value

    def proxy(self) -> str | None:
        value = self.text("proxy")
        if value is None:
            return None
        try:
            parts = urlsplit(value)
            usable = (
                parts.scheme in ("http", "https")
                and parts.hostname
                and parts.port != 0
                and value.isascii()
                and value.isprintable()
            )
        except ValueError:
            usable = False
        if not usable:
            raise ValueError("proxy: is not the URL of a proxy; write it like http://proxy.example.com:3128")
        return value

    def flag(self, name: str, *, default: bool) -> bool:
        value = self._extra.get(name, default)
        known = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
        flag = known.get(str(value).strip().lower())
        if flag is None:
            raise ValueError(f"{name}: {value!r} is neither true nor false")
        return flag

    def seconds(self, name: str, *, default: float) -> float:
        value = self._extra.get(name, default)
        try:
            seconds = float(value)
        except (TypeError, ValueError):
            seconds = -1.0
        if not 0 < seconds < 1e7:
            raise ValueError(f"{name}: {value!r} is not a number of seconds; write one such as {default:g}")
        return seconds

    def path(self, name: str) -> str | None:
        value = self.text(name)
        if value is not None and not os.path.isfile(value):
            raise ValueError(f"{name}: there is no file {value!r} on this machine")
        return value
