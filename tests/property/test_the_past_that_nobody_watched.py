"""Whatever happened while nobody watched: never more than the truth is filled in, and what is missing is marked."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gpucost.core.clock import HOUR, SECOND
from gpucost.core.timeline import Interval
from gpucost.ledger import Ledger
from support.past_truth import compare, fill_in, record_present
from support.past_world import T0, Past, SampledSource, random_past

SPAN = Interval(T0, T0 + 10 * HOUR)

Fresh = Callable[[], Ledger]


@pytest.fixture
def fresh() -> Fresh:
    return lambda: Ledger("sqlite://")


def filled(ledger: Ledger, past: Past, longest: int) -> dict[str, int]:
    alive = record_present(ledger, past, SPAN.end)
    fill_in(ledger, SampledSource(past, longest), past, SPAN, alive)
    return compare(ledger, past, SPAN)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 10**6),
    interval=st.sampled_from([15 * SECOND, 60 * SECOND, 120 * SECOND]),
    outages=st.integers(0, 2),
    longest=st.sampled_from([2 * HOUR, 6 * HOUR]),
)
def test_what_is_filled_in_agrees_with_the_truth(
    fresh: Fresh, seed: int, interval: int, outages: int, longest: int
) -> None:
    with fresh() as ledger:
        filled(ledger, random_past(seed, SPAN, interval, nodes=2, outages=outages), longest)


@settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10**6))
def test_reading_the_same_past_twice_changes_nothing(fresh: Fresh, seed: int) -> None:
    past = random_past(seed, SPAN, 60 * SECOND, nodes=2, outages=1)
    with fresh() as ledger:
        alive = record_present(ledger, past, SPAN.end)
        fill_in(ledger, SampledSource(past), past, SPAN, alive)
        once = ledger.recorded(SPAN, [pod.uid for pod in past.pods])
        fill_in(ledger, SampledSource(past), past, SPAN, alive)
        twice = ledger.recorded(SPAN, [pod.uid for pod in past.pods])

        assert once == twice
        compare(ledger, past, SPAN)
