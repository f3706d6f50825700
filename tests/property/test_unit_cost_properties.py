"""Whatever was measured: the parts of an endpoint's cost add up to what the ledger says, to the last pico-unit."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from gpucost.core.clock import HOUR
from gpucost.core.serving.signals.model import Work
from gpucost.core.serving.unit_cost import HourCost, unit_cost
from gpucost.core.serving.unit_lines import hour_lines
from gpucost.core.serving.work_hours import WorkHour

amounts = st.one_of(st.none(), st.just(0.0), st.floats(0, 1e9, allow_nan=False, allow_infinity=False))
works = st.builds(Work, amounts, amounts, amounts, amounts, amounts, amounts, amounts)
times = st.integers(0, 8 * HOUR)
done = st.builds(
    WorkHour,
    covered=st.integers(0, HOUR),
    uncertain=st.integers(0, HOUR),
    busy=times,
    idle=times,
    starting=times,
    work=works,
    tenants=st.dictionaries(st.sampled_from(["red", "blue", "green"]), works),
)
costs = st.builds(
    HourCost,
    hour=st.integers(0, 9).map(lambda n: n * HOUR),
    cost=st.integers(0, 10**15),
    held=times,
    unpriced=st.one_of(st.just(0), times),
)
hours = st.lists(st.tuples(costs, st.one_of(st.none(), done)), max_size=8)


@given(hours, st.integers(0, 10**12))
def test_parts_add_up_to_the_cost_of_the_pods(found: list[tuple[HourCost, WorkHour | None]], rest: int) -> None:
    result = unit_cost(found, rest)
    assert result.split.total == rest + sum(cost.cost for cost, _ in found)
    assert all(part >= 0 for part in result.split)
    lines = hour_lines(found, rest)
    assert all(sum(line.split[part] for line in lines) == whole for part, whole in enumerate(result.split))


@given(hours)
def test_shares_of_tenants_add_up_to_what_was_paid_for_serving(
    found: list[tuple[HourCost, WorkHour | None]],
) -> None:
    result = unit_cost(found)
    shares = [share for share, _ in result.tenants.values()]
    for part in ("input", "output", "unsplit"):
        assert sum(getattr(share, part) for share in shares) == getattr(result.split, part)


@given(hours)
def test_prices_times_units_are_the_known_cost(found: list[tuple[HourCost, WorkHour | None]]) -> None:
    result = unit_cost(found)
    reading, writing = result.per_input_token, result.per_output_token
    if reading is not None and writing is not None:
        prompt, generated = result.work.prompt_tokens, result.work.generation_tokens
        assert reading * Fraction(prompt or 0) + writing * Fraction(generated or 0) == result.split.known
    if result.per_request is not None:
        assert result.per_request * Fraction(result.work.requests or 0) == result.split.known
