"""Whether a replica that nobody asks anything should be kept, put to sleep, or taken away, in money.

Keeping it costs its price by the hour. Taking it away saves that from then on, but the start that the next request sets
off is paid for too, and whoever sends that request waits for it. So there is a time of idleness from which on it is
cheaper to be without: the time for which a start is paid. Which threshold would have been best is played through on the
endpoint's own quiet times, and a threshold that makes more requests wait than the objective allows is none.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from math import ceil

from gpucost.core.assets import HOURS_PER_MONTH
from gpucost.core.clock import DAY, HOUR, SECOND, Micros, format_duration
from gpucost.core.money import Pico
from gpucost.core.serving.quiet_times import SHORTEST, Quiet
from gpucost.core.serving.ready_times import ReadyTimes

ENOUGH: Micros = DAY
"""For how long an endpoint has to be known before its quiet times count."""
_MONTH = HOURS_PER_MONTH * HOUR


class Choice(StrEnum):
    """What to do with the last replica while nobody asks."""

    KEEP = "Keep"
    SLEEP = "Sleep"
    """The server gives its GPU memory back and keeps its pod: awake in seconds, paid for all the same."""
    ZERO = "Zero"


@dataclass(frozen=True, slots=True)
class Terms:
    """What the choice depends on beside the past."""

    replica_hourly: Pico | None
    ready: ReadyTimes | None
    late_allowed: Fraction
    """Part of the requests that the objective allows to be late."""
    idle_after: Micros | None = None
    """As the endpoint asks for; then it is not questioned."""
    has_holder: bool = False
    """Whether somebody is declared to hold requests meanwhile."""
    can_sleep: bool = False
    """Whether the runtime can give GPU memory back, and others share its GPU and could use it."""


@dataclass(frozen=True, slots=True)
class Advice:
    """What to do, and the figures behind it. Money a month is what it would be at the pace of the time watched."""

    choice: Choice
    message: str
    idle_after: Micros | None = None
    """The threshold; None: there is none."""
    break_even: Micros | None = None
    """Idleness from which on a start costs no more than keeping the replica."""
    saving_monthly: Fraction | None = None
    """In pico-units: against keeping it."""
    wakes_monthly: float | None = None
    late: Fraction | None = None
    """Part of the requests that would have had to wait for a start."""


@dataclass(frozen=True, slots=True)
class _Outcome:
    idle_after: Micros
    saved: Fraction
    """Over the time watched."""
    wakes: int
    late: Fraction | None


def start_cost(hourly: Pico, ready: ReadyTimes) -> Fraction:
    """What one start of a replica costs, until it serves."""
    return Fraction(hourly * ready.paid, HOUR)


def advise(quiet: Quiet, terms: Terms) -> Advice:
    """Keep, sleep or zero."""
    if terms.ready is None:
        return Advice(Choice.KEEP, "no start of a replica was seen yet, so nobody knows how long a request would wait")
    even = break_even(terms.ready)
    if terms.idle_after is not None:
        return _as_asked(quiet, terms, even, terms.idle_after)
    if terms.replica_hourly is None:
        return Advice(Choice.KEEP, "it has no price, so nobody knows what keeping it costs", break_even=even)
    if quiet.watched < ENOUGH:
        message = f"known for {format_duration(_coarse(quiet.watched))} only; quiet times count from a day on"
        return Advice(Choice.KEEP, message, break_even=even)
    return _best(quiet, terms, even)


def break_even(ready: ReadyTimes) -> Micros:
    """Idleness from which on taking the replica away is cheaper: the time for which its next start is paid."""
    return max(ready.paid, SHORTEST)


def _as_asked(quiet: Quiet, terms: Terms, even: Micros, idle_after: Micros) -> Advice:
    outcome = _outcome(quiet, terms, idle_after)
    message = f"after {format_duration(idle_after)} without a request, as spec.scaleToZero.idleAfter asks for"
    if not terms.has_holder:
        return Advice(Choice.KEEP, "nobody is declared to hold requests (spec.scaleToZero.holder)", break_even=even)
    if idle_after < even:
        message += f"; a start costs as much as {format_duration(_coarse(even))} of keeping it"
    return _advice(Choice.ZERO, message, quiet, outcome, even)


def _best(quiet: Quiet, terms: Terms, even: Micros) -> Advice:
    worth = _worth(quiet, terms, even) if terms.replica_hourly else ()
    if not worth:
        message = f"no quiet time was longer than a start is paid ({format_duration(_coarse(even))})"
        return Advice(Choice.KEEP, message, break_even=even)
    most = _most_wakes(quiet, terms)
    in_time = [one for one in worth if one[2] <= most]
    best = _outcome(quiet, terms, max(in_time or worth)[1] * -1)
    words = (
        f"{best.wakes} of {len(quiet.gaps)} quiet times were longer than {format_duration(_coarse(best.idle_after))}"
    )
    if in_time and terms.has_holder:
        return _advice(Choice.ZERO, words, quiet, best, even)
    if in_time:
        return _advice(
            Choice.KEEP, f"{words}; to use them, name who holds requests (spec.scaleToZero.holder)", quiet, best, even
        )
    late = "an unknown part" if best.late is None else f"{float(best.late):.2%}"
    words += f", but {late} of the requests would have waited for a start (allowed: {float(terms.late_allowed):.2%})"
    return _advice(Choice.SLEEP if terms.can_sleep else Choice.KEEP, words, quiet, best, even)


def _advice(choice: Choice, message: str, quiet: Quiet, outcome: _Outcome, even: Micros) -> Advice:
    a_month = Fraction(_MONTH, quiet.watched) if quiet.watched else None
    saved = outcome.saved * a_month if a_month is not None and choice is not Choice.SLEEP else None
    return Advice(
        choice,
        message,
        idle_after=outcome.idle_after,
        break_even=even,
        saving_monthly=saved,
        wakes_monthly=None if a_month is None else float(outcome.wakes * a_month),
        late=outcome.late,
    )


def _worth(quiet: Quiet, terms: Terms, even: Micros) -> list[tuple[Micros, Micros, int]]:
    """Thresholds that would have saved something: the time saved, the threshold (negative, so that of two that save the
    same the smaller one is the larger entry), and how often it would have been woken up.

    Each quiet time is a threshold to try, and there may be a thousand: so they are added up once, from the longest on.
    """
    assert terms.ready is not None
    found, paid, together = [], terms.ready.paid, 0
    lengths = sorted((gap.length for gap in quiet.gaps if gap.length > even), reverse=True)
    for wakes, length in enumerate(lengths, 1):
        together += length
        after = lengths[wakes] if wakes < len(lengths) else even
        saved = together - wakes * (after + paid)
        if after < length and saved > 0:
            found.append((saved, -after, wakes))
    return found


def _most_wakes(quiet: Quiet, terms: Terms) -> int:
    """How often it may be woken up before more requests wait than the objective allows; -1: that is not known."""
    assert terms.ready is not None
    if quiet.requests is None:
        return -1
    fewest, most = 0, len(quiet.gaps)
    while fewest < most:
        middle = (fewest + most + 1) // 2
        late = _late(quiet, terms.ready, middle)
        if late is not None and late <= terms.late_allowed:
            fewest = middle
        else:
            most = middle - 1
    return fewest


def _outcome(quiet: Quiet, terms: Terms, idle_after: Micros) -> _Outcome:
    """What a threshold would have come to in the time watched."""
    assert terms.ready is not None
    longer = [gap.length for gap in quiet.gaps if gap.length > idle_after]
    away = sum(length - idle_after - terms.ready.paid for length in longer)
    saved = Fraction((terms.replica_hourly or 0) * away, HOUR)
    return _Outcome(idle_after, saved, len(longer), _late(quiet, terms.ready, len(longer)))


def _late(quiet: Quiet, ready: ReadyTimes, wakes: int) -> Fraction | None:
    """Part of the requests that wait for a start: the one that sets it off, and those that come until it is done."""
    if quiet.requests is None:
        return None
    if not wakes:
        return Fraction(0)
    if quiet.requests <= 0:
        return Fraction(1)
    busy = max(1, quiet.watched - sum(gap.length for gap in quiet.gaps))
    behind = Fraction(quiet.requests) * ready.p95 / busy
    return min(Fraction(1), wakes * (1 + behind) / Fraction(quiet.requests))


def _coarse(time: Micros) -> Micros:
    """Whole seconds, for people."""
    return ceil(time / SECOND) * SECOND
