"""What a replica serves is learned from pod-minutes, and never trusted further than what was seen."""

from __future__ import annotations

from decimal import Decimal

import pytest

from gpucost.core.clock import HOUR, MINUTE
from gpucost.core.serving.signals.capacity import Learned, Window, capacity, learn, restored, stored
from gpucost.core.serving.signals.model import Evidence, Work
from gpucost.core.serving.spec import Capacity
from support.signals_world import BORN


def minute(tokens: float, *, kept: bool = True, full: bool = False, kv: float | None = 0.3, per: float = 200) -> Window:
    """A pod that gave so many tokens a second, in answers of `per` tokens."""
    done = Work(requests=tokens * 60 / per, generation_tokens=tokens * 60)
    return Window(MINUTE, done, kept, full, kv)


def after(*windows: Window) -> Learned:
    learned = Learned()
    for index, one in enumerate(windows):
        learned = learn(learned, [one], BORN + index * MINUTE)
    return learned


def test_nothing_is_known_before_three_minutes() -> None:
    assert not capacity(after(minute(1000), minute(1000))).known
    assert capacity(after(*[minute(1000)] * 4)).known


def test_without_a_limit_met_it_is_what_was_seen_and_a_step_beyond() -> None:
    found = capacity(after(*[minute(1000)] * 10))
    assert found.evidence is Evidence.EXPLORED
    assert found.tokens_per_second == pytest.approx(2000, rel=0.06)  # the KV cache is mostly empty
    assert found.requests_per_second == pytest.approx(10, rel=0.06)
    assert found.confidence < 0.5


def test_a_fuller_cache_and_an_unknown_one_allow_a_smaller_step() -> None:
    fuller = capacity(after(*[minute(1000, kv=0.7)] * 10)).tokens_per_second
    unknown = capacity(after(*[minute(1000, kv=None)] * 10)).tokens_per_second
    assert fuller == pytest.approx(1000 * 0.8 / 0.7, rel=0.03)
    assert unknown == pytest.approx(1250, rel=0.03)


def test_the_limit_is_where_the_objective_is_missed() -> None:
    found = capacity(after(*[minute(2000)] * 30, *[minute(2600, kept=False, full=True)] * 5))
    assert found.evidence is Evidence.SATURATED
    assert found.tokens_per_second == pytest.approx(2000, rel=0.03)
    assert found.confidence > 0.8


def test_a_queue_with_the_objective_kept_is_a_limit_too() -> None:
    found = capacity(after(*[minute(2000)] * 10, *[minute(2400, full=True)] * 5))
    assert found.evidence is Evidence.SATURATED
    assert found.tokens_per_second == pytest.approx(2400, rel=0.03)


def test_slow_minutes_with_little_work_say_nothing_of_the_limit() -> None:
    found = capacity(after(*[minute(2000)] * 10, *[minute(300, kept=False)] * 20))
    assert found.evidence is Evidence.EXPLORED


def test_a_single_good_minute_among_bad_ones_is_no_capacity() -> None:
    found = capacity(after(*[minute(1500)] * 10, *[minute(2500, kept=False)] * 20, minute(2500)))
    assert found.tokens_per_second == pytest.approx(1500, rel=0.03)


def test_an_objective_that_is_never_kept_leaves_what_was_served_most() -> None:
    found = capacity(after(*[minute(900, kept=False)] * 10))
    assert found.evidence is Evidence.SATURATED
    assert found.tokens_per_second == pytest.approx(900, rel=0.03)
    assert found.confidence == 0


def test_longer_answers_are_more_work_and_not_a_slower_replica() -> None:
    short = [minute(2000, per=200)] * 10 + [minute(2100, kept=False, full=True)] * 3
    learned = after(*short)
    for index in range(600):
        learned = learn(learned, [minute(2000, per=400)], BORN + (20 + index) * MINUTE)
    found = capacity(learned)
    assert found.tokens_per_second == pytest.approx(2000, rel=0.03)
    assert found.requests_per_second == pytest.approx(5, rel=0.05)


def test_cached_prompt_tokens_are_no_work() -> None:
    done = Work(requests=60, prompt_tokens=60_000, generation_tokens=6_000, cache_hits=50_000)
    found = capacity(after(*[Window(MINUTE, done, True, True, 0.85)] * 5))
    assert found.tokens_per_second == pytest.approx((6_000 + 1_000) / 60, rel=0.03)


def test_a_server_without_tokens_is_measured_in_requests() -> None:
    done = Work(requests=600)
    found = capacity(after(*[Window(MINUTE, done, True, True)] * 5))
    assert (found.tokens_per_second, found.requests_per_second) == (None, pytest.approx(10, rel=0.03))


def test_what_was_learned_fades_so_that_another_model_is_learned_anew() -> None:
    learned = after(*[minute(4000)] * 20)
    for index in range(20):
        learned = learn(learned, [minute(1000, full=True)], BORN + 14 * 24 * HOUR + index * MINUTE)
    assert capacity(learned).tokens_per_second == pytest.approx(1000, rel=0.03)


def test_idle_minutes_teach_nothing() -> None:
    assert after(minute(0), minute(0)).levels == {}


def test_what_the_user_says_counts() -> None:
    learned = after(*[minute(1000, per=100)] * 10)
    assert capacity(learned, Capacity(requests_per_second=Decimal("7.5"))).requests_per_second == 7.5
    found = capacity(learned, Capacity(tokens_per_second=Decimal(3000)))
    assert (found.evidence, found.requests_per_second) == (Evidence.GIVEN, pytest.approx(30))


def test_a_minute_without_tokens_does_not_wipe_out_what_was_learned_in_them() -> None:
    learned = after(*[minute(2000)] * 30)
    silent = Window(MINUTE, Work(requests=600), kept=True, full=False)
    one_of_two = learn(learned, [minute(2000), silent], BORN + 30 * MINUTE)
    assert capacity(one_of_two).tokens_per_second == pytest.approx(capacity(learned).tokens_per_second)
    assert learn(learned, [silent], BORN + 31 * MINUTE) == learned
    at_last = learn(learned, [silent] * 4, BORN + 30 * HOUR)
    assert (capacity(at_last).tokens_per_second, at_last.in_tokens) == (None, False)


def test_a_weekend_without_requests_and_a_restart_leave_what_a_request_takes() -> None:
    learned = learn(after(*[minute(2000, per=200)] * 30), [minute(0)], BORN + 60 * HOUR)
    found = capacity(restored(stored(learned)))
    assert found.requests_per_second == pytest.approx(capacity(learned).requests_per_second, rel=1e-4)
    assert found.known


def test_it_is_the_same_after_a_restart() -> None:
    learned = after(*[minute(2000)] * 30, *[minute(2600, kept=False, full=True)] * 5)
    assert capacity(restored(stored(learned))).tokens_per_second == capacity(learned).tokens_per_second
    assert restored({"levels": "nonsense"}) == Learned()
