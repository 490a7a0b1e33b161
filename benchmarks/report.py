"""The table: what was measured, with ratios and aims, on the screen and in files."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

Value = float | str | None


@dataclass(frozen=True)
class Aim:
    """What ours has to be: at most `most`, and at least `factor` times less than theirs."""

    most: float = math.inf
    factor: float = 0.0

    def __str__(self) -> str:
        texts = [f"<= {self.most:g}"] if self.most < math.inf else []
        texts += [f">= {self.factor:g} x"] if self.factor else []
        return ", ".join(texts)


@dataclass(frozen=True)
class Row:
    """One figure of ours and of theirs; `rival` says whose. Without an aim it is there for information."""

    what: str
    ours: Value
    theirs: Value = None
    rival: str = ""
    unit: str = ""
    aim: Aim | None = None

    @property
    def ratio(self) -> float | None:
        """How many times theirs is ours."""
        if isinstance(self.ours, float | int) and isinstance(self.theirs, float | int) and self.ours > 0:
            return self.theirs / self.ours
        return None

    @property
    def reached(self) -> bool | None:
        """Whether ours is what was aimed at; None without an aim."""
        if self.aim is None or not isinstance(self.ours, float | int):
            return None
        return self.ours <= self.aim.most and (self.ratio or 0.0) >= self.aim.factor

    def cells(self) -> tuple[str, ...]:
        """The row as texts, in the order of `COLUMNS`."""
        ratio = self.ratio
        return (
            self.what,
            self.rival,
            _text(self.ours, self.unit),
            _text(self.theirs, self.unit),
            "" if ratio is None else f"{_number(ratio)} x",
            "" if self.aim is None else str(self.aim),
            {None: "", True: "yes", False: "NO"}[self.reached],
        )


@dataclass(frozen=True)
class Section:
    """The figures of one benchmark. `method`: what is measured, and how."""

    title: str
    rows: Sequence[Row]
    method: str


COLUMNS = ("what", "against", "ours", "theirs", "theirs / ours", "aim", "reached")


def show(sections: Iterable[Section], facts: str) -> None:
    """Print one table."""
    table = Table(*COLUMNS, box=SIMPLE_HEAD, title="Benchmarks", caption=facts)
    table.columns[0].no_wrap = True
    for column in table.columns[2:5]:
        column.justify = "right"
    for section in sections:
        table.add_row(section.title, style="bold")
        for row in section.rows:
            table.add_row(*row.cells(), style={None: "dim", True: "green", False: "red"}[row.reached])
        table.add_section()
    console = Console()
    Console(width=max(console.width, 120)).print(table)


def write(folder: Path, sections: Sequence[Section], facts: str) -> Path:
    """Write `benchmarks.json` and `benchmarks.md`; return the latter."""
    folder.mkdir(parents=True, exist_ok=True)
    figures = [
        {**asdict(row), "section": section.title, "ratio": row.ratio, "reached": row.reached}
        for section in sections
        for row in section.rows
    ]
    document = json.dumps({"facts": facts, "figures": figures}, indent=2, default=str)
    (folder / "benchmarks.json").write_text(document + "\n", encoding="utf-8")
    page = folder / "benchmarks.md"
    page.write_text("\n".join(_markdown(sections, facts)) + "\n", encoding="utf-8")
    return page


def _markdown(sections: Iterable[Section], facts: str) -> Iterable[str]:
    yield "# Benchmarks"
    yield f"\n{facts}"
    for section in sections:
        yield f"\n## {section.title}\n\n{section.method.strip()}\n"
        yield _line(COLUMNS)
        yield _line("---" for _ in COLUMNS)
        yield from (_line(row.cells()) for row in section.rows)


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _text(value: Value, unit: str) -> str:
    if value is None:
        return ""
    return f"{value if isinstance(value, str) else _number(value)} {unit}".strip()


def _number(value: float) -> str:
    """Three digits that count, and no more decimals than that."""
    return f"{value:.3g}" if abs(value) < 1000 and value != int(value) else f"{value:,.0f}"
