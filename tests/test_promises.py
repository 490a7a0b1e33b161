"""The page on security names the tests that hold what it promises; they are there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[^`:]+\.py)::([^`]+)`", PAGE)))


@pytest.mark.parametrize(("path", "name"), NAMED)
def test_a_test_that_the_page_names_is_there(path: str, name: str) -> None:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_every_promise_names_its_tests() -> None:
    _, _, table = PAGE.partition("| promise | held by |\n|---|---|\n")
    promises = [line.split(" | ") for line in table.splitlines() if line]
    assert len(promises) > 15
    assert len(NAMED) > 30
    for promise, held_by in promises:
        assert re.search(r"`tests/\S+\.py::test_\w+`", held_by), promise
