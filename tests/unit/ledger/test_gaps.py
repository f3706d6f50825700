"""Intervals that nobody observed are told to whom they concern."""

from __future__ import annotations

from gpucost.core.model import Gap
from gpucost.ledger import Ledger
from support.ledger_world import at, node, pod, span


def test_a_namespace_has_the_gaps_of_its_pods_and_of_their_nodes_while_they_were_there(url):
    facts = [
        *(node(uid, gpus=8) for uid in ("n1", "n2")),
        pod("a", 1, 3, gpus=1, namespace="red"),
        Gap("n1", span(0, 1), "before the pod came"),
        Gap("n1", span(2, 4), "while it was there"),
        Gap("n2", span(0, 4), "of a node that it never used"),
        Gap("a", span(3, 4), "its own"),
    ]
    with Ledger(url) as ledger:
        ledger.record(facts)
        reports = {name: ledger.report(span(0, 5), now=at(5), namespace=name) for name in ("red", "blue", None)}
    assert {name: report.quality.gaps for name, report in reports.items()} == {"red": 2, "blue": 0, None: 4}
