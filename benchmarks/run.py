"""Runs all benchmarks side by side with what users have today: `python benchmarks/run.py`.

Prints one table and writes `build/benchmarks.md` and `build/benchmarks.json`. Every figure in them was
measured in this run, on this machine; an aim that was missed says so, and does not make the run fail.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import imports, listing, lost_reply, waiting
from benchmarks.environments import ROOT
from benchmarks.report import Section, show, write


def main() -> int:
    """Measure, print, write."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    began, facts, code = time.monotonic(), _facts(options.quick), _code()
    sections = list(_sections(_benchmarks(options), options.only))
    if _code() != code:
        facts = f"THE PROVIDER'S CODE CHANGED DURING THIS RUN: not to be quoted. {facts}"
    facts += f", load {os.getloadavg()[0]:.1f} at the end. Took {time.monotonic() - began:.0f} s."
    show(sections, facts)
    print(f"Written to {write(ROOT / 'build', sections, facts).relative_to(ROOT)}.")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure the provider side by side with what users have.")
    parser.add_argument(
        "--quick", action="store_true", help="shorter, for trying it out: no figures to quote"
    )
    parser.add_argument(
        "--plain", action="store_true", help="make the thousand waits over plain HTTP as well"
    )
    parser.add_argument(
        "--only", choices=["imports", "listing", "waiting", "lost_reply"], help="just this one"
    )
    return parser.parse_args()


def _benchmarks(options: argparse.Namespace) -> Iterator[tuple[str, Callable[[], Section]]]:
    scene = waiting.Scene(seconds=20.0, poll_interval=5.0) if options.quick else waiting.Scene()
    yield "imports", lambda: imports.measure(repeats=2 if options.quick else 7)
    yield "listing", listing.measure
    yield "waiting", lambda: waiting.measure(scene)
    if options.plain:
        plain = waiting.Scene(scene.waits, scene.seconds, scene.poll_interval, tls=False)
        yield "waiting", lambda: waiting.measure(plain)
    yield "lost_reply", lost_reply.measure


def _sections(benchmarks: Iterator[tuple[str, Callable[[], Section]]], only: str | None) -> Iterator[Section]:
    for name, measure in benchmarks:
        if only in (None, name):
            print(f"Measuring: {name}", flush=True)
            yield measure()


def _facts(quick: bool) -> str:
    parts = [f"revision {revision}"] if (revision := _revision()) else []
    parts += [f"Python {platform.python_version()}"]
    parts += [f"{name} {version(name)}" for name in ("apache-airflow", "aiohttp", "requests")]
    parts += [f"{os.cpu_count()} processors", f"load {os.getloadavg()[0]:.1f} at the beginning"]
    return (
        f"{'QUICK: not to be quoted. ' if quick else ''}{time.strftime('%Y-%m-%d %H:%M')}, {', '.join(parts)}"
    )


def _code() -> str:
    """Stands for the code that is measured, so that a change during the run is noticed."""
    files = sorted((ROOT / "airflow_provider_arcgis_tasks").rglob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def _revision() -> str:
    """What git says of the code; nothing where there is no git."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    except FileNotFoundError:
        return ""


if __name__ == "__main__":
    sys.exit(main())
