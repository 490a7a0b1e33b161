"""What the portal's resources share, and what a request looks like to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random

from airflow_provider_arcgis_tasks.sandbox.accounts import Accounts, Token, User
from airflow_provider_arcgis_tasks.sandbox.refusals import Refusal, forbidden, token_required, unknown
from airflow_provider_arcgis_tasks.sandbox.rules import OptionalFields, Rules
from airflow_provider_arcgis_tasks.sandbox.scheduler import Scheduler

ORGANIZATION = "0123456789ABCDEF"

_UNCERTAIN = frozenset(
    {
        "task.runIntervalSeconds",
        "task.lastStart",
        "task.nextStart",
        "task.parameters",
        "task.startDate",
        "task.endDate",
        "task.taskState",
        "task.taskUrl",
        "task.taskURL",
        "run.created",
        "run.modified",
        "run.url",
        "list.activeTasksAvailable",
    }
)


class TaskType(StrEnum):
    """The types of portal tasks (REST page "Create new scheduled task", and clients for the last one)."""

    EXECUTE_NOTEBOOK = "ExecuteNotebook"
    UPDATE_INSIGHTS_WORKBOOK = "UpdateInsightsWorkbook"
    EXECUTE_SCENE_COOK = "ExecuteSceneCook"
    EXECUTE_WORKFLOW_MANAGER = "ExecuteWorkflowManager"
    EXECUTE_REPORT = "ExecuteReport"
    GP_SERVICE = "GPService"
    RUN_DATA_PIPELINE = "RunDataPipeline"


ITEM_TYPES: Mapping[str, str] = {
    TaskType.EXECUTE_NOTEBOOK: "Notebook",
    TaskType.UPDATE_INSIGHTS_WORKBOOK: "Insights Workbook",
    TaskType.EXECUTE_SCENE_COOK: "Scene Service",
    TaskType.EXECUTE_WORKFLOW_MANAGER: "Workflow",
    TaskType.EXECUTE_REPORT: "Administrative Report",
    TaskType.GP_SERVICE: "Geoprocessing Service",
    TaskType.RUN_DATA_PIPELINE: "Data Pipeline",
}


@dataclass(frozen=True, slots=True)
class Item:
    """Something on the portal that a portal task can execute."""

    id: str
    type: str
    title: str
    owner: str
    created: float


@dataclass(slots=True)
class State:
    """Everything a portal knows.

    Attributes:
        url: its address, context included.
        sign_ins: login pages on view: the redirect and the client's own state, by `oauth_state`.
        hidden: the fields that are never sent.
        nulls: whether fields without a value are sent as null.
        nullable: fields that are, in any case.
    """

    rules: Rules
    rng: Random
    accounts: Accounts
    scheduler: Scheduler
    url: str
    items: dict[str, Item] = field(default_factory=dict)
    sign_ins: dict[str, tuple[str, str]] = field(default_factory=dict)
    hidden: frozenset[str] = field(init=False)
    nulls: bool = field(init=False)
    nullable: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        style = self.rules.optional_fields
        self.nulls = style is OptionalFields.NULL
        self.nullable = frozenset({"title"} if style is OptionalFields.PRESENT else ())
        self.hidden = self.rules.hidden_fields | (_UNCERTAIN if style is OptionalFields.ABSENT else set())

    def new_id(self) -> str:
        """Make an id of 32 hexadecimal digits."""
        return new_id(self.rng)


def new_id(rng: Random) -> str:
    """Make an id of 32 hexadecimal digits."""
    return f"{rng.getrandbits(128):032x}"


@dataclass(frozen=True, slots=True)
class Request:
    """A request that has reached a resource.

    Attributes:
        params: query and form fields.
        now: portal time, epoch seconds.
        ip: where it comes from.
        token: the token it came with, already checked.
    """

    params: Mapping[str, str]
    now: float
    ip: str
    token: Token | None

    @property
    def user(self) -> User:
        """The signed-in user.

        Raises:
            Refusal: no one is signed in.
        """
        if self.token is None:
            raise token_required()
        return self.token.user

    def acting_for(self, state: State, username: str) -> User:
        """Return the user called `username`, if the signed-in user may act for them.

        Raises:
            Refusal: the user is someone else's business, or there is no such user.
        """
        user = self.user
        if user.username == username:
            return user
        if not user.is_admin:
            raise forbidden()
        if username not in state.accounts.users:
            raise unknown("User")
        return state.accounts.users[username]

    def number(self, name: str, default: int) -> int:
        """Return a whole number of at least 1.

        Raises:
            Refusal: it is something else.
        """
        text = self.params.get(name, "")
        if not text:
            return default
        if not (text.isascii() and text.isdecimal() and int(text) > 0):
            raise Refusal(400, f"'{name}' parameter is invalid.", f"{name}: {text!r} is not a number above 0")
        return int(text)
