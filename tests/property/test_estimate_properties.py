"""Whatever is estimated: ranges bracket, what is called cheaper is, and what is not known has no number."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from gpucost.core.clock import HOUR, MINUTE
from gpucost.core.training.estimating.alternatives import Way, alternatives
from gpucost.core.training.estimating.chips import Precision
from gpucost.core.training.estimating.estimate import Estimate, Placing, Setup, estimate
from gpucost.core.training.estimating.market import without_cluster
from gpucost.core.training.estimating.placing import nightly, on_schedule
from gpucost.core.training.estimating.work import Method, Work
from gpucost.core.training.spec import Outside

QUOTES = without_cluster()
NOW = 1_790_000_000_000_000

models = st.sampled_from(["H100", "A100-40GB", "A100-80GB", "A100", "L4", "T4", "V100", "H200", "A10G", "MI300X", ""])
works = st.builds(
    Work,
    st.integers(10**6, 10**12),
    st.integers(10**6, 10**13),
    st.sampled_from(Method),
    st.none() | st.sampled_from(Precision),
)
outsides = st.sampled_from(Outside)


@st.composite
def setups(draw: st.DrawFn) -> Setup:
    placing = draw(st.sampled_from(Placing))
    work = draw(st.none() | works)
    return Setup(
        gpus=draw(st.sampled_from([0, 1, 2, 8, 64])),
        gpu_model=draw(models),
        placing=placing,
        schedule=nightly("Europe/Berlin", draw(outsides)) if placing is Placing.SCHEDULED else None,
        work=work,
        duration=draw(st.none() | st.integers(MINUTE, 2000 * HOUR)),
        start=NOW,
        complete_by=draw(st.none() | st.integers(NOW, NOW + 1000 * HOUR)),
    )


@given(setups())
def test_ranges_bracket_and_unknown_is_never_a_number(setup: Setup) -> None:
    found = estimate(setup, QUOTES)
    for value in (found.hours, found.cost, found.hourly):
        assert value is None or 0 < value.low <= value.typical <= value.high
    assert (found.cost is None) <= bool(found.unknown)
    if found.ends is not None:
        assert setup.start < found.ends[0] <= found.ends[1] <= found.ends[2]
    if not setup.gpus or setup.gpu_model in {"MI300X", "", "A100", "H200"}:
        assert found.cost is None


@given(setups())
def test_what_is_called_cheaper_is_cheaper_and_possible(setup: Setup) -> None:
    base = estimate(setup, QUOTES)
    found = alternatives(base, QUOTES)
    for one in found:
        assert one.estimate.cost is not None
        assert one.estimate.memory is None or one.estimate.memory.fits
        if one.is_cheaper:
            assert base.cost is not None
            assert one.estimate.cost.under(base.cost)
            assert one.saves == base.cost.typical - one.estimate.cost.typical > 0
            assert setup.complete_by is None or _typical_end(one.estimate) <= setup.complete_by
    assert [one.is_cheaper for one in found] == sorted((one.is_cheaper for one in found), reverse=True)
    assert not any(one.way is Way.FEWER_GPUS and one.is_cheaper for one in found)


def _typical_end(found: Estimate) -> int:
    assert found.ends is not None
    return found.ends[1]


@given(works, st.sampled_from([1, 8]), st.integers(2, 7))
def test_more_tokens_cost_more_and_more_gpus_cost_the_same(work: Work, gpus: int, times: int) -> None:
    one = estimate(Setup(gpus, "H100", work=work), QUOTES)
    longer = Work(work.parameters, work.tokens * times, work.method, work.precision)
    more = estimate(Setup(gpus, "H100", work=longer), QUOTES)
    wider = estimate(Setup(gpus * times, "H100", work=work), QUOTES)
    if one.cost is not None:
        assert more.cost == one.cost.scaled(times)
        assert wider.cost == one.cost


@given(st.lists(st.integers(1, 300), min_size=2, max_size=6), outsides)
def test_longer_runs_end_later_on_a_schedule(hours: list[int], outside: Outside) -> None:
    night = nightly("America/New_York", outside)
    stays = [on_schedule(night, Fraction(length), NOW, Fraction(1)) for length in sorted(hours)]
    ends = [stay.end for stay in stays if stay is not None]
    assert all(a <= b for a, b in pairwise(ends))
    for stay, length in zip(stays, sorted(hours), strict=True):
        assert stay is not None
        assert stay.hours == length
