"""Compares, field by field, what the official client and the provider send for the same calls.

    python -m conformance.differential .conformance-venv/bin/python

The argument is an interpreter that has `arcgis`. Fails if a difference is not in `differences.toml`, and if
one that is there does not occur.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from airflow_provider_arcgis_tasks.connection import PortalSettings
from airflow_provider_arcgis_tasks.portal import Operation, TaskDefinition, tasks
from airflow_provider_arcgis_tasks.sandbox import Portal, RealClock, Reply, Rules, Sandbox
from airflow_provider_arcgis_tasks.transport import SyncTransport, perform
from conformance.calls import CALLS, GP_TASK, NEEDED, Call
from conformance.differences import WHOLE, Difference, known_differences

Sent = dict[str, dict[str, str]]
"""The requests of a call, each with its fields."""


# --- the portal --------------------------------------------------------------------------------------


class RecordingPortal(Portal):
    """A portal that remembers what is sent to it, without the token."""

    def __init__(self, url: str) -> None:
        clock = RealClock()
        super().__init__(clock, Rules(active_task_limit=1000), url=url)
        self.pass_time = clock.advance
        self.sent: Sent = {}

    def handle(
        self,
        method: str,
        path: str,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        ip: str = "127.0.0.1",
    ) -> Reply:
        """Answer a request."""
        url = urlsplit(path)
        below = url.path.rpartition(f"/users/{self.username}/")[2]
        request = f"{method} {re.sub('[0-9a-f]{32}', '<id>', below)}"
        while request in self.sent:
            request += ", again"
        mark = "" if method == "GET" else "query "
        fields = {f"{mark}{name}": value for name, value in parse_qsl(url.query, keep_blank_values=True)}
        fields |= params or {}
        for name, value in json.loads(fields.pop("parameters", "{}")).items():
            fields[f"parameters: {name}"] = json.dumps(value, ensure_ascii=False)
        self.sent[request] = fields | self._headers(headers or {})
        return super().handle(method, path, params, headers, ip=ip)

    def _headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        """What tells the portal who asks."""
        referer = headers.get("Referer", "").replace(self.url, "<portal>")
        token = next((name for name, value in headers.items() if value.startswith("Bearer ")), "none")
        return {"header Referer": referer, "header with the token": token}


LONG_AGO, FAR_AWAY = "1600000000000", "4000000000000"
PRESENT = {"ExecuteNotebook": {"notebookParameters": '{"a": 1}', "saveInjectedParameters": True}}


@dataclass(frozen=True)
class Scene:
    """What a call is about: an item, a portal task of it, and a run of that."""

    item: str
    task: str
    run: str


def set_up(portal: RecordingPortal, items: Mapping[str, str], call: Call) -> Scene:
    """Make the portal tasks of a call, without the code that is compared."""
    item = items[call.kind]
    form = {"type": call.kind, "itemId": item, "title": "Old", "startDate": LONG_AGO, "endDate": FAR_AWAY}
    form |= {"minute": "0", "hour": "4", "dayOfMonth": "*", "month": "*", "dayOfWeek": "?"}
    form |= {"maxOccurrences": "99", "parameters": json.dumps(PRESENT.get(call.kind, {"distance": 5}))}
    form |= {"taskUrl": GP_TASK} if call.kind == "GPService" else {}
    if not call.verb.startswith("run"):
        made = [by_hand(portal, "createTask", form)["taskId"] for _ in range(call.portal_tasks)]
        return Scene(item, made[0], run="")
    task = by_hand(portal, "createTask", {**form, "minute": "*", "hour": "*", "maxOccurrences": "1"})[
        "taskId"
    ]
    portal.pass_time(60)
    (run,) = by_hand(portal, f"{task}/runs", {})["runs"]
    return Scene(item, task, run["runId"])


def by_hand(portal: RecordingPortal, path: str, form: Mapping[str, str]) -> Any:
    """Send something to the portal."""
    path = f"/portal/sharing/rest/community/users/{portal.username}/tasks/{path}"
    token = {"X-Esri-Authorization": f"Bearer {portal.issue_token()}"}
    answer = json.loads(portal.handle("POST", path, {"f": "json", **form}, token).body)
    assert "error" not in answer, answer
    return answer


# --- the two sides -----------------------------------------------------------------------------------

Side = Callable[[Call, Scene], Callable[[], str]]
"""Gets ready for a call. What it returns makes the call, and tells which exception it ended with."""


@contextmanager
def official_client(python: str, sandbox: Sandbox) -> Iterator[Side]:
    """The official client, in a process of its own."""
    facts = {"url": sandbox.url, "username": sandbox.username, "password": sandbox.password}
    facts |= {"caBundle": str(sandbox.ca_bundle)}
    with TemporaryDirectory() as folder:
        path = Path(folder, "facts.json")
        path.write_text(json.dumps(facts), encoding="utf-8")
        program = [python, "-W", "ignore", str(Path(__file__).with_name("official_calls.py")), str(path)]
        with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            told, answers = process.stdin, process.stdout

            def tell(line: str) -> str:
                told.write(f"{line}\n")
                told.flush()
                answer = answers.readline()
                assert answer, "the official client's process has ended"
                return answer.strip()

            def prepare(call: Call, scene: Scene) -> Callable[[], str]:
                wanted = {"verb": call.verb, "given": dict(call.given), "scene": asdict(scene)}
                assert tell(json.dumps(wanted)) == "ready"
                return lambda: tell("go")

            yield prepare


@contextmanager
def provider(sandbox: Sandbox) -> Iterator[Side]:
    """The provider's own operations."""
    settings = PortalSettings.read(
        host=sandbox.url,
        login=sandbox.username,
        password=sandbox.password,
        extra={"ca_bundle": sandbox.ca_bundle},
    )
    session = settings.session()
    with SyncTransport(settings.http) as transport:
        perform(tasks.who_am_i(session), transport)

        def prepare(call: Call, scene: Scene) -> Callable[[], str]:
            def make() -> str:
                perform(OPERATIONS[call.verb](session, scene, **call.given), transport)
                return ""

            return make

        yield prepare


OPERATIONS: dict[str, Callable[..., Operation[Any]]] = {
    "create": lambda session, scene, **given: tasks.create_task(
        session, TaskDefinition(item_id=scene.item, **in_our_words(given))
    ),
    "all": lambda session, scene: tasks.list_tasks(session),
    "all properties": lambda session, scene: tasks.list_tasks(session),
    "count": lambda session, scene: tasks.count_tasks(session),
    "search": lambda session, scene, item=False, **given: tasks.list_tasks(
        session, item_id=scene.item if item else None, **in_our_words(given)
    ),
    "properties": lambda session, scene: tasks.get_task(session, scene.task),
    "update": lambda session, scene, **given: tasks.update_task(session, scene.task, **in_our_words(given)),
    "enable": lambda session, scene: tasks.enable_task(session, scene.task),
    "disable": lambda session, scene: tasks.disable_task(session, scene.task),
    "start": lambda session, scene: tasks.enable_task(session, scene.task),
    "stop": lambda session, scene: tasks.disable_task(session, scene.task),
    "delete": lambda session, scene: tasks.delete_task(session, scene.task),
    "runs": lambda session, scene: tasks.get_runs(session, scene.task),
    "runs properties": lambda session, scene: tasks.get_runs(session, scene.task),
    "run properties": lambda session, scene: tasks.get_run(session, scene.task, scene.run),
    "run update": lambda session, scene, **given: tasks.update_run(
        session, scene.task, scene.run, **in_our_words(given)
    ),
    "run delete": lambda session, scene: tasks.delete_run(session, scene.task, scene.run),
}

NAMES = {
    "cron": "schedule",
    "occurences": "max_occurrences",
    "start_date": "starts_at",
    "end_date": "ends_at",
    "types": "task_types",
    "description": "result",
}


def in_our_words(given: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of the official client as the provider calls and takes them."""
    ours = {NAMES.get(name, name): value for name, value in given.items()}
    for name in {"starts_at", "ends_at"} & ours.keys():
        ours[name] = datetime.fromisoformat(ours[name])
    if "task_types" in ours:
        ours["task_types"] = ours["task_types"].split(",")
    if ours.get("schedule") == "daily":
        ours["schedule"] = "@daily"
    return ours


# --- the comparison ----------------------------------------------------------------------------------


def sent_for(call: Call, portal: RecordingPortal, items: Mapping[str, str], side: Side) -> tuple[Sent, str]:
    """Make a call; return what arrives at the portal, and the exception it ended with."""
    make = side(call, set_up(portal, items, call))
    portal.sent = {}
    raised = make()
    sent, portal.sent = portal.sent, {}
    for portal_task_id in portal.tasks:
        by_hand(portal, f"{portal_task_id}/delete", {})
    return sent, raised


def differences(call: str, arcgis: Sent, here: Sent) -> Iterator[Difference]:
    """Compare field by field; a request that only one of them sends is one difference."""
    for request in arcgis | here:
        if request in arcgis and request in here:
            theirs, ours = arcgis[request], here[request]
            for name in theirs | ours:
                if theirs.get(name) != ours.get(name):
                    yield Difference(call, request, name, theirs.get(name), ours.get(name))
        else:
            is_sent = ("sent" if request in side else None for side in (arcgis, here))
            yield Difference(call, request, WHOLE, *is_sent)


@dataclass
class Comparison:
    """What has come of all calls."""

    found: list[Difference] = field(default_factory=list)
    requests: int = 0
    fields: int = 0

    def add(self, call: str, arcgis: Sent, here: Sent) -> None:
        self.found += differences(call, arcgis, here)
        self.requests += len(arcgis | here)
        self.fields += sum(len(arcgis[request] | here[request]) for request in arcgis.keys() & here.keys())


def compare(python: str) -> Comparison:
    """Make all calls with both."""
    comparison = Comparison()
    with Sandbox(tls=True) as sandbox:
        sandbox.portal = portal = RecordingPortal(sandbox.url)
        items = {kind: portal.add_item(kind) for kind in NEEDED}
        with official_client(python, sandbox) as client, provider(sandbox) as own:
            for call in CALLS:
                arcgis, raised = sent_for(call, portal, items, client)
                assert raised == call.raises, f"{call.name}: the official client raised {raised or 'nothing'}"
                here, _ = sent_for(call, portal, items, own)
                comparison.add(call.name, arcgis, here)
    return comparison


def main(python: str) -> int:
    """Compare, and say what is not as the list has it."""
    began = time.monotonic()
    comparison, known = compare(python), known_differences()
    complaints = [
        *(
            f"not on the list: {found}"
            for found in comparison.found
            if not any(k.covers(found) for k in known)
        ),
        *(f"does not occur: {missing}" for entry in known for missing in entry.missing(comparison.found)),
    ]
    print(*complaints, sep="\n", end="\n" if complaints else "")
    print(
        f"{len(CALLS)} calls, {comparison.requests} requests, {comparison.fields} fields compared: "
        f"{len(comparison.found)} differences, as {len(known)} entries of the list say "
        f"({time.monotonic() - began:.1f} s)"
    )
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
