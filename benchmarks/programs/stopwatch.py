"""How all programs take the time. Needs nothing but Python."""

from collections.abc import Callable
from statistics import median
from time import perf_counter

REPEATS = 6
"""How often a program makes one call; the first of them does not count."""

CALIBRATION_SECONDS = 3.0
"""How long a waiting process first finds out what its heartbeat costs."""


def seconds(call: Callable[[], object], repeats: int) -> float:
    """Return the median of how long a call takes."""
    taken = []
    for _ in range(repeats):
        began = perf_counter()
        call()
        taken.append(perf_counter() - began)
    return median(taken)
