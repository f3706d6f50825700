"""Old time becomes hourly sums: every answer that can still be given is the same, and what came late is refused."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest
from sqlalchemy import text

from gpucost.core.booking import IDLE
from gpucost.core.clock import DAY, HOUR
from gpucost.core.model import CapacityType, Category, Gap, NeedFact, Resources, Workload
from gpucost.core.selector import parse_selector
from gpucost.ledger import Ledger, rolled
from support.ledger_world import at, busy, money, node, pod, price, span

NOW = at(60.5)
KEEP = 20 * HOUR  # 40 hours become sums
TEAM = {"gpucost.dev/team": "nlp", "app": "x"}
WORLD = [
    node("n1", gpus=8, cpus=8, capacity_type="spot"),
    price("8", capacity_type="spot"),
    price("9", 30, capacity_type="spot"),
    node("n2", 0, 50, gpus=4),
    price("3", node_uid="n2"),
    node("n3", 2, 31, gpus=1, name="gone"),
    price("1", node_uid="n3"),
    pod("a", 0, 2, gpus=4, workload="bert"),
    pod("b", 1, None, gpus=2, workload="bert", labels=TEAM),
    pod("c", 0.5, 33.25, gpus=2, namespace="search", labels=TEAM),
    replace(pod("d", 3, 45, gpus=1, node_uid="n2", namespace="search"), category=Category.INFERENCE),
    pod("e", 4, 30, gpus=1, node_uid="n3"),
    pod("f", 2, 9.25, node_uid="n1", cpus=2),
    busy("a", 0.5),
    busy("b", 0.25, 3),
    busy("b", 0.75, 35.5),
    NeedFact("b", at(20), Resources(3000, 0, 2)),
    Gap("a", span(1, 1.5), "not observed"),
]


@pytest.fixture
def ledger(url):
    with Ledger(url) as opened:
        opened.record(WORLD)
        opened.settle(NOW)
        yield opened


def roll(ledger):
    assert ledger.retire(NOW, KEEP, seconds=60) > 0
    assert ledger.detailed_since == at(40)


def told(ledger, window=(0, 60)):
    """All that can be told of whole hours."""
    asked = [
        ("research", Workload("Job", "bert")),
        ("search", Workload("Job", "c")),
        ("research", Workload("Job", "a")),
    ]
    reports = [
        ledger.report(span(*window), now=NOW, by=by, namespace=space, selector=selector)
        for by in ("namespace", "workload", "category")
        for space in (None, "search")
        for selector in (None, parse_selector("gpucost.dev/team=nlp"), parse_selector("!gpucost.dev/team"))
    ]
    return (
        [replace(report, quality=None) for report in reports],
        ledger.workload_totals(NOW, asked),
        ledger.namespace_totals(NOW),
        ledger.node_totals(NOW),
        ledger.capacity_totals(NOW, asked),
        ledger.unheld_totals(NOW),
        ledger.conservation(NOW),
        ledger.workloads("search"),
    )


WINDOWS = [(0, 60), (3, 39), (10, 47), (41.25, 59.5), (5, 59.5)]


def test_answers_are_the_same_before_and_after(ledger, url):
    before = [told(ledger, window) for window in WINDOWS]
    assert all(report.difference == 0 for reports, *_ in before for report in reports)
    roll(ledger)
    assert [told(ledger, window) for window in WINDOWS] == before
    ledger.close()
    with Ledger(url) as again:
        assert again.detailed_since == at(40)
        assert told(again) == before[0]


def test_days_that_become_one_sum_answer_the_same(ledger):
    whole_days = [(0, 24), (24, 60), (0, 60)]
    before = [told(ledger, window) for window in whole_days]
    assert ledger.retire(NOW, 10 * HOUR, hourly=0, seconds=60) == 50
    assert ledger._database.read(rolled.squeezed_until) == at(48)
    assert [told(ledger, window) for window in whole_days] == before
    assert ledger.retire(NOW, 10 * HOUR, hourly=0, seconds=60) == 0
    parts = [ledger.report(span(*part), now=NOW).total for part in ((0, 30), (30, 60))]
    assert parts[0] + parts[1] == before[2][0][0].total


def test_windows_that_meet_within_an_hour_of_old_time_add_up(ledger):
    roll(ledger)
    whole = ledger.report(span(0, 60), now=NOW)
    halves = [ledger.report(span(*half), now=NOW) for half in ((0, 7.5), (7.5, 60))]
    assert halves[0].total + halves[1].total == whole.total
    assert [half.difference for half in halves] == [0, 0]


def test_pods_and_nodes_of_old_time_are_one_row_that_says_so(ledger):
    roll(ledger)
    by_pod = {row.key: row.amounts.cost for row in ledger.report(span(0, 40), now=NOW, by="pod").rows}
    assert set(by_pod) == {"research/(rolled up)", "search/(rolled up)"}
    (by_node,) = ledger.report(span(0, 40), now=NOW, by="node").rows
    assert by_node.name == "(rolled up)"
    shown = ledger.explain("research", Workload("Job", "bert"), span(0, 60), now=NOW)
    assert shown.span == span(0, 60)
    assert shown.gaps[0][0] == span(0, 40)
    assert "rolled up" in shown.gaps[0][1]
    assert shown.total == ledger.report(span(40, 60), now=NOW, by="workload").rows[0].amounts


def test_facts_of_what_has_ended_are_gone_and_what_lives_is_kept(ledger):
    ledger.record([node("n9", gpus=1), price("1", node_uid="n9")])
    assert ledger.retire(at(100), 50 * HOUR, seconds=60) > 0
    ledger.settle(at(100))
    assert ledger.retire(at(100), 50 * HOUR, seconds=60) == 0

    def names(db):
        tables = ("pods", "nodes", "usage", "needs", "prices", "gaps")
        return {t: db.connection.execute(text(f"SELECT count(*) FROM {t}")).scalar() for t in tables}

    counts = ledger._database.read(names)
    assert counts == {"pods": 1, "nodes": 2, "usage": 1, "needs": 1, "prices": 2, "gaps": 0}
    assert [fact.uid for fact in ledger.open_pods()] == ["b"]


def test_retiring_is_done_in_steps_and_goes_on_where_it_stopped(ledger, url):
    before = told(ledger)
    steps = 0
    while ledger.retire(NOW, KEEP, seconds=0):
        steps += 1
        if steps % 15 == 0:
            assert told(ledger) == before
    assert (steps, ledger.detailed_since) == (40, at(40))
    assert told(ledger) == before


def test_what_comes_late_for_old_time_is_refused_and_counted(ledger):
    roll(ledger)
    before = told(ledger, (0, 40))
    ledger.record([pod("late", 5, 50, gpus=1, node_uid="n2", workload="bert")])
    ledger.record([pod("older", 5, 7, gpus=1, node_uid="n2", workload="bert")])
    assert ledger.refused == 2
    ledger.replace_prices("n2", [price("300", node_uid="n2")])
    assert ledger.refused == 3
    assert told(ledger, (0, 40))[0] == before[0]
    assert ledger.conservation(NOW) == 0
    late = ledger.report(span(40, 50), now=NOW, by="pod")
    assert {row.key: row.amounts.cost for row in late.rows}["research/late"] == money("750")


def test_nothing_is_retired_before_it_is_settled(url):
    with Ledger(url) as ledger:
        ledger.record(WORLD)
        assert ledger.retire(NOW, KEEP) == 0
        assert ledger.detailed_since is None


def test_sums_beyond_64_bits_are_rolled_up_exactly(url):
    with Ledger(url) as ledger:
        uids = [f"n{i}" for i in range(3)]
        ledger.record([replace(node(gpus=1, memory=20000), uid=uid) for uid in uids])
        ledger.record([replace(price("9000000"), node_uid=uid) for uid in uids])
        ledger.record([pod(f"p{uid}", gpus=1, memory=20000, node_uid=uid, workload="huge") for uid in uids])
        ledger.settle(NOW)
        before = ledger.report(span(0, 40), now=NOW, by="workload")
        ledger.retire(NOW, KEEP, seconds=60)
        after = ledger.report(span(0, 40), now=NOW, by="workload")
        assert (after.rows[0].amounts, after.difference) == (before.rows[0].amounts, 0)


def test_the_file_shrinks(tmp_path):
    path = tmp_path / "ledger.db"
    with Ledger(f"sqlite:///{path}") as ledger:
        ledger.record([node(gpus=8), price("8")])
        ledger.record([pod(f"p{i}", i % 24, i % 24 + 0.5, cpus=1, labels={"job-name": "y" * 300}) for i in range(3000)])
        ledger.settle(at(80))

        def size(database):
            return database.execute("PRAGMA page_count").fetchone()[0]

        with closing(sqlite3.connect(path)) as database:
            before = size(database)
            ledger.retire(at(80), DAY, seconds=60)
            assert size(database) < before / 2
        assert ledger.unheld_totals(at(80))[IDLE, CapacityType.ON_DEMAND].cost == money("640")


def test_since_when_a_name_was_held_is_known_to_the_hour_of_what_only_sums_are_left_of(ledger):
    names = ["bert", "a", "e", "never"]
    before = ledger.first_held("research", "Job", names)
    assert before == {"bert": at(0), "e": at(4)}
    roll(ledger)
    ledger.retire(at(200), KEEP, seconds=60)
    assert ledger.first_held("research", "Job", names) == before
    assert ledger.first_held("search", "Job", ["c"]) == {"c": at(0)}  # since half past, as was known before
    assert ledger.first_held("search", "TrainingJob", ["c"]) == {}
