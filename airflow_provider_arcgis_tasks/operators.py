"""Operators for portal tasks: create, update, enable, disable, delete, and run now."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NoReturn

from airflow.configuration import conf
from airflow.sdk import BaseOperator

from airflow_provider_arcgis_tasks.arguments import choice, moment, seconds, whole_number
from airflow_provider_arcgis_tasks.hooks import ArcGISTasksHook
from airflow_provider_arcgis_tasks.links import ArcGISPortalLink
from airflow_provider_arcgis_tasks.outcomes import (
    TaskDeferralTimeout,
    check_event,
    returned,
    run_told_by,
    sign_in_once,
)
from airflow_provider_arcgis_tasks.portal import oneshot
from airflow_provider_arcgis_tasks.portal.effects import DeadlinePassed, until
from airflow_provider_arcgis_tasks.portal.errors import (
    ArcGISTasksError,
    NotFound,
    RunFailed,
    SignInRefused,
    Superseded,
    WaitTimeout,
)
from airflow_provider_arcgis_tasks.portal.models import (
    PortalRun,
    RunStatus,
    TaskDefinition,
    TaskType,
    check_parameters,
    check_text,
)
from airflow_provider_arcgis_tasks.portal.oneshot import Blocked, Job, Keep, Mark, OneShot
from airflow_provider_arcgis_tasks.portal.schedules import IfExists, ensure_task
from airflow_provider_arcgis_tasks.portal.session import Session
from airflow_provider_arcgis_tasks.portal.verdict import describe

if TYPE_CHECKING:
    from airflow.sdk import Context

_DEFERRABLE = conf.getboolean("operators", "default_deferrable", fallback=False)
_BACKSTOP_SECONDS = 300.0


class PortalOperator(BaseOperator):
    """What all of these operators share: the connection, and whose portal tasks are meant."""

    template_fields: Sequence[str] = ("arcgis_conn_id", "portal_owner")
    ui_color = "#e3f1df"

    def __init__(
        self, *, arcgis_conn_id: str = "arcgis_default", portal_owner: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.arcgis_conn_id = arcgis_conn_id
        self.portal_owner = portal_owner

    @contextmanager
    def _hook(self) -> Iterator[ArcGISTasksHook]:
        with ArcGISTasksHook(self.arcgis_conn_id, owner=self.portal_owner) as hook, sign_in_once():
            yield hook


class ArcGISCreateTaskOperator(PortalOperator):
    """Makes sure that a schedule exists on the portal; returns its `portal_task_id`.

    A portal task of the same owner, item, type and title counts as the same schedule, so this can run as
    often as its DAG does.

    Args:
        task_type: What it runs: `ExecuteNotebook` (the default), `RunDataPipeline`, ... (see `TaskType`).
        item_id: The portal item that it runs. Only ExecuteReport can do without.
        schedule: Standard cron in UTC (five fields, or `@daily` and friends), or the portal's own dialect.
        title: Its title on the portal; by default `<dag_id>.<task_id>` and the map index, if any.
        parameters: Input of each run, by name.
        task_url: GPService only: the URL of one asynchronous tool.
        max_occurrences: Runs after which the portal stops; None for no limit.
        starts_at: When the schedule begins: an aware datetime, or ISO 8601 text with a zone.
        ends_at: When it ends; likewise.
        if_exists: `update` what differs, `reuse` it as it is, or `fail`.
        arcgis_conn_id: The Airflow connection.
        portal_owner: Whose portal task, as a user name of the portal; by default the signed-in user's.

    Raises:
        ValueError: An argument makes no schedule; the text says what to write.
        AlreadyExists: With `if_exists="fail"`.
        PortalError: The portal refused it.
        PortalUnreachable: The portal could not be asked.
    """

    template_fields = (
        *PortalOperator.template_fields,
        "portal_task_type",
        "item_id",
        "schedule",
        "title",
        "parameters",
        "task_url",
        "max_occurrences",
        "starts_at",
        "ends_at",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"parameters": "json"}
    operator_extra_links = (ArcGISPortalLink(),)

    def __init__(
        self,
        *,
        task_type: TaskType | str = TaskType.EXECUTE_NOTEBOOK,
        schedule: str,
        item_id: str | None = None,
        title: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        task_url: str | None = None,
        max_occurrences: int | str | None = None,
        starts_at: datetime | str | None = None,
        ends_at: datetime | str | None = None,
        if_exists: Literal["update", "reuse", "fail"] = "update",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.portal_task_type = task_type  # `task_type` itself is Airflow's: the name of the class
        self.schedule = schedule
        self.item_id = item_id
        self.title = title
        self.parameters = parameters
        self.task_url = task_url
        self.max_occurrences = max_occurrences
        self.starts_at = starts_at
        self.ends_at = ends_at
        self.if_exists = choice("if_exists", if_exists, IfExists)

    def execute(self, context: Context) -> str:
        """Find, create or update the portal task."""
        definition = TaskDefinition(
            task_type=self.portal_task_type,
            item_id=self.item_id or None,
            schedule=self.schedule,
            title=self.title or _default_title(context),
            parameters=self.parameters,
            task_url=self.task_url or None,
            max_occurrences=whole_number("max_occurrences", self.max_occurrences),
            starts_at=moment("starts_at", self.starts_at),
            ends_at=moment("ends_at", self.ends_at),
        )
        with self._hook() as hook:
            if definition.item_id:
                _push_link(context, hook.session.address.item_page(definition.item_id))
            task = hook.run(ensure_task(hook.session, definition, IfExists(self.if_exists)))
        return task.id


class ArcGISUpdateTaskOperator(PortalOperator):
    """Changes what is named of one portal task, and nothing else; returns its `portal_task_id`.

    Args:
        portal_task_id: The portal task.
        schedule: Standard cron in UTC, or the portal's own dialect. None or empty text leaves this, and each
            of the following, as it is.
        title: Its title on the portal.
        parameters: Input of each run, by name; takes the place of all that there are.
        item_id: The portal item that it runs.
        task_url: GPService only: the URL of one asynchronous tool.
        max_occurrences: Runs after which the portal stops. (The hook's `update_task` can take it away.)
        starts_at: When the schedule begins: an aware datetime, or ISO 8601 text with a zone.
        ends_at: When it ends; likewise.
        arcgis_conn_id: The Airflow connection.
        portal_owner: Whose portal task it is.

    Raises:
        NotFound: There is no such portal task.
        ValueError: Nothing to change, or a value that makes no sense.
    """

    _CHANGES: ClassVar[tuple[str, ...]] = (
        "schedule",
        "title",
        "parameters",
        "item_id",
        "task_url",
        "max_occurrences",
        "starts_at",
        "ends_at",
    )
    template_fields = (*PortalOperator.template_fields, "portal_task_id", *_CHANGES)
    template_fields_renderers: ClassVar[dict[str, str]] = {"parameters": "json"}

    def __init__(
        self,
        *,
        portal_task_id: str,
        schedule: str | None = None,
        title: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        item_id: str | None = None,
        task_url: str | None = None,
        max_occurrences: int | str | None = None,
        starts_at: datetime | str | None = None,
        ends_at: datetime | str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.portal_task_id = portal_task_id
        self.schedule = schedule
        self.title = title
        self.parameters = parameters
        self.item_id = item_id
        self.task_url = task_url
        self.max_occurrences = max_occurrences
        self.starts_at = starts_at
        self.ends_at = ends_at

    def execute(self, context: Context) -> str:
        """Read the portal task, change it, send it back."""
        given = {name: getattr(self, name) for name in self._CHANGES}
        changes = {name: value for name, value in given.items() if value not in (None, "")}
        if "max_occurrences" in changes:
            changes["max_occurrences"] = whole_number("max_occurrences", self.max_occurrences)
        for name in ("starts_at", "ends_at"):
            if name in changes:
                changes[name] = moment(name, changes[name])
        with self._hook() as hook:
            hook.update_task(self.portal_task_id, **changes)
        self.log.info("Updated %s of portal task %s", ", ".join(changes), self.portal_task_id)
        return self.portal_task_id


class _OneTaskOperator(PortalOperator):
    """Does one thing to one portal task, and returns its `portal_task_id`."""

    template_fields = (*PortalOperator.template_fields, "portal_task_id")

    def __init__(self, *, portal_task_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.portal_task_id = portal_task_id


class ArcGISDeleteTaskOperator(_OneTaskOperator):
    """Deletes one portal task with all its run records; returns its `portal_task_id`.

    Args:
        portal_task_id: The portal task.
        ignore_missing: Whether it is all right if there is none (the default), or else `NotFound`.
        arcgis_conn_id: The Airflow connection.
        portal_owner: Whose portal task it is.
    """

    def __init__(self, *, ignore_missing: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.ignore_missing = ignore_missing

    def execute(self, context: Context) -> str:
        """Delete the portal task."""
        with self._hook() as hook:
            deleted = hook.delete_task(self.portal_task_id)
        if not deleted and not self.ignore_missing:
            raise NotFound(404, f"There is no portal task {self.portal_task_id}.")
        self.log.info("Portal task %s %s", self.portal_task_id, "deleted" if deleted else "was not there")
        return self.portal_task_id


class ArcGISEnableTaskOperator(_OneTaskOperator):
    """Makes one portal task active; returns its `portal_task_id`. Raises `NotFound`.

    Args:
        portal_task_id: The portal task.
        arcgis_conn_id: The Airflow connection.
        portal_owner: Whose portal task it is.
    """

    def execute(self, context: Context) -> str:
        """Enable the portal task."""
        with self._hook() as hook:
            hook.enable_task(self.portal_task_id)
        self.log.info("Portal task %s is active", self.portal_task_id)
        return self.portal_task_id


class ArcGISDisableTaskOperator(_OneTaskOperator):
    """Makes one portal task inactive; returns its `portal_task_id`. Raises `NotFound`.

    Args:
        portal_task_id: The portal task.
        arcgis_conn_id: The Airflow connection.
        portal_owner: Whose portal task it is.
    """

    def execute(self, context: Context) -> str:
        """Disable the portal task."""
        with self._hook() as hook:
            hook.disable_task(self.portal_task_id)
        self.log.info("Portal task %s is inactive", self.portal_task_id)
        return self.portal_task_id


class ArcGISTriggerTaskOperator(PortalOperator):
    """Runs an item, or what an existing portal task runs, now; waits for the run by default.

    The portal has no "run now": a one-shot task is made that fires at one of the next minutes: 30 to 90
    seconds ahead, a minute later on a retry. Its title carries a mark of this Airflow task instance, so a
    retry goes on with it and never starts a second run at the same time.

    Returns `{"portal_task_id", "portal_run_id", "status", "result"}` in every mode; without waiting, the
    status is `scheduled` and the last is None. `portal_task_id` is the one-shot task's.

    Args:
        item_id: The portal item to run; give either this or `portal_task_id`.
        portal_task_id: An existing portal task: what it runs is run once more, and its own schedule is left
            untouched.
        task_type: What to run: `ExecuteNotebook` (the default), `RunDataPipeline`, ... (see `TaskType`).
        title: Title of the one-shot task; by default `<dag_id>.<task_id>` and the map index, if any.
        parameters: Input of the run, by name. With `portal_task_id`, these replace single ones of its own.
        task_url: GPService only: the URL of one asynchronous tool.
        wait_for_completion: Whether to wait for the run. If not, nobody deletes the one-shot task: it fires
            once and then stays on the portal, inactive.
        deferrable: Whether to wait in the triggerer, without a worker slot; by default as Airflow's
            `[operators] default_deferrable` says.
        poll_interval: Most seconds between two looks at the portal; the first ones come sooner.
        timeout: Seconds (or a timedelta) for the whole wait, from the start of this try; then `WaitTimeout`.
        cancel_on_kill: Whether killing the Airflow task removes a one-shot task that has not fired. What
            runs already can't be stopped through the portal's task API.
        keep_task: When the one-shot task stays on the portal, without its mark: `never`, `on_failure` (to
            look into it) or `always`. Deleting it deletes the record of its run.
        arcgis_conn_id: The Airflow connection.
        portal_owner: Whose portal tasks, as a user name of the portal; by default the signed-in user's.

    Raises:
        RunFailed: The portal reported failed, skipped or submitfailed.
        WaitTimeout: The run has not finished in time.
        TaskVanished: Somebody deleted the one-shot task meanwhile.
        Superseded: A later attempt of this task instance has taken over.
        ValueError: An argument makes no sense; the text says what to write.
        PortalUnreachable: The portal could not be asked for as long as the connection allows.
        PortalError: The portal refused something.
        AirflowFailException: It refused the sign-in; not retried.
    """

    template_fields = (
        *PortalOperator.template_fields,
        "portal_task_id",
        "item_id",
        "portal_task_type",
        "title",
        "parameters",
        "task_url",
        "poll_interval",
        "timeout",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"parameters": "json"}
    operator_extra_links = (ArcGISPortalLink(),)

    def __init__(
        self,
        *,
        item_id: str | None = None,
        portal_task_id: str | None = None,
        task_type: TaskType | str = TaskType.EXECUTE_NOTEBOOK,
        title: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        task_url: str | None = None,
        wait_for_completion: bool = True,
        deferrable: bool = _DEFERRABLE,
        poll_interval: float = 30.0,
        timeout: float | timedelta = timedelta(days=1),
        cancel_on_kill: bool = True,
        keep_task: Literal["never", "on_failure", "always"] = "never",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.item_id = item_id
        self.portal_task_id = portal_task_id
        self.portal_task_type = task_type  # `task_type` itself is Airflow's: the name of the class
        self.title = title
        self.parameters = parameters
        self.task_url = task_url
        self.wait_for_completion = wait_for_completion
        self.deferrable = deferrable
        self.poll_interval = poll_interval
        self.timeout = timeout
        self.cancel_on_kill = cancel_on_kill
        self.keep_task = choice("keep_task", keep_task, Keep)
        self._mark: Mark | None = None
        self._session: Session | None = None

    # --- the story -----------------------------------------------------------------------------------

    def execute(self, context: Context) -> dict[str, Any]:
        """Start the run, or find the one that an earlier try has started, and wait for it."""
        wait = self._begin(context)
        with self._hook() as hook, self._cleaning_up(hook, wait):
            job = self._job(hook, context)
            self._session = hook.session
            if job.item_id:
                _push_link(context, hook.session.address.item_page(job.item_id))
            shot = self._start(hook, context, job, wait)
            if not self.wait_for_completion:
                return {
                    "portal_task_id": shot.portal_task_id,
                    "portal_run_id": None,
                    "status": RunStatus.SCHEDULED.value,
                    "result": None,
                }
            if self.deferrable:
                self._defer_to_run(shot, job, wait)
            waiting = oneshot.wait(hook.session, shot.portal_task_id, job, wait.mark, wait.poll_interval)
            return self._conclude(hook, hook.run(until(wait.deadline, waiting)), wait.mark)

    def start_when_free(self, context: Context, event: dict[str, Any] | None = None) -> dict[str, Any]:
        """Go on after the triggerer's wait for a free slot."""
        wait = self._begin(context)
        with self._hook() as hook, self._cleaning_up(hook, wait):
            check_event(event, "startable")
        return self.execute(context)

    def execute_complete(self, context: Context, event: dict[str, Any] | None = None) -> dict[str, Any]:
        """Go on after the triggerer's wait for the run."""
        wait = self._begin(context)
        with self._hook() as hook, self._cleaning_up(hook, wait):
            return self._conclude(hook, run_told_by(check_event(event, "run")), wait.mark)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Clean up as well when Airflow itself ends the deferral."""
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except TaskDeferralTimeout as over:
            wait = self._begin(context)
            with self._hook() as hook, self._cleaning_up(hook, wait):
                raise DeadlinePassed from over

    def on_kill(self) -> None:
        """Remove the one-shot task if it has not fired yet.

        Airflow calls this in the middle of whatever the task does, which then goes on until it is killed.
        """
        if self._session is not None:
            self._session.killed = True
        if self._mark is not None and self.cancel_on_kill:
            with self._hook() as hook:
                hook.run(oneshot.give_up(hook.session, self._mark))

    # --- its parts -----------------------------------------------------------------------------------

    def _begin(self, context: Context) -> _Wait:
        ti = context["ti"]
        self._mark = mark_of(ti)
        started = ti.start_date.timestamp() if ti.start_date else time.time()
        return _Wait(
            mark=self._mark,
            deadline=started + seconds("timeout", self.timeout),
            poll_interval=seconds("poll_interval", self.poll_interval),
            is_last_try=ti.try_number > ti.max_tries,
        )

    def _start(self, hook: ArcGISTasksHook, context: Context, job: Job, wait: _Wait) -> OneShot:
        keep = Keep(self.keep_task)
        if self.deferrable and self.wait_for_completion:
            try:
                shot = hook.run(until(wait.deadline, oneshot.start(hook.session, job, wait.mark, keep)))
            except Blocked as blocked:
                self.log.info("Can't start yet: %s. Waiting in the triggerer", blocked)
                self._defer_to_start(wait)
        else:
            starting = oneshot.start_when_possible(hook.session, job, wait.mark, wait.poll_interval, keep)
            shot = hook.run(until(wait.deadline, starting))
        context["ti"].xcom_push("portal_task_id", shot.portal_task_id)
        self.log.info("%s fires at %s by the portal's clock", shot, shot.fires_at_text)
        return shot

    def _job(self, hook: ArcGISTasksHook, context: Context) -> Job:
        task_type = TaskType(self.portal_task_type)
        if bool(self.item_id) == bool(self.portal_task_id) and task_type is not TaskType.EXECUTE_REPORT:
            both = "both are given" if self.item_id else "both are empty"
            raise ValueError(
                f"item_id, portal_task_id: {both}; give the item to run, or the portal task whose job to run"
            )
        if self.portal_task_id:
            check_text("title", self.title or "")
            check_parameters(self.parameters)
            return Job.like(hook.get_task(self.portal_task_id), self.title, self.parameters)
        return Job(
            task_type=task_type,
            item_id=self.item_id or None,
            title=self.title or _default_title(context),
            parameters=self.parameters,
            task_url=self.task_url or None,
        )

    def _defer_to_run(self, shot: OneShot, job: Job, wait: _Wait) -> None:
        from airflow_provider_arcgis_tasks.triggers import ArcGISOneShotTrigger

        trigger = ArcGISOneShotTrigger(
            portal_task_id=shot.portal_task_id,
            job=job.to_dict(),
            mark=str(wait.mark),
            cancel_on_kill=self.cancel_on_kill,
            **self._trigger_arguments(wait),
        )
        self.defer(trigger=trigger, method_name="execute_complete", timeout=wait.backstop)

    def _defer_to_start(self, wait: _Wait) -> NoReturn:
        from airflow_provider_arcgis_tasks.triggers import ArcGISStartTrigger

        trigger = ArcGISStartTrigger(mark=str(wait.mark), **self._trigger_arguments(wait))
        self.defer(trigger=trigger, method_name="start_when_free", timeout=wait.backstop)

    def _trigger_arguments(self, wait: _Wait) -> dict[str, Any]:
        return {
            "arcgis_conn_id": self.arcgis_conn_id,
            "portal_owner": self.portal_owner,
            "poll_interval": wait.poll_interval,
            "deadline": wait.deadline,
        }

    def _conclude(self, hook: ArcGISTasksHook, run: PortalRun, mark: Mark) -> dict[str, Any]:
        """Clean up after a finished run, and say how it went."""
        hook.run(oneshot.conclude(hook.session, run, mark, Keep(self.keep_task)))
        self.log.info("%s", describe(run))
        return returned(run)

    @contextmanager
    def _cleaning_up(self, hook: ArcGISTasksHook, wait: _Wait) -> Iterator[None]:
        """Turn the end of the time for waiting into `WaitTimeout`, with nothing left that could fire."""
        try:
            yield
        except DeadlinePassed:
            hook.run(oneshot.give_up(hook.session, wait.mark))
            raise WaitTimeout(
                f"The portal run had not finished when the time for it was over (timeout: {self.timeout})."
            ) from None
        except KeyboardInterrupt:
            self.on_kill()
            raise
        except Superseded:
            if self._session is not None and self._session.killed and self.cancel_on_kill:
                hook.run(oneshot.give_up(hook.session, wait.mark))
            raise
        except (RunFailed, SignInRefused):
            raise  # nothing to clean up, or nobody who could: a refused password is not tried again
        except ArcGISTasksError:
            if wait.is_last_try:
                hook.run(oneshot.give_up(hook.session, wait.mark))
            raise


@dataclass(frozen=True)
class _Wait:
    """Whose run is waited for, and for how long. `deadline`: epoch seconds."""

    mark: Mark
    deadline: float
    poll_interval: float
    is_last_try: bool

    @property
    def backstop(self) -> timedelta:
        """When Airflow ends the deferral if the triggerer does not: well after the deadline."""
        left = max(self.deadline - time.time(), 0.0)
        return timedelta(seconds=left + 2 * self.poll_interval + _BACKSTOP_SECONDS)


def mark_of(ti: Any) -> Mark:
    """The mark of an Airflow task instance.

    It stays the same over retries. `max_tries` changes only when the task instance is cleared: hence the
    generation. The deployment's `base_url` tells apart two Airflows that run the same DAG on one portal.
    """
    map_index = -1 if ti.map_index is None else ti.map_index
    return Mark.of(
        conf.get("api", "base_url", fallback=""),
        ti.dag_id,
        ti.run_id,
        ti.task_id,
        map_index,
        generation=max(ti.max_tries, 0),
        attempt=max(ti.try_number, 1),
    )


def _push_link(context: Context, url: str) -> None:
    """Leave the link at once, so that it is there while the task runs."""
    context["ti"].xcom_push(ArcGISPortalLink().xcom_key, url)


def _default_title(context: Context) -> str:
    ti = context["ti"]
    title = f"{ti.dag_id}.{ti.task_id}"
    return title if ti.map_index is None or ti.map_index < 0 else f"{title} {ti.map_index}"
