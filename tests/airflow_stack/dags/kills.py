"""One DAG for each row of the kill matrix, with one task that runs a notebook on the row's own portal."""

import json
import os
from datetime import timedelta

from airflow.sdk import DAG, get_parsing_context

from airflow_provider_arcgis_tasks.operators import ArcGISTriggerTaskOperator

only = get_parsing_context().dag_id
for dag_id, arguments in json.loads(os.environ["KILL_MATRIX"]).items():
    if only not in (None, dag_id):
        continue
    limit = arguments.pop("execution_timeout", None)
    with DAG(dag_id, schedule=None, is_paused_upon_creation=False):
        ArcGISTriggerTaskOperator(
            task_id="run",
            poll_interval=2,
            retries=1,
            retry_delay=timedelta(seconds=1),
            execution_timeout=timedelta(seconds=limit) if limit else None,
            **arguments,
        )
