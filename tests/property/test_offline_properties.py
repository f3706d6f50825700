"""What must hold for every scenario: nothing is lost, windows add up, order is nothing, and a slow oracle agrees."""

from __future__ import annotations

import json
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gpucost.core.clock import HOUR, MINUTE, SECOND
from gpucost.core.offline import ACTIVE
from gpucost.core.offline_report import exact
from gpucost.core.shares import PRESETS, SplitKind
from gpucost.core.timeline import Interval
from gpucost.offline.allocate import Question, book, read
from support.offline_oracle import oracle
from support.offline_world import T0, allocate, at, time

SPLITS = [kind.value for kind in SplitKind]
QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
HOURS = 6
minutes = st.integers(0, HOURS * 60)


def moment(minute: int) -> str:
    return time(Fraction(minute, 60))


@st.composite
def series(draw, values):
    """A constant, or steps."""
    if draw(st.booleans()):
        return draw(values)
    starts = draw(st.lists(minutes, max_size=3, unique=True))
    return [{"from": moment(start), "value": draw(st.none() | values)} for start in starts]


def has_room(document, gpus):
    """Whether a node's GPUs suffice at every moment."""
    changes = []
    for pod in document:
        units = int(pod["requests"].get("nvidia.com/gpu", 0))
        for interval in pod["intervals"]:
            changes += [(interval["start"], units), (interval["end"], -units)]
    held = 0
    for _, change in sorted(changes):
        held += change
        if held > gpus:
            return False
    return True


@st.composite
def nodes(draw, uid):
    replicas = draw(st.sampled_from([1, 1, 2, 3]))
    physical = draw(st.integers(0, 3))
    lost = draw(st.integers(0, min(1, physical))) if replicas > 1 else 0
    start, end = sorted(draw(st.tuples(minutes, minutes)))
    prices = draw(
        st.dictionaries(minutes, st.sampled_from(["0", "1", "0.333333", "7.77", "19.999999999", "4"]), max_size=4)
    )
    capacity = {"cpu": str(draw(st.sampled_from([1, 7, 64]))), "memory": f"{draw(st.sampled_from([1, 10, 488]))}Gi"}
    if physical:
        capacity["nvidia.com/gpu"] = str(physical * replicas - lost)
    return {
        "uid": uid,
        "start": moment(start),
        "end": moment(end),
        "capacity": capacity,
        "gpu": {"model": "L4", "count": physical, "replicasPerGpu": replicas},
        "prices": [{"from": moment(minute), "hourly": hourly} for minute, hourly in prices.items()],
    }


@st.composite
def pods(draw, uid, node):
    cuts = sorted(draw(st.lists(minutes, min_size=2, max_size=4, unique=True)))
    requests = {}
    if draw(st.booleans()):
        requests["cpu"] = f"{draw(st.integers(0, 9000))}m"
    if draw(st.booleans()):
        requests["memory"] = f"{draw(st.integers(0, 600))}Gi"
    units = int(node["capacity"].get("nvidia.com/gpu", 0))
    if units and draw(st.booleans()):
        requests["nvidia.com/gpu"] = str(draw(st.integers(0, units)))
    usage = {}
    if draw(st.booleans()):
        usage["cpu"] = draw(series(st.integers(0, 70)))
    if draw(st.booleans()):
        usage["memory"] = draw(series(st.integers(0, 20).map("{}Gi".format)))
    if draw(st.booleans()):
        usage["gpuActive"] = draw(series(st.sampled_from([0.0, 0.25, 0.61, 1.0])))
    return {
        "uid": uid,
        "name": uid,
        "namespace": draw(st.sampled_from(["a", "b"])),
        "node": node["uid"],
        "intervals": [
            {"start": moment(start), "end": moment(end)} for start, end in zip(cuts[::2], cuts[1::2], strict=False)
        ],
        "requests": requests,
        "usage": usage,
    }


@st.composite
def scenarios(draw):
    found = {"nodes": [], "pods": [], "window": {"start": moment(0), "end": moment(HOURS * 60)}}
    for number in range(draw(st.integers(1, 2))):
        node = draw(nodes(f"n{number}"))
        found["nodes"].append(node)
        here = []
        for index in range(draw(st.integers(0, 5))):
            pod = draw(pods(f"n{number}-p{index}", node))
            if has_room([*here, pod], int(node["capacity"].get("nvidia.com/gpu", 0))):
                here.append(pod)
        found["pods"] += here
    return found


def question(split, window=None):
    return Question("pod", window, SplitKind(split), PRESETS["aws"])


def exact_sums(document, split, window=None):
    """Cost by pod and of the rest, before rounding: `(by UID, idle, stranded, total)`."""
    world = read(json.dumps(document).encode(), question(split, window))
    books = book(world)
    sums = exact(books)
    assert all(purse.difference == 0 for purse in books.purses.values())
    names = [key.split("/")[1] for key in world.keys]
    rows = {
        name: [Fraction(part, sums.denominator) for part in row] for name, row in zip(names, sums.rows, strict=True)
    }
    rest = [Fraction(value, sums.denominator) for value in (sums.idle, sums.stranded, sums.total)]
    hours = {name: Fraction(row.gpu, world.grain * HOUR) for name, row in zip(names, books.rows, strict=True)}
    return rows, rest, hours, Fraction(books.total_gpu, world.grain * HOUR)


@QUICK
@given(scenarios(), st.sampled_from(SPLITS), st.tuples(minutes, minutes))
def test_a_slow_oracle_finds_exactly_the_same(document, split, window):
    start, end = (T0 + minute * MINUTE for minute in sorted(window))
    rows, (idle, stranded, total), hours, total_gpu = exact_sums(document, split, Interval(start, end))
    expected = oracle(document, split, (start // SECOND, end // SECOND))
    assert {uid: sum(parts) for uid, parts in rows.items()} == expected.cost
    for uid, (active, _, unknown, non_gpu) in rows.items():
        assert active == expected.active.get(uid, 0)
        assert unknown == expected.unknown.get(uid, 0)
        assert non_gpu == expected.non_gpu.get(uid, 0)
    assert (idle, stranded, total) == (expected.idle, expected.stranded, expected.total)
    assert (hours, total_gpu) == (expected.gpu_hours, expected.total_gpu)


@QUICK
@given(scenarios(), st.sampled_from(SPLITS))
def test_everything_adds_up_in_decimal_and_nothing_is_negative(document, split):
    found = allocate(document, "--split", split, "--by", "pod")  # which checks the sums
    amounts = [value for row in found["rows"] for key, value in row.items() if isinstance(value, str) and key != "key"]
    amounts += [value for name in ("idle", "stranded", "total") for value in found[name].values()]
    assert all(Decimal(value) >= 0 for value in amounts)
    assert all(0 <= row["coverage"] <= 1 for row in found["rows"])
    hours = sum(Decimal(row["gpuHours"]) for row in found["rows"])
    rest = Decimal(found["idle"]["gpuHours"]) + Decimal(found["stranded"]["gpuHours"])
    assert hours + rest == Decimal(found["total"]["gpuHours"])


@QUICK
@given(scenarios(), st.sampled_from(SPLITS), minutes)
def test_two_half_windows_are_the_whole_exactly_before_rounding_and_within_a_micro_unit_after(document, split, middle):
    start, cut, end = T0, T0 + middle * MINUTE, at(HOURS)
    whole, rest, hours, _ = exact_sums(document, split, Interval(start, end))
    halves = [exact_sums(document, split, span) for span in (Interval(start, cut), Interval(cut, end))]
    for uid, parts in whole.items():
        assert sum(parts) == sum(sum(half[0].get(uid, [Fraction(0)])) for half in halves)
        assert hours[uid] == sum(half[2].get(uid, Fraction(0)) for half in halves)
    assert rest == [sum(values) for values in zip(halves[0][1], halves[1][1], strict=True)]
    rounded = [
        {
            row["key"]: Decimal(row["cost"] or 0)
            for row in allocate(document, "--by", "pod", "--split", split, *flags)["rows"]
        }
        for flags in ([], ["--window", f"{time(0)},{moment(middle)}"], ["--window", f"{moment(middle)},{time(HOURS)}"])
    ]
    for key, cost in rounded[0].items():
        assert abs(cost - rounded[1].get(key, 0) - rounded[2].get(key, 0)) <= Decimal("0.000001")


@QUICK
@given(scenarios(), st.sampled_from(SPLITS), st.randoms(use_true_random=False))
def test_the_order_of_the_lists_does_not_matter(document, split, chance):
    shuffled = json.loads(json.dumps(document))
    chance.shuffle(shuffled["nodes"])
    chance.shuffle(shuffled["pods"])
    for node in shuffled["nodes"]:
        chance.shuffle(node["prices"])
    for pod in shuffled["pods"]:
        chance.shuffle(pod["intervals"])
    before, after = exact_sums(document, split), exact_sums(shuffled, split)
    assert before == after


@QUICK
@given(scenarios(), st.sampled_from(SPLITS), st.integers(2, 9))
def test_scaling_prices_scales_costs(document, split, factor):
    scaled = json.loads(json.dumps(document))
    for node in scaled["nodes"]:
        for price in node["prices"]:
            price["hourly"] = str(Decimal(price["hourly"]) * factor)
    rows, rest, _, _ = exact_sums(document, split)
    more_rows, more_rest, _, _ = exact_sums(scaled, split)
    assert more_rows == {uid: [part * factor for part in parts] for uid, parts in rows.items()}
    assert more_rest == [value * factor for value in rest]


@pytest.mark.parametrize("split", SPLITS)
def test_a_very_crowded_node_stays_exact_to_far_below_a_micro_unit(split):
    """So many different sums of shares that their common denominator would be unwieldy."""
    node = {
        "uid": "n",
        "start": time(0),
        "end": time(1),
        "capacity": {"cpu": "1", "memory": "1Gi"},
        "prices": [{"from": time(0), "hourly": "10"}],
    }
    crowd = [
        {
            "uid": f"p{i}",
            "name": f"p{i}",
            "namespace": "a",
            "node": "n",
            "intervals": [{"start": time(Fraction(i, 1000)), "end": None}],
            "requests": {"cpu": f"{101 + i}m"},
        }
        for i in range(300)
    ]
    found = allocate({"nodes": [node], "pods": crowd}, "--by", "pod", "--split", split)
    assert found["total"]["cost"] == "10.000000"
    world = read(json.dumps({"nodes": [node], "pods": crowd}).encode(), question(split))
    off = [Fraction(purse.difference, unit) for unit, purse in book(world).purses.items()]
    assert 0 <= off[0] < Fraction(1, 10**50)
    assert ACTIVE == 10**9
