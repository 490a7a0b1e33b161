"""One function decides what a status means."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_arcgis_tasks.portal import PortalRun, RunFailed, RunStatus
from airflow_provider_arcgis_tasks.portal.verdict import Criteria, Verdict, describe


def run(status: str, result: Any = None) -> PortalRun:
    return PortalRun.from_wire({"runId": "r1", "status": status, "result": result}, "t1")


def verdicts(criteria: Criteria) -> dict[str, str]:
    return {status.value: criteria.verdict(run(status)).name.lower() for status in RunStatus}


USUAL = {
    "scheduled": "waiting",
    "executing": "waiting",
    "succeeded": "succeeded",
    "failed": "failed",
    "skipped": "failed",
    "submitfailed": "failed",
    "unknown": "waiting",
}


@pytest.mark.parametrize(
    ("success", "failure", "different"),
    [
        (None, None, {}),
        (["succeeded"], None, {}),
        (["succeeded", "skipped"], None, {"skipped": "succeeded"}),
        (["skipped"], None, {"skipped": "succeeded", "succeeded": "waiting"}),
        ([RunStatus.EXECUTING], None, {"executing": "succeeded", "succeeded": "waiting"}),
        (["EXECUTING"], None, {"executing": "succeeded", "succeeded": "waiting"}),
        ("failed", None, {"failed": "succeeded", "succeeded": "waiting"}),
        (None, ["failed"], {"skipped": "waiting", "submitfailed": "waiting"}),
        (None, [], {"failed": "waiting", "skipped": "waiting", "submitfailed": "waiting"}),
        (
            None,
            ["executing"],
            dict.fromkeys(("failed", "skipped", "submitfailed"), "waiting") | {"executing": "failed"},
        ),
    ],
)
def test_criteria(success: Any, failure: Any, different: dict[str, str]) -> None:
    assert verdicts(Criteria.of(success, failure)) == {**USUAL, **different}


@pytest.mark.parametrize(
    ("success", "failure", "text"),
    [
        (["done"], None, "success_statuses: 'done'"),
        (["unknown"], None, "success_statuses: 'unknown'"),
        (None, ["Faild"], "failure_statuses: 'Faild'"),
        ([None], None, "success_statuses: None"),
        (["failed"], ["failed", "skipped"], "failure_statuses: failed can't mean"),
    ],
)
def test_criteria_refused(success: Any, failure: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Criteria.of(success, failure)


@pytest.mark.parametrize("status", RunStatus)
def test_check(status: RunStatus) -> None:
    checked = run(status, "why")
    if status is RunStatus.SUCCEEDED:
        assert Criteria().check(checked) is checked
    else:
        with pytest.raises(RunFailed, match=f"Portal run r1 of portal task t1 is {status}: why") as e:
            Criteria().check(checked)
        assert e.value.run is checked


def test_an_unknown_status_waits() -> None:
    assert Criteria().verdict(run("paused by hand")) is Verdict.WAITING
    assert describe(run("paused by hand")) == "Portal run r1 of portal task t1 is paused by hand"


def test_description_is_one_short_line() -> None:
    text = describe(run("failed", "line 1\n  line 2\n" + "x" * 10_000))
    assert text.startswith("Portal run r1 of portal task t1 is failed: line 1 line 2 xxx")
    assert "\n" not in text
    assert len(text) < 600
