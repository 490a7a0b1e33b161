"""The fixtures, as a project that has installed the provider sees them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PLUGIN = "airflow_provider_arcgis_tasks.sandbox.pytest_plugin"
ROOT = Path(__file__).parents[2]


def run_project(folder: Path, test: str, conftest: str = "") -> str:
    (folder / "test_it.py").write_text(test)
    (folder / "conftest.py").write_text(conftest)
    (folder / "pytest.ini").write_text("[pytest]\n")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", PLUGIN, "-p", "no:cacheprovider", "-q", str(folder)],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    return done.stdout + done.stderr


def test_a_portal_for_every_test(tmp_path):
    test = """
import os

def test_one(arcgis_sandbox):
    assert arcgis_sandbox.url.startswith("http://127.0.0.1:")
    assert not arcgis_sandbox.portal.journal
    arcgis_sandbox.portal.handle("GET", "/")

def test_two(arcgis_sandbox):
    assert not arcgis_sandbox.portal.journal

def test_connection(arcgis_sandbox, arcgis_sandbox_connection):
    assert arcgis_sandbox_connection == arcgis_sandbox.connection_uri
    assert os.environ["AIRFLOW_CONN_ARCGIS_DEFAULT"] == arcgis_sandbox_connection

def test_after():
    assert "AIRFLOW_CONN_ARCGIS_DEFAULT" not in os.environ
"""
    assert "4 passed" in run_project(tmp_path, test)


def test_options(tmp_path):
    conftest = """
import pytest

@pytest.fixture
def arcgis_sandbox_options():
    return {"tls": True, "username": "ann"}
"""
    test = """
def test_it(arcgis_sandbox):
    assert arcgis_sandbox.url.startswith("https:")
    assert arcgis_sandbox.username == "ann"
"""
    assert "1 passed" in run_project(tmp_path, test, conftest)


def test_without_the_extra(tmp_path):
    conftest = """
import sys
import pytest

sys.modules["trustme"] = None

@pytest.fixture
def arcgis_sandbox_options():
    return {"tls": True}
"""
    output = run_project(tmp_path, "def test_it(arcgis_sandbox): pass", conftest)
    assert "1 error" in output
    assert "pip install 'airflow-provider-arcgis-tasks[sandbox]'" in output


def test_it_is_listed(tmp_path):
    (tmp_path / "test_it.py").write_text("")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", PLUGIN, "--fixtures"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert "arcgis_sandbox -- " in done.stdout
    assert "fresh portal" in done.stdout
