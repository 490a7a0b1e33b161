"""What Airflow discovers, against its own schemas, and every dotted path in it."""

from __future__ import annotations

import importlib.util
import inspect
import json
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from airflow_provider_arcgis_tasks import __version__
from airflow_provider_arcgis_tasks.provider_info import get_provider_info

INFO = get_provider_info()
PACKAGE = "airflow_provider_arcgis_tasks"
(CONNECTION,) = INFO["connection-types"]


def schema(name: str) -> Any:
    spec = importlib.util.find_spec("airflow")  # finds it without importing it
    assert spec is not None
    assert spec.origin is not None
    path = Path(spec.origin).with_name(name)
    if not path.exists():
        pytest.skip(f"this Airflow ships no {name}")
    return json.loads(path.read_text())


def test_against_the_schema_of_provider_info() -> None:
    jsonschema.validate(INFO, schema("provider_info.schema.json"))


def test_against_the_schema_of_provider_yaml() -> None:
    """The one that knows conn-fields. Two of its fields are for the release of Airflow's own providers."""
    of_airflows_own = {"state": "ready", "source-date-epoch": 1}
    jsonschema.validate({**INFO, **of_airflows_own}, schema("provider.yaml.schema.json"))


def dotted_paths() -> Iterator[str]:
    for kind in ("hooks", "operators", "sensors", "triggers"):
        for entry in INFO[kind]:
            yield from entry["python-modules"]
    yield from INFO["extra-links"]
    yield CONNECTION["hook-class-name"]


@pytest.mark.parametrize("path", list(dotted_paths()))
def test_dotted_path(path: str) -> None:
    try:
        import_module(path)
    except ModuleNotFoundError:
        module, _, name = path.rpartition(".")
        assert inspect.isclass(getattr(import_module(module), name))


def test_every_module_with_something_to_discover_is_named() -> None:
    from airflow.sdk import BaseHook, BaseOperator
    from airflow.triggers.base import BaseTrigger

    named = set(dotted_paths())
    for module, base in (
        ("hooks", BaseHook),
        ("operators", BaseOperator),
        ("sensors", BaseOperator),
        ("triggers", BaseTrigger),
    ):
        found = vars(import_module(f"{PACKAGE}.{module}")).values()
        assert any(inspect.isclass(member) and issubclass(member, base) for member in found)
        assert f"{PACKAGE}.{module}" in named


def test_integrations_are_declared() -> None:
    declared = {entry["integration-name"] for entry in INFO["integrations"]}
    used = {
        entry["integration-name"]
        for kind in ("hooks", "operators", "sensors", "triggers")
        for entry in INFO[kind]
    }
    assert used == declared


def test_connection_type_agrees_with_the_hook() -> None:
    from airflow_provider_arcgis_tasks.hooks import ArcGISTasksHook

    assert CONNECTION["connection-type"] == ArcGISTasksHook.conn_type
    assert CONNECTION["hook-name"] == ArcGISTasksHook.hook_name
    assert CONNECTION["hook-class-name"] == f"{PACKAGE}.hooks.ArcGISTasksHook"
    parameters = inspect.signature(ArcGISTasksHook).parameters
    assert parameters[ArcGISTasksHook.conn_name_attr].default == ArcGISTasksHook.default_conn_name


FIELDS: dict[str, Any] = CONNECTION["conn-fields"]


@pytest.mark.parametrize("name", FIELDS)
def test_conn_field(name: str) -> None:
    field = FIELDS[name]
    jsonschema.Draft7Validator.check_schema(field["schema"])
    assert set(field) <= {"label", "description", "schema"}
    assert field["label"]
    assert field["description"].endswith(".")
    if "default" in field["schema"]:
        jsonschema.validate(field["schema"]["default"], field["schema"])
    if name not in ("verify", "allow_http"):
        jsonschema.validate(None, field["schema"])  # may be left empty


def test_secrets_are_entered_as_passwords() -> None:
    hidden = {name for name, field in FIELDS.items() if field["schema"].get("format") == "password"}
    assert hidden == {"client_secret", "token"}


def test_defaults_of_the_form_are_those_of_the_connection() -> None:
    from airflow_provider_arcgis_tasks.connection import PortalSettings

    defaults = {
        name: field["schema"]["default"] for name, field in FIELDS.items() if "default" in field["schema"]
    }
    usual: dict[str, Any] = {"host": "gis.example.com", "login": "a", "password": "b"}
    assert PortalSettings.read(**usual, extra=defaults) == PortalSettings.read(**usual)


def test_standard_fields() -> None:
    standard = {"description", "host", "port", "login", "password", "schema", "extra"}
    behaviour = CONNECTION["ui-field-behaviour"]
    used = {"host", "login", "password"}
    assert not set(behaviour["hidden-fields"]) & used
    for part in ("hidden-fields", "relabeling", "placeholders"):
        assert set(behaviour[part]) <= standard | set(FIELDS)


def test_entry_points_and_version() -> None:
    try:
        installed = distribution("airflow-provider-arcgis-tasks")
    except PackageNotFoundError:
        pytest.skip("the package is not installed here")
    assert installed.version == __version__ == INFO["versions"][0]
    assert INFO["package-name"] == installed.metadata["Name"]
    points = {point.group: point for point in installed.entry_points}
    assert points["apache_airflow_provider"].load() is get_provider_info
    assert points["pytest11"].value == f"{PACKAGE}.sandbox.pytest_plugin"


def test_it_can_be_sent_as_json() -> None:
    assert json.loads(json.dumps(INFO)) == INFO
