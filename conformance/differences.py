"""The known differences between what the official client sends and what the provider sends."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from conformance.calls import CALLS

LIST = Path(__file__).with_name("differences.toml")
WHOLE = "the request itself"
"""In place of a field: only one of the two sends the request."""


@dataclass(frozen=True)
class Difference:
    """A field of a request of a call, as either side sends it; None: not at all."""

    call: str
    request: str
    field: str
    arcgis: str | None
    here: str | None

    def __str__(self) -> str:
        return f"{self.call}: {self.request}: {self.field}: arcgis {self.arcgis!r}, here {self.here!r}"


@dataclass(frozen=True)
class Known:
    """A difference that is meant. `calls` and `request` are patterns: it occurs wherever they match."""

    calls: tuple[str, ...]
    request: str
    field: str
    reason: str
    arcgis: str | None = None
    here: str | None = None

    def covers(self, found: Difference) -> bool:
        """Whether it is this one."""
        return (
            (self.field, self.arcgis, self.here) == (found.field, found.arcgis, found.here)
            and fnmatchcase(found.request, self.request)
            and any(fnmatchcase(found.call, pattern) for pattern in self.calls)
        )

    def missing(self, found: Iterable[Difference]) -> Iterator[str]:
        """Where it ought to have occurred, too."""
        seen = {difference.call for difference in found if self.covers(difference)}
        for pattern in self.calls:
            meant = {call.name for call in CALLS if fnmatchcase(call.name, pattern)} or {pattern}
            yield from (f"{call}: {self.request}: {self.field}" for call in sorted(meant - seen))


def known_differences() -> list[Known]:
    """The list."""
    entries = tomllib.loads(LIST.read_text(encoding="utf-8"))["difference"]
    return [Known(**{**entry, "calls": tuple(entry["calls"])}) for entry in entries]
