"""Whatever is booked, what the API writes adds up to the last decimal."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from gpucost.core.clock import HOUR
from gpucost.core.report import Amounts, Explanation, Report, Row
from gpucost.core.timeline import Interval
from gpucost.web.documents import Reported, allocation_list, explanation
from unit.web.cost_example import BERT, IDLE, NOTHING, NOW, QUALITY, START, bert_lines

pico = st.integers(0, 10**15)
SPAN = Interval(START, NOW)


@st.composite
def amounts(draw: st.DrawFn) -> Amounts:
    active, held, unknown, other = draw(st.tuples(pico, pico, pico, pico))
    cost = active + held + unknown + other
    spot = draw(st.integers(0, cost))
    return Amounts(cost, active, held, unknown, other, spot, cost - spot, held_time=HOUR)


def report(parts: list[Amounts], idle: Amounts) -> Report:
    rows = tuple(Row(key=f"ns-{i}", amounts=part, namespace=f"ns-{i}") for i, part in enumerate(parts))
    total = sum(parts, idle)
    return Report("USD", SPAN, rows, replace(IDLE, amounts=idle), NOTHING, total, 0, QUALITY)


def money(text: str | None) -> Decimal:
    assert text is not None
    return Decimal(text)


@given(st.lists(amounts(), max_size=8), amounts())
def test_everything_adds_up_and_is_off_by_less_than_a_micro_unit(parts: list[Amounts], idle: Amounts) -> None:
    document = allocation_list(report(parts, idle), "namespace")
    rows = sum((money(row.cost) for row in document.items), Decimal(0))
    assert rows + money(document.idle.cost) + money(document.stranded.cost) == money(document.total.cost)
    booked = {f"ns-{i}": part for i, part in enumerate(parts)}
    for row in document.items:
        kinds = (row.active, row.held, row.unknown_activity, row.non_gpu)
        assert sum(map(money, kinds)) == money(row.cost) == money(row.spot) + money(row.on_demand)
        assert abs(Fraction(booked[row.key].cost, 10**12) - Fraction(money(row.cost))) < Fraction(1, 10**6)
    for field in ("active", "held", "unknown_activity", "non_gpu"):
        assert sum(money(getattr(row, field)) for row in document.items) == money(getattr(document.total, field))


@given(st.lists(pico, min_size=1, max_size=20), pico)
def test_an_explanation_adds_up_to_the_row_of_the_list(costs: list[int], neighbour: int) -> None:
    total = Amounts(cost=sum(costs), non_gpu=sum(costs), held_time=HOUR)
    rows = (
        Row(key="research/TrainingJob/bert", amounts=total, namespace="research", workload=BERT),
        Row(key="research/Job/x", amounts=Amounts(cost=neighbour, non_gpu=neighbour, held_time=HOUR)),
    )
    whole = total + rows[1].amounts
    listed = allocation_list(Report("USD", SPAN, rows, IDLE, NOTHING, whole, 0, QUALITY), "workload")
    reported = next(row for row in listed.items if row.workload == "TrainingJob/bert")
    lines = tuple(replace(bert_lines()[0], cost=cost) for cost in costs)
    document = explanation(
        Explanation("USD", "research", BERT, SPAN, lines, total, (), QUALITY), Reported(reported.cost, reported.hourly)
    )
    assert sum(money(line.cost) for line in document.lines) == money(document.total.cost) == money(reported.cost)


def test_parts_that_do_not_make_up_the_total_show_as_a_difference() -> None:
    broken = replace(report([Amounts(cost=5 * 10**12, held_time=1)], Amounts()), total=Amounts(cost=7 * 10**12))
    assert allocation_list(broken, "namespace").difference == "2.000000"


def test_unpriced_lines_are_null_and_add_nothing() -> None:
    known, unknown = bert_lines()[0], replace(bert_lines()[1], cost=None, hourly=None)
    record = Explanation("USD", "research", BERT, SPAN, (known, unknown), Amounts(cost=known.cost or 0), (), QUALITY)
    document = explanation(record)
    assert [line.cost for line in document.lines] == ["10.050000", None]
    assert document.total.cost == "10.050000"
