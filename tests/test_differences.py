"""The list of differences from the official client, and its table in the docs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from fnmatch import fnmatchcase

from conformance.calls import CALLS
from conformance.differences import WHOLE, Known, known_differences
from tests.tables import check_tables, markdown


def test_every_entry_is_about_calls_that_are_made() -> None:
    patterns = {pattern for entry in known_differences() for pattern in entry.calls}
    assert [name for name, number in Counter(call.name for call in CALLS).items() if number > 1] == []
    assert {p for p in patterns if not any(fnmatchcase(call.name, p) for call in CALLS)} == set()


def test_the_table_in_the_docs() -> None:
    head = ["call", "what", "`arcgis`", "here", "why"]
    table = markdown(head, [row(entry) for entry in known_differences()])
    check_tables("differences.md", f"\n{table}\nCompared are {listed(call.name for call in CALLS)}.\n\n")


def row(entry: Known) -> list[str]:
    request = "any request" if entry.request == "*" else f"`{entry.request}`"
    what = request if entry.field == WHOLE else f"`{entry.field}` of {request}"
    return [listed(entry.calls), what, side(entry.arcgis), side(entry.here), entry.reason]


def side(value: str | None) -> str:
    return {None: "not sent", "sent": "sent", "": "empty"}.get(value, f"`{value}`")


def listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
