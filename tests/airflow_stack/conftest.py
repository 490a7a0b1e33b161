"""A real Airflow with the example DAGs, on a portal of its own where a minute takes a second."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_provider_arcgis_tasks.sandbox import Sandbox
from scripts.airflow_stack import AirflowStack

EXAMPLES = Path(__file__).parents[2] / "example_dags"


@pytest.fixture(scope="module")
def portal() -> Iterator[Sandbox]:
    with Sandbox(speed=60) as portal:
        yield portal


@pytest.fixture(scope="module")
def stack(portal: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AirflowStack]:
    environment = {"AIRFLOW_CONN_ARCGIS_DEFAULT": portal.connection_uri}
    with AirflowStack(tmp_path_factory.mktemp("airflow"), EXAMPLES, environment) as stack:
        stack.api.add_pool("arcgis", slots=4)
        yield stack
