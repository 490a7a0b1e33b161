"""Standard cron, the portal's own five fields, and the way between the two.

A schedule is standard five-field cron or a nickname such as `@daily`, and means what it means to Airflow:
croniter reads it. The portal reads Quartz without the seconds: Sunday is 1, and one of the two day fields
is `?`. A text with `?`, `#`, or a Quartz `L` or `W` is the portal's own dialect. All times are UTC.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from itertools import groupby, islice
from typing import Any

_NICKNAMES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_LONGEST_MONTHS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_YEARS_BETWEEN_LEAP_DAYS = 8  # at most: around 2100


@dataclass(frozen=True, slots=True)
class CronFields:
    """The portal's five schedule fields, as texts in its own dialect."""

    minute: str
    hour: str
    day_of_month: str
    month: str
    day_of_week: str

    @classmethod
    def at(cls, moment: datetime) -> CronFields:
        """The fields that fire at the minute of `moment`, once a year.

        The minute is the one that `moment` shows in its own zone: pass UTC, unless the portal is known to
        read its schedules in another zone. Raises `ValueError` for a `moment` without a zone.
        """
        _require_zone("moment", moment)
        return cls(str(moment.minute), str(moment.hour), str(moment.day), str(moment.month), "?")

    @classmethod
    def from_wire(cls, schedule: Mapping[str, Any]) -> CronFields:
        """Read the object that a portal answers with; a field that is absent, null or empty counts as `*`."""
        known = {name.replace("_", "").lower(): value for name, value in schedule.items()}
        values = (known.get(name.lower()) for name in _WIRE_NAMES)
        return cls(*("*" if value in (None, "") else str(value).strip() for value in values))

    def as_form(self) -> dict[str, str]:
        """The fields under the names that the portal wants in a form."""
        return dict(zip(_WIRE_NAMES, self._texts(), strict=True))

    def __str__(self) -> str:
        return " ".join(self._texts())

    def _texts(self) -> tuple[str, ...]:
        return self.minute, self.hour, self.day_of_month, self.month, self.day_of_week


@dataclass(frozen=True, slots=True)
class _Field:
    """One of the five fields, in one of the two dialects.

    `choices` says what can be written in it; `special` matches what stands for more than numbers.
    """

    name: str
    low: int
    high: int
    choices: str
    names: tuple[str, ...] = ()
    special: str = "(?!)"

    def read(self, text: str) -> set[int]:
        """The numbers that a text of the portal's dialect stands for, or `ValueError`."""
        return {number for part in text.split(",") for number in self._read_part(part)}

    def _read_part(self, part: str) -> Iterator[int]:
        span, slash, step = part.partition("/")
        first, dash, last = span.partition("-")
        start = self.low if span == "*" else self._number(first)
        end = self._number(last) if dash else self.high if slash or span == "*" else start
        size = self.high - self.low + 1
        stop = end if start <= end else end + size  # goes on into the next hour, day, week, ...
        for number in range(start, stop + 1, _number(step, 1, self.high) if slash else 1):
            yield (number - self.low) % size + self.low

    def _number(self, text: str) -> int:
        if text.upper() in self.names:
            return self.low + self.names.index(text.upper())
        return _number(text, self.low, self.high)

    def write(self, numbers: set[int]) -> str:
        """The shortest text for such numbers; both dialects read it alike."""
        ordered = sorted(numbers)
        first, last = ordered[0], ordered[-1]
        if len(ordered) == self.high - self.low + 1:
            return "*"
        listed = ",".join(_runs(ordered))
        step = ordered[1] - first if len(ordered) > 1 else 1
        if ordered != list(range(first, last + 1, step)):
            return listed
        spans_field = first == self.low and last + step > self.high
        return min(listed, f"*/{step}" if spans_field else f"{first}-{last}/{step}", key=len)


_SETS = "*, lists (1,3), ranges (1-5) or steps (*/2)"
_MINUTE = _Field("minute", 0, 59, f"0-59, {_SETS}")
_HOUR = _Field("hour", 0, 23, f"0-23, {_SETS}")
_DAY = _Field("day of month", 1, 31, f"1-31, {_SETS}")
_MONTH = _Field("month", 1, 12, f"1-12, JAN-DEC, {_SETS}", _MONTHS)
_WEEKDAY = _Field("day of week", 0, 6, f"0-7 (0 and 7 are Sunday), SUN-SAT, {_SETS}", _WEEKDAYS)
_PORTAL_DAY = _Field(
    "day of month",
    1,
    31,
    f"?, 1-31, L (last day), LW (last working day), 15W (working day nearest to the 15th), {_SETS}",
    special=r"\?|(?=.*[LWC])(?!.*[LW]\d)[\d*,/LWC-]+",
)
_PORTAL_WEEKDAY = _Field(
    "day of week",
    1,
    7,
    f"?, 1-7 (1 is Sunday), SUN-SAT, 6L (last Friday), 2#1 (first Monday), {_SETS}",
    _WEEKDAYS,
    special=rf"\?|(?=.*[LC#])(?!.*L\d)(?:[1-7*,/LC#-]|{'|'.join(_WEEKDAYS)})+",
)
_CRON = (_MINUTE, _HOUR, _DAY, _MONTH, _WEEKDAY)
_PORTAL = (_MINUTE, _HOUR, _PORTAL_DAY, _MONTH, _PORTAL_WEEKDAY)
_WIRE_NAMES = ("minute", "hour", "dayOfMonth", "month", "dayOfWeek")


@lru_cache(maxsize=256)
def to_portal(schedule: str) -> CronFields:
    """The portal's fields for a schedule, which is meant in UTC.

    `schedule` is standard cron (five fields, or `@hourly`, `@daily`, `@midnight`, `@weekly`, `@monthly`,
    `@yearly`, `@annually`) or the portal's own dialect, which goes through as it is. Raises `ValueError`,
    which names the field and says what to write instead, for what is neither, for a date that never comes,
    and where both day fields are restricted: standard cron fires on the days that match either of them,
    and the portal can't be told so.
    """
    texts = _split(schedule)
    if _is_portals_own(texts):
        _check_portals_own(schedule, texts)
        return CronFields(*texts)
    minute, hour, day, month, weekday = _expand(schedule, texts)
    if min(day) > max(_LONGEST_MONTHS[number - 1] for number in month):
        raise ValueError(
            f"schedule {schedule!r}: day of month {texts[2]!r} never comes in month {texts[3]!r}; "
            "write a date that exists"
        )
    every_weekday = len(weekday) == len(_WEEKDAYS)
    return CronFields(
        _MINUTE.write(minute),
        _HOUR.write(hour),
        _PORTAL_DAY.write(day) if every_weekday else "?",
        _MONTH.write(month),
        "?" if every_weekday else _PORTAL_WEEKDAY.write({number + 1 for number in weekday}),
    )


def from_portal(fields: CronFields) -> str | None:
    """The standard cron that fires at the same minutes, or None where there is none.

    Standard cron has no `L`, `W`, `C` and `#`. Names, lower case, and `*` or `?` in both day fields are
    read, though a portal should not hold the last. Two restricted day fields and a weekday 0 are not read:
    what a portal makes of them is unknown.
    """
    day, weekday = ("*" if text == "?" else text for text in (fields.day_of_month, fields.day_of_week))
    if day != "*" and weekday != "*":
        return None
    texts = (fields.minute, fields.hour, day, fields.month, weekday)
    try:
        numbers = [field.read(text) for field, text in zip(_PORTAL, texts, strict=True)]
    except ValueError:
        return None
    numbers[4] = {number - 1 for number in numbers[4]}
    return " ".join(field.write(values) for field, values in zip(_CRON, numbers, strict=True))


def next_fires(schedule: str, after: datetime, count: int = 1) -> list[datetime]:
    """The next `count` fire times of a schedule after a moment, in UTC.

    Empty where they are unknown, which is so for what only the portal's own dialect can say. Raises
    `ValueError` as `to_portal` does, and for an `after` without a zone.
    """
    from croniter import croniter  # imported late: costs a DAG file 8 ms

    _require_zone("after", after)
    standard = _standard(schedule)
    if standard is None:
        return []
    times = croniter(standard, after.astimezone(UTC), max_years_between_matches=_YEARS_BETWEEN_LEAP_DAYS)
    return list(islice(times.all_next(datetime), count))


def next_fire(schedule: str, after: datetime) -> datetime | None:
    """The next fire time of a schedule after a moment, in UTC; None where `next_fires` knows none."""
    return next(iter(next_fires(schedule, after)), None)


def _standard(schedule: str) -> str | None:
    fields = to_portal(schedule)
    texts = _split(schedule)
    return from_portal(fields) if _is_portals_own(texts) else " ".join(texts)


def _split(schedule: str) -> list[str]:
    text = schedule.strip()
    if text.startswith("@"):
        text = _NICKNAMES.get(text.lower(), "")
        if not text:
            known = ", ".join(_NICKNAMES)
            raise ValueError(
                f"schedule {schedule!r} is not known; write {known} or five fields ('0 6 * * *')"
            )
    texts = text.split()
    if len(texts) == len(_CRON):
        return texts
    advice = "write minute, hour, day of month, month and day of week"
    if len(texts) in (6, 7) and _is_portals_own(texts[1:6]):
        advice = f"the portal knows no seconds: write {' '.join(texts[1:6])!r}"
    elif len(texts) in (6, 7):
        advice = f"the portal knows no seconds and no years: {advice}"
    raise ValueError(f"schedule {schedule!r} has {len(texts)} fields instead of five; {advice}")


def _is_portals_own(texts: Sequence[str]) -> bool:
    day_fields = re.sub("|".join(_MONTHS + _WEEKDAYS), "", f"{texts[2]} {texts[4]}", flags=re.IGNORECASE)
    return bool(re.search("[?#]", " ".join(texts)) or re.search("[LW]", day_fields, re.IGNORECASE))


def _check_portals_own(schedule: str, texts: Sequence[str]) -> None:
    """Refuse what the portal's dialect has no field for; the rest is for the portal to judge."""
    for field, text in zip(_PORTAL, texts, strict=True):
        if re.fullmatch(field.special, text, re.IGNORECASE | re.ASCII):
            continue
        try:
            field.read(text)
        except ValueError:
            raise _unreadable(
                schedule, field, text, "the portal's own dialect (any text with ?, #, L or W)"
            ) from None


def _expand(schedule: str, texts: Sequence[str]) -> list[set[int]]:
    """The numbers that croniter reads from each field; at most one of the day fields is restricted."""
    from croniter import croniter  # imported late: costs a DAG file 8 ms

    for index, (field, text) in enumerate(zip(_CRON, texts, strict=True)):
        alone = ["*"] * len(_CRON)
        alone[index] = text
        # croniter also knows letters that are not cron: H, R (random), ...
        letters = re.sub("|".join(("[0-9*,/-]", *field.names)), "", text, flags=re.IGNORECASE)
        if letters or not croniter.is_valid(" ".join(alone)):
            raise _unreadable(schedule, field, text, "standard cron")
    expanded = croniter.expand(" ".join(texts))[0]
    if "*" not in expanded[2] and "*" not in expanded[4]:
        raise _both_days_restricted(schedule, texts)
    return [
        set(range(field.low, field.high + 1))
        if "*" in numbers
        else {n for n in numbers if isinstance(n, int)}
        for field, numbers in zip(_CRON, expanded, strict=True)
    ]


def _runs(ordered: Sequence[int]) -> Iterator[str]:
    """Three or more neighbours as a range, `1-3`; other numbers alone."""
    for _, neighbours in groupby(enumerate(ordered), key=lambda pair: pair[1] - pair[0]):
        run = [number for _, number in neighbours]
        yield f"{run[0]}-{run[-1]}" if len(run) > 2 else ",".join(map(str, run))


def _number(text: str, low: int, high: int) -> int:
    if re.fullmatch("[0-9]{1,4}", text) and low <= int(text) <= high:
        return int(text)
    raise ValueError(text)


def _unreadable(schedule: str, field: _Field, text: str, dialect: str) -> ValueError:
    return ValueError(f"schedule {schedule!r}: {field.name} {text!r} is not {dialect}; write {field.choices}")


def _both_days_restricted(schedule: str, texts: Sequence[str]) -> ValueError:
    minute, hour, day, month, weekday = texts
    return ValueError(
        f"schedule {schedule!r}: day of month {day!r} and day of week {weekday!r} are both restricted; cron "
        "fires on days that match either, which the portal cannot do in one schedule. Write two, "
        f"'{minute} {hour} {day} {month} *' and '{minute} {hour} * {month} {weekday}', "
        "or one in the portal's own dialect, such as '0 6 ? * 2#1' for the first Monday of a month"
    )


def _require_zone(name: str, moment: datetime) -> None:
    if moment.utcoffset() is None:
        raise ValueError(f"{name}: {moment} has no time zone; write one, such as datetime(..., tzinfo=UTC)")
