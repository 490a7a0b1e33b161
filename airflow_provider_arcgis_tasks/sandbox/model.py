"""The portal's behaviour: requests in, replies out, and time in between.

It opens no connection, starts no thread and never sleeps. What has come due since the last request happens
when the next one arrives, so a portal on a `ManualClock` is exactly repeatable.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from threading import RLock
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from airflow_provider_arcgis_tasks.sandbox.accounts import ADMIN_ROLE, Accounts, App, Token, User
from airflow_provider_arcgis_tasks.sandbox.clock import Clock, RealClock
from airflow_provider_arcgis_tasks.sandbox.faults import TAKES_EFFECT, Fault, FaultKind
from airflow_provider_arcgis_tasks.sandbox.records import Fired, Plan, Result, Task
from airflow_provider_arcgis_tasks.sandbox.refusals import Refusal, token_invalid, token_required
from airflow_provider_arcgis_tasks.sandbox.routes import SIGN_INS, WRITES, Operation, Route, find_route
from airflow_provider_arcgis_tasks.sandbox.rules import Rules
from airflow_provider_arcgis_tasks.sandbox.scheduler import Scheduler
from airflow_provider_arcgis_tasks.sandbox.state import ITEM_TYPES, Item, Request, State, TaskType, new_id
from airflow_provider_arcgis_tasks.sandbox.wire import Reply, html_reply, http_date, json_page, json_reply

USERNAME = "analyst"
ADMINISTRATOR = "administrator"
SAMPLE_SECRET = "sandbox-secret"  # noqa: S105
PORTAL_URL = "https://portal.example.com/portal"
JOURNAL_SIZE = 10_000

_OPERATIONS = frozenset(Operation)
_LOGIN_PAGE = "<!DOCTYPE html>\n<html><head><title>Sign In</title></head><body>Please sign in.</body></html>"
_SORRY_PAGE = "<!DOCTYPE html>\n<html><head><title>503 Service Unavailable</title></head></html>"
_NOT_FOUND_PAGE = "<!DOCTYPE html>\n<html><head><title>404 Not Found</title></head></html>"


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request that the portal has seen, and its outcome.

    Attributes:
        time: portal time, epoch seconds.
        user: who was signed in.
        status: HTTP status of the answer.
        error: code of the error in it; 0 if there is none.
        fault: the fault on order that hit it.
        took_effect: whether the portal did what was asked.
    """

    time: float
    method: str
    path: str
    operation: str
    user: str | None
    status: int
    error: int
    fault: str
    took_effect: bool


@dataclass(slots=True)
class _Call:
    """A request while it is being answered."""

    method: str
    path: str
    route: Route
    params: Mapping[str, str]
    headers: Mapping[str, str]
    ip: str
    now: float
    user: str | None = None
    error: int = 0
    took_effect: bool = False


class Portal:
    """An ArcGIS portal with scheduled tasks. May be used from several threads.

    Args:
        clock: the portal's clock; real time by default.
        rules: how it behaves where real portals may differ.
        url: its address; the path is its context, such as `/portal`.
        seed: from which ids and tokens follow.
        username: the main user, who may publish and schedule.
        password: that user's and the administrator's password.

    Attributes:
        journal: the latest requests, oldest first.
        tokens_in_urls: how many requests carried a token in their URL.
    """

    def __init__(
        self,
        clock: Clock | None = None,
        rules: Rules | None = None,
        *,
        url: str = PORTAL_URL,
        seed: int = 0,
        username: str = USERNAME,
        password: str = SAMPLE_SECRET,
    ) -> None:
        rules = rules or Rules()
        rng = Random(seed)  # noqa: S311 - repeatable on purpose
        self.clock: Clock = clock or RealClock()
        self.rules = rules
        self.username, self.password = username, password
        self.journal: deque[Exchange] = deque(maxlen=JOURNAL_SIZE)
        self.tokens_in_urls = 0
        self._lock = RLock()
        self._counts: Counter[tuple[str, bool]] = Counter()
        self._faults: list[Fault] = []
        self._accounts = Accounts(rules, Random(rng.getrandbits(64)))  # noqa: S311
        self._scheduler = Scheduler(rules, lambda: new_id(rng))
        self._state = State(rules, rng, self._accounts, self._scheduler, url)
        self.url = url
        self.add_user(username, password)
        self.add_user(ADMINISTRATOR, password, role=ADMIN_ROLE)

    @property
    def url(self) -> str:
        """The portal's address, context included."""
        return self._state.url

    @url.setter
    def url(self, url: str) -> None:
        self._state.url = url.rstrip("/")
        self._context = [part for part in urlsplit(url).path.split("/") if part]

    @property
    def tokens_minted(self) -> int:
        """How many tokens have been made."""
        return self._accounts.minted

    @property
    def fired(self) -> Sequence[Fired]:
        """Every real execution so far, in the order of their beginnings."""
        self.advance()
        return self._scheduler.fired

    @property
    def tasks(self) -> Mapping[str, Task]:
        """The portal tasks there are now, by id, oldest first."""
        with self._lock:
            self.advance()
            return dict(self._scheduler.tasks)

    def handle(
        self,
        method: str,
        path: str,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        ip: str = "127.0.0.1",
    ) -> Reply:
        """Answer one request.

        Args:
            method: the HTTP method.
            path: from the host's root, context included; a query may follow.
            params: the query of a GET, the form of a POST.
            headers: in any case.
            ip: where the request comes from.

        Returns:
            The answer, with the portal's `Date`.
        """
        with self._lock:
            now = self.clock.now()
            self._scheduler.advance_to(now)
            call = self._read(method, path, params or {}, headers or {}, ip, now)
            fault = None if self._scheduler.is_down(now) else self._next_fault(call)
            reply = self._reply(call, fault)
            self._record(call, reply, fault)
            dated = {"Date": http_date(int(now)), **reply.headers}
            return Reply(reply.status, dated, reply.body, reply.delay, reply.lost)

    def advance(self) -> None:
        """Let everything happen that is due by the portal's clock."""
        with self._lock:
            self._scheduler.advance_to(self.clock.now())

    def add_user(
        self,
        username: str,
        password: str,
        *,
        role: str = "org_publisher",
        privileges: tuple[str, ...] | None = None,
    ) -> User:
        """Add a user; privileges follow from the role unless given."""
        return self._accounts.add_user(username, password, role, privileges)

    def add_item(self, type: str = "Notebook", title: str = "", owner: str | None = None) -> str:
        """Add an item and return its id.

        Args:
            type: an item type such as `Notebook`, or the task type that executes it.
            title: a title for people.
            owner: a username; the main user by default.

        Raises:
            ValueError: there is no such user.
        """
        with self._lock:
            kind = ITEM_TYPES.get(type, type)
            owner = self._user(owner).username
            item = Item(self._state.new_id(), kind, title or kind, owner, self.clock.now())
            self._state.items[item.id] = item
            return item.id

    def plan(
        self,
        key: str | None,
        outcome: str = "succeeded",
        duration: float = 30.0,
        result: Result = "",
        times: int | None = None,
    ) -> None:
        """Decide what coming runs do. Plans of one item queue up.

        Args:
            key: an item id; or a task type, for items without a plan; or None, for all others.
            outcome: the run's last status, any text: `succeeded`, `failed`, `skipped`, `submitfailed` ...
            duration: portal seconds it executes; `math.inf`: for ever.
            result: the run's result: a text, something for JSON, or a function of the run's inputs (a
            notebook's
                parameters) that returns either; what it raises makes the run fail.
            times: how many runs; None: one if more is queued behind, else all that follow.

        Raises:
            ValueError: there is no such item or task type.
        """
        with self._lock:
            if key is not None and key not in self._state.items and key not in list(TaskType):
                raise ValueError(f"key: {key!r} is neither an item nor one of {', '.join(TaskType)}")
            self._scheduler.advance_to(self.clock.now())
            plan = Plan(outcome, duration, result)
            if key is None:
                self._scheduler.default_plan = plan
            else:
                self._scheduler.plan(key, plan, times)

    def fault(self, kind: str, match: str | None = None, times: int | None = 1, **options: Any) -> Fault:
        """Order a fault; see `FaultKind` and `Fault` for kinds and options.

        Args:
            kind: what goes wrong.
            match: an operation such as `createTask`, `runs`, `tasks`, or a regular expression for the path.
            times: how often; None: until it is cancelled.
            **options: `after`, `delay`, `retry_after`, `status`, `body`.
        """
        with self._lock:
            fault = Fault(FaultKind(kind), match, times, **options)
            self._faults.append(fault)
            return fault

    def down(self, begin: float, end: float) -> None:
        """Take the portal out of service between two times, in epoch seconds of its clock."""
        with self._lock:
            self._scheduler.down(begin, end)

    def issue_token(self, username: str | None = None, minutes: float | None = None) -> str:
        """Return a token that is ready for use and lives as long as asked."""
        with self._lock:
            return self._accounts.issue(self._user(username), self.clock.now(), minutes).value

    def expire_tokens(self) -> None:
        """Make every token but the API keys invalid at once."""
        with self._lock:
            self._accounts.expire_tokens()

    def register_app(self, owner: str | None = None) -> App:
        """Register an app that signs in with `client_credentials` and acts for `owner`."""
        with self._lock:
            return self._accounts.add_app(self._user(owner))

    def add_api_key(self, owner: str | None = None) -> str:
        """Make an API key that acts for `owner`."""
        with self._lock:
            return self._accounts.mint_key(self._user(owner), self.clock.now()).value

    def count(self, operation: str, *, took_effect: bool | None = None) -> int:
        """Count the requests for one operation.

        Args:
            operation: such as `createTask`; see `Operation`.
            took_effect: count only those that did, or did not, what was asked.
        """
        wanted = (True, False) if took_effect is None else (took_effect,)
        return sum(self._counts[(operation, effect)] for effect in wanted)

    def _user(self, username: str | None) -> User:
        username = username or self.username
        if username not in self._accounts.users:
            raise ValueError(f"the portal has no user {username!r}")
        return self._accounts.users[username]

    def _read(
        self,
        method: str,
        path: str,
        params: Mapping[str, str],
        headers: Mapping[str, str],
        ip: str,
        now: float,
    ) -> _Call:
        path, _, query = path.partition("?")
        in_url = params if method == "GET" else {}
        if query:
            in_url = {**dict(parse_qsl(query, keep_blank_values=True)), **in_url}
            params = {**in_url, **params}
        self.tokens_in_urls += "token" in in_url
        lowered = {name.lower(): value for name, value in headers.items()}
        return _Call(method, path, self._route(path), params, lowered, ip, now)

    def _route(self, path: str) -> Route:
        parts = path.strip("/").split("/")
        size = len(self._context)
        if parts[:size] != self._context:
            return Route(Operation.UNKNOWN)
        match parts[size:]:
            case ["sharing", "rest", *below]:
                return find_route([unquote(part) for part in below] if "%" in path else below)
            case ["sharing", "oauth2", "signin"]:
                return Route(Operation.SIGN_IN)
        return Route(Operation.UNKNOWN)

    def _next_fault(self, call: _Call) -> Fault | None:
        operation = call.route.operation
        return next(
            (fault for fault in self._faults if fault.strikes(operation, call.path, _OPERATIONS)), None
        )

    def _reply(self, call: _Call, fault: Fault | None) -> Reply:
        if self._scheduler.is_down(call.now):
            return html_reply(503, _SORRY_PAGE)
        if fault is None:
            return self._answer(call)
        if fault.kind in TAKES_EFFECT:
            return _spoiled(self._answer(call), fault)
        return self._instead(call, fault)

    def _instead(self, call: _Call, fault: Fault) -> Reply:
        after = {} if fault.retry_after is None else {"Retry-After": f"{fault.retry_after:g}"}
        match fault.kind:
            case FaultKind.TOKEN_EXPIRED:
                return self._refuse(call, token_invalid())
            case FaultKind.TOKEN_REQUIRED:
                return self._refuse(call, token_required())
            case FaultKind.TOO_MANY:
                return html_reply(429, "Too Many Requests", after)
            case FaultKind.UNAVAILABLE:
                return html_reply(503, _SORRY_PAGE, after)
            case FaultKind.HTML:
                return html_reply(200, _LOGIN_PAGE)
            case FaultKind.ERROR:
                body = fault.body or {"error": {"code": 500, "message": "Internal error.", "details": []}}
                return json_reply(fault.status, self.rules.json_content_type, body)
        return Reply(0, lost="before")

    def _answer(self, call: _Call) -> Reply:
        operation = call.route.operation
        if operation is Operation.UNKNOWN:
            return html_reply(404, _NOT_FOUND_PAGE)
        try:
            answer = self._carry_out(call)
        except Refusal as refusal:
            return self._refuse(call, refusal)
        call.took_effect = True
        return answer if isinstance(answer, Reply) else self._show(call, 200, answer)

    def _carry_out(self, call: _Call) -> dict[str, Any] | Reply:
        operation = call.route.operation
        if call.method not in (("POST",) if operation in WRITES else ("GET", "POST")):
            raise Refusal(405, "Method Not Allowed", f"{call.method} is not allowed here")
        token = self._token(call, operation)
        call.user = token.user.username if token else None
        return call.route.carry_out(self._state, Request(call.params, call.now, call.ip, token))

    def _token(self, call: _Call, operation: Operation) -> Token | None:
        if operation in SIGN_INS:
            return None
        value = call.params.get("token", "")
        if operation is not Operation.GENERATE_TOKEN:
            value = _bearer(call.headers) or value
        if not value:
            return None
        return self._accounts.check(value, call.now, call.headers.get("referer", ""), call.ip)

    def _refuse(self, call: _Call, refusal: Refusal) -> Reply:
        call.error = refusal.code
        return self._show(call, refusal.code if self.rules.errors_in_status else 200, refusal.body)

    def _show(self, call: _Call, status: int, answer: Mapping[str, Any]) -> Reply:
        if call.params.get("f") in ("json", "pjson") or call.route.operation is Operation.OAUTH_TOKEN:
            return json_reply(status, self.rules.json_content_type, answer)
        return json_page(status, answer)

    def _record(self, call: _Call, reply: Reply, fault: Fault | None) -> None:
        operation = call.route.operation
        self._counts[(operation, call.took_effect)] += 1
        self.journal.append(
            Exchange(
                call.now,
                call.method,
                call.path,
                operation,
                call.user,
                reply.status,
                call.error,
                fault.kind if fault else "",
                call.took_effect,
            )
        )


def _bearer(headers: Mapping[str, str]) -> str:
    for name in ("x-esri-authorization", "authorization"):
        scheme, _, value = headers.get(name, "").partition(" ")
        if scheme.lower() == "bearer" and value:
            return value
    return ""


def _spoiled(reply: Reply, fault: Fault) -> Reply:
    match fault.kind:
        case FaultKind.LOST_REPLY:
            return replace(reply, lost="before")
        case FaultKind.HANG_UP:
            return replace(reply, lost="midway")
        case FaultKind.TRUNCATED:
            return replace(reply, body=reply.body[: len(reply.body) // 2])
        case FaultKind.EMPTY:
            return replace(reply, body=b"")
    return replace(reply, delay=fault.delay)
