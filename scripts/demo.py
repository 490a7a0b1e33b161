"""`make demo`: portal tasks from a DAG and back, in a real Airflow, against the sandbox."""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from rich.text import Text

from airflow_provider_arcgis_tasks.sandbox import Sandbox
from scripts.airflow_api import FINISHED, AirflowApi, DagRun
from scripts.airflow_stack import AirflowStack

if TYPE_CHECKING:
    from collections.abc import Mapping

EXAMPLES = Path(__file__).parent.parent / "example_dags"
PORTAL_TASKS_AND_REPORTS = {
    "example_arcgis_notebook": ("run_notebook", "report"),
    "example_arcgis_regions": ("run_region", "summarize"),
}
PORTAL_SECONDS_PER_SECOND = 60
NOTEBOOK_PORTAL_SECONDS = 120
PATIENCE_SECONDS = 120
COLOURS = {"running": "", "deferred": "cyan", "success": "green", "failed": "red"}


def main() -> int:
    """Runs the demo; returns 0 if everything in it succeeded."""
    options = _arguments()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    story = Story(began=options.since)
    folder = Path(tempfile.mkdtemp(prefix="arcgis-demo-"))
    if _succeeds(story, folder):
        return 0
    story.console.print(f"It did not work. All logs are in {folder}", style="bold red")
    return 1


def _succeeds(story: Story, folder: Path) -> bool:
    failed = False
    with _sandbox() as portal:
        stack = AirflowStack(folder, EXAMPLES, {"AIRFLOW_CONN_ARCGIS_DEFAULT": portal.connection_uri})
        try:
            failed = not _play(story, stack, portal)
        except (RuntimeError, TimeoutError) as problem:
            story.console.print(str(problem), markup=False)
            failed = True
        finally:
            stack.stop(patience=1)
            if not failed:
                shutil.rmtree(folder, ignore_errors=True)
    return not failed


def _play(story: Story, stack: AirflowStack, portal: Sandbox) -> bool:
    story.tell(f"A portal of its own, at {portal.url}: a minute there takes a second")
    story.tell("Airflow starts: api-server, dag-processor, scheduler, triggerer")
    with story.console.status("Airflow starts"):
        stack.start()
        stack.wait_until_up()
        stack.api.add_pool("arcgis", slots=4)
        runs = [stack.run(dag_id) for dag_id in PORTAL_TASKS_AND_REPORTS]
        story.tell(f"Airflow runs {' and '.join(run.dag_id for run in runs)}")
        stack.api.warm_up()
    story.phase("starting Airflow")
    with story.console.status("The DAGs run"):
        succeeded = _follow(story, stack, portal, runs)
    story.phase("running the DAGs")
    if not succeeded:
        story.console.print(*filter(None, map(stack.api.trouble, runs)), sep="\n", markup=False)
    for run in runs:
        story.console.print(_table(stack.api, portal, run))
    story.console.print(
        "took: seconds of the portal's clock. What next: README.md, 'No portal at hand?'", style="dim"
    )
    story.console.print(story.times())
    return succeeded


def _follow(story: Story, stack: AirflowStack, portal: Sandbox, runs: list[DagRun]) -> bool:
    """Tells each change of state until all runs have ended; returns whether they did so well and in time."""
    told: dict[tuple[DagRun, str], str | None] = {}
    portal_told: dict[str, str] = {}
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        stack.check()
        _tell_portal_runs(story, portal, portal_told)
        for run in runs:
            for task in stack.api.tasks(run):
                if task.state in COLOURS and told.get((run, task.label)) != task.state:
                    told[run, task.label] = task.state
                    story.tell(f"{run.dag_id}  {task.name}  {task.state}", COLOURS[task.state])
        states = {stack.api.state(run) for run in runs}
        if states <= FINISHED:
            return states == {"success"}
        time.sleep(0.3)
    story.tell(f"Not ended after {PATIENCE_SECONDS} s")
    return False


def _tell_portal_runs(story: Story, portal: Sandbox, told: dict[str, str]) -> None:
    """Tells what the portal does meanwhile."""
    for fired in list(portal.portal.fired):
        state = "executing" if portal.portal.clock.now() < fired.end else fired.outcome
        if told.get(fired.run_id) != state:
            told[fired.run_id] = state
            title = str(fired.title).partition(" [")[0]
            story.tell(f"portal run {fired.run_id[:6]} of {title}  {state}", "magenta")


def _table(api: AirflowApi, portal: Sandbox, run: DagRun) -> Table:
    columns = ("task", "portal task", "portal run", "status", "took", "result")
    table = Table(*columns, box=SIMPLE, title=Text(run.dag_id, "bold"), title_justify="left")
    took = {fired.run_id: f"{fired.end - fired.start:.0f} s" for fired in portal.portal.fired}
    portal_task_id, report_id = PORTAL_TASKS_AND_REPORTS[run.dag_id]
    for task in api.tasks(run):
        if task.task_id == portal_task_id:
            ran = _returned(api, run, task.task_id, task.map_index) or {"status": task.state}
            portal_run_id = ran.get("portal_run_id", "")
            table.add_row(
                Text(task.name),
                ran.get("portal_task_id", "")[:6],
                portal_run_id[:6],
                ran["status"],
                took.get(portal_run_id),
                Text(ran.get("result") or ""),
            )
    table.add_row(report_id, "", "", "", "", Text(str(_returned(api, run, report_id))))
    return table


def _returned(api: AirflowApi, run: DagRun, task_id: str, map_index: int = -1) -> Any:
    return api.xcoms(run, task_id, map_index).get("return_value")


def _console() -> Console:
    return Console(highlight=False, width=None if sys.stdout.isatty() else 120)


@dataclass
class Story:
    """Tells on the terminal what happens, and how long it takes since `began` (epoch seconds)."""

    began: float
    console: Console = field(default_factory=_console)
    _phases: list[tuple[str, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.phase("setting up")

    def tell(self, text: str, colour: str = "") -> None:
        """Says something, with the seconds since the beginning."""
        self.console.print(Text(f"{time.time() - self.began:6.1f}  ", "dim").append(text, colour))

    def phase(self, name: str) -> None:
        """Ends a part of the work under that name."""
        self._phases.append((name, time.time()))

    def times(self) -> str:
        """How the time was spent."""
        before, parts = self.began, []
        for name, ended in self._phases:
            parts.append(f"{ended - before:.0f} s {name}")
            before = ended
        return f"{before - self.began:.0f} s: {', '.join(parts)}."


def _sandbox() -> Sandbox:
    sandbox = Sandbox(speed=PORTAL_SECONDS_PER_SECOND)
    notebook = sandbox.add_item("ExecuteNotebook", "Sample notebook")
    sandbox.plan(notebook, duration=NOTEBOOK_PORTAL_SECONDS, result=_count_parcels)
    return sandbox


def _count_parcels(inputs: Mapping[str, Any]) -> dict[str, Any]:
    region = str(inputs["region"])
    return {"region": region, "parcels": 1000 + sum(map(ord, region))}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--since", type=float, default=time.time(), help="when it all began, epoch seconds")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
