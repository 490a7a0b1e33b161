"""Portal tasks and their runs: what fires when, and what becomes of it. Times are epoch seconds."""

from __future__ import annotations

import json
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import tzinfo
from functools import partial
from heapq import heappop, heappush
from typing import Any

from airflow_provider_arcgis_tasks.sandbox.quartz import read_zone
from airflow_provider_arcgis_tasks.sandbox.records import OVER, UNEXECUTED, Fired, Plan, Run, Task
from airflow_provider_arcgis_tasks.sandbox.rules import CompletesWhen, MissedFires, Overlap, Rules


@dataclass(slots=True)
class _Queued:
    plan: Plan
    times: int | None
    used: bool = False


class Scheduler:
    """Plays the portal's time forward, event by event.

    Args:
        rules: the portal's behaviour.
        new_id: makes the ids of runs.
    """

    def __init__(self, rules: Rules, new_id: Callable[[], str]) -> None:
        self.tasks: dict[str, Task] = {}
        self.fired: list[Fired] = []
        self.default_plan = Plan()
        self.zone: tzinfo = read_zone(rules.cron_zone)
        self._rules = rules
        self._new_id = new_id
        self._plans: dict[str, deque[_Queued]] = defaultdict(deque)
        self._down: list[tuple[float, float]] = []
        self._events: list[tuple[float, int, Callable[[float], None]]] = []
        self._sequence = 0

    def advance_to(self, now: float) -> None:
        """Let everything happen that is due until `now`."""
        while self._events and self._events[0][0] <= now:
            moment, _, happen = heappop(self._events)
            happen(moment)

    def plan(self, key: str, plan: Plan, times: int | None) -> None:
        """Queue what the next `times` runs do; None: one run if more is queued, else all that follow.

        Args:
            key: an item id, or a task type for items without a plan of their own.
            plan: what a run does.
            times: how many runs.
        """
        queue = self._plans[key]
        if queue and queue[-1].used and queue[-1].times is None:
            queue.pop()
        queue.append(_Queued(plan, times))

    def down(self, begin: float, end: float) -> None:
        """Take the portal out of service between two times."""
        self._down.append((begin, end))

    def is_down(self, moment: float) -> bool:
        """Whether the portal is out of service."""
        return any(begin <= moment < end for begin, end in self._down)

    def active_tasks(self, owner: str) -> int:
        """Count the active portal tasks of one user."""
        return sum(task.active and task.owner == owner for task in self.tasks.values())

    def add(self, task: Task, now: float) -> None:
        """Store a new portal task."""
        self.tasks[task.id] = task
        self.arm(task, now)

    def delete(self, task: Task) -> None:
        """Forget a portal task and its runs; what executes goes on."""
        del self.tasks[task.id]
        task.deleted = True
        task.generation += 1

    def activate(self, task: Task, now: float) -> None:
        """Put a portal task back into service."""
        if not task.active and self._rules.enabling_resets_occurrences:
            task.occurrences = 0
        task.active, task.state, task.failures_in_row = True, "active", 0
        self.arm(task, now)

    def deactivate(self, task: Task, state: str) -> None:
        """Take a portal task out of service."""
        task.active, task.state, task.next_start = False, state, None
        task.generation += 1

    def arm(self, task: Task, now: float) -> None:
        """Find out when a portal task fires next, and see to it that it does."""
        task.generation += 1
        task.next_start = None
        if not task.active:
            return
        if task.exhausted:
            return self._complete(task, now)
        task.next_start = self.first_fire(task, now)
        if task.next_start is not None:
            self._at(task.next_start, partial(self._fire, task, task.generation, task.next_start))
        elif task.definition.ends_at is not None:
            self._at(max(task.definition.ends_at / 1000, now), partial(self._expire, task, task.generation))
        return None

    def first_fire(self, task: Task, after: float) -> float | None:
        """Return the first fire time later than `after` and inside the window."""
        definition = task.definition
        if definition.starts_at is not None:
            after = max(after, definition.starts_at / 1000 - 0.001)
        fire = definition.schedule.next_fire(after, self.zone)
        too_late = fire is not None and definition.ends_at is not None and fire * 1000 > definition.ends_at
        return None if too_late else fire

    def _at(self, moment: float, happen: Callable[[float], None]) -> None:
        self._sequence += 1
        heappush(self._events, (moment, self._sequence, happen))

    def _expire(self, task: Task, generation: int, now: float) -> None:
        if task.generation == generation and task.active:
            self.deactivate(task, "completed")

    def _fire(self, task: Task, generation: int, nominal: float, now: float) -> None:
        if task.generation != generation:
            return
        if self.is_down(now):
            return self._miss(task, nominal, now)
        task.last_start = nominal
        task.updated = now
        self._start_run(task, nominal, now)
        self.arm(task, now)
        return None

    def _miss(self, task: Task, nominal: float, now: float) -> None:
        if self._rules.missed_fires == MissedFires.SKIP:
            return self.arm(task, now)
        up_again = max(end for begin, end in self._down if begin <= now < end)
        self._at(up_again, partial(self._fire, task, task.generation, nominal))
        return None

    def _start_run(self, task: Task, nominal: float, now: float) -> None:
        busy = task.under_way and self._rules.overlap == Overlap.SKIP
        plan = Plan("skipped", 0.0) if busy else self._next_plan(task)
        if plan.outcome in self._rules.counts_towards_occurrences or plan.outcome not in OVER:
            task.occurrences += 1
        task.under_way += 1
        appears = now + self._rules.run_record_delay
        run = Run(self._new_id(), "scheduled", appears, appears)
        self._happen_at(appears, now, partial(self._record, task, run, plan, nominal))

    def _happen_at(self, moment: float, now: float, happen: Callable[[float], None]) -> None:
        if moment <= now:
            happen(now)
        else:
            self._at(moment, happen)

    def _next_plan(self, task: Task) -> Plan:
        queue = self._plans.get(task.definition.item_id or "") or self._plans.get(task.definition.type)
        if not queue:
            return self.default_plan
        head = queue[0]
        head.used = True
        if head.times is not None:
            head.times -= 1
        if head.times == 0 or (head.times is None and len(queue) > 1):
            queue.popleft()
        return head.plan

    def _record(self, task: Task, run: Run, plan: Plan, nominal: float, now: float) -> None:
        if task.deleted:
            return
        task.runs[run.id] = run
        while len(task.runs) > self._rules.runs_kept:
            del task.runs[next(iter(task.runs))]
        begins = now + (0 if plan.outcome in UNEXECUTED else self._rules.time_in_scheduled)
        self._happen_at(begins, now, partial(self._begin, task, run, plan, nominal))

    def _begin(self, task: Task, run: Run, plan: Plan, nominal: float, now: float) -> None:
        if plan.outcome in UNEXECUTED:
            return self._end(task, run, *_verdict(plan, {}), now)
        if task.deleted:
            return None
        run.status, run.modified = "executing", now
        fired = _execute(task, run, plan, nominal, now)
        self.fired.append(fired)
        if fired.end != float("inf"):
            self._at(fired.end, partial(self._end, task, run, fired.outcome, fired.result))
        return None

    def _end(self, task: Task, run: Run, outcome: str, result: str, now: float) -> None:
        run.status, run.result, run.modified = outcome, result, now
        task.under_way -= 1
        if outcome in self._rules.failing_statuses:
            task.failures_in_row += 1
        elif outcome == "succeeded":
            task.failures_in_row = 0
        if not task.active:
            return
        if task.failures_in_row >= self._rules.failures_to_disable:
            self.deactivate(task, "failed")
        elif task.exhausted:
            self.deactivate(task, "completed")

    def _complete(self, task: Task, now: float) -> None:
        if self._rules.completes_when == CompletesWhen.FIRED or not task.under_way:
            self.deactivate(task, "completed")


def _execute(task: Task, run: Run, plan: Plan, nominal: float, now: float) -> Fired:
    definition = task.definition
    inputs = _inputs(definition.parameters)
    outcome, result = _verdict(plan, inputs)
    return Fired(
        task_id=task.id,
        run_id=run.id,
        item_id=definition.item_id,
        type=definition.type,
        title=definition.title,
        owner=task.owner,
        parameters=definition.parameters,
        inputs=inputs,
        scheduled_for=nominal,
        start=now,
        end=now + plan.duration,
        outcome=outcome,
        result=result,
    )


def _inputs(parameters: Mapping[str, Any] | None) -> Mapping[str, Any]:
    inputs: Any = (parameters or {}).get("notebookParameters", parameters or {})
    known: Mapping[str, Any] = json.loads(inputs) if isinstance(inputs, str) else inputs
    return known


def _verdict(plan: Plan, inputs: Mapping[str, Any]) -> tuple[str, str]:
    try:
        value = plan.result(inputs) if callable(plan.result) else plan.result
        return plan.outcome, value if isinstance(value, str) else json.dumps(value)
    except Exception as error:  # noqa: BLE001 - whatever a planned notebook raises makes its run fail
        return "failed", f"{type(error).__name__}: {error}"
