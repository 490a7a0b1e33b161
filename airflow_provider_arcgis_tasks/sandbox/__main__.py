"""The sandbox as a command: `python -m airflow_provider_arcgis_tasks.sandbox`."""

from __future__ import annotations

import argparse
import json
import math
import os
import shlex
import signal
import sys
import threading
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from types import FrameType
from typing import Any

from airflow_provider_arcgis_tasks.sandbox.model import SAMPLE_SECRET, USERNAME
from airflow_provider_arcgis_tasks.sandbox.rules import Rules
from airflow_provider_arcgis_tasks.sandbox.server import Sandbox
from airflow_provider_arcgis_tasks.sandbox.state import ITEM_TYPES, TaskType

_EPILOG = """\
examples:
  %(prog)s --port 8399 --speed 60
      one real second is a portal minute
  %(prog)s --tls --json facts.json
      for programs that insist on HTTPS, such as the official Python client; facts.json tells them the rest
  %(prog)s --plan ExecuteNotebook=failed:5 --plan ExecuteNotebook=succeeded:60:done
      the first run of a notebook fails after 5 portal seconds, those after it succeed
  %(prog)s --rule cron_zone=Europe/Berlin --rule run_record_delay=31
      a portal that reads cron in its own zone and is late with its records
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until Ctrl-C or SIGTERM; return the exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    stop = _stop_event()
    try:
        sandbox = _sandbox(options)
        items = _add_items(sandbox, options)
        sandbox.start()
    except (ImportError, OSError, OverflowError, ValueError) as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    try:
        facts = _facts(sandbox, items, options.speed)
        _announce(facts, options.json)
        stop.wait()
    finally:
        sandbox.stop()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m airflow_provider_arcgis_tasks.sandbox",
        description="An ArcGIS portal with scheduled tasks on 127.0.0.1. It forgets everything when it ends.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--port", type=int, default=8399, help="port on 127.0.0.1; 0 takes a free one (default: %(default)s)")
    add("--tls", action="store_true", help="serve HTTPS with a certificate made for this run")
    add("--speed", type=float, default=1.0, help="portal seconds in one real second (default: %(default)g)")
    add("--context", default="portal", help="first part of the path; may be empty (default: %(default)s)")
    add("--username", default=USERNAME, help="the main user, beside `administrator` (default: %(default)s)")
    add("--password", default=SAMPLE_SECRET, help="of both users (default: %(default)s)")
    add("--seed", type=int, default=0, help="from which the ids follow (default: %(default)s)")
    add(
        "--seed-items",
        nargs="*",
        choices=list(TaskType),
        default=list(TaskType),
        metavar="TYPE",
        help=f"task types to make a sample item for (default: each of {', '.join(TaskType)})",
    )
    add(
        "--plan",
        action="append",
        default=[],
        type=_plan,
        metavar="TYPE=OUTCOME[:SECONDS[:RESULT]]",
        help="what runs of one task type do; several for one type queue up",
    )
    rules = f"a switch: {_rule_names()}"
    add("--rule", action="append", default=[], type=_rule, metavar="NAME=VALUE", help=rules)
    add("--json", metavar="FILE", help="write the facts here once the portal is up; - for standard output")
    return parser


def _plan(text: str) -> tuple[str, str, float, str]:
    kind, _, rest = text.partition("=")
    outcome, _, rest = rest.partition(":")
    duration, _, result = rest.partition(":")
    if kind not in list(TaskType) or not outcome:
        raise argparse.ArgumentTypeError(f"{text!r} is not TYPE=OUTCOME[:SECONDS[:RESULT]]")
    seconds = float(duration or 30)
    if math.isnan(seconds) or seconds < 0:
        raise argparse.ArgumentTypeError(f"{duration!r} is not a number of seconds")
    return kind, outcome, seconds, result


def _rule(text: str) -> tuple[str, Any]:
    name, _, value = text.partition("=")
    kinds = {field.name: type(field.default) for field in fields(Rules)}
    if name not in kinds:
        raise argparse.ArgumentTypeError(f"there is no rule {name!r}")
    if kinds[name] is frozenset:
        return name, frozenset(value.split(","))
    if kinds[name] in (bool, int, float, type(None)):
        return name, json.loads(value)
    return name, value


def _rule_names() -> str:
    return ", ".join(field.name for field in fields(Rules))


def _sandbox(options: argparse.Namespace) -> Sandbox:
    return Sandbox(
        options.port,
        options.tls,
        options.speed,
        rules=Rules(**dict(options.rule)),
        context=options.context,
        username=options.username,
        password=options.password,
        seed=options.seed,
    )


def _add_items(sandbox: Sandbox, options: argparse.Namespace) -> list[dict[str, str]]:
    items = []
    for kind in options.seed_items:
        title = f"Sample {ITEM_TYPES[kind].lower()}"
        items.append({"taskType": kind, "title": title, "id": sandbox.add_item(kind, title)})
    for plan in options.plan:
        sandbox.plan(*plan)
    return items


def _facts(sandbox: Sandbox, items: list[dict[str, str]], speed: float) -> dict[str, Any]:
    return {
        "url": sandbox.url,
        "username": sandbox.username,
        "password": sandbox.password,
        "connectionUri": sandbox.connection_uri,
        "caBundle": sandbox.ca_bundle,
        "speed": speed,
        "pid": os.getpid(),
        "items": items,
    }


def _announce(facts: dict[str, Any], target: str | None) -> None:
    if target == "-":
        print(json.dumps(facts), flush=True)
        return
    if target:
        draft = Path(f"{target}.part")
        draft.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
        draft.replace(target)
    print(_page(facts), flush=True)


def _page(facts: dict[str, Any]) -> str:
    lines = [
        f"export AIRFLOW_CONN_ARCGIS_DEFAULT={shlex.quote(facts['connectionUri'])}",
        "",
        f"portal    {facts['url']}",
        f"user      {facts['username']}, password {facts['password']}",
        f"speed     {_speed_note(facts['speed'])}",
    ]
    if facts["caBundle"]:
        lines.append(f"authority {facts['caBundle']}")
    lines += ["", *(f"{item['id']}  {item['taskType']:<24}{item['title']}" for item in facts["items"])]
    return "\n".join([*lines, "", "Ctrl-C ends it."])


def _speed_note(speed: float) -> str:
    note = f"one real second is {speed:g} portal seconds"
    if speed > 60:
        return f"{note}: above 60, a minute may be over before a request for it arrives"
    return note


def _stop_event() -> threading.Event:
    stop = threading.Event()

    def end(number: int, frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGINT, end)
    signal.signal(signal.SIGTERM, end)
    return stop


if __name__ == "__main__":
    sys.exit(main())
