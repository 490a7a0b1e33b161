"""What happens in each row of the kill matrix, told from its beginning to its end."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.airflow_stack.cases import Case
from tests.airflow_stack.matrix import ARMED, BEFORE, CREATING, EXECUTING, FINISHED, REMOVED, TRIGGERER

EXECUTION_SECONDS = 45.0
TIMEOUT_SECONDS = 45.0
_NO_ANSWER_SECONDS = 25.0
"""Less than the 30 seconds after which a request is given up, and more than it takes to kill who waits."""

Story = Callable[[Case], None]
STORIES: dict[str, Story] = {}


def story(event: str) -> Callable[[Story], Story]:
    """The story of all rows of this event."""

    def register(tell: Story) -> Story:
        STORIES[event] = tell
        return tell

    return register


# --- what people do in Airflow ---------------------------------------------------------------------------


@story("mark failed")
def mark_failed(case: Case) -> None:
    if case.row.moment == CREATING:
        begin_until_asked(case, "createTask")
    else:
        case.reach_moment()
    case.mark("failed")
    case.until_given_up()


@story("mark success")
def mark_success(case: Case) -> None:
    case.reach_moment()
    case.mark("success")
    case.until_given_up()


@story("fail the dag run")
def fail_the_dag_run(case: Case) -> None:
    case.reach_moment()
    case.fail_the_dag_run()
    case.until_given_up()


@story("clear")
def clear(case: Case) -> None:
    case.reach_moment()
    if case.row.moment == FINISHED:
        case.finish()
        case.until_at_rest()
    case.clear()
    run_again(case)


@story("mark failed, clear")
def mark_failed_then_clear(case: Case) -> None:
    mark_failed(case)
    case.until_at_rest()
    case.clear()
    run_again(case)


def run_again(case: Case) -> None:
    """The try after a clear removes the old one, or waits until its run has ended, and makes a new one."""
    if case.row.moment == EXECUTING:
        case.until_logged("Can't start yet")
        case.portal.let_end()
    case.until_done("deleteTask")
    case.fire()
    case.finish()


@story("pause")
def pause(case: Case) -> None:
    """What runs goes on; what has to be queued again, as after a deferral, is held back."""
    case.reach_moment()
    case.pause()
    if case.row.moment == ARMED:
        case.fire()
    case.finish("scheduled" if case.row.mode == TRIGGERER else "success")
    case.unpause()
    case.until_state("success")


# --- time ------------------------------------------------------------------------------------------------


@story("execution_timeout")
def execution_timeout(case: Case) -> None:
    """It does not run while the task is deferred."""
    case.reach_moment()
    if case.row.mode == TRIGGERER:
        enough = time.monotonic() + EXECUTION_SECONDS
        case.until(lambda: time.monotonic() > enough, "it has been deferred for longer than it may execute")
        see_it_through(case)
    else:
        retry(case)


@story("timeout")
def time_out(case: Case) -> None:
    case.reach_moment()
    retry(case)


# --- workers ---------------------------------------------------------------------------------------------


@story("worker SIGTERM")
def worker_sigterm(case: Case) -> None:
    """Who is told to stop, and goes on, is killed after a while."""
    case.reach_moment()
    case.stop_worker()
    case.until_given_up()
    case.kill_worker()
    retry(case)


@story("machine lost")
def machine_lost(case: Case) -> None:
    case.reach_moment()
    case.lose_machine()
    retry(case, keeps=True)


@story("worker SIGKILL")
def worker_sigkill(case: Case) -> None:
    _MOMENTS[case.row.moment](case)


def killed_before_it_creates(case: Case) -> None:
    begin_until_asked(case, "generateToken")
    case.kill_worker()
    case.fire()
    case.finish()


def killed_while_it_creates(case: Case) -> None:
    begin_until_asked(case, "createTask")
    case.kill_worker()
    retry(case, keeps=True)


def killed_when_it_is_armed(case: Case) -> None:
    if case.row.mode == TRIGGERER:
        begin_until_asked(case, "tasks", after=1)  # it looks once more before it defers
    else:
        case.reach_moment()
    case.kill_worker()
    retry(case, keeps=True)


def killed_while_it_executes(case: Case) -> None:
    case.reach_moment()
    case.kill_worker()
    retry(case, keeps=True)


def killed_when_it_has_finished(case: Case) -> None:
    """The run has succeeded, and the worker has not heard of it yet."""
    case.reach_moment()
    if case.row.mode == TRIGGERER:
        resuming = case.portal.fault("slow", "generateToken", delay=_NO_ANSWER_SECONDS)
        case.portal.let_end()
        case.until(lambda: resuming.happened == 1, "a worker wants to clean up")
    else:
        looking = case.portal.fault("slow", "runs", delay=_NO_ANSWER_SECONDS)
        case.until(lambda: looking.happened == 1, "the worker looks, and will not be answered")
        case.portal.let_end()
    case.kill_worker()
    case.until_state("success")


def killed_when_it_has_cleaned_up(case: Case) -> None:
    """The record of the run is gone, and Airflow has not heard of it yet: nobody can know of the run."""
    case.reach_moment()
    removing = case.portal.fault("slow", "deleteTask", delay=_NO_ANSWER_SECONDS)
    case.portal.let_end()
    case.until(lambda: removing.happened == 1, "the one-shot task is removed")
    case.kill_worker()
    case.fire()
    case.finish()


_MOMENTS: dict[str, Story] = {
    BEFORE: killed_before_it_creates,
    CREATING: killed_while_it_creates,
    ARMED: killed_when_it_is_armed,
    EXECUTING: killed_while_it_executes,
    FINISHED: killed_when_it_has_finished,
    REMOVED: killed_when_it_has_cleaned_up,
}


def begin_until_asked(case: Case, operation: str, after: int = 0) -> None:
    """Begin, and go on until the portal has done this, before the answer is there."""
    asked = case.portal.fault("slow", operation, after=after, delay=_NO_ANSWER_SECONDS)
    case.begin()
    case.until(lambda: asked.happened == 1, f"{operation} is asked")


# --- what comes after ------------------------------------------------------------------------------------


def retry(case: Case, *, keeps: bool = False) -> None:
    """The second try goes on with what executes, or is armed if that `keeps`; else it makes a new one."""
    case.until_second_try()
    if case.row.moment == EXECUTING:
        case.until_somebody_waits()
    else:
        if keeps:
            case.until_somebody_waits()
        else:
            case.until_done("deleteTask")
        case.fire()
    case.finish()


def see_it_through(case: Case) -> None:
    """Nothing more happens to the run."""
    if case.row.moment == ARMED:
        case.fire()
    case.finish()
