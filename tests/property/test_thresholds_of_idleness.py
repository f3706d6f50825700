"""The threshold that is chosen is the best of all that quiet times could have been cut at, tried one by one."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from gpucost.core.clock import DAY, HOUR, MINUTE, Micros
from gpucost.core.money import PICO
from gpucost.core.serving.cold_start import Choice, Terms, advise, break_even
from gpucost.core.serving.quiet_times import Quiet
from gpucost.core.serving.ready_times import ReadyTimes
from gpucost.core.timeline import Interval

lengths = st.lists(st.integers(1, 300).map(lambda minutes: minutes * MINUTE), max_size=12)
ready = st.integers(1, 20).map(lambda minutes: ReadyTimes(5, minutes * MINUTE, minutes * MINUTE, minutes * MINUTE))


def late(quiet: Quiet, times: ReadyTimes, wakes: int) -> Fraction:
    requests = Fraction(quiet.requests or 0)
    if not wakes:
        return Fraction(0)
    busy = quiet.watched - sum(gap.length for gap in quiet.gaps)
    return min(Fraction(1), wakes * (1 + requests * times.p95 / busy) / requests)


@given(lengths, ready, st.integers(1, 10**6), st.fractions(0, 1), st.integers(0, 10))
def test_no_other_threshold_saves_more_within_the_objective(
    found: list[Micros], times: ReadyTimes, requests: int, allowed: Fraction, price: int
) -> None:
    gaps = tuple(Interval(number * DAY, number * DAY + length) for number, length in enumerate(found))
    quiet = Quiet(20 * DAY, gaps, float(requests))
    even = break_even(times)
    outcomes = []
    for after in {even, *(length for length in found if length > even)}:
        longer = [length for length in found if length > after]
        saved = sum(length - after - times.paid for length in longer)
        if longer and saved > 0 and price and late(quiet, times, len(longer)) <= allowed:
            outcomes.append((saved, -after))
    advice = advise(quiet, Terms(price * PICO, times, allowed, has_holder=True))
    assert (advice.choice is Choice.ZERO) is bool(outcomes)
    if outcomes:
        saved, after = max(outcomes)
        assert advice.idle_after == -after
        assert advice.saving_monthly == Fraction(price * PICO * saved, HOUR) * 730 / (20 * 24)
