"""Every method of the hook x every fault of the sandbox x both transports. The outcomes stand in the docs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache

import pytest

from airflow_provider_arcgis_tasks.hooks import ArcGISTasksHook
from airflow_provider_arcgis_tasks.portal import ArcGISTasksError
from airflow_provider_arcgis_tasks.sandbox import FaultKind
from airflow_provider_arcgis_tasks.sandbox.faults import TAKES_EFFECT
from tests.tables import check_tables, markdown
from tests.transport.conftest import Settle
from tests.transport.drive import KINDS, Kind
from tests.transport.place import METHODS, Place

TOKEN_FAULTS = {FaultKind.TOKEN_EXPIRED, FaultKind.TOKEN_REQUIRED}
NOT_TAKEN = {*TOKEN_FAULTS, FaultKind.TOO_MANY}
"""What tells for sure that a request was not carried out."""

RIGHT = "right"
RETRY_AFTER = 3.0


@dataclass(frozen=True)
class Outcome:
    """How a call ended.

    `sent`: requests for what the method is about. `besides`: what an undisturbed call does not send.
    """

    result: str
    sent: int
    besides: tuple[tuple[str, int], ...] = ()


Measure = Callable[[str, FaultKind, bool, Kind], Outcome]


@pytest.fixture(scope="module")
def measure(settle: Settle) -> Measure:
    """Carries out each call once, however many tests ask for its outcome."""

    @cache
    def usual(name: str, kind: Kind) -> Counter[str]:
        place = settle("http", kind)
        METHODS[name].call(place)
        return place.asked

    @cache
    def measured(name: str, fault: FaultKind, lasting: bool, kind: Kind) -> Outcome:
        undisturbed = usual(name, kind)
        place = settle("http", kind)
        spoil(place, fault, METHODS[name].resource, None if lasting else 1)
        return outcome(place, name, undisturbed)

    return measured


def spoil(place: Place, fault: FaultKind, resource: str, times: int | None) -> None:
    ordered = place.sandbox.fault(fault, resource, times, delay=30, retry_after=RETRY_AFTER)
    if fault is FaultKind.SLOW:
        place.drive.slow = ordered


def outcome(place: Place, name: str, usual: Counter[str]) -> Outcome:
    method = METHODS[name]
    try:
        told = method.call(place)
    except ArcGISTasksError as error:
        result = type(error).__name__
    else:
        result = "False" if name == "test_connection" and not told[0] else RIGHT
    asked = place.asked
    besides = asked - usual
    del besides[method.resource]
    if result == RIGHT:
        assert method.check(place, told)
    assert len(place.new) == (name == "create_task" and result == RIGHT)
    assert place.sandbox.portal.tokens_in_urls == 0
    return Outcome(result, asked[method.resource], tuple(sorted(besides.items())))


def promised(name: str, fault: FaultKind, lasting: bool) -> str:
    """What has to come of a call."""
    if name == "create_task" and fault in TAKES_EFFECT:
        return RIGHT
    if name == "create_task" and fault not in NOT_TAKEN:
        return "WriteUnanswered"
    if name == "test_connection" and (lasting or fault is FaultKind.SLOW):
        return "False"
    if not lasting:
        return RIGHT
    return "SignInRefused" if fault in TOKEN_FAULTS else "PortalUnreachable"


def allowed_requests(name: str, fault: FaultKind, lasting: bool) -> range:
    """How many requests may be sent for what the method is about."""
    if name == "create_task" and fault not in NOT_TAKEN:
        return range(1, 2)
    if name == "test_connection" and fault is FaultKind.SLOW:
        return range(1, 2)
    if not lasting:
        return range(2, 3)
    return range(3, 4) if fault in TOKEN_FAULTS else range(2, 21)


@pytest.mark.parametrize("lasting", [False, True], ids=["once", "lasting"])
@pytest.mark.parametrize("fault", FaultKind)
@pytest.mark.parametrize("name", METHODS)
def test_fault(measure: Measure, name: str, fault: FaultKind, lasting: bool) -> None:
    """The right result or a typed error, after a bounded number of requests, and the same for both."""
    found, other = (measure(name, fault, lasting, kind) for kind in KINDS)
    assert found == other
    assert found.result == promised(name, fault, lasting)
    assert found.sent in allowed_requests(name, fault, lasting)
    if not lasting:
        assert dict(found.besides).get("generateToken", 0) == (fault in TOKEN_FAULTS)


@pytest.mark.parametrize("fault", [FaultKind.TOO_MANY, FaultKind.UNAVAILABLE])
def test_retry_after_is_kept_to(place: Place, fault: FaultKind) -> None:
    spoil(place, fault, "tasks", 1)
    assert place.hook.count_tasks() == 1
    assert place.drive.pauses == [RETRY_AFTER]


def test_it_is_every_method() -> None:
    carrying_out = {"run", "arun", "close"}
    own = {name for name, value in vars(ArcGISTasksHook).items() if callable(value) and name[0] != "_"}
    assert own - carrying_out == set(METHODS)


# --- the table ---------------------------------------------------------------------------------------


def test_the_tables_in_the_docs(measure: Measure) -> None:
    """Methods that fare alike share a column."""
    cases = [(fault, lasting) for lasting in (False, True) for fault in FaultKind]
    columns: dict[tuple[Outcome, ...], list[str]] = {}
    for name in METHODS:
        column = tuple(measure(name, fault, lasting, "sync") for fault, lasting in cases)
        columns.setdefault(column, []).append(name)
    most = max(columns.values(), key=len)
    head = ["fault", *("any other" if names is most else listed(names) for names in columns.values())]
    faults = [f"`{fault}`" for fault, _ in cases]
    rows = list(zip(faults, *(map(cell, column) for column in columns), strict=True))
    once, lasting = markdown(head, rows[: len(FaultKind)]), markdown(head, rows[len(FaultKind) :])
    tables = f"\n## It happens once\n\n{once}\n## It lasts\n\n{lasting}\n"
    check_tables("faults.md", f"{tables}*Any other* is each of {listed(most)}.\n\n")


def listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def cell(outcome: Outcome) -> str:
    requests = "1 request" if outcome.sent == 1 else f"{outcome.sent} requests"
    sent = " and ".join([requests, *(f"{number} `{name}`" for name, number in outcome.besides)])
    return f"{RIGHT if outcome.result == RIGHT else f'`{outcome.result}`'} after {sent}"
