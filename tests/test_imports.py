"""Parsing a DAG costs nothing: what is imported when, in processes of their own."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = "airflow_provider_arcgis_tasks"
HTTP = {"requests", "aiohttp", "urllib3", "httpx", "httpx2", "certifi", "yarl", "multidict", "http.server"}
AIRFLOW = (
    "import airflow.sdk; from airflow.sdk import BaseHook, BaseOperator, BaseOperatorLink, BaseSensorOperator"
)


def in_a_new_process(code: str, **environment: str) -> Any:
    """Run code that leaves its result in `found`."""
    done = subprocess.run(
        [sys.executable, "-c", f"import json, sys\n{code}\nprint('found:', json.dumps(found))"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.rpartition("found:")[2])


def new_modules(first: str, then: str) -> set[str]:
    """What `then` imports in addition to what `first` has."""
    return set(
        in_a_new_process(
            f"{first}\nbefore = set(sys.modules)\n{then}\nfound = sorted(set(sys.modules) - before)"
        )
    )


def tops(modules: set[str]) -> set[str]:
    return {module.partition(".")[0] for module in modules}


def test_provider_info_imports_nothing() -> None:
    modules = new_modules("", f"from {PACKAGE}.provider_info import get_provider_info; get_provider_info()")
    assert {module for module in modules if module.startswith(PACKAGE)} == {
        PACKAGE,
        f"{PACKAGE}.provider_info",
    }
    assert tops(modules) <= set(sys.stdlib_module_names) | {PACKAGE}


PORTAL = sorted((ROOT / PACKAGE / "portal").glob("*.py"))
CLOCKS = {"utcnow", "today", "monotonic", "perf_counter", "sleep", "open", "environ"}


@pytest.mark.parametrize("path", PORTAL, ids=lambda path: path.stem)
def test_portal_reads_no_clock_and_never_sleeps(path: Path) -> None:
    """Nor may it import what could, inside a function either; croniter is the one exception."""
    imported, named = set(), set()
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Import(names=names):
                imported |= {name.name for name in names}
            case ast.ImportFrom(module=str(module)):
                imported.add(module)
            case ast.Attribute(attr=name) | ast.Name(id=name):
                named.add(name)
    assert not named & CLOCKS
    assert "datetime.now(" not in path.read_text()
    foreign = {name for name in imported if not name.startswith(f"{PACKAGE}.portal")} - {"croniter"}
    assert tops(foreign) <= set(sys.stdlib_module_names)
    assert not foreign & {"time", "asyncio", "socket", "ssl", "http.client", "urllib.request", "os"}


def test_the_whole_portal_package() -> None:
    imports = ", ".join(f"{PACKAGE}.portal.{path.stem}" for path in PORTAL if path.stem != "__init__")
    modules = new_modules("", f"import {PACKAGE}.portal, {imports}")
    assert not tops(modules) & (HTTP | {"airflow", "sqlalchemy", "pendulum", "croniter", "ssl", "asyncio"})
    assert tops(modules) <= set(sys.stdlib_module_names) | {PACKAGE}


@pytest.mark.parametrize("module", ["transport", "connection"])
def test_transport_and_connection_load_no_http_library_before_it_is_used(module: str) -> None:
    modules = new_modules("", f"import {PACKAGE}.{module}")
    assert not tops(modules) & (HTTP | {"airflow"})


@pytest.mark.parametrize("module", ["operators, {}.sensors", "hooks"])
def test_a_dag_file_imports_no_http_library(module: str) -> None:
    modules = new_modules(AIRFLOW, f"import {PACKAGE}." + module.format(PACKAGE))
    foreign = {name for name in modules if not name.startswith(PACKAGE)}
    assert not tops(modules) & (HTTP | {"croniter", "trustme", "ssl"}), foreign
    assert not {name for name in modules if name.startswith(f"{PACKAGE}.sandbox")}


def test_the_examples_load_no_http_library() -> None:
    paths = [str(path) for path in sorted((ROOT / "example_dags").glob("*.py"))]
    assert paths
    code = f"import runpy\nfor path in {paths!r}: runpy.run_path(path)"
    assert not tops(new_modules(f"{AIRFLOW}\nfrom airflow.sdk import DAG, dag, task", code)) & HTTP


CONSTRUCTORS = f"""
from datetime import UTC, datetime
from airflow.sdk import DAG
from {PACKAGE} import operators as o, sensors as s, hooks as h, triggers as t, links as l
from {PACKAGE}.portal import TaskDefinition
from {PACKAGE}.connection import PortalSettings
from {PACKAGE}.transport import AsyncTransport, HttpSettings, SyncTransport

def make(n):
    with DAG(f"dag{{n}}", schedule=None):
        o.ArcGISCreateTaskOperator(task_id="a", task_type="ExecuteNotebook", item_id="x", schedule="@daily")
        o.ArcGISUpdateTaskOperator(task_id="b", portal_task_id="x", title="t")
        o.ArcGISDeleteTaskOperator(task_id="c", portal_task_id="x")
        o.ArcGISEnableTaskOperator(task_id="d", portal_task_id="x")
        o.ArcGISDisableTaskOperator(task_id="e", portal_task_id="x")
        o.ArcGISTriggerTaskOperator(task_id="f", item_id="x", parameters={{"a": "{{{{ ds }}}}"}})
        o.ArcGISTriggerTaskOperator.partial(task_id="g").expand(item_id=["x", "y"])
        s.ArcGISTaskRunSensor(task_id="h", portal_task_id="x", newer_than="{{{{ data_interval_end }}}}")
        s.ArcGISTaskRunSensor(task_id="i", portal_task_id="x", deferrable=True)
    h.ArcGISTasksHook("no_such_connection", owner="x")
    l.ArcGISPortalLink()
    t.ArcGISTaskRunTrigger(arcgis_conn_id="x", portal_task_id="x").serialize()
    t.ArcGISOneShotTrigger(
        arcgis_conn_id="x", portal_task_id="x", job={{}}, mark="0123456789abcdef.0.1"
    ).serialize()
    t.ArcGISStartTrigger(arcgis_conn_id="x", mark="0123456789abcdef.0.1").serialize()
    settings = PortalSettings.read(host="h", login="a", password="b")
    settings.session()
    SyncTransport(settings.http)
    AsyncTransport(settings.http)
"""


def test_constructors_do_no_io() -> None:
    """The second time, when all modules are loaded: no socket, no file, no process."""
    code = (
        f"{CONSTRUCTORS}\nmake(1)\nfound = []\n"
        "def hook(event, args):\n"
        "    if event.split('.')[0] in ('socket', 'open', 'subprocess', 'os', 'sqlite3', 'urllib'):\n"
        "        found.append(f'{event} {args!r}'[:200])\n"
        "sys.addaudithook(hook)\nmake(2)\nseen = list(found)\nfound = seen"
    )
    assert in_a_new_process(code) == []


def test_constructors_without_a_network_a_database_or_a_connection() -> None:
    code = (
        "import socket\n"
        "def refuse(*a, **k): raise RuntimeError('no sockets here')\n"
        "socket.socket.connect = refuse; socket.create_connection = refuse; socket.getaddrinfo = refuse\n"
        f"{CONSTRUCTORS}\nmake(1)\nfound = True"
    )
    assert in_a_new_process(code, AIRFLOW__DATABASE__SQL_ALCHEMY_CONN="sqlite:////no/such/place/airflow.db")


def test_constructors_load_no_http_library() -> None:
    assert not tops(new_modules(AIRFLOW, f"{CONSTRUCTORS}\nmake(1)")) & HTTP
