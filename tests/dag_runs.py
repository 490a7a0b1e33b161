"""Runs DAGs with `dag.test()`, in this process. Needs the fixture `airflow_database`."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_arcgis_tasks.portal import oneshot
from airflow_provider_arcgis_tasks.portal.clock import PortalClock


def hurry(patch: pytest.MonkeyPatch) -> None:
    """Portals are fast here, and no scheduler has to note a deferral: wait less for both."""
    from airflow_provider_arcgis_tasks import triggers

    patch.setattr(triggers, "FIRST_POLL_SECONDS", 0.05)
    patch.setattr(oneshot, "_PAUSE_TO_LEARN_PACE", 0.2)
    soon = property(lambda clock: clock._received - clock._first_sent >= 0.2)
    patch.setattr(PortalClock, "knows_pace", soon)


class Outcome:
    """What a DAG run came to."""

    def __init__(self, dag_run: Any, rows: list[Any]) -> None:
        from airflow.models.xcom import XComModel

        self.state = str(dag_run.state)
        self.pushed = {row.key: XComModel.deserialize_value(row) for row in rows}
        self.returned = {
            row.task_id if row.map_index < 0 else (row.task_id, row.map_index): XComModel.deserialize_value(
                row
            )
            for row in rows
            if row.key == "return_value"
        }
        self.states = {task.task_id: str(task.state) for task in dag_run.get_task_instances()}


def run_dag(build: Callable[[], Any]) -> Outcome:
    """Run a DAG that holds what the given function makes."""
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
    from airflow.models.xcom import XComModel
    from airflow.sdk import DAG
    from airflow.utils.session import create_session

    DagBundlesManager().sync_bundles_to_db()
    with DAG(f"dag_{time.time_ns()}", schedule=None) as dag:
        build()
    bag = DagBag(dag_folder="/dev/null", collect_dags=False)
    bag.bag_dag(dag)
    sync_bag_to_db(bag, "dags-folder", None)
    dag_run = dag.test()
    with create_session() as session:
        rows = session.query(XComModel).filter_by(dag_id=dag.dag_id).all()
    return Outcome(dag_run, rows)
