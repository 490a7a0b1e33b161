"""The sandbox: an ArcGIS portal with scheduled tasks, for tests and for trying things out.

    with Sandbox() as portal:
        item_id = portal.add_item(type="Notebook", title="Nightly report")
        portal.plan(item_id, outcome="failed", duration=20)
        os.environ["AIRFLOW_CONN_ARCGIS_DEFAULT"] = portal.connection_uri

`Sandbox` is the portal on HTTP; `Portal` the same portal without a network, to be driven by hand on a
`ManualClock`. `Rules` decides what nobody knows for sure. On a command line:
`python -m airflow_provider_arcgis_tasks.sandbox`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_arcgis_tasks.sandbox.clock import Clock, ManualClock, RealClock
    from airflow_provider_arcgis_tasks.sandbox.faults import Fault, FaultKind
    from airflow_provider_arcgis_tasks.sandbox.model import Portal
    from airflow_provider_arcgis_tasks.sandbox.rules import Rules
    from airflow_provider_arcgis_tasks.sandbox.server import Sandbox
    from airflow_provider_arcgis_tasks.sandbox.wire import Reply

__all__ = ["Clock", "Fault", "FaultKind", "ManualClock", "Portal", "RealClock", "Reply", "Rules", "Sandbox"]

_HOMES = {
    "Clock": "clock",
    "Fault": "faults",
    "FaultKind": "faults",
    "ManualClock": "clock",
    "Portal": "model",
    "RealClock": "clock",
    "Reply": "wire",
    "Rules": "rules",
    "Sandbox": "server",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
