"""Tables of the documentation that are measured, not written: `make tables` writes them anew."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"
BEGIN, END = "<!-- written by make tables -->\n", "<!-- end -->"


def check_tables(page: str, measured: str) -> None:
    """Fail if a page of the documentation shows something else; with WRITE_TABLES set, correct the page."""
    path = DOCS / page
    before, _, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    present, _, after = rest.partition(END)
    if os.environ.get("WRITE_TABLES"):
        path.write_text(f"{before}{BEGIN}{measured}{END}{after}", encoding="utf-8")
        return
    assert present == measured, f"docs/{page} is out of date: run `make tables`, and look at what has changed"


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
