"""A real Airflow in a folder of its own: api-server, scheduler, dag-processor and triggerer as processes.

It keeps away from an Airflow that the user may have: a private `AIRFLOW_HOME`, a free port on the loopback
interface, and none of the caller's `AIRFLOW...` environment.
"""

from __future__ import annotations

import configparser
import contextlib
import os
import secrets
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self

from scripts.airflow_api import AirflowApi, DagRun

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping


@dataclass(frozen=True)
class Component:
    """One process of Airflow: its command, and what its log says when most of its start is done."""

    command: list[str]
    started: str | None = None


COMPONENTS = {
    "api-server": Component(["api-server", "--workers", "1"]),
    "dag-processor": Component(["dag-processor"], started="Bulk-writing dags to db"),
    "scheduler": Component(["scheduler", "--skip-serve-logs"], started="Starting the scheduler"),
    "triggerer": Component(["triggerer", "--skip-serve-logs"]),
}
LAUNCHER = "import gc, sys; gc.set_threshold(100_000); from airflow.__main__ import main; sys.exit(main())"
TEMPLATE = Path(sys.prefix) / f"airflow-{version('apache-airflow-core')}.db"

Settings = dict[str, dict[str, object]]


class AirflowStack:
    """The four processes on one folder of DAGs: `with AirflowStack(...) as stack: stack.run("my_dag")`.

    Args:
        folder: Where everything goes: configuration, database, logs. Made if it is missing.
        dags_folder: The DAG files to run.
        environment: Variables for the processes, `AIRFLOW_CONN_...` above all.
        settings: Airflow settings by section that differ from those chosen here.
        busy: Whether many tasks run while the REST API is used. Workers then get an api-server of their own:
            a single one blocks itself on SQLite when it logs a user's action while a worker's request writes.
    """

    def __init__(
        self,
        folder: Path,
        dags_folder: Path,
        environment: Mapping[str, str] | None = None,
        settings: Settings | None = None,
        *,
        busy: bool = False,
    ) -> None:
        self.folder = folder
        self.port = _free_port()
        self.api = self._workers_api = AirflowApi(f"http://127.0.0.1:{self.port}")
        self._components = COMPONENTS
        self._database_url = f"sqlite:///{folder}/airflow.db"
        if busy:
            self._database_url += "?timeout=30"
            workers_port = _free_port()
            self._workers_api = AirflowApi(f"http://127.0.0.1:{workers_port}")
            self._components = _with_api_servers_apart(workers_port)
        self._settings = self._configuration(dags_folder, settings or {})
        self._environment = _clean_environment() | {"AIRFLOW_HOME": str(folder)} | dict(environment or {})
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        self.start()
        try:
            self.wait_until_healthy()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, names: Iterable[str] | None = None) -> None:
        """Starts the named components, all by default; `triggerer#2` is one more triggerer.

        Each takes seconds of one core to start, the api-server most: it goes first and the others follow one
        after the other, so that on a small machine it does not share its core with all three.
        """
        self._prepare()
        for name in names or self._components:
            component = self._components[name.partition("#")[0]]
            with self.log_file(name).open("ab") as log:
                self._processes[name] = self._launch(component.command, log)
            if component.started:
                self._wait_for_log(name, component.started)

    def wait_until_up(self, timeout: float = 120) -> None:
        """Waits until the REST API answers; the other components may still be starting."""
        self._wait_until(self.api.answers, timeout, "up")

    def wait_until_healthy(self, timeout: float = 120) -> None:
        """Waits until every component works."""
        self._wait_until(self.api.healthy, timeout, "healthy")
        self._wait_until(self._workers_api.warm_up, timeout, "ready for workers")

    def wait_for_dag(self, dag_id: str, timeout: float = 60) -> None:
        """Waits until the DAG has been read; raises `RuntimeError` when its file can't be imported."""
        deadline = time.monotonic() + timeout
        while not self.api.has_dag(dag_id):
            self.check()
            if errors := self.api.import_errors():
                raise RuntimeError("\n".join(errors))
            if time.monotonic() > deadline:
                raise TimeoutError(f"Airflow has not found {dag_id}.\n{self.log_tails()}")
            time.sleep(0.2)

    def run(self, dag_id: str, conf: Mapping[str, object] | None = None) -> DagRun:
        """Starts a run of the DAG as soon as the DAG is known, and does not wait for its end."""
        self.wait_for_dag(dag_id)
        self.api.unpause(dag_id)
        return self.api.trigger(dag_id, conf)

    def check(self) -> None:
        """Raises `RuntimeError` when a component has ended by itself."""
        for name, process in list(self._processes.items()):
            if process.poll() is not None:
                raise RuntimeError(f"airflow {name} ended with {process.returncode}.\n{self.log_tail(name)}")

    def stop(self, names: Iterable[str] | None = None, patience: float = 5) -> None:
        """Stops the named components, all by default: in order, and after `patience` seconds by force."""
        stopping = [self._processes.pop(name) for name in list(self._processes) if not names or name in names]
        for process in stopping:
            _signal_group(process, signal.SIGTERM)
        deadline = time.monotonic() + patience
        for process in stopping:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))
            _signal_group(process, signal.SIGKILL)
            process.wait()

    def freeze(self, name: str) -> None:
        """Makes the component stand still, as on a suspended machine, but not while it locks the database."""
        _signal_group(self._processes[name], signal.SIGSTOP)
        while self._is_locked():
            _signal_group(self._processes[name], signal.SIGCONT)
            time.sleep(0.1)
            _signal_group(self._processes[name], signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        """Lets a frozen component go on."""
        _signal_group(self._processes[name], signal.SIGCONT)

    def kill(self, name: str) -> None:
        """Kills the component and all its processes, as if its machine were gone."""
        process = self._processes.pop(name)
        _signal_group(process, signal.SIGKILL)
        process.wait()

    def query(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Reads from the metadata database, which costs the api-server nothing."""
        with self._database() as database:
            return database.execute(statement, values).fetchall()

    def log_file(self, name: str) -> Path:
        """Where the component writes what it has to say."""
        return self.folder / f"{name}.log"

    def log_tail(self, name: str, lines: int = 15) -> str:
        """The end of the component's log."""
        text = self.log_file(name).read_text(errors="replace") if self.log_file(name).exists() else ""
        return f"--- {name} ---\n" + "\n".join(text.splitlines()[-lines:])

    def log_tails(self) -> str:
        """The end of every component's log."""
        return "\n".join(self.log_tail(name) for name in self._components)

    @contextlib.contextmanager
    def _database(self, mode: str = "ro", timeout: float = 30) -> Iterator[sqlite3.Connection]:
        address = f"file:{self.folder / 'airflow.db'}?mode={mode}"
        with contextlib.closing(sqlite3.connect(address, timeout, uri=True)) as database:
            yield database

    def _is_locked(self) -> bool:
        """Whether somebody is in the middle of writing to the metadata database, for longer than it takes."""
        try:
            with self._database("rw", timeout=1) as database:
                database.execute("begin immediate")
        except sqlite3.OperationalError:
            return True
        return False

    def _wait_until(self, reached: Callable[[], bool], timeout: float, state: str) -> None:
        deadline = time.monotonic() + timeout
        while not reached():
            self.check()
            if time.monotonic() > deadline:
                raise TimeoutError(f"Airflow is not {state} after {timeout:.0f} s.\n{self.log_tails()}")
            time.sleep(0.2)

    def _wait_for_log(self, name: str, text: str, timeout: float = 10) -> None:
        deadline = time.monotonic() + timeout
        while text not in self.log_file(name).read_text(errors="replace") and time.monotonic() < deadline:
            self.check()
            time.sleep(0.1)

    def _prepare(self) -> None:
        if (self.folder / "airflow.cfg").exists():
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        _write_settings(self.folder / "airflow.cfg", self._settings)
        provide_database(self.folder / "airflow.db")

    def _launch(self, command: list[str], log: IO[bytes]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-c", LAUNCHER, *command],
            env=self._environment,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def _configuration(self, dags_folder: Path, changes: Settings) -> Settings:
        url = self.api.url
        return _merged(
            {
                "core": {
                    "dags_folder": dags_folder.resolve(),
                    "plugins_folder": self.folder / "plugins",
                    "load_examples": False,
                    "fernet_key": "",
                    "parallelism": 6,
                    "execution_api_server_url": f"{self._workers_api.url}/execution/",
                    "simple_auth_manager_all_admins": True,
                },
                "api": {
                    "host": "127.0.0.1",
                    "port": self.port,
                    "base_url": url,
                    "secret_key": secrets.token_hex(32),
                },
                "api_auth": {"jwt_secret": secrets.token_hex(64)},
                "database": {"sql_alchemy_conn": self._database_url},
                "logging": {"base_log_folder": self.folder / "logs"},
                "scheduler": {"scheduler_idle_sleep_time": 0.3, "trigger_timeout_check_interval": 2},
                "dag_processor": {"refresh_interval": 5, "parsing_processes": 1},
                "workers": {"execution_api_timeout": 60, "min_heartbeat_interval": 1},
            },
            changes,
        )


def _with_api_servers_apart(workers_port: int) -> dict[str, Component]:
    server = COMPONENTS["api-server"].command
    return {
        "api-server": Component([*server, "--apps", "core"]),
        "workers-api": Component([*server, "--apps", "execution", "--port", str(workers_port)]),
    } | {name: component for name, component in COMPONENTS.items() if name != "api-server"}


def provide_database(target: Path) -> None:
    """Puts a migrated, empty metadata database at `target`; makes it once for the virtual environment."""
    if not TEMPLATE.exists():
        with tempfile.TemporaryDirectory() as home:
            _migrate(Path(home))
            _copy_database(Path(home, "airflow.db"), TEMPLATE)
    _copy_database(TEMPLATE, target)


def _migrate(home: Path) -> None:
    migration = subprocess.run(
        [sys.executable, "-c", LAUNCHER, "db", "migrate"],
        env=_clean_environment() | {"AIRFLOW_HOME": str(home), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    if migration.returncode:
        raise RuntimeError(f"airflow db migrate failed.\n{migration.stdout.decode(errors='replace')}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _clean_environment() -> dict[str, str]:
    unwanted = ("AIRFLOW", "_AIRFLOW", "PYTHONDONTWRITEBYTECODE")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(unwanted)}
    direct = ",".join(filter(None, [kept.get("NO_PROXY") or kept.get("no_proxy"), "127.0.0.1,localhost"]))
    return kept | {"NO_PROXY": direct, "no_proxy": direct}


def _merged(settings: Settings, changes: Settings) -> Settings:
    sections = settings | changes
    return {name: {**settings.get(name, {}), **changes.get(name, {})} for name in sections}


def _write_settings(path: Path, settings: Settings) -> None:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_dict(settings)
    with path.open("w") as file:
        parser.write(file)


def _copy_database(source: Path, target: Path) -> None:
    partial = target.with_suffix(".part")
    partial.unlink(missing_ok=True)
    with sqlite3.connect(source) as old, sqlite3.connect(partial) as new:
        old.backup(new)
    partial.replace(target)


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)
