"""The ledger as its callers see it: what is written stays, what is asked adds up, what cannot be is refused."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import pytest

from gpucost.core.booking import IDLE
from gpucost.core.clock import DAY, HOUR, MINUTE
from gpucost.core.model import CapacityType, Category, EarlierSize, Gap, NodeKind, Workload
from gpucost.core.selector import parse_selector
from gpucost.ledger import Ledger
from support.ledger_world import T0, at, busy, money, need, node, pod, price, span


@pytest.fixture
def ledger(url):
    with Ledger(url) as opened:
        yield opened


WORLD = [
    node(gpus=8, capacity_type="spot"),
    price("8", capacity_type="spot"),
    pod("a", 0, 2, gpus=4, workload="bert"),
    pod("b", 1, None, gpus=2, workload="bert"),
    pod("c", 0.5, 3.25, gpus=2, namespace="search", labels={"team": "nlp"}),
    busy("a", 0.5),
]
NOW = at(5.5)


def rows(report):
    return {row.key: row.amounts.cost for row in report.rows}


def everything(ledger, now=NOW):
    """All that a ledger says about a window, by every grouping, without how it knows."""
    reports = [ledger.report(span(0.25, 5.25), now=now, by=by) for by in ("namespace", "workload", "pod", "node")]
    return reports, ledger.workload_totals(now), ledger.namespace_totals(now), ledger.node_totals(now)


def test_a_report_adds_up(ledger):
    ledger.record(WORLD)
    report = ledger.report(span(0, 5), now=NOW)
    assert rows(report) == {"research": money("16"), "search": money("5.5")}
    assert report.idle.amounts.cost == money("18.5")
    assert report.total.cost == money("40")
    assert report.difference == 0


def test_settling_changes_nothing_that_one_can_see(ledger):
    ledger.record(WORLD)
    before = everything(ledger)
    assert ledger.settle(NOW) == 5
    assert ledger.settled_until == at(5)
    assert everything(ledger) == before
    assert ledger.conservation(NOW) == 0


def test_opening_again_changes_nothing_that_one_can_see(ledger, url):
    ledger.record(WORLD)
    ledger.settle(at(3.5))
    before = everything(ledger)
    ledger.close()
    with Ledger(url) as again:
        assert everything(again) == before


def test_hours_are_settled_two_minutes_after_their_end(ledger):
    ledger.record(WORLD)
    assert ledger.settle(at(1) + 2 * MINUTE - 1) == 0
    assert ledger.settle(at(1) + 2 * MINUTE) == 1
    assert ledger.settle(at(1) + 3 * MINUTE) == 0


def test_writing_facts_twice_changes_nothing(ledger):
    ledger.record(WORLD)
    ledger.settle(NOW)
    before = everything(ledger)
    ledger.record(WORLD)
    assert everything(ledger) == before


def test_an_end_that_was_seen_is_not_cleared(ledger):
    ledger.record([*WORLD, node("n1", end=4, gpus=8, capacity_type="spot")])
    ledger.record([pod("a", 0, None, gpus=4, workload="bert"), node("n1", gpus=8, capacity_type="spot")])
    assert {fact.uid for fact in ledger.open_pods()} == {"b"}
    assert ledger.open_nodes() == []
    assert ledger.report(span(0, 9), now=at(9)).total.cost == money("32")


def test_open_facts_come_back_as_they_were_written(ledger, url):
    facts = [
        node("n1", name="gpu-0", region="eu", zone="a", instance_type="p5", gpu_model="H100", cpus=3, memory=5),
        pod("a", gpus=2, cpus=0.5, memory=1, labels={"x": "y"}),
    ]
    ledger.record(facts)
    ledger.close()
    with Ledger(url) as again:
        assert [*again.open_nodes(), *again.open_pods()] == facts


@pytest.mark.parametrize(
    "fact",
    [
        pod("late", 1.5, 2.25, gpus=2, namespace="late"),
        pod("b", 1, 4.75, gpus=2, workload="bert"),
        pod("b", 1, 2.5, gpus=2, workload="bert"),
        pod("a", 0, 2, gpus=4, workload="renamed"),
        node(end=3.5, gpus=8, capacity_type="spot"),
        node(start=-3, gpus=8, capacity_type="spot"),
        node(gpus=16, capacity_type="spot"),
        price("16", 2.5, capacity_type="spot"),
        price(None, 0, capacity_type="spot"),
        busy("a", 0.75, 1.25),
        busy("c", None, 0.75),
    ],
    ids=lambda fact: f"{type(fact).__name__}-{getattr(fact, 'uid', '')}",
)
def test_a_late_fact_gives_the_same_as_one_in_time(url, tmp_path, fact):
    with Ledger(url) as late, Ledger(f"sqlite:///{tmp_path}/in-time.db") as in_time:
        late.record(WORLD)
        late.settle(NOW)
        everything(late)  # sums are in memory now
        late.record([fact])
        in_time.record([*WORLD, fact])
        assert everything(late) == everything(in_time)
        assert late.conservation(NOW) == 0
    with Ledger(url) as again:
        in_time = Ledger(f"sqlite:///{tmp_path}/in-time.db")
        assert everything(again) == everything(in_time)
        in_time.close()


def test_replaced_prices_apply_to_settled_hours_too(ledger):
    ledger.record(WORLD)
    ledger.settle(NOW)
    ledger.replace_prices("n1", [price("16", capacity_type="spot"), price("32", 4, capacity_type="spot")])
    report = ledger.report(span(0, 5), now=NOW)
    assert report.total.cost == money("96")
    assert report.difference == 0


def test_replacing_prices_from_an_instant_keeps_what_was_before(ledger):
    ledger.record(WORLD)
    ledger.settle(at(3.5))
    ledger.replace_prices("n1", [price("16", capacity_type="spot")], since=at(4))
    assert ledger.report(span(0, 5), now=NOW).total.cost == money("48")


def test_prices_and_marks_go_with_the_facts_of_one_write(ledger, url):
    ledger.record(WORLD, prices={"n1": [price("10", capacity_type="spot")]}, marks={"observed-until": "7"})
    ledger.close()
    with Ledger(url) as again:
        assert again.marks() == {"observed-until": "7"}
        assert again.report(span(0, 1), now=NOW).total.cost == money("10")


def test_marks_are_kept_and_may_change(ledger):
    ledger.mark("resource-version", "1")
    ledger.mark("resource-version", "2")
    ledger.settle(NOW)
    assert ledger.marks() == {"resource-version": "2"}
    with pytest.raises(ValueError, match="ledger's own"):
        ledger.mark("ledger/settled-until", "0")


def test_a_mark_that_is_set_to_nothing_is_gone(ledger):
    ledger.record((), marks={"endpoint-learned/a": "1", "endpoint-learned/b": "2"})
    ledger.record((), marks={"endpoint-learned/a": "", "never-there": ""})
    assert ledger.marks() == {"endpoint-learned/b": "2"}
    assert ledger.marked("endpoint-learned/a") is None


def test_one_mark_is_read_without_the_others(ledger):
    ledger.mark("resource-version", "1")
    ledger.mark("resource-version-pods", "2")
    ledger.settle(NOW)
    assert ledger.marked("resource-version") == "1"
    assert ledger.marked("resource-version-nodes") is None
    with pytest.raises(ValueError, match="ledger's own"):
        ledger.marked("ledger/settled-until")


def test_marks_are_read_by_the_beginning_of_their_names(ledger):
    ledger.record((), marks={"a_b/1": "1", "a_b/2": "2", "axb/3": "3", "A_B/4": "4", "100%/5": "5", "100/6": "6"})
    ledger.record(WORLD)
    ledger.settle(NOW)
    assert ledger.marks("a_b/") == {"a_b/1": "1", "a_b/2": "2"}
    assert ledger.marks("100%") == {"100%/5": "5"}
    assert ledger.marks("ledger/") == {}
    assert len(ledger.marks()) == 6


def test_marks_of_another_cluster_are_not_read(ledger, url):
    ledger.record((), marks={"step": "1"})
    with Ledger(url, cluster="other") as other:
        assert (other.marked("step"), other.marks("st")) == (None, {})


def test_an_explanation_ends_in_exactly_what_the_report_says(ledger):
    ledger.record([*WORLD, price("7", 1.5, capacity_type="spot"), price("0.333333", 2.75, capacity_type="spot")])
    for settle in (False, True):
        if settle:
            ledger.settle(NOW)
        window = span(0.1, 5.3)
        shown = ledger.explain("research", Workload("Job", "bert"), window, now=NOW)
        row = next(r for r in ledger.report(window, now=NOW, by="workload").rows if r.key == "research/Job/bert")
        assert sum(line.cost or 0 for line in shown.lines) == shown.total.cost == row.amounts.cost
        assert shown.total == row.amounts


def test_an_explanation_has_one_line_for_each_stretch_of_equal_share_and_price(ledger):
    ledger.record([*WORLD, price("7", 3, capacity_type="spot")])
    ledger.settle(NOW)
    lines = ledger.explain("research", Workload("Job", "bert"), span(0, 5), now=NOW).lines
    assert [(line.pod, line.span, line.share, line.hourly, line.cost) for line in lines] == [
        ("a", span(0, 2), Decimal("0.5"), Decimal(8), money("8")),
        ("b", span(1, 3), Decimal("0.25"), Decimal(8), money("4")),
        ("b", span(3, 5), Decimal("0.25"), Decimal(7), money("3.5")),
    ]
    assert [line.share_of for line in lines] == ["4 of 8 GPUs", "2 of 8 GPUs", "2 of 8 GPUs"]
    assert lines[0].gpu_active == 0.5
    assert lines[1].gpu_active is None


def test_unpriced_time_is_explained_without_a_cost(ledger):
    ledger.record([node(), pod("a", 0, 2, gpus=8), price("8", 1)])
    lines = ledger.explain("research", Workload("Job", "a"), span(0, 2), now=NOW).lines
    assert [(line.hourly, line.cost) for line in lines] == [(None, None), (Decimal(8), money("8"))]


def test_a_workload_that_nobody_knows_has_no_lines(ledger):
    ledger.record(WORLD)
    shown = ledger.explain("research", Workload("Job", "nobody"), span(0, 2), now=NOW)
    assert shown.lines == ()
    assert shown.total.cost == 0


def test_a_namespace_alone_has_no_idle_cost(ledger):
    ledger.record(WORLD)
    ledger.settle(NOW)
    report = ledger.report(span(0, 5), now=NOW, by="workload", namespace="search")
    assert rows(report) == {"search/Job/c": money("5.5")}
    assert report.total.cost == money("5.5")
    assert report.idle.amounts.cost == 0


@pytest.mark.parametrize("settled", [False, True])
def test_a_selector_picks_pods_by_their_labels(ledger, settled):
    ledger.record(WORLD)
    if settled:
        ledger.settle(NOW)
    assert rows(ledger.report(span(0, 5), now=NOW, selector=parse_selector("team=nlp"))) == {"search": money("5.5")}
    assert rows(ledger.report(span(0, 5), now=NOW, selector=parse_selector("!team"))) == {"research": money("16")}


def test_rows_know_their_names_rates_and_pods(ledger):
    ledger.record(WORLD)
    ledger.settle(NOW)
    (by_node,) = ledger.report(span(0, 5), now=NOW, by="node").rows
    assert (by_node.key, by_node.name, by_node.hourly, by_node.pods) == ("n1", "node-n1", money("2"), 1)
    (by_category,) = ledger.report(span(0, 5), now=NOW, by="category").rows
    assert by_category.category is Category.TRAINING
    report = ledger.report(span(0, 5), now=NOW, by="pod")
    assert [(row.key, row.pods) for row in report.rows] == [("research/a", 0), ("research/b", 1), ("search/c", 0)]
    assert report.idle.hourly == money("6")


def test_a_window_reaches_to_now_at_most(ledger):
    ledger.record(WORLD)
    report = ledger.report(span(0, 1000), now=at(2))
    assert report.span == span(0, 2)
    assert report.total.cost == money("16")


def test_nonsense_is_refused(ledger):
    with pytest.raises(ValueError, match="before it starts"):
        ledger.report(span(2, 1), now=NOW)
    with pytest.raises(ValueError, match="want one of namespace, workload"):
        ledger.report(span(1, 2), now=NOW, by="colour")


def test_totals_are_since_the_beginning_by_workload_and_of_the_month_by_namespace(ledger):
    month_end = T0 + 28 * DAY  # 30 November
    day = (month_end - T0) // HOUR
    now = at(day + 49)  # 2 December, 01:00
    ledger.record([node(gpus=1), price("1"), pod("a", 0, None, gpus=1)])
    ledger.settle(now)
    assert ledger.workload_totals(now)["research", Workload("Job", "a")].amounts.cost == money(str(day + 49))
    assert ledger.namespace_totals(now)["research"].amounts.cost == money("25")


def test_totals_of_a_workload_that_has_ended_can_be_asked_for(ledger):
    ledger.record(WORLD)
    ledger.settle(NOW)
    ended = ("search", Workload("Job", "c"))
    assert ended not in ledger.workload_totals(NOW)
    row = ledger.workload_totals(NOW, [ended])[ended]
    assert (row.amounts.cost, row.pods, row.hourly) == (money("5.5"), 0, 0)


def test_totals_grow_with_time_without_new_facts(ledger):
    ledger.record(WORLD)
    bert = ("research", Workload("Job", "bert"))
    grown = [ledger.workload_totals(at(hours))[bert].amounts.cost for hours in (3, 3.5, 4)]
    assert grown == [money("12"), money("13"), money("14")]


def test_totals_are_told_by_capacity_type(ledger):
    ledger.record(WORLD)
    ledger.settle(NOW)
    key = ("research", Workload("Job", "bert"))
    assert ledger.capacity_totals(NOW)[key, CapacityType.SPOT].cost == money("17")
    assert ledger.unheld_totals(NOW)[IDLE, CapacityType.SPOT].cost == money("21.5")


def test_a_node_that_is_replaced_under_its_name_is_another_node(ledger):
    ledger.record([
        node("n1", 0, 1, gpus=1, name="gpu-0"),
        node("n2", 1, None, gpus=1, name="gpu-0"),
        price("1", node_uid="n1"),
        price("5", 1, node_uid="n2"),
        pod("a", 0, None, gpus=1, node_uid="n1"),
        pod("a2", 1, None, gpus=1, node_uid="n2", name="a"),
    ])  # fmt: skip
    assert rows(ledger.report(span(0, 2), now=NOW, by="node")) == {"n2": money("5"), "n1": money("1")}


def test_a_pod_costs_nothing_until_its_node_is_known(ledger):
    ledger.record([pod("a", gpus=1), busy("a", 1.0)])
    assert ledger.report(span(0, 1), now=NOW).total.cost == 0
    ledger.record([node(gpus=1), price("4")])
    assert ledger.report(span(0, 1), now=NOW).rows[0].amounts.active == money("4")


def test_quality_says_where_numbers_come_from(ledger):
    ledger.record([
        *WORLD,
        busy("b", 0.25, 5),
        node("n2", gpus=4),
        pod("d", 0, None, gpus=3, node_uid="n2"),
        price(None, node_uid="n2", source=""),
        node("n3", 0, 1),
        Gap("b", span(2, 2.5), "not observed"),
    ])  # fmt: skip
    quality = ledger.report(span(0, 5), now=NOW).quality
    assert quality.price_sources == ("test",)
    assert (quality.gpus_held, quality.gpus_measured) == (5, 2)
    assert quality.data_age == HOUR // 2
    assert quality.unpriced_nodes == ("node-n2", "node-n3")
    assert quality.gaps == 1
    assert ledger.report(span(3, 5), now=NOW).quality.unpriced_nodes == ("node-n2",)


def test_gaps_are_part_of_an_explanation(ledger):
    ledger.record([*WORLD, Gap("b", span(2, 2.5), "pod end not observed"), Gap("x", span(2, 2.5), "another's")])
    shown = ledger.explain("research", Workload("Job", "bert"), span(0, 5), now=NOW)
    assert shown.gaps == ((span(2, 2.5), "pod end not observed"),)


def test_sums_beyond_64_bits_are_exact(ledger):
    huge = price("9000000", source="huge")
    ledger.record([replace(node(gpus=1, memory=20000), uid=f"n{i}") for i in range(1, 4)])
    ledger.record([replace(huge, node_uid=f"n{i}") for i in range(1, 4)])
    ledger.record([pod(f"p{i}", gpus=1, memory=20000, node_uid=f"n{i}") for i in range(1, 4)])
    ledger.settle(NOW)
    report = ledger.report(span(0, 5), now=NOW)
    assert report.total.cost == money("135000000")  # 1.35e20 pico-units
    assert report.total.memory_time == 3 * 5 * 20000 * 1024 * HOUR
    assert report.difference == 0


def test_an_empty_ledger_answers_with_nothing(ledger):
    assert ledger.settle(NOW) == 0
    assert ledger.report(span(0, 5), now=NOW).rows == ()
    assert (ledger.workload_totals(NOW), ledger.namespace_totals(NOW), ledger.node_totals(NOW)) == ({}, {}, {})
    assert ledger.conservation(NOW) == 0


def test_clusters_in_one_database_do_not_mix(url):
    with Ledger(url, cluster="east") as east:
        east.record(WORLD)
        east.settle(NOW)
    with Ledger(url, cluster="west") as west:
        assert west.report(span(0, 5), now=NOW).total.cost == 0
        assert west.settled_until is None
        west.record([node(gpus=1), price("1")])
        assert west.report(span(0, 5), now=NOW).total.cost == money("5")


def test_what_a_start_asks_of_the_past_is_told(ledger):
    ended, doubted = (
        replace(pod("p", 0, 1), note="unknown: no table"),
        replace(pod("q", 0, 2), note="unknown: no table"),
    )
    balancer = replace(node("s", 0, 1, gpus=0), kind=NodeKind.LOAD_BALANCER)
    ledger.record([node("n1"), node("n2", 0, 3), ended, replace(doubted, node_uid="n2"), pod("r", 0, 1), balancer])
    ledger.record([replace(balancer, uid="t", end=None)])
    assert [fact.uid for fact in ledger.noted("unknown: ")] == ["p"]  # q's node has ended: nobody prices it again
    assert ledger.ended_balancers() == ["s"]


def test_a_node_that_changes_leaves_what_is_settled_as_it_is(ledger):
    """A whole H100 is cut into `3g.40gb` + `4g.40gb` after two hours, which is told an hour late."""
    whole = node(gpus=1)
    ledger.record([whole, price("15"), pod("a", 0, 2, gpus=1), pod("b", 2, gpus=Fraction(1, 2))])
    ledger.settle(at(4))
    cut = replace(whole, capacity=replace(whole.capacity, gpus=Fraction(15, 14)), physical_gpus=1)
    cut = replace(cut, earlier=(EarlierSize(at(2), whole.capacity),))
    ledger.record([cut])
    assert ledger.open_nodes() == [cut]
    found = {row.key: row.amounts.cost for row in ledger.report(span(0, 4), now=at(4), by="pod").rows}
    assert {key.rpartition("/")[2]: cost for key, cost in found.items()} == {"a": money("30"), "b": money("14")}
    assert ledger.conservation(at(4)) == 0


def test_of_what_a_pod_counts_for_the_last_is_told(ledger):
    late, early = need("p", 2, gpus=1), need("p", 1, gpus=Fraction(1, 7))
    ledger.record([late, early, need("q", 0, cpus=1)])
    assert ledger.last_needs(["p", "unknown"]) == [late]
