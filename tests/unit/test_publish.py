"""Costs are written when that is worth a write, within one budget."""

from gpucost.core.clock import MINUTE, SECOND
from gpucost.core.publish import Budget, Published, urgency

FIVE = 5 * MINUTE


def shown(at=0, total=100, hourly=10, state="running", wasted=0):
    return Published(at, total, hourly, state, wasted)


def test_the_first_write_and_a_new_state_are_urgent():
    assert urgency(None, shown(), interval=FIVE) == float("inf")
    assert urgency(shown(), shown(at=1, state="ended"), interval=FIVE) == float("inf")


def test_nothing_is_written_before_the_interval_is_over():
    assert urgency(shown(), shown(at=FIVE - 1, total=1000), interval=FIVE) is None


def test_a_move_of_less_than_one_percent_is_not_written():
    assert urgency(shown(total=1000), shown(at=FIVE, total=1009), interval=FIVE) is None


def test_a_larger_move_is_more_urgent():
    small = urgency(shown(), shown(at=FIVE, total=110), interval=FIVE)
    large = urgency(shown(), shown(at=FIVE, total=200), interval=FIVE)
    assert small is not None
    assert large is not None
    assert small < large


def test_work_found_to_be_lost_is_a_change_where_nothing_else_changes_any_more():
    running = urgency(shown(total=1000), shown(at=FIVE, total=1000, wasted=9), interval=FIVE)
    assert running is None
    assert urgency(shown(total=1000), shown(at=FIVE, total=1000, wasted=10), interval=FIVE) is not None
    ended = shown(total=1000, hourly=0, state="ended")
    assert urgency(ended, shown(at=FIVE, total=1000, hourly=0, state="ended", wasted=1), interval=FIVE) is not None
    assert urgency(ended, shown(at=1, total=1000, hourly=0, state="ended", wasted=1), interval=FIVE) is None
    assert urgency(ended, shown(at=FIVE, total=1000, hourly=0, state="ended"), interval=FIVE) is None


def test_becoming_unknown_is_a_change():
    assert urgency(shown(), shown(at=FIVE, hourly=None), interval=FIVE) == float("inf")


def test_the_budget_lets_a_burst_through_and_then_its_rate():
    budget = Budget(rate=1, burst=2)
    assert [budget.take(0) for _ in range(3)] == [True, True, False]
    assert budget.take(SECOND)
    assert not budget.take(SECOND)


def test_a_clock_that_jumps_back_earns_nothing():
    budget = Budget(rate=1, burst=1)
    assert budget.take(10 * SECOND)
    assert not budget.take(0)
    assert budget.take(SECOND)
