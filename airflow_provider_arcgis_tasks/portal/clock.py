"""The portal's clock, learnt from the `Date` header of its answers."""

from __future__ import annotations

from email.utils import parsedate_to_datetime


class PortalClock:
    """Tells the portal's time from ours. All times are seconds since the epoch.

    A portal's clock may be off, and that of a test portal may also run faster than ours; both show in
    the `Date` header (whole seconds). The pace is only ever taken as faster than ours when the headers
    leave no other reading, so an ordinary portal counts as running at our pace.
    """

    def __init__(self) -> None:
        self._first_sent = 0.0
        self._first_date: float | None = None
        self._received = 0.0
        self._date = 0.0

    def observe(self, date: str | None, sent: float, received: float) -> None:
        """Take note of an answer's `Date` header; `sent` and `received` are local times."""
        try:
            told = parsedate_to_datetime(date or "").timestamp()
        except (ValueError, OverflowError):
            return
        if self._first_date is None or received < self._first_sent:
            self._first_sent, self._first_date = sent, told
        self._received, self._date = received, told

    def time(self, local: float) -> float:
        """The portal's time at the local time `local`; our own while the portal never told."""
        if self._first_date is None:
            return local
        return self._date + (local - self._received) * self._pace

    def local_seconds(self, portal_seconds: float) -> float:
        """How long, by our clock, that many seconds of the portal's clock take."""
        return portal_seconds / self._pace

    @property
    def knows_pace(self) -> bool:
        """Whether the answers seen so far lie far enough apart to tell."""
        return self._first_date is not None and self._received - self._first_sent >= 1.0

    @property
    def _pace(self) -> float:
        if self._first_date is None:
            return 1.0
        at_most = self._received - self._first_sent  # the answers may have been long on their way
        at_least = self._date - self._first_date - 1.0  # each header is cut to whole seconds
        return at_least / at_most if at_most > 0 and at_least > 2 * at_most else 1.0
