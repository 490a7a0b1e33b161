"""Places to work in, for each transport."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache

import pytest

from airflow_provider_arcgis_tasks.sandbox import Sandbox
from tests.transport.drive import KINDS, Drive, Kind, sandbox_settings
from tests.transport.place import Place

Settle = Callable[[str, Kind], Place]


@pytest.fixture(scope="module")
def settle() -> Iterator[Settle]:
    """Makes places. Servers and transports are shared, for reading certificates takes its time."""
    with ExitStack() as open_until_the_end:

        @cache
        def shared(scheme: str, kind: Kind) -> tuple[Sandbox, Drive]:
            sandbox = open_until_the_end.enter_context(Sandbox(tls=scheme == "https"))
            return sandbox, open_until_the_end.enter_context(Drive(kind, sandbox_settings(sandbox).http))

        yield lambda scheme, kind: Place(*shared(scheme, kind))


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    chosen: Kind = request.param
    return chosen


@pytest.fixture(params=["http"])
def place(request: pytest.FixtureRequest, kind: Kind, settle: Settle) -> Place:
    return settle(request.param, kind)
