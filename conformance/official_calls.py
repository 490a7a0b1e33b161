"""Makes calls of the official `arcgis` client: one for each line of standard input, in JSON.

    python conformance/official_calls.py facts.json

Like `official_client.py`, it needs `arcgis` and nothing of this project. `conformance/differential.py` starts
it, says which calls to make, and sees at the portal what they send.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from official_client import Portal, Run, Task

CALLS: dict[str, Callable] = {
    "create": lambda scene, **given: scene.manager.create(item=scene.item.itemid, **given),
    "all": lambda scene: scene.manager.all,
    "all properties": lambda scene: [task.properties for task in scene.manager.all],
    "count": lambda scene: scene.manager.count,
    "search": lambda scene, item=False, **given: scene.manager.search(
        item=scene.item if item else None, **given
    ),
    "properties": lambda scene: scene.task.properties,
    "update": lambda scene, **given: scene.task.update(**given),
    "enable": lambda scene: scene.task.enable(True),
    "disable": lambda scene: scene.task.enable(False),
    "start": lambda scene: scene.task.start(),
    "stop": lambda scene: scene.task.stop(),
    "delete": lambda scene: scene.task.delete(),
    "runs": lambda scene: scene.task.runs,
    "runs properties": lambda scene: [run.properties for run in scene.task.runs],
    "run properties": lambda scene: scene.run.properties,
    "run update": lambda scene, **given: scene.run.update(**given),
    "run delete": lambda scene: scene.run.delete(),
}


class Scene:
    """What a call is about: an item, a portal task of it, and a run of that."""

    def __init__(self, portal: Portal, told: dict) -> None:
        self.manager = portal.manager
        self.manager._tasks = None  # else it answers from memory
        self.item = portal.gis.content.get(told["item"])
        url = f"{self.manager._url}/{told['task']}"
        self.task = Task(url, portal.gis)
        self.run = Run(f"{url}/runs/{told['run']}", portal.gis)


def main() -> None:
    portal = Portal(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    for line in sys.stdin:
        told = json.loads(line)
        scene = Scene(portal, told["scene"])
        print("ready", flush=True)
        sys.stdin.readline()
        print(outcome(scene, told["verb"], told["given"]), flush=True)


def outcome(scene: Scene, verb: str, given: dict) -> str:
    """Make a call, and name the exception that it ends with."""
    for name in {"start_date", "end_date"} & given.keys():
        given[name] = datetime.fromisoformat(given[name])
    try:
        CALLS[verb](scene, **given)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the outcome
        return type(error).__name__
    return ""


main()
