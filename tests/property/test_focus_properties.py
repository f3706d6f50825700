"""Whatever happens in a cluster, the rows of its export add up to its ledger, and to each node's charge."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gpucost.core.clock import DAY, HOUR
from gpucost.core.focus import Issuer, rows_of
from gpucost.core.focus_columns import STATE_COSTS
from gpucost.core.timeline import Interval
from gpucost.ledger.reader import Reader
from support.focus_spec import problems
from support.focus_world import filled
from support.ledger_world import at, busy, node, pod, price, span

HOURS = st.integers(0, 24 * 3600 * 7).map(lambda sevenths: Fraction(sevenths, 3600 * 7))
PRICES = st.sampled_from([None, "0.000000000001", "1", "3.3333333333", "55.04", "0.7"])
KINDS = st.sampled_from(["onDemand", "spot", "reserved"])


@st.composite
def worlds(draw):
    """Nodes with changing prices, and pods that come and go, request too much or nothing."""
    facts = []
    for number in range(draw(st.integers(1, 3))):
        uid = f"n{number}"
        start, end = sorted((draw(HOURS), draw(HOURS)))
        facts.append(node(uid, start, end if draw(st.booleans()) else None, gpus=draw(st.integers(0, 3)), cpus=7))
        for moment in draw(st.lists(HOURS, max_size=3, unique_by=at)):
            told = price(draw(PRICES), moment, uid, draw(KINDS))
            facts.append(replace(told, on_demand=Decimal(60) if draw(st.booleans()) else None))
        for turn in range(draw(st.integers(0, 4))):
            first, last = sorted((draw(HOURS), draw(HOURS)))
            name = f"{uid}-p{turn}"
            needs = {"gpus": draw(st.sampled_from([0, 1, 2, Fraction(3, 7)])), "cpus": draw(st.integers(0, 5))}
            facts.append(pod(name, first, last, node_uid=uid, **needs))
            if draw(st.booleans()):
                facts.append(busy(name, draw(st.floats(0, 1)), first))
    return facts


@given(worlds(), st.sampled_from([HOUR, DAY]))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_rows_add_up_to_the_ledger_and_to_every_origin(facts, step):
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/ledger.db"
        filled(url, facts, 25).close()
        with Reader(url).snapshot("default") as view:
            charged, nodes = view.cost(span(0, 24))
            origins = list(view.origins(Interval(at(0), at(24)), step))
    total = Decimal(0)
    for origin in origins:
        rows = list(rows_of(origin, Issuer("default")))
        _check_origin(origin, rows)
        total += sum(row["BilledCost"] for row in rows)
    assert total == Decimal(charged).scaleb(-12)
    assert charged == nodes


def _check_origin(origin, rows):
    assert {problem for row in rows for problem in problems(row)} == set()
    sums = defaultdict(Decimal)
    for row in rows:
        for name in ("BilledCost", "PricingQuantity", *STATE_COSTS):
            sums[name] += row[name]
        assert sum(row[name] for name in STATE_COSTS) == row["BilledCost"]
    assert sums["BilledCost"] == Decimal(origin.cost).scaleb(-12)
    if rows:
        assert abs(sums["PricingQuantity"] - Decimal(origin.terms.priced) / HOUR) <= Decimal("0.0000000000005")
        assert len({(row["ContractedUnitPrice"], row["ListUnitPrice"], row["SkuPriceId"]) for row in rows}) == 1
