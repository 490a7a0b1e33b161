"""Run a notebook once for each region, a few at a time.

The portal lets a user have 20 active tasks. A pool keeps the DAG below that; it must count waiting tasks too:
`airflow pools set arcgis 4 "Portal runs at a time" --include-deferred`.
"""

from typing import Any

from airflow.sdk import DAG, Param, task

from airflow_provider_arcgis_tasks.operators import ArcGISTriggerTaskOperator

with DAG(
    "example_arcgis_regions",
    schedule=None,
    params={"item_id": Param("0a5d2f346baa9455e3e70682c2094cac", title="Notebook item")},
    doc_md=__doc__,
    tags=["arcgis", "example"],
):
    # [START run_regions]
    run_region = ArcGISTriggerTaskOperator.partial(
        task_id="run_region",
        item_id="{{ params.item_id }}",
        task_type="ExecuteNotebook",
        pool="arcgis",
        map_index_template="{{ task.parameters['region'] }}",
        deferrable=True,
    ).expand(parameters=[{"region": region} for region in ("north", "east", "south", "west")])

    @task
    def summarize(runs: list[dict[str, Any]]) -> list[str]:
        return [run["result"] for run in runs]

    summarize(run_region.output)
    # [END run_regions]
