from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from croniter import croniter
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_arcgis_tasks.sandbox.quartz import next_fire, parse, read_zone
from tests.sandbox.client import cron


def epoch(text: str, zone=UTC) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()


def fires(text: str, after: str, count: int = 3, zone=UTC) -> list[str]:
    moment, found = epoch(after, zone), []
    for _ in range(count):
        moment = next_fire(cron(text), moment, zone)
        found.append(datetime.fromtimestamp(moment, zone).strftime("%Y-%m-%d %H:%M%z").removesuffix("+0000"))
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # Saturday is 7: the schedule of the published Kubernetes sample.
        ("0 4 ? * 7", ["2027-01-16 04:00", "2027-01-23 04:00", "2027-01-30 04:00"]),
        ("0 4 ? * 1", ["2027-01-17 04:00", "2027-01-24 04:00", "2027-01-31 04:00"]),
        ("0 4 ? * SUN", ["2027-01-17 04:00", "2027-01-24 04:00", "2027-01-31 04:00"]),
        ("0 4 ? * fri-mon", ["2027-01-16 04:00", "2027-01-17 04:00", "2027-01-18 04:00"]),
        ("*/1 * * * ?", ["2027-01-15 12:31", "2027-01-15 12:32", "2027-01-15 12:33"]),
        ("* * * * ?", ["2027-01-15 12:31", "2027-01-15 12:32", "2027-01-15 12:33"]),
        ("0/20 * * * ?", ["2027-01-15 12:40", "2027-01-15 13:00", "2027-01-15 13:20"]),
        ("50/5 * * * ?", ["2027-01-15 12:50", "2027-01-15 12:55", "2027-01-15 13:50"]),
        ("/30 * * * ?", ["2027-01-15 13:00", "2027-01-15 13:30", "2027-01-15 14:00"]),
        ("10-20/5 * * * ?", ["2027-01-15 13:10", "2027-01-15 13:15", "2027-01-15 13:20"]),
        ("58-2 * * * ?", ["2027-01-15 12:58", "2027-01-15 12:59", "2027-01-15 13:00"]),
        ("0 22-1 * * ?", ["2027-01-15 22:00", "2027-01-15 23:00", "2027-01-16 00:00"]),
        ("5,7 3 * * ?", ["2027-01-16 03:05", "2027-01-16 03:07", "2027-01-17 03:05"]),
        ("0 0 31 * ?", ["2027-01-31 00:00", "2027-03-31 00:00", "2027-05-31 00:00"]),
        ("0 0 L * ?", ["2027-01-31 00:00", "2027-02-28 00:00", "2027-03-31 00:00"]),
        ("0 0 L-3 * ?", ["2027-01-28 00:00", "2027-02-25 00:00", "2027-03-28 00:00"]),
        ("0 0 LW * ?", ["2027-01-29 00:00", "2027-02-26 00:00", "2027-03-31 00:00"]),
        # 2027-05-15 is a Saturday, 2027-08-15 a Sunday.
        ("0 0 15W 5,8 ?", ["2027-05-14 00:00", "2027-08-16 00:00", "2028-05-15 00:00"]),
        # 2027-05-01 is a Saturday and 2027-08-01 a Sunday: the nearest weekday stays in the month.
        ("0 0 1W 5,8 ?", ["2027-05-03 00:00", "2027-08-02 00:00", "2028-05-01 00:00"]),
        # 2027-10-02 is a Saturday, 2027-10-31 a Sunday.
        ("0 0 2W 10 ?", ["2027-10-01 00:00", "2028-10-02 00:00", "2029-10-02 00:00"]),
        ("0 0 31W 10 ?", ["2027-10-29 00:00", "2028-10-31 00:00", "2029-10-31 00:00"]),
        ("0 0 30W 2,3 ?", ["2027-03-30 00:00", "2028-03-30 00:00", "2029-03-30 00:00"]),
        ("0 0 ? * 6L", ["2027-01-29 00:00", "2027-02-26 00:00", "2027-03-26 00:00"]),
        ("0 0 ? * FRIL", ["2027-01-29 00:00", "2027-02-26 00:00", "2027-03-26 00:00"]),
        ("0 0 ? * L", ["2027-01-16 00:00", "2027-01-23 00:00", "2027-01-30 00:00"]),
        ("0 0 ? * 6#3", ["2027-02-19 00:00", "2027-03-19 00:00", "2027-04-16 00:00"]),
        ("0 0 ? * MON#1", ["2027-02-01 00:00", "2027-03-01 00:00", "2027-04-05 00:00"]),
        ("0 0 ? * 6#5", ["2027-01-29 00:00", "2027-04-30 00:00", "2027-07-30 00:00"]),
        ("0 0 29 2 ?", ["2028-02-29 00:00", "2032-02-29 00:00", "2036-02-29 00:00"]),
        ("0 0 1 JAN,jul ?", ["2027-07-01 00:00", "2028-01-01 00:00", "2028-07-01 00:00"]),
        ("0 0 1 */5 ?", ["2027-06-01 00:00", "2027-11-01 00:00", "2028-01-01 00:00"]),
        ("30 12 15 1 ?", ["2028-01-15 12:30", "2029-01-15 12:30", "2030-01-15 12:30"]),
    ],
)
def test_fire_times(text, expected):
    assert fires(text, "2027-01-15 12:30") == expected


def test_ranges_may_pass_the_end():
    schedule = parse(cron("58-2 22-1 ? 11-2/2 FRI-MON"))
    assert schedule.minutes == {58, 59, 0, 1, 2}
    assert schedule.hours == {22, 23, 0, 1}
    assert schedule.months == {11, 1}
    assert schedule.days(2027, 1) >= {1, 2, 3, 4, 8, 9}
    assert not schedule.days(2027, 1) & {5, 6, 7}


def test_a_fire_time_is_later_than_the_moment_asked_about():
    noon = epoch("2027-01-15 12:00")
    assert next_fire(cron("0 12 * * ?"), noon) == noon + 86_400
    assert next_fire(cron("0 12 * * ?"), noon - 0.001) == noon


def test_a_day_that_never_comes():
    assert next_fire(cron("0 0 30 2 ?"), epoch("2027-01-15 12:00")) is None


@pytest.mark.parametrize("text", ["0 0 * * *", "0 0 1 * *", "0 0 * * 2"])
def test_a_star_beside_a_day_counts_as_a_question_mark_unless_strict(text):
    assert parse(cron(text))
    with pytest.raises(ValueError, match=r"^dayOfWeek: exactly one"):
        parse(cron(text), strict=True)


@pytest.mark.parametrize("text", ["0 0 ? * 2", "0 0 1 * ?", "0 0 * * ?", "0 0 ? * *"])
def test_one_question_mark_is_always_fine(text):
    assert parse(cron(text), strict=True).next_fire(0) == parse(cron(text)).next_fire(0)


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("text", ["0 0 ? * ?", "0 0 1 * 2"])
def test_day_fields_that_contradict(text, strict):
    with pytest.raises(ValueError, match=r"^dayOfWeek: "):
        parse(cron(text), strict=strict)


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("60 * * * ?", "minute"),
        ("@reboot * * * ?", "minute"),
        ("-1 * * * ?", "minute"),
        ("1,,2 * * * ?", "minute"),
        ("1, * * * ?", "minute"),
        ("*/0 * * * ?", "minute"),
        ("*/60 * * * ?", "minute"),
        ("? * * * ?", "minute"),
        ("² * * * ?", "minute"),
        ("JAN * * * ?", "minute"),
        ("0 24 * * ?", "hour"),
        ("0 L * * ?", "hour"),
        ("0 0 0 * ?", "dayOfMonth"),
        ("0 0 32 * ?", "dayOfMonth"),
        ("0 0 32W * ?", "dayOfMonth"),
        ("0 0 1,15W * ?", "dayOfMonth"),
        ("0 0 1,L * ?", "dayOfMonth"),
        ("0 0 5C * ?", "dayOfMonth"),
        ("0 0 * 13 ?", "month"),
        ("0 0 * 0 ?", "month"),
        ("0 0 * FOO ?", "month"),
        ("0 0 ? * 0", "dayOfWeek"),
        ("0 0 ? * 8", "dayOfWeek"),
        ("0 0 ? * 6#6", "dayOfWeek"),
        ("0 0 ? * 6#0", "dayOfWeek"),
        ("0 0 ? * 6#1,2", "dayOfWeek"),
        ("0 0 ? * 6L,2", "dayOfWeek"),
        ("0 0 ? * 15W", "dayOfWeek"),
    ],
)
def test_a_bad_field_is_named(text, field):
    with pytest.raises(ValueError, match=rf"^{field}: "):
        parse(cron(text))


def test_a_wall_time_that_comes_twice_fires_twice():
    berlin = ZoneInfo("Europe/Berlin")
    assert fires("30 * * * ?", "2027-10-31 01:40", 3, berlin) == [
        "2027-10-31 02:30+0200",
        "2027-10-31 02:30+0100",
        "2027-10-31 03:30+0100",
    ]


def test_a_wall_time_that_is_left_out_does_not_fire():
    berlin = ZoneInfo("Europe/Berlin")
    assert fires("30 2 * * ?", "2027-03-27 12:00", 2, berlin) == [
        "2027-03-29 02:30+0200",
        "2027-03-30 02:30+0200",
    ]


def test_a_midnight_that_is_left_out():
    santiago = ZoneInfo("America/Santiago")
    assert fires("15 1 5 9 ?", "2027-09-01 00:00", 1, santiago) == ["2027-09-05 01:15-0300"]


@pytest.mark.parametrize(("name", "hours"), [("+05:30", 5.5), ("-03:00", -3), ("UTC", 0), ("Asia/Tokyo", 9)])
def test_zones(name, hours):
    assert datetime(2027, 1, 1, tzinfo=read_zone(name)).utcoffset() == timedelta(hours=hours)


@pytest.mark.parametrize("name", ["Mars/Olympus", "+5", "../etc/passwd", ""])
def test_unknown_zones(name):
    with pytest.raises(ValueError, match="unknown time zone"):
        read_zone(name)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("*/1 * * * ?", 60), ("0 * * * ?", 3600), ("0 4 ? * 7", 604_800), ("0 0 30 2 ?", None)],
)
def test_the_interval(text, seconds):
    assert parse(cron(text)).interval(epoch("2027-01-15 12:30")) == seconds


def test_the_shortest_interval():
    assert parse(cron("0,10 * * * ?")).shortest_interval(epoch("2027-01-15 12:30")) == 600
    assert parse(cron("0 0 30 2 ?")).shortest_interval(epoch("2027-01-15 12:30")) == float("inf")


def numbers(low: int, high: int) -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    ends = st.lists(number, min_size=2, max_size=2, unique=True)
    ranges = ends.map(lambda pair: f"{min(pair)}-{max(pair)}")
    lists = st.lists(st.one_of(number.map(str), ranges), min_size=1, max_size=3).map(",".join)
    steps = st.integers(1, (high - low) // 2 + 1).map(lambda step: f"*/{step}")
    return st.one_of(st.just("*"), lists, steps)


@settings(max_examples=150, deadline=None)
@given(
    numbers(0, 59),
    numbers(0, 23),
    st.one_of(st.tuples(numbers(1, 28), st.none()), st.tuples(st.none(), st.integers(0, 6))),
    numbers(1, 12),
    st.integers(1_600_000_000, 2_000_000_000),
)
def test_it_agrees_with_croniter_on_what_both_can_say(minute, hour, days, month, after):
    day, weekday = days
    portal = f"{minute} {hour} {day or '?'} {month} {'?' if weekday is None else weekday + 1}"
    unix = f"{minute} {hour} {day or '*'} {month} {'*' if weekday is None else weekday}"
    expected = croniter(unix, datetime.fromtimestamp(after, UTC))
    moment: float | None = after
    for _ in range(3):
        moment = next_fire(cron(portal), moment)
        assert moment == expected.get_next(float)
