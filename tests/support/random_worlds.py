"""Random clusters as facts: nodes that come, go and grow, with or without prices, and pods that fit them or do not."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

from hypothesis import strategies as st

from gpucost.core.books import Books, Fact
from gpucost.core.clock import HOUR
from gpucost.core.model import (
    CapacityType,
    Category,
    EarlierSize,
    NeedFact,
    NodeFact,
    PodFact,
    PriceFact,
    Resources,
    UsageFact,
    Workload,
)
from gpucost.core.timeline import Interval
from support.ledger_world import GIB, T0

LENGTH = 5 * HOUR
WHOLE = Interval(T0, T0 + LENGTH)
NODES = ("n1", "n2")

# Times with many coincidences (quarters of an hour) and some odd microseconds.
times = st.one_of(
    st.integers(-2, 22).map(lambda quarter: T0 + quarter * HOUR // 4), st.integers(T0 - HOUR, T0 + LENGTH)
)
ends = st.none() | times
amounts = st.decimals(min_value=0, max_value=100, places=3) | st.sampled_from([Decimal("55.04"), Decimal(1)])


@st.composite
def lives(draw):
    start, end = draw(times), draw(ends)
    return (start, end) if end is None or start <= end else (end, start)


sizes = st.builds(
    Resources,
    cpu_milli=st.sampled_from([0, 3000, 192_000]),
    memory=st.sampled_from([0, 7 * GIB, 2**41 + 12345]),
    gpus=st.sampled_from([0, 1, 3, 8, Fraction(15, 14)]),
)


@st.composite
def node_facts(draw, uid):
    start, end = draw(lives())
    changes = sorted(draw(st.lists(times, max_size=2)))
    return NodeFact(
        uid,
        f"node-{uid}",
        start,
        end,
        draw(sizes),
        capacity_type=draw(st.sampled_from(CapacityType)),
        earlier=tuple(
            EarlierSize(until, draw(sizes), stranded_gpus=draw(st.sampled_from([0, 1]))) for until in changes
        ),
    )


gpus = st.integers(0, 4) | st.sampled_from([Fraction(1, 7), Fraction(1, 2), Fraction(3, 4)])
needs = st.builds(Resources, cpu_milli=st.integers(0, 4000), memory=st.integers(0, 4 * GIB), gpus=gpus)


@st.composite
def pod_facts(draw, uid):
    start, end = draw(lives())
    return PodFact(
        uid=uid,
        namespace=draw(st.sampled_from(["red", "blue"])),
        name=draw(st.sampled_from(["x", "y", uid])),
        workload=Workload("Job", draw(st.sampled_from("uvw"))),
        category=draw(st.sampled_from(Category)),
        node_uid=draw(st.sampled_from([*NODES, "never-seen"])),
        start=start,
        end=end,
        requests=draw(needs),
    )


@st.composite
def worlds(draw):
    facts: list[Fact] = [draw(node_facts(uid)) for uid in NODES]
    for uid in NODES:
        starts = draw(st.lists(times, max_size=4, unique=True))
        facts += [
            PriceFact(uid, start, draw(st.none() | amounts), draw(st.sampled_from(CapacityType)), "list")
            for start in starts
        ]
    for number in range(draw(st.integers(0, 7))):
        facts.append(draw(pod_facts(f"p{number}")))
        starts = draw(st.lists(times, max_size=3, unique=True))
        facts += [NeedFact(f"p{number}", start, draw(needs)) for start in starts]
        starts = draw(st.lists(times, max_size=3, unique=True))
        facts += [UsageFact(f"p{number}", start, draw(st.none() | st.floats(0, 1))) for start in starts]
    return facts


def books_of(facts) -> Books:
    books = Books()
    books.put(facts)
    return books
