"""A small client of Airflow's REST API: what the demo and the tests ask a running Airflow."""

from __future__ import annotations

import time
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import requests

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

FINISHED = frozenset({"success", "failed"})
UNTROUBLED = frozenset({None, "success", "skipped", "upstream_failed"})
HEALTHY_PARTS = ("metadatabase", "scheduler", "triggerer", "dag_processor")


@dataclass(frozen=True)
class DagRun:
    """Which run of which DAG."""

    dag_id: str
    id: str

    @property
    def path(self) -> str:
        """Where the REST API has it."""
        return f"dags/{self.dag_id}/dagRuns/{self.id}"


@dataclass(frozen=True)
class TaskInstance:
    """What Airflow says of one task of a DAG run."""

    task_id: str
    map_index: int
    rendered_map_index: str | None
    state: str | None
    try_number: int

    @property
    def label(self) -> str:
        """The task's id, with its place among mapped tasks if it is one: `report`, `run[2]`."""
        return self.task_id if self.map_index < 0 else f"{self.task_id}[{self.map_index}]"

    @property
    def name(self) -> str:
        """The label, with what Airflow calls the mapped task, once it does, in place of its number."""
        return f"{self.task_id}[{self.rendered_map_index}]" if self.rendered_map_index else self.label


class AirflowApi:
    """Talks to the api-server at `url`, as the administrator that everybody is there."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._http = requests.Session()
        self._http.trust_env = False

    def answers(self) -> bool:
        """Whether the server is up."""
        return self._health() is not None

    def healthy(self) -> bool:
        """Whether the database answers and all components have reported lately."""
        health = self._health() or {}
        return all(health.get(part, {}).get("status") == "healthy" for part in HEALTHY_PARTS)

    def warm_up(self) -> bool:
        """Makes the server build the routes for workers, which takes seconds, before the first task asks.

        Returns whether the server is up.
        """
        try:
            self._http.get(f"{self.url}/execution/health", timeout=120)
        except requests.ConnectionError:
            return False
        return True

    def has_dag(self, dag_id: str) -> bool:
        """Whether the DAG has been read."""
        return any(
            dag["dag_id"] == dag_id for dag in self._ask("GET", f"dags?dag_id_pattern={dag_id}")["dags"]
        )

    def import_errors(self) -> list[str]:
        """What went wrong while DAG files were read."""
        errors = self._ask("GET", "importErrors")["import_errors"]
        return [f"{error['filename']}:\n{error['stack_trace']}" for error in errors]

    def unpause(self, dag_id: str) -> None:
        """Lets the DAG run."""
        self._ask("PATCH", f"dags/{dag_id}", {"is_paused": False})

    def pause(self, dag_id: str) -> None:
        """Holds back what is not running yet."""
        self._ask("PATCH", f"dags/{dag_id}", {"is_paused": True})

    def add_pool(self, name: str, slots: int) -> None:
        """Makes a pool that counts waiting tasks as well as running ones."""
        self._ask("POST", "pools", {"name": name, "slots": slots, "include_deferred": True})

    def trigger(self, dag_id: str, conf: Mapping[str, object] | None = None) -> DagRun:
        """Starts a run of the DAG, with `conf` for its params."""
        run = self._ask("POST", f"dags/{dag_id}/dagRuns", {"logical_date": None, "conf": dict(conf or {})})
        return DagRun(dag_id, run["dag_run_id"])

    def state(self, run: DagRun) -> str:
        """The state of the DAG run: queued, running, success or failed."""
        return str(self._ask("GET", run.path)["state"])

    def wait(self, run: DagRun, timeout: float = 120) -> str:
        """Waits until the DAG run has finished; returns its state."""
        _wait_until(lambda: self.state(run) in FINISHED, timeout, lambda: self._unfinished(run))
        return self.state(run)

    def tasks(self, run: DagRun) -> list[TaskInstance]:
        """Every task instance of the DAG run, mapped ones included."""
        rows = self._ask("GET", f"{run.path}/taskInstances")["task_instances"]
        names = [field.name for field in fields(TaskInstance)]
        return [TaskInstance(**{name: row[name] for name in names}) for row in rows]

    def task(self, run: DagRun, label: str) -> TaskInstance:
        """One task instance, by its label."""
        return next(task for task in self.tasks(run) if task.label == label)

    def wait_for_task(
        self, run: DagRun, label: str, states: Collection[str], timeout: float = 60
    ) -> TaskInstance:
        """Waits until the task instance is in one of `states`."""
        _wait_until(lambda: self.task(run, label).state in states, timeout, lambda: self._unfinished(run))
        return self.task(run, label)

    def set_state(self, run: DagRun, state: str) -> None:
        """Marks the DAG run as success or failed, which stops what still runs."""
        self._ask("PATCH", run.path, {"state": state})

    def set_task_state(self, run: DagRun, task_id: str, state: str) -> None:
        """Marks the task as success or failed, which stops it."""
        self._ask("PATCH", f"{run.path}/taskInstances/{task_id}", {"new_state": state})

    def clear_task(self, run: DagRun, task_id: str) -> None:
        """Makes the task run again."""
        wanted = {"dry_run": False, "dag_run_id": run.id, "task_ids": [task_id], "only_failed": False}
        self._ask("POST", f"dags/{run.dag_id}/clearTaskInstances", wanted)

    def returned(self, run: DagRun, task_id: str, map_index: int = -1) -> Any:
        """What the task instance has returned."""
        return self._xcom(run, task_id, "return_value", map_index)

    def xcoms(self, run: DagRun, task_id: str, map_index: int = -1) -> dict[str, Any]:
        """Everything that the task instance has left in XCom, by key."""
        path = f"{run.path}/taskInstances/{task_id}/xcomEntries?map_index={map_index}"
        keys = [entry["key"] for entry in self._ask("GET", path)["xcom_entries"]]
        return {key: self._xcom(run, task_id, key, map_index) for key in keys}

    def links(self, run: DagRun, task_id: str, map_index: int = -1) -> dict[str, str | None]:
        """The extra links of the task instance: address by name."""
        path = f"{run.path}/taskInstances/{task_id}/links?map_index={map_index}"
        links: dict[str, str | None] = self._ask("GET", path)["extra_links"]
        return links

    def log(self, run: DagRun, task: TaskInstance) -> str:
        """The log of the latest try of the task instance."""
        path = f"{run.path}/taskInstances/{task.task_id}/logs/{max(task.try_number, 1)}"
        events = self._ask("GET", f"{path}?map_index={task.map_index}&full_content=true")["content"]
        return "\n".join(_log_line(event) for event in events if not event["event"].startswith("::"))

    def trouble(self, run: DagRun, lines: int = 30) -> str:
        """The end of the log of every task that has failed or not come to its end."""
        tasks = [task for task in self.tasks(run) if task.state not in UNTROUBLED]
        return "\n".join(
            f"--- {run.dag_id} {task.name}: {task.state} ---\n{_last(lines, self.log(run, task))}"
            for task in tasks
        )

    def _xcom(self, run: DagRun, task_id: str, key: str, map_index: int) -> Any:
        path = f"{run.path}/taskInstances/{task_id}/xcomEntries/{key}?map_index={map_index}"
        return self._ask("GET", path)["value"]

    def _unfinished(self, run: DagRun) -> str:
        return f"{run.dag_id} is {self.state(run)}: {[(task.label, task.state) for task in self.tasks(run)]}"

    def _health(self) -> dict[str, Any] | None:
        try:
            health: dict[str, Any] = self._http.get(f"{self.url}/api/v2/monitor/health", timeout=10).json()
        except (requests.RequestException, ValueError):
            return None
        return health

    def _ask(self, method: str, path: str, body: object = None) -> Any:
        if "Authorization" not in self._http.headers:
            token = self._http.get(f"{self.url}/auth/token", timeout=60).json()["access_token"]
            self._http.headers["Authorization"] = f"Bearer {token}"
        answer = self._http.request(method, f"{self.url}/api/v2/{path}", json=body, timeout=60)
        if not answer.ok:
            raise RuntimeError(f"{method} {path}: {answer.status_code} {answer.text}")
        return answer.json() if answer.content else None


def _wait_until(reached: Callable[[], bool], timeout: float, describe: Callable[[], str]) -> None:
    deadline = time.monotonic() + timeout
    while not reached():
        if time.monotonic() > deadline:
            raise TimeoutError(f"After {timeout:.0f} s {describe()}")
        time.sleep(0.2)


def _last(lines: int, text: str) -> str:
    return "\n".join(text.splitlines()[-lines:])


def _log_line(event: dict[str, Any]) -> str:
    causes = [f"{cause['exc_type']}: {cause['exc_value']}" for cause in event.get("error_detail") or []]
    return " ".join(filter(None, [event.get("level", ""), event["event"], *causes]))
