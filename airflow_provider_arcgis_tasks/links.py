"""The link from a task in Airflow's UI to the item on the portal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey


class ArcGISPortalLink(BaseOperatorLink):
    """Leads to the page of the item that the portal task runs; there as soon as the task is created."""

    name = "ArcGIS portal"

    @property
    def xcom_key(self) -> str:
        """Where the operator leaves the URL."""
        return "arcgis_portal_link"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """The URL that the operator left, or nothing."""
        from airflow.sdk.execution_time.xcom import XCom

        return XCom.get_value(ti_key=ti_key, key=self.xcom_key) or ""
