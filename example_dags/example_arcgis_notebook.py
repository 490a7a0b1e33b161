"""Run a notebook with parameters, then use its result.

The portal starts the notebook within about two minutes. Until it has ended the task occupies no worker: it
waits in the triggerer. The notebook's answer is the `result` of what the task returns.

The item id is that of the sample notebook in the sandbox
(`python -m airflow_provider_arcgis_tasks.sandbox`); put in your own when you trigger the DAG.
"""

from typing import Any

from airflow.sdk import DAG, Param, task

from airflow_provider_arcgis_tasks.operators import ArcGISTriggerTaskOperator

with DAG(
    "example_arcgis_notebook",
    schedule=None,
    params={
        "item_id": Param("0a5d2f346baa9455e3e70682c2094cac", title="Notebook item"),
        "region": Param("north", title="Region"),
    },
    doc_md=__doc__,
    tags=["arcgis", "example"],
):
    # [START run_notebook]
    run_notebook = ArcGISTriggerTaskOperator(
        task_id="run_notebook",
        item_id="{{ params.item_id }}",
        task_type="ExecuteNotebook",
        parameters={"region": "{{ params.region }}", "day": "{{ dag_run.run_after | ds }}"},
        deferrable=True,
    )

    @task
    def report(run: dict[str, Any]) -> str:
        return f"The notebook {run['status']} and says: {run['result']}"

    report(run_notebook.output)
    # [END run_notebook]
