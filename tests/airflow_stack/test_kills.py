"""The kill matrix: whatever is killed, cleared or timed out, `docs/lifecycle.md` tells what comes of it.

All rows are played on one Airflow, side by side, before the first of these tests; each row then has its own.
`-k` chooses which rows are played.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from scripts.airflow_stack import AirflowStack, Settings
from tests.airflow_stack.cases import Case
from tests.airflow_stack.matrix import MATRIX, TRIGGERER, Row
from tests.airflow_stack.playing import Play
from tests.airflow_stack.stepped import SteppedSandbox
from tests.airflow_stack.stories import EXECUTION_SECONDS, TIMEOUT_SECONDS

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]

DAGS = Path(__file__).parent / "dags"
PASSWORD = secrets.token_urlsafe(24)
SETTINGS: Settings = {
    "core": {"parallelism": 24},
    "scheduler": {
        "task_instance_heartbeat_timeout": 30,
        "task_instance_heartbeat_timeout_detection_interval": 3,
    },
    "triggerer": {"job_heartbeat_sec": 2, "triggerer_health_check_threshold": 12},
}
"""Room for every row to wait in a worker, and a lost worker or triggerer is noticed within seconds."""

Portals = dict[Row, SteppedSandbox]


@pytest.fixture(scope="module")
def portals(request: pytest.FixtureRequest) -> Iterator[Portals]:
    """A portal for each row that will be tested."""
    chosen = {item.name for item in request.session.items}
    rows = [row for row in MATRIX if f"{test_row.__name__}[{row.name}]" in chosen] or MATRIX
    with ExitStack() as opened:
        yield {row: opened.enter_context(SteppedSandbox(seed, PASSWORD)) for seed, row in enumerate(rows)}


@pytest.fixture(scope="module")
def stack(portals: Portals, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AirflowStack]:
    environment, dags = {}, {}
    for number, (row, portal) in enumerate(portals.items()):
        environment[f"AIRFLOW_CONN_PORTAL_{number}"] = portal.connection_uri
        dags[row.name] = {"arcgis_conn_id": f"portal_{number}", "item_id": portal.portal.notebook, **how(row)}
    environment["KILL_MATRIX"] = json.dumps(dags)
    with AirflowStack(tmp_path_factory.mktemp("airflow"), DAGS, environment, SETTINGS, busy=True) as stack:
        yield stack
        processes = psutil.Process().children(recursive=True)
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()


def how(row: Row) -> dict[str, Any]:
    """What the operator of a row is told beside what to run."""
    limits = {"timeout": TIMEOUT_SECONDS, "execution_timeout": EXECUTION_SECONDS}
    return {
        "deferrable": row.mode == TRIGGERER,
        **{name: limit for name, limit in limits.items() if name == row.event},
    }


@pytest.fixture(scope="module")
def played(stack: AirflowStack, portals: Portals, request: pytest.FixtureRequest) -> Play:
    for row in [*portals][:1]:
        stack.wait_for_dag(row.name)  # they all come from one file
    play = Play(stack, [Case(row, stack, portal.portal) for row, portal in portals.items()])
    play.play()
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        print("", *table(play), sep="\n")
    return play


def table(play: Play) -> Iterator[str]:
    line = "{:<28}{:<11}{:<11}{:<9}{:>5}{:>6}{:>6}{:>9}{:>6}{:>9}".format
    yield line("event", "waiting", "moment", "state", "tries", "made", "runs", "removed", "left", "seconds")
    for row, result in play.results.items():
        if came := result.outcome:
            numbers = (came.tries, came.made, came.runs, came.removed, came.left, f"{result.seconds:.1f}")
            yield line(row.event, row.mode, row.moment, str(came.state), *numbers)
        else:
            yield line(row.event, row.mode, row.moment, "?", *[""] * 6)
    yield f"{len(play.results)} rows in {play.seconds:.0f} s"


@pytest.mark.parametrize("row", MATRIX, ids=lambda row: row.name)
def test_row(row: Row, played: Play) -> None:
    result = played.results[row]
    if result.problem:
        pytest.fail(result.problem, pytrace=False)
    assert result.outcome == row.expected


def test_nothing_secret_is_stored(played: Play, stack: AirflowStack, portals: Portals) -> None:
    sandboxes = [portal.portal for portal in portals.values()]
    tokens = {token for sandbox in sandboxes for token in sandbox._accounts._tokens}
    triggers = "\n".join(text(value) for row in played.triggers for value in row)
    everything = "\n".join([triggers, *stored(stack)])
    assert "ArcGISOneShotTrigger" in triggers
    assert all(sandbox.notebook in everything for sandbox in sandboxes)
    assert len(tokens) > len(sandboxes)
    assert PASSWORD not in everything
    assert not [token for token in tokens if token in everything]


def stored(stack: AirflowStack) -> Iterator[str]:
    """All that Airflow has written: its database, value by value, and every file, the logs among them."""
    for (name,) in stack.query("select name from sqlite_master where type = 'table'"):
        for row in stack.query(f'select * from "{name}"'):
            yield from map(text, row)
    for file in stack.folder.rglob("*"):
        if file.is_file():
            yield text(file.read_bytes())


def text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
