"""Let the portal run a notebook every night, and go on in Airflow when it has ended.

The first task makes sure that the schedule is on the portal: it creates it once and finds it again on every
later night. The second one waits for the run that starts after the DAG run has. All times are UTC.
"""

from typing import Any

from airflow.sdk import DAG, Param, task

from airflow_provider_arcgis_tasks.operators import ArcGISCreateTaskOperator
from airflow_provider_arcgis_tasks.sensors import ArcGISTaskRunSensor

with DAG(
    "example_arcgis_nightly",
    schedule="0 1 * * *",
    catchup=False,
    params={
        "item_id": Param("0a5d2f346baa9455e3e70682c2094cac", title="Notebook item"),
        "portal_schedule": Param("30 1 * * *", title="When the portal runs it"),
    },
    doc_md=__doc__,
    tags=["arcgis", "example"],
):
    # [START nightly]
    schedule = ArcGISCreateTaskOperator(
        task_id="schedule",
        item_id="{{ params.item_id }}",
        task_type="ExecuteNotebook",
        title="Nightly parcels",
        schedule="{{ params.portal_schedule }}",
    )
    wait = ArcGISTaskRunSensor(
        task_id="wait",
        portal_task_id=schedule.output,
        newer_than="{{ dag_run.run_after }}",
        timeout=3 * 60 * 60,
        deferrable=True,
    )

    @task
    def publish(run: dict[str, Any]) -> str:
        return f"Publishing what run {run['portal_run_id']} made: {run['result']}"

    publish(wait.output)
    # [END nightly]
