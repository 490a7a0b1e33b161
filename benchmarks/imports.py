"""Every process that parses a DAG file pays for its imports.

Measured: the time of one import statement in a fresh process, the median of several; the processes of the
three take turns, after one of each that does not count and leaves byte code behind. Ours (`operators`
and `sensors`) and the dbt Cloud provider's `operators.dbt` are imported after `import airflow.sdk`, which
is not counted; `arcgis` is imported into an empty process, which is all that it needs.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.environments import ARCGIS, DBT_CLOUD, arcgis_python, dbt_cloud_python, run_program
from benchmarks.report import Aim, Row, Section

_OURS = "import airflow_provider_arcgis_tasks.operators, airflow_provider_arcgis_tasks.sensors"
_AIRFLOW = "import airflow.sdk"


@dataclass(frozen=True)
class _Subject:
    name: str
    python: Path | None
    before: str
    statement: str

    def measure(self) -> dict[str, Any]:
        figures: dict[str, Any] = run_program("import_time", self.before, self.statement, python=self.python)
        return figures


def measure(repeats: int) -> Section:
    """Import `repeats` times each."""
    subjects = [
        _Subject("ours", None, _AIRFLOW, _OURS),
        _Subject(ARCGIS, arcgis_python(), "", "from arcgis.gis import GIS"),
        _Subject(DBT_CLOUD, dbt_cloud_python(), _AIRFLOW, "import airflow.providers.dbt.cloud.operators.dbt"),
    ]
    _, *rounds = [[subject.measure() for subject in subjects] for _ in range(repeats + 1)]
    ours, arcgis, dbt_cloud = (
        {key: median(each[index][key] for each in rounds) for key in ("wall", "cpu", "modules")}
        for index in range(len(subjects))
    )
    rows = []
    for rival, theirs, aim in [
        ("arcgis", arcgis, Aim(most=20, factor=100)),
        ("dbt Cloud", dbt_cloud, None),
    ]:
        rows += [
            Row("import", ours["wall"] * 1000, theirs["wall"] * 1000, rival, "ms", aim),
            Row("CPU of it", ours["cpu"] * 1000, theirs["cpu"] * 1000, rival, "ms"),
            Row("modules added", ours["modules"], theirs["modules"], rival),
        ]
    return Section(
        f"1. Import, {repeats} processes each",
        rows,
        __doc__ or "",
    )
