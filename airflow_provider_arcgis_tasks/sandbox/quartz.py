"""The portal's five cron fields, read on their own: Quartz without the seconds field.

Sunday is day 1 of the week and exactly one of the two day fields should be `?`
(REST pages "Create new scheduled task" and, for the Kubernetes twin, "Create task").
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

FIELDS = ("minute", "hour", "dayOfMonth", "month", "dayOfWeek")

_YEARS_AHEAD = 12
_LIMITS = {"minute": (0, 59), "hour": (0, 23), "dayOfMonth": (1, 31), "month": (1, 12), "dayOfWeek": (1, 7)}
_MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
_DAYS = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]
_NAMES: dict[str, dict[str, int]] = {
    "month": {name: number for number, name in enumerate(_MONTHS, 1)},
    "dayOfWeek": {name: number for number, name in enumerate(_DAYS, 1)},
}
_OFFSET = re.compile(r"([+-])(\d\d):(\d\d)")

DayRule = Callable[[int, int], set[int]]


@dataclass(frozen=True, slots=True)
class Schedule:
    """Five cron fields, understood."""

    minutes: frozenset[int]
    hours: frozenset[int]
    months: frozenset[int]
    days: DayRule

    def next_fire(self, after: float, zone: tzinfo = UTC) -> float | None:
        """Return the first fire time later than `after`, both in epoch seconds; None if there is none.

        A wall time that daylight saving leaves out does not fire, one that comes twice fires twice.
        """
        moment = after // 60 * 60 + 60
        wall = datetime.fromtimestamp(moment, zone)
        last_year = wall.year + _YEARS_AHEAD
        while wall.year <= last_year:
            if wall.minute in self.minutes and wall.hour in self.hours and self._has_day(wall):
                return moment
            moment = self._skip(moment, wall, zone)
            wall = datetime.fromtimestamp(moment, zone)
        return None

    def _has_day(self, wall: datetime) -> bool:
        return wall.month in self.months and wall.day in self.days(wall.year, wall.month)

    def _skip(self, moment: float, wall: datetime, zone: tzinfo) -> float:
        """Return a later moment with no fire time in between."""
        if not self._has_day(wall):
            return datetime.combine(self._day_after(wall), time.min, zone).timestamp()
        minute = (
            60
            if wall.hour not in self.hours
            else min((m for m in self.minutes if m > wall.minute), default=60)
        )
        return moment + (minute - wall.minute) * 60

    def _day_after(self, wall: datetime) -> date:
        if wall.month in self.months:
            later = [day for day in self.days(wall.year, wall.month) if day > wall.day]
            if later:
                return date(wall.year, wall.month, min(later))
        return date(wall.year + wall.month // 12, wall.month % 12 + 1, 1)

    def interval(self, after: float, zone: tzinfo = UTC) -> float | None:
        """Return the seconds between the next two fire times; None if there are not two."""
        first = self.next_fire(after, zone)
        second = None if first is None else self.next_fire(first, zone)
        return None if first is None or second is None else second - first

    def shortest_interval(self, after: float, zone: tzinfo = UTC, looks: int = 120) -> float:
        """Return the least number of seconds between any of the next `looks` fire times."""
        shortest, moment = float("inf"), self.next_fire(after, zone)
        for _ in range(looks):
            following = None if moment is None else self.next_fire(moment, zone)
            if moment is None or following is None:
                break
            shortest, moment = min(shortest, following - moment), following
        return shortest


def parse(fields: Mapping[str, str], *, strict: bool = False) -> Schedule:
    """Read the five fields.

    Args:
        fields: the texts by the names in `FIELDS`.
        strict: refuse `*` in one day field beside anything but `?` in the other, as Quartz itself does. By
            default such a `*` counts as `?`, since the aliases of the official Python client send it.

    Raises:
        ValueError: a field is wrong; the text begins with its name.
    """
    return _parse(tuple(fields[name].strip().upper() for name in FIELDS), strict)


def next_fire(
    fields: Mapping[str, str], after: float, zone: tzinfo = UTC, *, strict: bool = False
) -> float | None:
    """Return the first fire time of `fields` later than `after`, both in epoch seconds."""
    return parse(fields, strict=strict).next_fire(after, zone)


@lru_cache(maxsize=128)
def read_zone(name: str) -> tzinfo:
    """Return the zone called `name`: an IANA name or a fixed offset such as `+05:30`.

    Raises:
        ValueError: there is no such zone.
    """
    if match := _OFFSET.fullmatch(name):
        sign, hours, minutes = match.groups()
        offset = timedelta(hours=int(hours), minutes=int(minutes))
        return timezone(-offset if sign == "-" else offset)
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        raise ValueError(f"unknown time zone {name!r}") from None


@lru_cache(maxsize=1024)
def _parse(texts: tuple[str, ...], strict: bool) -> Schedule:
    minute, hour, day_of_month, month, day_of_week = texts
    if strict:
        _check_day_fields(day_of_month, day_of_week)
    return Schedule(
        minutes=_numbers("minute", minute),
        hours=_numbers("hour", hour),
        months=_numbers("month", month),
        days=lru_cache(maxsize=64)(_day_rule(day_of_month, day_of_week)),
    )


def _check_day_fields(day_of_month: str, day_of_week: str) -> None:
    if (day_of_month == "?") == (day_of_week == "?"):
        raise ValueError("dayOfWeek: exactly one of dayOfMonth and dayOfWeek has to be ?")


def _day_rule(day_of_month: str, day_of_week: str) -> DayRule:
    open_month, open_week = day_of_month in ("*", "?"), day_of_week in ("*", "?")
    if day_of_month == day_of_week == "?":
        raise ValueError("dayOfWeek: dayOfMonth and dayOfWeek can't both be ?")
    if not open_month and not open_week:
        raise ValueError("dayOfWeek: either dayOfMonth or dayOfWeek has to be ?")
    return _week_days(day_of_week) if open_month and not open_week else _month_days(day_of_month)


def _month_days(text: str) -> DayRule:
    if text == "?":
        text = "*"
    if text == "LW":
        return lambda year, month: {_nearest_weekday(year, month, _length(year, month))}
    if match := re.fullmatch(r"L(?:-(\d{1,2}))?", text):
        back = int(match[1] or 0)
        return lambda year, month: {_length(year, month) - back}
    if match := re.fullmatch(r"(\d{1,2})W", text):
        day = _in_range("dayOfMonth", int(match[1]))
        return lambda year, month: (
            {_nearest_weekday(year, month, day)} if day <= _length(year, month) else set()
        )
    wanted = _numbers("dayOfMonth", text)
    return lambda year, month: {day for day in wanted if day <= _length(year, month)}


def _week_days(text: str) -> DayRule:
    if match := re.fullmatch(r"(\w+)#(\d)", text):
        day, nth = _number("dayOfWeek", match[1]), int(match[2])
        if not 1 <= nth <= 5:
            raise ValueError("dayOfWeek: the number after # has to be 1 to 5")
        return lambda year, month: set(_dates_of(year, month, {day})[nth - 1 : nth])
    if match := re.fullmatch(r"([A-Z]{3}|\d)L", text):
        last = _number("dayOfWeek", match[1])
        return lambda year, month: set(_dates_of(year, month, {last})[-1:])
    wanted = _numbers("dayOfWeek", "7" if text == "L" else text)
    return lambda year, month: set(_dates_of(year, month, wanted))


def _numbers(field: str, text: str) -> frozenset[int]:
    numbers: set[int] = set()
    for part in text.split(","):
        numbers |= _part(field, part)
    return frozenset(numbers)


def _part(field: str, part: str) -> set[int]:
    low, high = _LIMITS[field]
    match = re.fullmatch(r"(\*|\w+(?:-\w+)?)?(?:/(\d+))?", part)
    if not part or match is None:
        raise ValueError(f"{field}: {part!r} is not understood")
    span, step = match[1] or "*", int(match[2] or 1)
    if not 1 <= step <= high:
        raise ValueError(f"{field}: a step has to be 1 to {high}, not {step}")
    if span == "*":
        return set(range(low, high + 1, step))
    first, _, last = span.partition("-")
    begin = _number(field, first)
    if not last:
        return set(range(begin, high + 1, step)) if match[2] else {begin}
    return _range(field, begin, _number(field, last), step)


def _range(field: str, begin: int, end: int, step: int) -> set[int]:
    low, high = _LIMITS[field]
    size = high - low + 1
    if end < begin:
        end += size
    return {low + (number - low) % size for number in range(begin, end + 1, step)}


def _number(field: str, text: str) -> int:
    if (named := _NAMES.get(field, {}).get(text)) is not None:
        return named
    if not (text.isascii() and text.isdecimal()):
        raise ValueError(f"{field}: {text!r} is not understood")
    return _in_range(field, int(text))


def _in_range(field: str, number: int) -> int:
    low, high = _LIMITS[field]
    if not low <= number <= high:
        raise ValueError(f"{field}: {number} is not between {low} and {high}")
    return number


def _length(year: int, month: int) -> int:
    return calendar.monthrange(year, month)[1]


def _nearest_weekday(year: int, month: int, day: int) -> int:
    weekday, length = date(year, month, day).weekday(), _length(year, month)
    if weekday == calendar.SATURDAY:
        return day - 1 if day > 1 else day + 2
    if weekday == calendar.SUNDAY:
        return day + 1 if day < length else day - 2
    return day


def _dates_of(year: int, month: int, wanted: set[int] | frozenset[int]) -> list[int]:
    first = date(year, month, 1).isoweekday() % 7
    return [day for day in range(1, _length(year, month) + 1) if (first + day - 1) % 7 + 1 in wanted]
