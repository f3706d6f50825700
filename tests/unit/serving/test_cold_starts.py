"""Known answers for ready times, quiet times, and whether to keep the last replica."""

from __future__ import annotations

from fractions import Fraction

from gpucost.core.clock import DAY, HOUR, MINUTE, SECOND
from gpucost.core.money import PICO
from gpucost.core.serving.cold_start import Choice, Terms, advise, break_even, start_cost
from gpucost.core.serving.quiet_times import HORIZON, MOST_KEPT, Quiet, QuietTimes, with_look
from gpucost.core.serving.ready_times import MOST_KEPT as MOST_STARTS
from gpucost.core.serving.ready_times import ReadyTimes, Start, ready_times, with_start
from gpucost.core.timeline import Interval


def start(pod: str, seconds: int, *, seen: bool = True) -> Start:
    return Start(pod, created=0, bound=10 * SECOND, ready=seconds * SECOND, seen=seen)


def test_quantiles_are_values_that_were_measured() -> None:
    found = ready_times(start(str(i), 60 + i) for i in range(1, 21))
    assert found == ReadyTimes(20, 70 * SECOND, 79 * SECOND, int(60.5 * SECOND))


def test_a_pod_that_was_ready_when_it_was_first_seen_only_bounds_the_time() -> None:
    assert ready_times([start("a", 60), start("b", 5000, seen=False)]) == ready_times([start("a", 60)])
    found = ready_times([start("a", 300, seen=False), start("b", 5000, seen=False)])
    assert found is not None
    assert (found.p95, found.is_bound) == (300 * SECOND, True)
    assert ready_times([]) is None


def test_a_pod_that_becomes_ready_again_has_not_started_again() -> None:
    starts = with_start((start("a", 60),), start("a", 9000))
    assert starts == (start("a", 60),)


def test_only_the_newest_starts_are_kept() -> None:
    starts: tuple[Start, ...] = ()
    for i in range(MOST_STARTS + 5):
        starts = with_start(starts, start(str(i), 60 + i))
    assert len(starts) == MOST_STARTS
    assert starts[0].pod == "5"


# --- quiet times ------------------------------------------------------------------------------------------------------


def watched(*steps: tuple[int, bool | None, float | None]) -> QuietTimes:
    """A look each minute of the steps: at which minute, whether idle, requests since the last look."""
    times = QuietTimes()
    for minute, is_idle, requests in steps:
        times = with_look(times, minute * MINUTE, is_idle, requests)
    return times


def test_a_quiet_time_counts_once_it_is_over() -> None:
    begun = watched((0, False, 0), (1, True, 3), (2, True, 0), (5, True, 0), (6, True, 0))
    assert (begun.gaps, begun.since) == ((), MINUTE)
    over = with_look(begun, 7 * MINUTE, False, 0)
    assert over.gaps == (Interval(MINUTE, 6 * MINUTE),)
    assert over.quiet == Quiet(7 * MINUTE, over.gaps, 3)


def test_a_request_between_two_idle_looks_ends_a_quiet_time_and_begins_another() -> None:
    times = watched((0, False, 0), (1, True, 1), (4, True, 0), (5, True, 1), (9, True, 0))
    assert times.gaps == (Interval(MINUTE, 4 * MINUTE),)
    assert times.since == 5 * MINUTE


def test_a_quiet_time_with_a_silence_in_it_does_not_count() -> None:
    for step in ((4, None, None), (40, True, 0)):
        times = watched((0, False, 0), (1, True, 1), (3, True, 0), step, (41, True, 0), (42, False, 1))
        assert times.gaps == ()


def test_a_quiet_time_that_was_not_seen_to_begin_does_not_count_but_is_one() -> None:
    times = watched((0, True, 0), (5, True, 0))
    assert times.since == 0
    assert with_look(times, 6 * MINUTE, False, 1).gaps == ()


def test_after_a_look_on_which_nobody_knew_a_quiet_time_begins_anew() -> None:
    """Such a look is the first one after every start: idle endpoints must be able to go to zero all the same."""
    times = watched((0, None, None), (1, True, 0), (2, True, 0))
    assert (times.since, times.is_whole) == (MINUTE, False)
    assert with_look(times, 3 * MINUTE, False, 1).gaps == ()


def test_what_is_old_goes_in_step_with_its_time() -> None:
    gaps = tuple(Interval(i * HOUR, i * HOUR + 30 * MINUTE) for i in range(2 * MOST_KEPT))
    times = QuietTimes(1000 * HOUR, 1000 * HOUR, 5000.0, gaps, None, False, True, 1000 * HOUR)
    found = with_look(with_look(times, 1000 * HOUR + MINUTE, True, 0), 1000 * HOUR + 5 * MINUTE, False, 1)
    assert found.watched <= HORIZON + HOUR
    assert all(gap.start >= found.watched - HORIZON for gap in found.gaps)
    assert abs(found.requests / (found.watched / HOUR) - 5) < 0.1


# --- keep, sleep or zero ----------------------------------------------------------------------------------------------

READY = ReadyTimes(10, p50=3 * MINUTE, p95=4 * MINUTE, paid=3 * MINUTE)
TERMS = Terms(4 * PICO, READY, late_allowed=Fraction(1, 100), has_holder=True)
NIGHTS = tuple(Interval(day * DAY, day * DAY + 10 * HOUR) for day in range(10))


def test_a_start_costs_the_time_that_it_is_paid_for() -> None:
    assert start_cost(4 * PICO, READY) == 4 * PICO // 20
    assert break_even(READY) == 3 * MINUTE


def test_long_nights_are_worth_a_start_each() -> None:
    found = advise(Quiet(10 * DAY, NIGHTS, 100_000), TERMS)
    assert (found.choice, found.idle_after, found.break_even) == (Choice.ZERO, 3 * MINUTE, 3 * MINUTE)
    away = 10 * (10 * 60 - 3 - 3)  # minutes
    assert found.saving_monthly == Fraction(4 * PICO * away, 60) * 730 / 240
    behind = Fraction(100_000 * 4, 10 * 14 * 60)  # requests that come while a replica starts
    assert found.late == 10 * (1 + behind) / 100_000


def test_short_gaps_are_not_worth_it() -> None:
    gaps = [Interval(i * HOUR, i * HOUR + 2 * MINUTE) for i in range(100)]
    found = advise(Quiet(10 * DAY, gaps, 100_000), TERMS)
    assert (found.choice, found.saving_monthly) == (Choice.KEEP, None)


def test_a_longer_threshold_is_taken_where_the_objective_does_not_allow_so_many_waits() -> None:
    gaps = [Interval(i * HOUR, i * HOUR + (20 if i % 24 else 300) * MINUTE) for i in range(240)]
    found = advise(Quiet(10 * DAY, gaps, 4_000), TERMS)
    assert (found.choice, found.idle_after) == (Choice.ZERO, 20 * MINUTE)
    assert found.wakes_monthly == 10 * 730 / 240


def test_where_too_many_would_wait_the_replica_stays_or_sleeps() -> None:
    quiet = Quiet(10 * DAY, NIGHTS, 500)
    kept = advise(quiet, TERMS)
    assert kept.choice is Choice.KEEP
    assert "would have waited" in kept.message
    asleep = advise(quiet, Terms(4 * PICO, READY, Fraction(1, 100), can_sleep=True))
    assert (asleep.choice, asleep.saving_monthly) == (Choice.SLEEP, None)


def test_uncounted_requests_are_not_taken_for_none() -> None:
    assert advise(Quiet(10 * DAY, NIGHTS, None), TERMS).choice is Choice.KEEP


def test_without_a_holder_it_stays_and_says_what_is_missing() -> None:
    found = advise(Quiet(10 * DAY, NIGHTS, 100_000), Terms(4 * PICO, READY, Fraction(1, 100)))
    assert found.choice is Choice.KEEP
    assert "scaleToZero.holder" in found.message
    assert found.saving_monthly is not None


def test_what_the_endpoint_asks_for_is_done() -> None:
    terms = Terms(4 * PICO, READY, Fraction(0), idle_after=MINUTE, has_holder=True)
    found = advise(Quiet(0, (), None), terms)
    assert (found.choice, found.idle_after) == (Choice.ZERO, MINUTE)
    assert "a start costs as much as" in found.message


def test_nothing_is_decided_on_the_unknown() -> None:
    quiet = Quiet(10 * DAY, NIGHTS, 100_000)
    assert advise(quiet, Terms(4 * PICO, None, Fraction(1), has_holder=True)).choice is Choice.KEEP
    assert advise(quiet, Terms(None, READY, Fraction(1), has_holder=True)).choice is Choice.KEEP
    assert advise(Quiet(HOUR, NIGHTS, 100_000), TERMS).choice is Choice.KEEP
