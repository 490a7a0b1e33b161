"""When a one-shot task fires: at which minute of the portal's clock, and by which cron fields."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow_provider_arcgis_tasks.portal.cron import CronFields

# All of these are seconds on the portal's clock.
LEAD = 30.0
"""The least time between arming a one-shot task and its fire."""
_LONGEST_LEAD = 600.0
EXPIRES_AFTER = 120.0
"""A one-shot task that has not fired so long after its minute never will: its `endDate` is then."""
_OPENS_BEFORE = 60.0
_QUARTER_OF_AN_HOUR = 900
_WIDEST_OFFSET = 14 * 3600


@dataclass(frozen=True, slots=True)
class CronZone:
    """The zone in which a portal reads cron fields: its offset from UTC in seconds, or None if unknown.

    That it is UTC is well founded but not documented for every portal, so it is checked against the
    `nextStart` that the portal answers with.
    """

    offset: int | None = 0

    def schedule(self, fires_at: float) -> dict[str, Any]:
        """The fields of a portal task that make it fire at `fires_at` (epoch seconds) only."""
        moment = datetime.fromtimestamp(fires_at, UTC)
        window = {
            "starts_at": moment - timedelta(seconds=_OPENS_BEFORE),
            "ends_at": moment + timedelta(seconds=EXPIRES_AFTER),
        }
        if self.offset is not None:
            return {"schedule": str(CronFields.at(moment + timedelta(seconds=self.offset))), **window}
        # Zones differ by whole quarters of an hour: these minutes meet the window once, in any of them.
        minutes = ",".join(str(minute) for minute in range(moment.minute % 15, 60, 15))
        return {"schedule": f"{minutes} * * * ?", **window}

    def corrected(self, fires_at: float, next_start: float | None) -> CronZone:
        """The zone that explains why a schedule made here for `fires_at` fires at `next_start` instead."""
        if next_start is None or self.offset is None:
            return CronZone(None)
        offset = self.offset + round(fires_at - next_start)
        plausible = offset % _QUARTER_OF_AN_HOUR == 0 and abs(offset) <= _WIDEST_OFFSET
        return CronZone(offset if plausible else None)


def next_minute(portal_time: float, missed: int = 0) -> float:
    """The minute to fire at: the first that is far enough ahead; further, the more fires were missed."""
    lead = min(LEAD * 2.0**missed, _LONGEST_LEAD)
    return math.ceil((portal_time + lead) / 60) * 60.0
