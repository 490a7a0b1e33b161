"""Runs a worker's program, ours or the official client's, against a sandbox."""

from __future__ import annotations

from typing import Any

from airflow_provider_arcgis_tasks.sandbox import Sandbox
from benchmarks.environments import arcgis_python, run_program

CONNECTION_VARIABLE = "AIRFLOW_CONN_ARCGIS_DEFAULT"


def run_ours(sandbox: Sandbox, act: str, subject: str) -> dict[str, Any]:
    """Run `programs/our_client.py`."""
    figures: dict[str, Any] = run_program(
        "our_client", act, subject, variables={CONNECTION_VARIABLE: sandbox.connection_uri}
    )
    return figures


def run_arcgis(sandbox: Sandbox, act: str, subject: str) -> dict[str, Any]:
    """Run `programs/arcgis_client.py`."""
    signing_in = (sandbox.url, sandbox.username, sandbox.password)
    figures: dict[str, Any] = run_program("arcgis_client", act, subject, *signing_in, python=arcgis_python())
    return figures
