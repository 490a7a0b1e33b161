"""A schedule fires on the portal at exactly the minutes that croniter gives for it.

croniter is the oracle for what a cron text means; what the portal makes of the translation is told by
`quartz_year` below, which knows Quartz and nothing of the code under test, and by the sandbox.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from functools import cache
from itertools import islice, pairwise, product

import pytest
from croniter import croniter, croniter_range
from hypothesis import event, example, given, settings
from hypothesis import strategies as st

from airflow_provider_arcgis_tasks.portal.cron import (
    CronFields,
    from_portal,
    next_fire,
    next_fires,
    to_portal,
)

MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
WEEKDAYS = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]
YEARS = (2024, 2026)  # a leap year that begins on a Monday, and a common one that begins on a Thursday
NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)
NICKNAMES = ("@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually")

thorough = settings(max_examples=150, deadline=None, database=None)
quick = settings(thorough, max_examples=60)


# What Quartz makes of five fields: by hand, without the seconds.


def quartz_numbers(text: str, low: int, high: int, names: list[str] | None = None) -> set[int]:
    def number(token: str) -> int:
        value = low + names.index(token.upper()) if names and token.upper() in names else int(token)
        assert low <= value <= high, f"{value} is not within {low}-{high}"
        return value

    found = set()
    for part in text.split(","):
        span, *step = part.split("/")
        stride = int(step[0]) if step else 1
        assert 1 <= stride <= high, f"Quartz refuses the increment {stride}"
        ends = span.split("-")
        if span == "*":
            begin, length = low, high - low
        elif len(ends) == 2:
            begin = number(ends[0])
            length = (number(ends[1]) - begin) % (high - low + 1)
        else:
            begin = number(span)
            length = high - begin if step else 0
        found |= {(begin - low + passed) % (high - low + 1) + low for passed in range(0, length + 1, stride)}
    return found


Year = tuple[list[date], list[int], list[int]]


def quartz_year(fields: CronFields, year: int) -> Year:
    """The days of a year, the hours of a day and the minutes of an hour at which the portal fires."""
    assert [fields.day_of_month, fields.day_of_week].count("?") == 1, f"Quartz refuses the days of '{fields}'"
    months = quartz_numbers(fields.month, 1, 12, MONTHS)

    def has(day: date) -> bool:
        if fields.day_of_month == "?":
            return day.isoweekday() % 7 + 1 in quartz_numbers(fields.day_of_week, 1, 7, WEEKDAYS)
        return day.day in quartz_numbers(fields.day_of_month, 1, 31)

    days = [date(year, 1, 1) + timedelta(number) for number in range(366)]
    return (
        [day for day in days if day.year == year and day.month in months and has(day)],
        sorted(quartz_numbers(fields.hour, 0, 23)),
        sorted(quartz_numbers(fields.minute, 0, 59)),
    )


def moments(year: Year, after: datetime = datetime.min) -> Iterator[datetime]:
    days, hours, minutes = year
    for day, hour, minute in product([day for day in days if day >= after.date()], hours, minutes):
        moment = datetime(day.year, day.month, day.day, hour, minute)
        if moment > after:
            yield moment


# What croniter makes of a text. It takes a naive time for UTC, and is three times as fast with it.


@cache
def steps(text: str, first: datetime, last: datetime) -> list[datetime]:
    return list(croniter_range(first, last, text))


def croniter_year(text: str, year: int) -> Year:
    """The same three lists, each as croniter steps through it."""
    minute, hour, days = text.split(maxsplit=2)
    start = datetime(year, 1, 1)
    return (
        [at.date() for at in steps(f"0 0 {days}", start, datetime(year, 12, 31))],
        [at.hour for at in steps(f"0 {hour} * * *", start, datetime(year, 1, 1, 23))],
        [at.minute for at in steps(f"{minute} * * * *", start, datetime(year, 1, 1, 0, 59))],
    )


def croniter_next(text: str, after: datetime, count: int) -> list[datetime]:
    return list(islice(croniter(text, after, max_years_between_matches=8).all_next(datetime), count))


def assert_same_minutes(text: str, fields: CronFields, year: int, start: datetime) -> None:
    """All minutes of a year; and croniter's own sequence from `start`, so that no field hides another."""
    expected = quartz_year(fields, year)
    assert croniter_year(text, year) == expected
    literal = croniter_next(text, start, 20)
    in_year = [at for at in literal if at.year == year]
    assert list(islice(moments(expected, start), len(literal))) == in_year


# Cron texts.


def numbers(low: int, high: int, names: list[str] | None = None) -> st.SearchStrategy[str]:
    plain = st.integers(low, high).map(str)
    if names is None:
        return plain | st.integers(low, high).map("{:02}".format)
    return plain | st.sampled_from([*names, *map(str.lower, names), *map(str.title, names)])


def cron_field(low: int, high: int, names: list[str] | None = None) -> st.SearchStrategy[str]:
    number = numbers(low, high, names)
    step = st.integers(1, high + 3) | st.integers(1, 5)
    spans = st.builds("{}-{}".format, number, number)
    stepped = st.builds("{}/{}".format, st.just("*") | number | spans, step)
    return st.lists(number | spans | stepped, min_size=1, max_size=3).map(",".join)


def free(field: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.just("*") | field


minute_field, hour_field = cron_field(0, 59), cron_field(0, 23)
day_field, weekday_field = cron_field(1, 31), cron_field(0, 7, WEEKDAYS)
month_field = cron_field(1, 12, MONTHS)
one_day_field = (
    st.tuples(day_field, st.just("*")) | st.tuples(st.just("*"), weekday_field) | st.just(("*", "*"))
)
years = st.sampled_from(YEARS)


def cron_text(days: st.SearchStrategy[tuple[str, str]]) -> st.SearchStrategy[str]:
    return st.builds(
        lambda minute, hour, month, day: f"{minute} {hour} {day[0]} {month} {day[1]}",
        free(minute_field),
        free(hour_field),
        free(month_field),
        days,
    )


def attempt(text: str) -> tuple[CronFields | None, str]:
    """The translation, or None and why there is none."""
    try:
        return to_portal(text), ""
    except ValueError as error:
        return None, str(error)


def moment_of(year: int, part: float) -> datetime:
    return datetime(year, 1, 1) + timedelta(minutes=int(part * 525_000))


@thorough
@given(cron_text(one_day_field), years, st.floats(0, 1))
@example("0 0 30 2 *", 2024, 0.0)
@example("0 0 29 2 *", 2024, 0.0)
@example("0 0 29 2 *", 2026, 0.0)
@example("30 23 31 * *", 2026, 0.1)
@example("0 6 * * fri-mon", 2026, 0.5)
def test_translation_fires_at_the_minutes_of_the_original(text: str, year: int, part: float) -> None:
    start = moment_of(year, part)
    fields, refusal = attempt(text)
    if fields is None:
        event("never fires")
        assert "never comes" in refusal
        assert croniter_next(text, start, 1) == []
        return
    assert_same_minutes(text, fields, year, start)
    back = from_portal(fields)
    assert back is not None
    assert croniter_year(back, year) == croniter_year(text, year)
    assert to_portal(back) == fields


@thorough
@given(cron_text(st.tuples(day_field, weekday_field)), years, st.floats(0, 1))
def test_two_day_fields_are_translated_exactly_or_refused(text: str, year: int, part: float) -> None:
    start = moment_of(year, part)
    fields, refusal = attempt(text)
    if fields is None:
        assert "both restricted" in refusal or croniter_next(text, start, 1) == []
    else:
        event("translated")
        assert_same_minutes(text, fields, year, start)


LITERALLY = [
    *NICKNAMES,
    "@Weekly",
    "0 6 * * *",
    "15 2,14 * * *",
    "*/15 8-17/3 1 * *",
    "5/20 3 * * *",
    "55-5 0 * * *",
    "0 22-4/2 1-7 * *",
    "0 9 * * 1-5",
    "0 9 * * MON-FRI",
    "0 9 * * 5-7",
    "0 9 * * FRI-MON",
    "0 9 * * 6,7",
    "0 9 * * 0,7",
    "0 9 * * 7",
    "0 9 * * 0-7",
    "0 9 * * 1-7",
    "0 9 * * 7-2",
    "0 9 * * */2",
    "0 9 * * */7",
    "0 9 * * 1-5/2",
    "0 9 * * wed/2",
    "0 9 * * SUN-SUN",
    "0 9 * * Sat,2-4/2",
    "0 9 */2 * *",
    "0 9 */31 * *",
    "0 9 1-29/2 * *",
    "0 9 * * 0-4/2",
    "0 9 31 * *",
    "0 9 28-31 * *",
    "0 9 25-5 * *",
    "0 9 1,15 * *",
    "0 9 29,30 2 *",
    "0 9 29 feb *",
    "0 9 * JUL WED",
    "0 9 * nov-feb sun",
    "0 9 1 */5 *",
    "0 9 1 DEC/3 *",
    "59/15 23/2 * * *",
    "*/59 */23 * * *",
    "5-5 0 1 * *",
    "*,5 0 1 * *",
    "0 9 */2 * 0-6",
    "0 9 */1 * */2",
    "  0   9\t*  * 1 ",
]


@pytest.mark.parametrize("year", YEARS)
@pytest.mark.parametrize("text", LITERALLY)
def test_every_fire_of_a_year(text: str, year: int) -> None:
    start = datetime(year, 1, 1) - timedelta(microseconds=1)
    expected = [at for at in croniter_range(start, datetime(year, 12, 31, 23, 59), text.strip())]
    assert list(moments(quartz_year(to_portal(text), year))) == expected


def test_croniter_matches_minute_by_minute() -> None:
    """A week of minutes, each asked for alone: the lists above are what `match` says."""
    text = "*/20 5-7,22/2 */3 * *"
    fires = set(moments(quartz_year(to_portal(text), 2026)))
    for day, minute in product((1, 2, 4, 27, 28, 31), range(0, 24 * 60, 5)):
        moment = datetime(2026, 1, day) + timedelta(minutes=minute)
        assert croniter.match(text, moment) == (moment in fires)


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("* * * * *", "* * * * ?"),
        ("*/1 * * * *", "* * * * ?"),
        ("*/15 * * * *", "*/15 * * * ?"),
        ("0,30 * * * *", "0,30 * * * ?"),
        ("5/10 * * * *", "5-55/10 * * * ?"),
        ("0 7 * * 1-5", "0 7 ? * 2-6"),
        ("0 7 * * 0", "0 7 ? * 1"),
        ("0 7 * * 5-7", "0 7 ? * 1,6,7"),
        ("0 7 * * */2", "0 7 ? * */2"),
        ("0 7 * JUL WED", "0 7 ? 7 4"),
        ("0 7 1,15 * *", "0 7 1,15 * ?"),
        ("@weekly", "0 0 ? * 1"),
        ("@YEARLY", "0 0 1 1 ?"),
    ],
)
def test_translation_reads_well(text: str, fields: str) -> None:
    assert str(to_portal(text)) == fields


OWN = [
    "0 7 ? * 2-6",
    "0 7 ? * MON-FRI",
    "0 7 ? JUL fri-mon",
    "*/1 * * * ?",
    "0 7 5/10 * ?",
    "0 22-4/2 * * ?",
    "0 7 10-10 * ?",
]
OWN_ONLY = [
    "0 7 L * ?",
    "0 7 l * ?",
    "0 7 L-3 * ?",
    "0 7 LW * ?",
    "0 7 15W JUL ?",
    "0 7 ? * 6L",
    "0 7 ? * FRIL",
    "0 7 ? * WEDL",
    "0 7 ? * L",
    "0 7 ? * 2#1",
    "0 7 * * MON#2",
    "0 7 5C * ?",
    "0 7 L * *",
]


@pytest.mark.parametrize("text", OWN + OWN_ONLY)
def test_portals_own_dialect_goes_through_unchanged(text: str) -> None:
    assert str(to_portal(text)) == text


@pytest.mark.parametrize("text", OWN_ONLY)
def test_what_only_the_portal_can_say(text: str) -> None:
    assert from_portal(to_portal(text)) is None
    assert next_fire(text, NEW_YEAR) is None
    assert next_fires(text, NEW_YEAR, 3) == []


@pytest.mark.parametrize("text", OWN)
def test_portals_own_dialect_in_standard_cron(text: str) -> None:
    fields = to_portal(text)
    standard = from_portal(fields)
    assert standard is not None
    for year in YEARS:
        assert croniter_year(standard, year) == quartz_year(fields, year)


@pytest.mark.parametrize(
    ("held", "standard"),
    [
        ("0 7 * * *", "0 7 * * *"),
        ("0 7 ? * ?", "0 7 * * *"),
        ("0 7 * * 2", "0 7 * * 1"),
        ("0 7 ? jan Sun,sat", "0 7 * 1 0,6"),
        ("*/15 * ? * 1,2,3,4,5,6,7", "*/15 * * * *"),
        ("0 7 1 * 2", None),
        ("0 7 */1 * 2", None),
        ("0 7 * * 0", None),
        ("60 7 * * ?", None),
        ("0 7 x * ?", None),
        ("0 7 1,,2 * ?", None),
        ("0/0 7 * * ?", None),
        ("? 7 * * ?", None),
    ],
)
def test_what_a_portal_may_hold(held: str, standard: str | None) -> None:
    assert from_portal(CronFields(*held.split())) == standard


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("60 * * * *", "minute '60' is not standard cron; write 0-59"),
        ("*/0 * * * *", "minute '*/0' is not standard cron"),
        ("1, * * * *", "minute '1,' is not"),
        ("-5 * * * *", "minute '-5' is not"),
        ("5-*/2 * * * *", "minute '5-*/2' is not"),
        ("R * * * *", "minute 'R' is not"),
        ("H/15 * * * *", "minute 'H/15' is not"),
        ("\u0665 * * * *", "minute '\u0665' is not"),
        (f"1-{'9' * 5000} * * * *", "minute '1-999"),
        ("0 24 * * *", "hour '24' is not standard cron; write 0-23"),
        ("0 H(1-5) * * *", "hour 'H(1-5)' is not"),
        ("0 L * * *", "hour 'L' is not"),
        ("0 0 0 * *", "day of month '0' is not standard cron; write 1-31"),
        ("0 0 32 * *", "day of month '32' is not"),
        ("0 0 MON * *", "day of month 'MON' is not"),
        ("0 0 * 13 *", "month '13' is not standard cron; write 1-12, JAN-DEC"),
        ("0 0 * April *", "month 'April' is not"),
        ("0 0 * * 8", "day of week '8' is not standard cron; write 0-7 (0 and 7 are Sunday), SUN-SAT"),
        ("0 0 * * Wednesday", "day of week 'Wednesday' is not"),
        ("0 0 * * JAN", "day of week 'JAN' is not"),
        ("0 0 30 2 *", "day of month '30' never comes in month '2'; write a date that exists"),
        ("0 0 31 feb,apr *", "day of month '31' never comes in month 'feb,apr'"),
        ("60 0 ? * 2", "minute '60' is not the portal's own dialect"),
        ("? 0 1 * ?", "minute '?' is not the portal's own dialect"),
        ("0 24 ? * 2", "hour '24' is not the portal's own dialect"),
        ("0 0 L X ?", "month 'X' is not the portal's own dialect"),
        ("0 0 W15 * ?", "day of month 'W15' is not the portal's own dialect (any text with ?, #, L or W)"),
        ("0 0 15#2 * ?", "day of month '15#2' is not"),
        ("0 0 ? * 0", "day of week '0' is not the portal's own dialect"),
        ("0 0 ? * 0L", "day of week '0L' is not the portal's own dialect"),
        ("0 0 ? * L5", "write ?, 1-7 (1 is Sunday), SUN-SAT, 6L (last Friday), 2#1 (first Monday)"),
        ("0 0 ? * 15W", "day of week '15W' is not"),
        ("", "has 0 fields instead of five; write minute, hour, day of month, month and day of week"),
        ("0 0 * *", "has 4 fields instead of five"),
        ("0 0 * * * 30", "has 6 fields instead of five; the portal knows no seconds and no years"),
        ("0 0 7 ? * 2-6", "the portal knows no seconds: write '0 7 ? * 2-6'"),
        ("0 0 7 LW * ? 2027", "the portal knows no seconds: write '0 7 LW * ?'"),
        ("@reboot", "'@reboot' is not known; write @hourly, @daily"),
        ("@every 5m", "'@every 5m' is not known; write @hourly"),
        ("@once", "or five fields"),
    ],
)
def test_refused(text: str, named: str) -> None:
    with pytest.raises(ValueError) as refusal:  # noqa: PT011 - the text is checked below
        to_portal(text)
    assert str(refusal.value).startswith(f"schedule {text!r}")
    assert named in str(refusal.value)


@pytest.mark.parametrize("days", ["1 * MON", "*/2 * MON", "*/1 * MON", "1-31 * 1", "*/2 * */2", "1-7 * 0-6"])
def test_both_day_fields_are_refused_with_the_two_schedules_to_write(days: str) -> None:
    """Cron dialects differ on some of these (Vixie cron intersects what begins with `*`): none is guessed."""
    with pytest.raises(ValueError, match="both restricted") as refusal:
        to_portal(f"0 7 {days}")
    day, month, weekday = days.split()
    assert f"'0 7 {day} {month} *' and '0 7 * {month} {weekday}'" in str(refusal.value)
    assert f"day of month '{day}' and day of week '{weekday}'" in str(refusal.value)


@thorough
@given(
    st.lists(st.text("0123456789*,-/?#LWCHRMONJAFEB()\u0665", min_size=1, max_size=6), min_size=4, max_size=6)
)
def test_any_text_is_translated_or_refused_by_name(texts: list[str]) -> None:
    fields, refusal = attempt(" ".join(texts))
    assert fields is not None or refusal.startswith("schedule ")


@quick
@given(cron_text(one_day_field), years, st.floats(0, 1))
def test_the_sandbox_fires_when_croniter_does(text: str, year: int, part: float) -> None:
    quartz = pytest.importorskip("airflow_provider_arcgis_tasks.sandbox.quartz")
    start = moment_of(year, part).replace(tzinfo=UTC)
    fields, _ = attempt(text)
    if fields is None:
        return
    form = fields.as_form()
    fires = [start.timestamp()]
    for _ in range(4):
        fires.append(quartz.next_fire(form, fires[-1], UTC))
        quartz.parse(form, strict=True)
    assert [datetime.fromtimestamp(at, UTC) for at in fires[1:]] == next_fires(text, start, 4)


def test_next_fires_are_in_utc_and_later_than_after() -> None:
    sydney = timezone(timedelta(hours=11))
    after = datetime(2026, 1, 2, 7, 0, tzinfo=sydney)  # 20:00 of the day before in UTC
    assert next_fires("0 20 * * *", after, 2) == [
        datetime(2026, 1, 2, 20, tzinfo=UTC),
        datetime(2026, 1, 3, 20, tzinfo=UTC),
    ]
    assert next_fire("0 20 * * *", after - timedelta(seconds=1)) == after
    assert all(at.tzinfo is UTC for at in next_fires("@Hourly", after, 3))
    assert next_fires(" 0  7 ? * 6 ", after, 1) == [datetime(2026, 1, 2, 7, tzinfo=UTC)]


@quick
@given(cron_text(one_day_field), years, st.floats(0, 1))
def test_next_fires_are_croniters(text: str, year: int, part: float) -> None:
    start = moment_of(year, part)
    fields, _ = attempt(text)
    if fields is None:
        return
    ours = next_fires(text, start.replace(tzinfo=UTC), 5)
    assert [at.replace(tzinfo=None) for at in ours] == croniter_next(text, start, 5)
    assert all(before < after for before, after in pairwise(ours))
    in_portals_words = next_fires(str(fields), start.replace(tzinfo=UTC), 5)
    assert in_portals_words == ours


def test_leap_days_are_found_across_2100() -> None:
    assert next_fire("0 0 29 2 *", datetime(2096, 3, 1, tzinfo=UTC)) == datetime(2104, 2, 29, tzinfo=UTC)
    assert next_fire("0 0 30 2 ?", NEW_YEAR) is None


def test_next_fire_of_a_refused_schedule_is_refused() -> None:
    with pytest.raises(ValueError, match="minute 'R'"):
        next_fire("R * * * *", NEW_YEAR)


def test_moments_need_a_zone() -> None:
    with pytest.raises(ValueError, match=r"after: .* has no time zone"):
        next_fires("@daily", datetime(2026, 1, 1))
    with pytest.raises(ValueError, match=r"moment: .* has no time zone"):
        CronFields.at(datetime(2026, 1, 1))


@given(st.datetimes(datetime(2024, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC)))
@quick
def test_a_pinned_minute_fires_there(moment: datetime) -> None:
    moment = moment.replace(second=0, microsecond=0)
    fields = CronFields.at(moment)
    assert list(moments(quartz_year(fields, moment.year))) == [moment.replace(tzinfo=None)]
    assert next_fire(str(fields), moment - timedelta(seconds=1)) == moment


def test_a_pinned_minute_is_read_in_the_zone_it_carries() -> None:
    moment = datetime(2026, 12, 31, 23, 5, tzinfo=UTC)
    assert str(CronFields.at(moment)) == "5 23 31 12 ?"
    assert str(CronFields.at(moment.astimezone(timezone(timedelta(hours=5, minutes=30))))) == "35 4 1 1 ?"


def test_fields_on_the_wire() -> None:
    form = {"minute": "0", "hour": "7", "dayOfMonth": "?", "month": "*", "dayOfWeek": "2-6"}
    fields = to_portal("0 7 * * 1-5")
    assert fields.as_form() == form
    assert CronFields.from_wire(form) == fields
    assert CronFields.from_wire(
        {"minute": 5, "hour": 0, "day_of_week": "?", "DAYOFMONTH": " 1 "}
    ) == CronFields("5", "0", "1", "*", "?")
    assert CronFields.from_wire({"minute": None, "hour": "", "other": 1}) == CronFields(
        "*", "*", "*", "*", "*"
    )
