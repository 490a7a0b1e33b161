"""Find the portal tasks that the portal has taken out, enable them again, and report.

After five failed runs in a row the portal makes a task inactive and tells nobody.
"""

from airflow.sdk import DAG, task

from airflow_provider_arcgis_tasks.operators import ArcGISEnableTaskOperator

FAILURES = 5

with DAG(
    "example_arcgis_watchdog",
    schedule="@hourly",
    catchup=False,
    doc_md=__doc__,
    tags=["arcgis", "example"],
):
    # [START watchdog]
    @task
    def find_taken_out() -> list[str]:
        from airflow_provider_arcgis_tasks.hooks import ArcGISTasksHook

        with ArcGISTasksHook() as hook:
            inactive = {portal_task.id for portal_task in hook.search_tasks(active=False)}
            latest = {portal_task_id: hook.get_runs(portal_task_id)[:FAILURES] for portal_task_id in inactive}
        return [
            portal_task_id
            for portal_task_id, runs in latest.items()
            if [run.status for run in runs] == ["failed"] * FAILURES
        ]

    @task(trigger_rule="none_failed")
    def report(taken_out: list[str]) -> str:
        return f"{len(taken_out)} portal tasks enabled again: {', '.join(taken_out)}"

    taken_out = find_taken_out()
    enable = ArcGISEnableTaskOperator.partial(task_id="enable").expand(portal_task_id=taken_out)
    enable >> report(taken_out)
    # [END watchdog]
