"""Walks the official `arcgis` client through its whole scheduled-task API, against a running sandbox.

    python conformance/official_client.py facts.json

The facts are what `python -m airflow_provider_arcgis_tasks.sandbox --tls --json facts.json` writes. The
interpreter has to be one with `arcgis` installed; it needs nothing of this project.
"""

from __future__ import annotations

import json
import logging
import ssl
import sys
import time
import urllib.parse
import urllib.request
import warnings
from collections.abc import Callable
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path

warnings.simplefilter("ignore")
logging.disable(logging.WARNING)

from arcgis.gis import GIS  # noqa: E402
from arcgis.gis.tasks import Run, Task  # noqa: E402

CHECKS: list[Callable] = []
DAILY = "0 4 * * ?"
GP_TASK = "https://gis.example.com/server/rest/services/Tools/GPServer/Clip"
PARAMETERS = {
    "ExecuteSceneCook": {
        "service_url": "https://gis.example.com/server/rest/services/Hosted/City/SceneServer",
        "num_of_caching_service_instances": 2,
        "layer": "{}",
        "update_mode": "PARTIAL_UPDATE_NODES",
    },
    "ExecuteReport": {"reportType": "org", "reportSubType": "content", "title": "Content"},
    "ExecuteWorkflowManager": {"jobTemplateId": "x"},
    "GPService": {"distance": 5},
}


class Portal:
    """A running sandbox, and the client signed in to it."""

    def __init__(self, facts: dict) -> None:
        self.url, self.username, self.password = facts["url"], facts["username"], facts["password"]
        self.speed = facts.get("speed", 1)
        self.items = {item["taskType"]: item["id"] for item in facts.get("items", [])}
        self.ca_bundle = facts["caBundle"]

    @cached_property
    def gis(self) -> GIS:
        return self.sign_in(username=self.username, password=self.password)

    @property
    def manager(self):
        return self.gis.users.me.tasks

    def sign_in(self, **how) -> GIS:
        return GIS(self.url, verify_cert=False, **how)

    def post(self, path: str, **form: str) -> dict:
        body = urllib.parse.urlencode({"f": "json", **form}).encode()
        tls = ssl.create_default_context(cafile=self.ca_bundle)
        with urllib.request.urlopen(f"{self.url}/sharing/rest/{path}", body, context=tls) as answer:
            return json.load(answer)

    def create(self, kind: str = "ExecuteNotebook", cron: str = DAILY, **more) -> Task:
        task = self.manager.create(item=self.items[kind], cron=cron, task_type=kind, **more)
        assert isinstance(task, Task), task
        return task

    @contextmanager
    def task(self, *args, **more):
        """Make a portal task for the length of a block."""
        task = self.create(*args, **more)
        try:
            yield task
        finally:
            task.delete()

    def fresh(self, task: Task) -> dict:
        """Return what the portal says now: the client keeps what it has read."""
        return Task(task._url, self.gis).properties

    def wait_for_run(self, task: Task, status: str) -> Run:
        end = time.monotonic() + 180 / self.speed + 5
        while time.monotonic() < end:
            for run in task.runs:
                if run.properties["status"] == status:
                    return run
            time.sleep(0.1)
        raise AssertionError(f"no run became {status}")


def check(function: Callable) -> Callable:
    CHECKS.append(function)
    return function


@contextmanager
def refused(*texts: str):
    """Expect the client to raise an exception that says all of `texts`."""
    said = ""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - the client raises bare exceptions
        said = str(error)
    missing = [text for text in texts if text not in said]
    assert not missing, f"{missing} not in {said!r}"


@check
def signs_in_with_a_password(portal: Portal) -> None:
    assert portal.gis.users.me.username == portal.username
    assert portal.gis.properties.user.username == portal.username


@check
def refuses_a_wrong_password(portal: Portal) -> None:
    with refused("OAUTH_0015"):
        portal.sign_in(username=portal.username, password="wrong")
    assert portal.sign_in(username=portal.username, password=portal.password).users.me


@check
def signs_in_through_generate_token(portal: Portal) -> None:
    gis = portal.sign_in(username=portal.username, password=portal.password, use_gen_token=True)
    assert gis.users.me.username == portal.username
    assert isinstance(gis.users.me.tasks.count, int)


@check
def signs_in_with_a_ready_token(portal: Portal) -> None:
    token = portal.post(
        "generateToken", username=portal.username, password=portal.password, client="referer", referer="http"
    )
    gis = portal.sign_in(token=token["token"])
    assert gis.users.me.username == portal.username
    assert isinstance(gis.users.me.tasks.count, int)


@check
def connects_without_signing_in(portal: Portal) -> None:
    assert portal.sign_in().users.me is None


@check
def reads_the_version(portal: Portal) -> None:
    assert portal.gis.version >= [10, 8]


@check
def reads_an_item(portal: Portal) -> None:
    assert portal.gis.content.get(portal.items["ExecuteNotebook"]).type == "Notebook"


def creates(kind: str) -> None:
    def create(portal: Portal) -> None:
        more = {"parameters": PARAMETERS.get(kind)}
        if kind == "GPService":
            more["task_url"] = GP_TASK
        with portal.task(kind, title=f"A {kind}", **more) as task:
            stored = task.properties
            assert (stored["type"], stored["itemId"]) == (kind, portal.items[kind])
            assert stored["title"] == f"A {kind}"
            assert stored["userId"] == portal.username
            assert stored["maxOccurrences"] == 10
            assert stored["active"] is True
            assert stored.get("parameters") == PARAMETERS.get(kind)
            assert stored.get("taskUrl") == more.get("task_url")

    create.__name__ = f"creates_{kind}"
    check(create)


for _kind in (
    "ExecuteNotebook",
    "UpdateInsightsWorkbook",
    "ExecuteSceneCook",
    "ExecuteWorkflowManager",
    "ExecuteReport",
    "GPService",
    "RunDataPipeline",
):
    creates(_kind)


@check
def creates_with_everything(portal: Portal) -> None:
    begin = datetime.now(UTC).replace(microsecond=0) + timedelta(days=400)
    end = begin + timedelta(days=30)
    with portal.task(
        cron="*/15 * ? * 1,2,3,4,5,6,7",
        occurences=3,
        start_date=begin,
        end_date=end,
        title="all of it ü",
        parameters={"a": 1, "b": [1, 2]},
    ) as task:
        stored = task.properties
        assert stored["cronSchedule"]["dayOfWeek"] == "1,2,3,4,5,6,7"
        assert stored["cronSchedule"]["minute"] == "*/15"
        assert stored["maxOccurrences"] == 3
        assert stored["startDate"] == int(begin.timestamp() * 1000)
        assert stored["endDate"] == int(end.timestamp() * 1000)
        assert stored["title"] == "all of it ü"
        assert json.loads(stored["parameters"]["notebookParameters"]) == {"a": 1, "b": [1, 2]}
        assert stored["parameters"]["saveInjectedParameters"] is True
        assert stored["nextStart"] >= stored["startDate"]


@check
def creates_by_alias(portal: Portal) -> None:
    for alias in ("hourly", "daily", "monthly", "yearly", "annually", "midnight"):
        with portal.task(cron=alias) as task:
            assert task.properties["cronSchedule"]["minute"] == "0", alias


@check
def creates_without_a_title(portal: Portal) -> None:
    with portal.task() as task:
        assert task.properties.get("title") is None


@check
def refuses_day_0_of_the_week(portal: Portal) -> None:
    with refused("dayOfWeek", "400"):
        portal.create(cron="weekly")


@check
def refuses_reboot(portal: Portal) -> None:
    with refused("minute", "400"):
        portal.create(cron="reboot")


@check
def refuses_an_unknown_type(portal: Portal) -> None:
    with refused("type", "400"):
        portal.manager.create(item=portal.items["ExecuteNotebook"], cron=DAILY, task_type="Nonsense")


@check
def refuses_a_missing_item(portal: Portal) -> None:
    with refused("itemId", "400"):
        portal.manager.create(item=None, cron=DAILY, task_type="ExecuteNotebook")


@check
def refuses_a_scene_cook_without_parameters(portal: Portal) -> None:
    with refused("parameters", "400"):
        portal.create("ExecuteSceneCook")


@check
def refuses_a_web_tool_without_its_url(portal: Portal) -> None:
    with refused("taskUrl", "400"):
        portal.create("GPService")


@check
def lists_and_counts(portal: Portal) -> None:
    before = portal.manager.count
    with portal.task(title="one"), portal.task("RunDataPipeline", title="two"):
        assert portal.manager.count == before + 2
        assert {task.properties["title"] for task in portal.manager.all} >= {"one", "two"}
    assert portal.manager.count == before


@check
def searches_by_item(portal: Portal) -> None:
    item = portal.gis.content.get(portal.items["RunDataPipeline"])
    with portal.task(), portal.task("RunDataPipeline"):
        found = portal.manager.search(item=item)
        assert [task.properties["itemId"] for task in found] == [item.itemid]


@check
def searches_by_activity(portal: Portal) -> None:
    with portal.task(title="on"), portal.task(title="off") as off:
        off.enable(False)
        assert "off" not in [task.properties["title"] for task in portal.manager.search(active=True)]
        assert [task.properties["title"] for task in portal.manager.search(active=False)] == ["off"]


@check
def searches_by_types(portal: Portal) -> None:
    with portal.task(), portal.task("RunDataPipeline"), portal.task("UpdateInsightsWorkbook"):
        found = portal.manager.search(types="RunDataPipeline,UpdateInsightsWorkbook")
        assert [task.properties["type"] for task in found] == ["RunDataPipeline", "UpdateInsightsWorkbook"]


@check
def pages_by_hand(portal: Portal) -> None:
    manager = portal.manager
    with portal.task(title="1"), portal.task(title="2"), portal.task(title="3"):
        titles, start = [], 1
        while start != -1:
            page = portal.gis._con.get(manager._url, {"num": 2, "start": start})
            titles += [task["title"] for task in page["tasks"]]
            start = page["nextStart"]
        assert titles == ["1", "2", "3"]
        assert page["total"] == 3


@check
def updates_the_title(portal: Portal) -> None:
    with portal.task(title="old", parameters={"a": 1}, occurences=99) as task:
        assert task.update(title="new") is True
        stored = portal.fresh(task)
        assert stored["title"] == "new"
        assert json.loads(stored["parameters"]["notebookParameters"]) == {"a": 1}
        assert stored["maxOccurrences"] == 10, "the client always sends 10"


@check
def updates_everything(portal: Portal) -> None:
    begin = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
    with portal.task(title="old") as task:
        assert task.update(
            cron="1 2 ? 4 5",
            title="new",
            parameters={"z": 9},
            occurences=7,
            start_date=begin,
            end_date=begin + timedelta(days=900),
            is_active=True,
        )
        stored = portal.fresh(task)
        fields = {"minute": "1", "hour": "2", "dayOfMonth": "?", "month": "4", "dayOfWeek": "5"}
        assert stored["cronSchedule"] == fields
        assert (stored["title"], stored["parameters"]) == ("new", {"z": 9})
        assert stored["maxOccurrences"] == 7
        assert stored["startDate"] == int(begin.timestamp() * 1000)


@check
def updates_by_alias(portal: Portal) -> None:
    with portal.task() as task:
        assert task.update(cron="hourly") is True
        assert portal.fresh(task)["cronSchedule"]["hour"] == "*"


@check
def updates_a_web_tool(portal: Portal) -> None:
    with portal.task("GPService", title="gp", task_url=GP_TASK, parameters={"distance": 5}) as task:
        assert task.update(title="gp2") is True
        assert portal.fresh(task)["taskUrl"] == GP_TASK
        assert task.update(task_url=f"{GP_TASK}2") is True
        assert portal.fresh(task)["taskUrl"] == f"{GP_TASK}2"


@check
def stops_and_starts(portal: Portal) -> None:
    with portal.task() as task:
        assert task.stop() is True
        assert portal.fresh(task)["active"] is False
        assert "nextStart" not in portal.fresh(task)
        assert task.start() is True
        assert portal.fresh(task)["active"] is True
        assert portal.fresh(task)["nextStart"] > 0


@check
def disables_and_enables(portal: Portal) -> None:
    with portal.task() as task:
        assert task.enable(False) is True
        assert portal.fresh(task)["taskState"] == "paused"
        assert task.enable(True) is True
        assert portal.fresh(task)["taskState"] == "active"


@check
def shows_runs(portal: Portal) -> None:
    with portal.task(cron="* * * * ?", occurences=2, parameters={"rows": 3}) as task:
        run = portal.wait_for_run(task, "succeeded")
        stored = Run(run._url, portal.gis).properties
        assert stored["status"] == "succeeded"
        assert stored["modified"] >= stored["created"] > 0
        assert stored["task"]["id"] == task.properties["id"]
        assert stored["runId"] in repr(run)
        assert task.properties["id"] in repr(task)


@check
def edits_and_deletes_a_run(portal: Portal) -> None:
    with portal.task(cron="* * * * ?", occurences=1) as task:
        run = portal.wait_for_run(task, "succeeded")
        assert run.update(status="FAILED", description="boom") is True
        stored = Run(run._url, portal.gis).properties
        assert (stored["status"], stored["result"]) == ("failed", "boom")
        assert run.update(status="executing") is True
        assert run.update(description="later") is True
        assert Run(run._url, portal.gis).properties["result"] == "later"
        assert run.delete() is True
        assert task.runs == []
        with refused("404"):
            run.delete()


@check
def completes_after_the_last_occurrence(portal: Portal) -> None:
    with portal.task(cron="* * * * ?", occurences=1) as task:
        portal.wait_for_run(task, "succeeded")
        stored = portal.fresh(task)
        assert (stored["active"], stored["taskState"]) == (False, "completed")
        assert len(task.runs) == 1


@check
def deletes(portal: Portal) -> None:
    task = portal.create()
    assert task.delete() is True
    assert portal.fresh(task)["error"]["code"] == 404
    for action in (task.delete, lambda: task.runs, lambda: task.enable(True)):
        with refused("404"):
            action()


@check
def lets_an_administrator_see_others(portal: Portal) -> None:
    admin = portal.sign_in(username="administrator", password=portal.password)
    with portal.task(title="seen") as task:
        (found,) = _org_tasks(admin)
        url = f"{admin._portal.resturl}community/users/{found['userId']}/tasks/{found['id']}"
        theirs = Task(url, admin)
        assert theirs.properties["title"] == "seen"
        assert theirs.enable(False) is True
        assert portal.fresh(task)["active"] is False


@check
def keeps_users_apart(portal: Portal) -> None:
    url = f"{portal.manager._url.rsplit('/', 2)[0]}/administrator/tasks"
    with refused("403"):
        portal.gis._con.get(url, {"f": "json"})
    with refused("403"):
        _org_tasks(portal.gis)


def _org_tasks(gis: GIS) -> list[dict]:
    """Ask as `gis.admin.scheduled_tasks()` does, which needs a package that `arcgis` doesn't install."""
    answer = gis._con.get("portals/self/allScheduledTasks", {"start": 1, "num": 100, "f": "json"})
    return answer["tasks"]


def main() -> int:
    portal = Portal(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    failed = 0
    for number, function in enumerate(CHECKS, 1):
        begun = time.monotonic()
        reason = _failure(function, portal)
        failed += bool(reason)
        seconds = time.monotonic() - begun
        name = function.__name__.replace("_", " ")
        print(f"{number:3} {'FAILED' if reason else 'passed'} {seconds:6.2f} s  {name}", flush=True)
        if reason:
            print(f"            {reason}", flush=True)
    print(f"{len(CHECKS) - failed} passed, {failed} failed")
    return 1 if failed else 0


def _failure(function: Callable, portal: Portal) -> str:
    try:
        function(portal)
    except Exception as error:  # noqa: BLE001 - whatever the client raises is the verdict
        where = error.__traceback__
        while where.tb_next is not None and where.tb_next.tb_frame.f_code.co_filename == __file__:
            where = where.tb_next
        return f"line {where.tb_lineno}: {type(error).__name__}: {' '.join(str(error).split())}"
    return ""


if __name__ == "__main__":
    sys.exit(main())
