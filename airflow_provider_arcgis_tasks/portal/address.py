"""The address of a portal, from whatever form people paste."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import SplitResult, quote, urlsplit

_PAGES_BELOW_A_PORTAL = frozenset({"home", "sharing", "rest", "portaladmin", "apps", "login"})
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class PortalAddress:
    """Where a portal is: `https://host[:port][/context]`, without a slash at the end."""

    base: str

    @classmethod
    def parse(cls, text: str, *, allow_http: bool = False) -> PortalAddress:
        """Read an address such as `https://gis.example.com/portal/home/` or `example.maps.arcgis.com`.

        Whatever follows the context path (`/home`, `/sharing/rest`, a page) is dropped; without a scheme,
        HTTPS is meant. Raises `ValueError` for anything else, and for plain HTTP to another machine
        unless `allow_http`.
        """
        text = text.strip()
        if "@" in text.partition("?")[0]:
            raise ValueError(
                "host: leave user and password out of the address; they have fields of their own"
            )
        try:
            parts = urlsplit(text if "://" in text else f"https://{text}")
        except ValueError as problem:
            raise ValueError(f"host: {text!r} is not an address: {problem}") from None
        if parts.scheme not in ("http", "https"):
            raise ValueError(
                f"host: {text!r} is not a portal's address; write it like https://gis.example.com/portal"
            )
        host = _host(parts.hostname, text)
        if parts.scheme == "http" and not allow_http and host not in _LOOPBACK:
            raise ValueError(
                f"host: {text!r} would send credentials over plain HTTP; write https://, "
                "or set allow_http in the connection's extra if this network is trusted"
            )
        port = _port(parts, text)
        bracketed = f"[{host}]" if ":" in host else host
        return cls("/".join([f"{parts.scheme}://{bracketed}{port}", *_context(parts.path)]))

    @property
    def rest(self) -> str:
        """The root of the REST API."""
        return f"{self.base}/sharing/rest"

    def item_page(self, item_id: str) -> str:
        """The page of an item, for people."""
        return f"{self.base}/home/item.html?id={quote(item_id, safe='')}"

    def __str__(self) -> str:
        return self.base


def _host(host: str | None, text: str) -> str:
    if not host or any(character.isspace() or not character.isprintable() for character in host):
        raise ValueError(f"host: {text!r} names no host; write it like https://gis.example.com/portal")
    try:
        host.encode("idna")
    except UnicodeError:
        raise ValueError(f"host: {host!r} can't be the name of a machine") from None
    return host


def _port(parts: SplitResult, text: str) -> str:
    try:
        return "" if parts.port is None else f":{parts.port}"
    except ValueError:
        raise ValueError(f"host: the port in {text!r} is not a number between 1 and 65535") from None


def _context(path: str) -> list[str]:
    context = []
    for segment in path.split("/"):
        if segment.lower() in _PAGES_BELOW_A_PORTAL:
            break
        if segment:
            context.append(segment)
    return context
