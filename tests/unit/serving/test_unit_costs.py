"""Known answers, by hand, for what tokens and requests cost."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

from gpucost.core.clock import HOUR, MINUTE, SECOND
from gpucost.core.money import PICO
from gpucost.core.serving.comparison import comparison, marginal_per_request
from gpucost.core.serving.signals.model import (
    Availability,
    Evidence,
    Known,
    NoSeries,
    PodSignals,
    ReplicaCapacity,
    Signals,
    Work,
)
from gpucost.core.serving.spec import ApiPrice
from gpucost.core.serving.unit_cost import HourCost, Split, UnitCost, split_hour, unit_cost
from gpucost.core.serving.work_hours import MOST_TENANTS, OTHERS, WorkHour, look
from gpucost.core.timeline import Interval

TEN = 10 * PICO
WORK = Work(
    requests=100, prompt_tokens=1_000_000, generation_tokens=200_000, prefill_seconds=600, decode_seconds=2400,
    cache_hits=250_000, cache_queries=1_000_000,
)  # fmt: skip


def an_hour(**about: object) -> WorkHour:
    """Two pods for an hour: one at work, one half idle and half starting."""
    times = {"covered": HOUR, "busy": HOUR, "idle": HOUR // 2, "starting": HOUR // 2, "work": WORK}
    return WorkHour(**{**times, **about})  # type: ignore[arg-type]


def a_cost(**about: int) -> HourCost:
    return HourCost(**{"hour": 0, "cost": TEN, "held": 2 * HOUR, **about})


def test_serving_is_split_by_measured_prefill_and_decode_time() -> None:
    assert split_hour(a_cost(), an_hour()) == Split(
        input=1 * PICO, output=4 * PICO, unsplit=0, idle=TEN // 4, starting=TEN // 4, unknown=0
    )


def test_unit_prices_times_units_are_what_was_paid() -> None:
    found = unit_cost([(a_cost(), an_hour())])
    assert found.serving_per_input_token == Fraction(1 * PICO, 1_000_000)
    assert found.serving_per_output_token == Fraction(4 * PICO, 200_000)
    assert found.per_input_token == Fraction(2 * PICO, 1_000_000)  # twice as much: half of the money was not for work
    assert found.per_output_token == Fraction(8 * PICO, 200_000)
    assert found.per_request == Fraction(TEN, 100)
    assert found.per_token == Fraction(TEN, 1_200_000)
    assert found.cache_hits == Fraction(1, 4)


def test_a_server_that_counts_hits_and_no_look_ups_has_looked_all_prompts_up() -> None:
    work = Work(requests=1, prompt_tokens=400, generation_tokens=1, cache_hits=100)
    assert unit_cost([(a_cost(), an_hour(work=work))]).cache_hits == Fraction(1, 4)
    assert unit_cost([(a_cost(), an_hour(work=Work(requests=1, prompt_tokens=400)))]).cache_hits is None


def test_time_of_which_nobody_knows_anything_belongs_to_no_token() -> None:
    found = unit_cost([(a_cost(held=4 * HOUR), an_hour()), (a_cost(hour=HOUR), None)], rest=7)
    assert found.split.unknown == TEN // 2 + TEN + 7
    assert found.per_request == Fraction(TEN // 2, 100)


def test_an_hour_with_pods_that_have_no_price_makes_no_token_cheaper() -> None:
    found = unit_cost([(a_cost(), an_hour()), (a_cost(hour=HOUR, cost=TEN // 2, unpriced=HOUR), an_hour())])
    assert found.per_request == Fraction(TEN, 100)
    assert found.split.unknown == TEN // 2


def test_a_runtime_that_does_not_tell_prefill_from_decode_has_no_price_by_kind_of_token() -> None:
    work = Work(requests=100, prompt_tokens=1_000_000, generation_tokens=200_000)
    found = unit_cost([(a_cost(), an_hour(work=work))])
    assert (found.split.unsplit, found.per_input_token, found.serving_per_output_token) == (TEN // 2, None, None)
    assert found.per_token == Fraction(TEN, 1_200_000)


def test_nothing_done_while_pods_were_busy_is_unknown_and_not_free() -> None:
    found = unit_cost([(a_cost(), an_hour(work=Work(requests=0, prompt_tokens=0, generation_tokens=0)))])
    assert found.split.unknown == TEN // 2
    assert (found.per_request, found.per_token) == (None, None)


def test_a_few_requests_that_no_look_met_are_not_served_by_idle_pods() -> None:
    few = Work(requests=1, prompt_tokens=10, generation_tokens=10, prefill_seconds=18, decode_seconds=18)
    part = split_hour(a_cost(held=HOUR), WorkHour(covered=HOUR, idle=HOUR, work=few))
    assert part == Split(input=TEN // 200, output=TEN // 200, idle=TEN - TEN // 100)


def test_an_answer_that_goes_on_over_the_hour_is_split_as_the_others_are() -> None:
    """Prefill and decode are told of requests that have ended; an hour without one must not cost the day its price."""
    going_on = Work(requests=0, prompt_tokens=0, generation_tokens=5_000, prefill_seconds=0, decode_seconds=0)
    found = unit_cost([(a_cost(), an_hour()), (a_cost(hour=HOUR), an_hour(work=going_on))])
    assert found.split == Split(input=2 * PICO, output=8 * PICO, idle=TEN // 2, starting=TEN // 2)
    assert found.per_output_token == Fraction(16 * PICO, 205_000)
    alone = unit_cost([(a_cost(), an_hour(work=going_on))])
    assert alone.split.unsplit == TEN // 2


def test_what_the_arithmetic_leaves_over_is_nobodys_request() -> None:
    third = Work(requests=100 / 3, generation_tokens=0.1)
    tenants = dict.fromkeys(("red", "green", "blue"), third)
    whole = Work(requests=third.requests + third.requests + third.requests + 1e-12, generation_tokens=0.3 + 1e-17)  # type: ignore[operator]
    found = unit_cost([(a_cost(), an_hour(work=whole, tenants=tenants))]).tenants
    assert set(found) == {"red", "green", "blue"}


def test_time_without_a_price_is_not_compared() -> None:
    costs = unit_cost([(a_cost(), an_hour()), (a_cost(hour=HOUR, unpriced=HOUR), an_hour())])
    found = comparison(ApiPrice("api", Decimal(3), Decimal(15)), costs)
    assert found is not None
    assert found.even_at == Fraction(10, 6) * 100


def test_tenants_pay_for_their_own_time_and_the_rest_is_nobodys() -> None:
    tenants = {
        "red": Work(requests=50, prompt_tokens=1, generation_tokens=1, prefill_seconds=300, decode_seconds=600),
        "blue": Work(requests=25, prompt_tokens=1, generation_tokens=1, prefill_seconds=150, decode_seconds=600),
    }
    found = unit_cost([(a_cost(), an_hour(tenants=tenants))]).tenants
    assert {name: share.total for name, (share, _) in found.items()} == {
        "red": PICO // 2 + PICO, "blue": PICO // 4 + PICO, "": PICO // 4 + 2 * PICO,
    }  # fmt: skip
    assert found[""][1].requests == 25


def test_tenants_without_measured_time_pay_by_tokens() -> None:
    tenants = {"red": Work(prompt_tokens=900_000, generation_tokens=50_000)}
    found = unit_cost([(a_cost(), an_hour(tenants=tenants))]).tenants
    assert found["red"][0][:2] == (PICO * 9 // 10, PICO)


def test_more_tenants_than_are_kept_are_told_together() -> None:
    one = WorkHour(tenants={f"t{i}": Work(requests=1) for i in range(MOST_TENANTS)})
    both = one + WorkHour(tenants={"late": Work(requests=2), "t0": Work(requests=1), "later": Work(requests=3)})
    assert both.tenants[OTHERS].requests == 5
    assert both.tenants["t0"].requests == 2


# --- what a look adds -------------------------------------------------------------------------------------------------


def known(value: float) -> Known:
    return Known(value, at=0, least=value, most=value)


def signals(at: int, since: int | None, **more: object) -> Signals:
    return Signals(at, Availability.FOUND, "", since=since, **more)  # type: ignore[arg-type]


def test_a_look_over_the_turn_of_the_hour_counts_for_both() -> None:
    pods = {"a": PodSignals("a", running=known(2)), "b": PodSignals("b", running=known(0)), "c": PodSignals("c")}
    found = look(signals(HOUR + 15 * SECOND, HOUR - 45 * SECOND, pods=pods, work=Work(requests=8)))
    assert found[0] == WorkHour(covered=45 * SECOND, busy=45 * SECOND, idle=45 * SECOND, work=Work(requests=6))
    assert found[HOUR] == WorkHour(covered=15 * SECOND, busy=15 * SECOND, idle=15 * SECOND, work=Work(requests=2))


def test_a_pod_that_does_not_say_whether_it_works_is_not_idle() -> None:
    pods = {"a": PodSignals("a", served=known(0)), "b": PodSignals("b", running=known(0), waiting=known(3))}
    found = look(signals(MINUTE, 0, pods=pods, work=Work(requests=0)))
    assert (found[0].busy, found[0].idle) == (2 * MINUTE, 0)


def test_looks_that_cannot_be_compared_or_are_too_far_apart_add_nothing() -> None:
    pods = {"a": PodSignals("a", running=known(1), waiting=NoSeries())}
    assert look(signals(MINUTE, None, pods=pods)) == {}
    assert look(signals(HOUR, 0, pods=pods, work=WORK)) == {}


def test_a_pod_that_starts_is_neither_busy_nor_idle() -> None:
    found = look(signals(2 * MINUTE, MINUTE, work=Work(requests=0)), {"a": Interval(90 * SECOND, HOUR)})
    assert found[0] == WorkHour(covered=MINUTE, starting=30 * SECOND, work=Work(requests=0))


def test_a_pod_that_speaks_before_it_is_ready_starts_and_is_not_counted_twice() -> None:
    pods = {"a": PodSignals("a", running=known(0)), "b": PodSignals("b", running=known(1))}
    found = look(signals(MINUTE, 0, pods=pods, work=Work(requests=0)), {"a": Interval(0, 45 * SECOND)})
    assert found[0] == WorkHour(
        covered=MINUTE, busy=MINUTE, idle=15 * SECOND, starting=45 * SECOND, work=Work(requests=0)
    )


# --- comparisons ------------------------------------------------------------------------------------------------------


def test_a_named_price_is_asked_for_the_same_tokens() -> None:
    costs = unit_cost([(a_cost(), an_hour())])
    marginal = marginal_per_request(5 * PICO, ReplicaCapacity(Evidence.GIVEN, requests_per_second=0.5))
    assert marginal == Fraction(5 * PICO, 1800)
    found = comparison(ApiPrice("api", Decimal(3), Decimal(15)), costs, marginal)
    assert found is not None
    assert found.theirs == 6 * PICO  # 1 M tokens at 3 and 0.2 M at 15
    assert found.saved == -4 * PICO
    assert found.even_at == Fraction(10, 6) * 100  # ten dollars an hour against six cents a request
    assert found.even_at_capacity


def test_a_replica_that_is_dearer_even_at_its_limit_says_so() -> None:
    costs = unit_cost([(a_cost(), an_hour())])
    found = comparison(ApiPrice("api", Decimal("0.1"), Decimal("0.1")), costs, Fraction(PICO, 100))
    assert found is not None
    assert found.even_at_capacity is False


def test_nothing_is_compared_while_tokens_are_not_counted() -> None:
    assert comparison(ApiPrice("api", Decimal(1), Decimal(1)), UnitCost()) is None
    assert marginal_per_request(None, ReplicaCapacity(requests_per_second=1.0)) is None
    assert marginal_per_request(PICO, ReplicaCapacity()) is None
