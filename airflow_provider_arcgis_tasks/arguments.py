"""Reads arguments that a template may have turned into text. Each error names the field and its value."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import TypeVar

from airflow_provider_arcgis_tasks.portal.models import check_aware

Choice = TypeVar("Choice", bound=StrEnum)


def choice(name: str, value: str, choices: type[Choice]) -> Choice:
    """One of the values of an enumeration. Raises `ValueError`."""
    try:
        return choices(value)
    except ValueError:
        raise ValueError(f"{name}: {value!r} is none of {', '.join(choices)}") from None


def seconds(name: str, value: float | timedelta | str) -> float:
    """Seconds above 0. Raises `ValueError`."""
    if isinstance(value, timedelta):
        value = value.total_seconds()
    try:
        read = float(value)
    except (TypeError, ValueError):
        read = -1.0
    if not 0 < read < 1e9:
        raise ValueError(f"{name}: {value!r} is not a number of seconds above 0")
    return read


def whole_number(name: str, value: int | str | None) -> int | None:
    """A whole number, or None for nothing. Raises `ValueError`."""
    if value is None or value == "":
        return None
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError):
        number = None
    if number is None or (not isinstance(value, str) and number != value):
        raise ValueError(f"{name}: {value!r} is not a whole number")
    return number


def moment(name: str, value: datetime | str | None) -> datetime | None:
    """An aware datetime, or None for nothing. Raises `ValueError`."""
    if value is None or value == "":
        return None
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise ValueError(
                f"{name}: {value!r} is not a time; write ISO 8601 with a zone, such as 2026-01-31T06:00:00Z"
            ) from None
        if value.utcoffset() is None:
            raise ValueError(
                f"{name}: {value.isoformat()!r} names no zone; write {value.isoformat()}Z for UTC"
            )
    check_aware(name, value)
    return value
