"""Waits for many runs in one event loop, as a triggerer does; `ours` or `polling`.

Prints a line when it is ready. Reads from its input the runs to wait for, `poll_interval` and `patience`
(seconds). Prints what it cost, and when each event came. The triggers are started as the triggerer of
Airflow starts them, which lets others have a turn between two of them.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any, Self

import aiohttp  # noqa: F401  # loaded for both before anything is measured
import psutil
from airflow.triggers.base import BaseTrigger

from airflow_provider_arcgis_tasks.triggers import ArcGISTaskRunTrigger
from benchmarks.programs.polling_trigger import PollingTrigger
from benchmarks.programs.stopwatch import CALIBRATION_SECONDS

_CONN_ID = "arcgis_default"
_BEAT_SECONDS = 0.01
_STALL_SECONDS = 0.05
_SAMPLE_SECONDS = 0.5
_TRIGGERS: dict[str, Callable[..., BaseTrigger]] = {"ours": ArcGISTaskRunTrigger, "polling": PollingTrigger}


class Heartbeat:
    """Sleeps for 10 ms, again and again. What it oversleeps, somebody has held up the event loop.

    Attributes:
        beats: how many there were.
        stalls: how many of them were late by more than 50 ms.
        longest: the worst delay, in seconds.
        longest_at_work: the most that this thread was at work in one delay; in the rest of it, other
            threads or processes had the processor.
        longest_at_work_but_gc: the same, without the garbage collector.
    """

    def __init__(self) -> None:
        self.beats = self.stalls = 0
        self.longest = self.longest_at_work = self.longest_at_work_but_gc = 0.0

    async def beat(self) -> None:
        with Collector() as collector:
            while True:
                began, worked, collected = time.perf_counter(), time.thread_time(), collector.seconds
                await asyncio.sleep(_BEAT_SECONDS)
                self._note(
                    late=time.perf_counter() - began - _BEAT_SECONDS,
                    worked=time.thread_time() - worked,
                    collected=collector.seconds - collected,
                )

    def _note(self, late: float, worked: float, collected: float) -> None:
        at_work = min(late, worked)
        self.beats += 1
        self.stalls += late > _STALL_SECONDS
        self.longest = max(self.longest, late)
        self.longest_at_work = max(self.longest_at_work, at_work)
        self.longest_at_work_but_gc = max(self.longest_at_work_but_gc, at_work - collected)


class Collector:
    """Adds up the seconds that the garbage collector takes, while a `with` block lasts."""

    def __init__(self) -> None:
        self.seconds = self._began = 0.0

    def __enter__(self) -> Self:
        gc.callbacks.append(self._note)
        return self

    def __exit__(self, *_: object) -> None:
        gc.callbacks.remove(self._note)

    def _note(self, phase: str, _: object) -> None:
        if phase == "start":
            self._began = time.thread_time()
        else:
            self.seconds += time.thread_time() - self._began


class Memory:
    """Looks at this process's memory twice a second, and remembers the most."""

    def __init__(self) -> None:
        gc.collect()
        self._process = psutil.Process()
        self._before = self.most = self._now()

    def _now(self) -> int:
        resident: int = self._process.memory_info().rss
        return resident

    @property
    def grown(self) -> int:
        """By how many bytes the process has grown at most."""
        return self.most - self._before

    async def watch(self) -> None:
        while True:
            self.most = max(self.most, self._now())
            await asyncio.sleep(_SAMPLE_SECONDS)


@asynccontextmanager
async def beside(*watchers: Any) -> Any:
    """Let watchers go on while the block lasts."""
    tasks = [asyncio.create_task(watcher) for watcher in watchers]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()


async def cost_of_a_beat() -> float:
    """CPU seconds that a heartbeat takes of itself."""
    heartbeat = Heartbeat()
    began = time.process_time()
    async with beside(heartbeat.beat()):
        await asyncio.sleep(CALIBRATION_SECONDS)
    return (time.process_time() - began) / heartbeat.beats


async def first_event(trigger: BaseTrigger) -> tuple[float, Any]:
    """Wait for a trigger's event; return when it came, and what it says."""
    async for event in trigger.run():
        return time.time(), event.payload
    return time.time(), {"status": "no event"}


async def wait_for_all(triggers: Iterable[BaseTrigger], patience: float) -> list[tuple[float, Any]]:
    """Run all triggers to their events; give up after `patience` seconds."""
    waits = []
    for trigger in triggers:
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        waits.append(asyncio.create_task(first_event(trigger)))
    done, late = await asyncio.wait(waits, timeout=patience)
    for wait in late:
        wait.cancel()
    return [wait.result() for wait in done]


async def measure(triggers: list[BaseTrigger], patience: float) -> dict[str, Any]:
    """Wait, and take the figures."""
    beat_seconds = await cost_of_a_beat()
    heartbeat, memory = Heartbeat(), Memory()
    began, worked = time.time(), time.process_time()
    async with beside(heartbeat.beat(), memory.watch()):
        events = await wait_for_all(triggers, patience)
    return {
        "cpu": time.process_time() - worked - heartbeat.beats * beat_seconds,
        "wall": time.time() - began,
        "stalls": heartbeat.stalls,
        "stall": heartbeat.longest,
        "stall at work": heartbeat.longest_at_work,
        "stall at work but gc": heartbeat.longest_at_work_but_gc,
        "memory": memory.grown,
        "events": [{"time": moment, **payload} for moment, payload in events],
    }


def main(kind: str) -> None:
    """Be ready, wait as told, print the figures."""
    asyncio.run(asyncio.sleep(0))
    print("ready", flush=True)
    given = json.load(sys.stdin)
    make = _TRIGGERS[kind]
    triggers = [
        make(
            arcgis_conn_id=_CONN_ID,
            portal_task_id=portal_task_id,
            portal_run_id=portal_run_id,
            poll_interval=given["poll_interval"],
        )
        for portal_task_id, portal_run_id in given["runs"]
    ]
    print(json.dumps(asyncio.run(measure(triggers, given["patience"]))))


if __name__ == "__main__":
    main(sys.argv[1])
