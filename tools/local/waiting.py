"""Wait for a condition instead of sleeping: the one loop that every test and tool shares."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class TimedOut(AssertionError):
    """A condition did not become true in time; an AssertionError, so that a test fails instead of erring."""


def wait_for(
    condition: Callable[[], T], timeout: float = 30.0, message: str | Callable[[], str] = "", interval: float = 0.1
) -> T:
    """Call a condition until its result is truthy, and return that result.

    `timeout` and `interval` are seconds. An exception of type AssertionError or LookupError counts as "not yet" and is
    named in the failure; any other exception ends the wait. The condition runs at least once.
    """
    deadline = time.monotonic() + timeout
    while True:
        last: object = None
        try:
            if result := condition():
                return result
        except (AssertionError, LookupError) as problem:
            last = f"{type(problem).__name__}: {problem}"
        if time.monotonic() >= deadline:
            what = message() if callable(message) else message
            raise TimedOut(f"not within {timeout:g} s: {what or condition}" + (f" (last: {last})" if last else ""))
        time.sleep(interval)
