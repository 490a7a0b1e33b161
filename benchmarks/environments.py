"""Where the measured programs run: environments of what we compare with, and processes.

The environments are made when they are first needed, byte-compiled, and kept in `.bench/`. One that the
conformance test has made already is used as well, or the one that ARCGIS_PYTHON names.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

ARCGIS = "arcgis==2.4.4"
DBT_CLOUD = "apache-airflow-providers-dbt-cloud==4.11.1"

ROOT = Path(__file__).parents[1]
_CACHE = ROOT / ".bench"
_PROGRAMS = Path(__file__).parent / "programs"
_INSTALL_SECONDS = 900.0


def arcgis_python() -> Path:
    """An interpreter with the official client."""
    if named := os.environ.get("ARCGIS_PYTHON"):
        return Path(named)
    shared = ROOT / ".conformance-venv"
    return _prepared(shared if _holds(shared, ARCGIS) else _cache() / "arcgis", ARCGIS)


def dbt_cloud_python() -> Path:
    """An interpreter with the dbt Cloud provider, and the same Airflow as ours."""
    return _prepared(_cache() / "dbt-cloud", DBT_CLOUD, "--constraint", str(ROOT / "constraints.txt"))


@dataclass(frozen=True)
class Program:
    """One of `programs/`, while it runs."""

    process: subprocess.Popen[str]
    complaints: IO[str]

    def wait_until_ready(self) -> None:
        """Wait for its first line."""
        assert self.process.stdout is not None
        self.process.stdout.readline()

    def finish(self, given: object = None, *, timeout: float) -> Any:
        """Hand it `given` as JSON; return what it prints last, read as JSON.

        Raises `RuntimeError` with its complaints if it fails, and `TimeoutExpired`.
        """
        output, _ = self.process.communicate(json.dumps(given), timeout)
        if self.process.returncode:
            self.complaints.seek(0)
            raise RuntimeError(f"{self.process.args!r} failed:\n{self.complaints.read()[-4000:]}")
        return json.loads(output.splitlines()[-1])


@contextmanager
def running(
    name: str,
    *arguments: str,
    python: Path | None = None,
    variables: Mapping[str, str] | None = None,
) -> Iterator[Program]:
    """Run one of `programs/` while the block lasts; `python`: our own interpreter by default."""
    with tempfile.TemporaryFile("w+", encoding="utf-8") as complaints:
        process = subprocess.Popen(
            [str(python or sys.executable), str(_PROGRAMS / f"{name}.py"), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=complaints,
            text=True,
            env={**_variables(), "PYTHONPATH": str(ROOT), **(variables or {})},
        )
        try:
            yield Program(process, complaints)
        finally:
            process.kill()
            process.wait()


def run_program(
    name: str,
    *arguments: str,
    python: Path | None = None,
    variables: Mapping[str, str] | None = None,
    timeout: float = 120.0,
) -> Any:
    """Run one of `programs/` to its end and return what it printed last, read as JSON."""
    with running(name, *arguments, python=python, variables=variables) as program:
        return program.finish(timeout=timeout)


def _cache() -> Path:
    _CACHE.mkdir(exist_ok=True)
    (_CACHE / ".gitignore").write_text("*\n", encoding="utf-8")
    return _CACHE


def _variables() -> dict[str, str]:
    """Ours, with byte code written, and an Airflow home that is nobody else's."""
    variables = {**os.environ, "AIRFLOW_HOME": str(_cache() / "airflow"), "UV_SYSTEM_CERTS": "1"}
    variables.pop("PYTHONDONTWRITEBYTECODE", None)
    return variables


def _holds(folder: Path, requirement: str) -> bool:
    note = folder / "requirement"
    return note.exists() and note.read_text(encoding="utf-8").strip() == requirement


def _prepared(folder: Path, requirement: str, *options: str) -> Path:
    python = folder / "bin" / "python"
    if not _holds(folder, requirement):
        print(f"Installing {requirement} into {folder}, which takes a minute or two.", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        _install(folder, python, requirement, *options)
        (folder / "requirement").write_text(f"{requirement}\n", encoding="utf-8")
    return python


def _install(folder: Path, python: Path, *requirements: str) -> None:
    beside_us = str(Path(sys.executable).parent)
    uv = shutil.which("uv", path=os.pathsep.join([beside_us, os.environ.get("PATH", "")]))
    if uv:
        _call(uv, "venv", "--quiet", "--python", sys.executable, str(folder))
        _call(uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", str(python), *requirements)
    else:
        _call(sys.executable, "-m", "venv", str(folder))
        _call(str(python), "-m", "pip", "install", "--quiet", "--compile", *requirements)


def _call(*command: str) -> None:
    subprocess.run(command, check=True, env=_variables(), timeout=_INSTALL_SECONDS)
