"""What the portal does where nobody knows for sure what a real one does: one switch for each question."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from airflow_provider_arcgis_tasks.sandbox.quartz import read_zone


class OptionalFields(StrEnum):
    """How an answer treats fields that a portal need not send."""

    PRESENT = "present"
    """Sent when they have a value, left out otherwise."""
    NULL = "null"
    """Sent always, null without a value."""
    ABSENT = "absent"
    """Left out, even those with a value, when no page describes them for every portal."""


class MissedFires(StrEnum):
    """What becomes of the fire times that fell into a time when the portal was down."""

    SKIP = "skip"
    CATCH_UP = "catch_up"


class Overlap(StrEnum):
    """What happens when a portal task fires while its previous run is not over."""

    SKIP = "skip"
    """The new run is recorded as skipped."""
    PARALLEL = "parallel"
    """Both execute."""


class NeverFires(StrEnum):
    """What happens to a schedule without a fire time inside its window."""

    ACCEPT = "accept"
    """It is stored and shows no next start."""
    REFUSE = "refuse"
    """It is an error 400, as in Quartz."""


class CompletesWhen(StrEnum):
    """When a portal task that has had its last occurrence becomes inactive."""

    FIRED = "fired"
    FINISHED = "finished"


class RunsOrder(StrEnum):
    """The order of the `runs` array."""

    OLDEST = "oldest"
    NEWEST = "newest"
    SHUFFLED = "shuffled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The portal's behaviour. Every default is the likelier answer, or the one that forgives less.

    Attributes:
        cron_zone: the zone the five cron fields are read in: an IANA name or an offset such as `+02:00`.
            Only the Kubernetes twin documents GMT ("Create task"); its samples and those of the portal agree
            with it.
        strict_quartz: refuse `*` in both day fields, and `*` beside a restricted one. Quartz does; whether a
            portal does is unknown, and the aliases of the official Python client rely on it not doing so.
        least_interval_minutes: the shortest interval a schedule may have. ArcGIS Online is said to ask for
            15; Enterprise allows every minute ("Prepare a notebook for automated execution").
        never_fires: what happens to a schedule that can't fire inside its window. Unknown.
        optional_fields: how optional fields are sent. The samples of the pages differ from one another.
        hidden_fields: more fields that are never sent, such as `task.nextStart`, `run.created` or
            `list.activeTasksAvailable`.
        notebook_parameters_as_text: `notebookParameters` comes back as JSON text, as in the sample of "Get
            specific task"; otherwise as it was sent.
        task_url_key: the spelling of a web tool's URL in answers. Clients use `taskUrl` and `taskURL`; both
            are read in requests.
        update_keeps_omitted: an update keeps title, parameters, dates, limit and URL when it doesn't name
            them. "Update a scheduled task" requires type, item and cron again and says nothing of the rest.
        active_task_limit: how many active portal tasks one user may have. 20 is the default for notebooks
            ("System limits"); whether it is counted per type is unknown.
        runs_kept: how many run records a portal task keeps. 30 says the official Python client; an
            administrator may change it ("System limits", `TaskRunHistoryCount`).
        failures_to_disable: how many failures in a row take a portal task out of service; 5 by default
            ("System limits", `FailedRunsToDisableTask`).
        failing_statuses: the statuses that count as such a failure. Unknown for `skipped` and `submitfailed`.
        counts_towards_occurrences: the statuses that count towards `maxOccurrences`. Unknown.
        completes_when: when the last occurrence makes a portal task inactive. Unknown.
        enabling_resets_occurrences: enabling a portal task starts the count of its occurrences anew. Unknown.
        overlap: what happens when a fire time comes before the previous run is over. The status `skipped`
            suggests the default.
        missed_fires: what happens to fire times while the portal is down. Unknown.
        run_record_delay: seconds between a fire time and the appearance of its run. The Kubernetes samples
            ("Task", "Run") show 31.
        time_in_scheduled: seconds a run shows `scheduled` before it executes.
        runs_order: the order of the `runs` array. No page names one.
        list_lag: seconds before a new portal task shows up in lists. Nothing says that there is such a lag.
        page_size: how many tasks a page holds when the request doesn't say.
        page_size_max: how many tasks a page holds at most; 100 is usual in the sharing API.
        referer_checked: a token that was made for a referer works only with that `Referer` header
            ("Generate token").
        session_minutes: the lifetime of a token when the request doesn't say; 120 ("Specify the default
            token expiration time").
        session_minutes_max: longer lifetimes are cut silently to this; two weeks (same page).
        lockout_after: how many wrong passwords in a row lock an account.
        lockout_minutes: for how long.
        app_token_has_user: the token of an app names its owner in `community/self` and `portals/self`.
            Unknown.
        app_tokens_reach_tasks: apps and API keys may use the resources of scheduled tasks. Unknown.
        errors_in_status: error bodies come with the HTTP status of their code; by default with 200, as most
            of the published samples.
        json_content_type: the `Content-Type` of JSON answers.
    """

    cron_zone: str = "UTC"
    strict_quartz: bool = False
    least_interval_minutes: float | None = None
    never_fires: NeverFires = NeverFires.ACCEPT
    optional_fields: OptionalFields = OptionalFields.PRESENT
    hidden_fields: frozenset[str] = frozenset()
    notebook_parameters_as_text: bool = True
    task_url_key: str = "taskUrl"
    update_keeps_omitted: bool = True
    active_task_limit: int = 20
    runs_kept: int = 30
    failures_to_disable: int = 5
    failing_statuses: frozenset[str] = frozenset({"failed"})
    counts_towards_occurrences: frozenset[str] = frozenset({"succeeded", "failed", "skipped", "submitfailed"})
    completes_when: CompletesWhen = CompletesWhen.FIRED
    enabling_resets_occurrences: bool = True
    overlap: Overlap = Overlap.SKIP
    missed_fires: MissedFires = MissedFires.SKIP
    run_record_delay: float = 0.0
    time_in_scheduled: float = 0.0
    runs_order: RunsOrder = RunsOrder.OLDEST
    list_lag: float = 0.0
    page_size: int = 10
    page_size_max: int = 100
    referer_checked: bool = True
    session_minutes: float = 120
    session_minutes_max: float = 20_160
    lockout_after: int = 5
    lockout_minutes: float = 15
    app_token_has_user: bool = True
    app_tokens_reach_tasks: bool = True
    errors_in_status: bool = False
    json_content_type: str = "application/json;charset=utf-8"

    def __post_init__(self) -> None:
        for name, kind in _CHOICES.items():
            object.__setattr__(self, name, kind(getattr(self, name)))
        read_zone(self.cron_zone)
        for name in self.hidden_fields:
            if not name.startswith(("task.", "run.", "list.")):
                raise ValueError(f"hidden_fields: {name!r} does not say of what; write task.{name}")


_CHOICES = {
    "never_fires": NeverFires,
    "optional_fields": OptionalFields,
    "completes_when": CompletesWhen,
    "overlap": Overlap,
    "missed_fires": MissedFires,
    "runs_order": RunsOrder,
}
