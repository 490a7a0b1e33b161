"""The sandbox shares nothing with the provider, and costs nothing until it is used."""

from __future__ import annotations

import subprocess
import sys
from pkgutil import iter_modules

import pytest

from airflow_provider_arcgis_tasks import sandbox

PACKAGE = "airflow_provider_arcgis_tasks"


def loaded_by(statement: str, after: str = "") -> set[str]:
    """Return the modules that a statement loads in a fresh interpreter, beyond those of `after`."""
    code = f"import sys\n{after}\nbefore = set(sys.modules)\n{statement}\nprint(*(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_it_knows_nothing_of_the_provider_nor_of_airflow():
    modules = [module.name for module in iter_modules(sandbox.__path__)]
    assert {"model", "server", "__main__"} <= set(modules)
    loaded = loaded_by("\n".join(f"import {PACKAGE}.sandbox.{module}" for module in modules))
    assert f"{PACKAGE}.sandbox.model" in loaded
    ours = {name for name in loaded if name.startswith(f"{PACKAGE}.")}
    assert {name for name in ours if not name.startswith(f"{PACKAGE}.sandbox")} == set()
    assert "airflow" not in loaded


def test_the_model_needs_no_http():
    loaded = loaded_by(f"from {PACKAGE}.sandbox import Portal, ManualClock, Rules\nPortal(ManualClock(0.0))")
    assert not {"aiohttp", "requests", "trustme"} & loaded


@pytest.mark.parametrize("module", ["sandbox", "sandbox.pytest_plugin"])
def test_importing_it_is_cheap(module):
    loaded = loaded_by(f"import {PACKAGE}.{module}", after="import pytest")
    assert not {"aiohttp", "asyncio", "ssl", f"{PACKAGE}.sandbox.model"} & loaded


def test_the_public_names():
    for name in sandbox.__all__:
        assert getattr(sandbox, name).__name__ == name
    with pytest.raises(AttributeError, match="Gremlin"):
        _ = sandbox.Gremlin
