"""Fixtures for the tests of whoever installs the provider: a portal of their own for every test."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from airflow_provider_arcgis_tasks.sandbox.server import Sandbox

CONNECTION_VARIABLE = "AIRFLOW_CONN_ARCGIS_DEFAULT"


@pytest.fixture
def arcgis_sandbox_options() -> dict[str, Any]:
    """Arguments for `Sandbox`; override it, for instance with `{"tls": True, "speed": 60}`."""
    return {}


@pytest.fixture
def arcgis_sandbox(arcgis_sandbox_options: dict[str, Any]) -> Iterator[Sandbox]:
    """A fresh portal on 127.0.0.1, for one test."""
    try:
        from airflow_provider_arcgis_tasks.sandbox.server import Sandbox

        sandbox = Sandbox(**arcgis_sandbox_options).start()
    except ImportError as error:
        hint = "pip install 'airflow-provider-arcgis-tasks[sandbox]'"
        pytest.fail(f"the sandbox needs more packages ({error}): {hint}", pytrace=False)
    yield sandbox
    sandbox.stop()


@pytest.fixture
def arcgis_sandbox_connection(arcgis_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> str:
    """The same portal as the Airflow connection `arcgis_default`, for one test; returns its URI."""
    monkeypatch.setenv(CONNECTION_VARIABLE, arcgis_sandbox.connection_uri)
    return arcgis_sandbox.connection_uri
