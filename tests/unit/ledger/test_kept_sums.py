"""Sums that are kept between two questions never outlive what they were read from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from gpucost.core.books import Fact
from gpucost.core.model import Category, Workload
from gpucost.ledger import Ledger
from gpucost.ledger.shelf import Shelf
from support.ledger_world import at, busy, node, pod, price, span

WORLD: tuple[Fact, ...] = (
    node(gpus=8),
    price("8"),
    pod("a", 0, 2, gpus=4, workload="bert", labels={"team": "nlp"}),
    pod("b", 1, None, gpus=2),
    busy("a", 0.5),
)
NOW = at(5.5)
GROUPINGS = ("namespace", "workload", "pod", "node", "category", "label:team", "namespace,asset")
A, B = (fact for fact in WORLD if type(fact).__name__ == "PodFact")


def everything(ledger: Ledger) -> object:
    return [ledger.report(span(0, 5), now=NOW, by=by) for by in GROUPINGS]


@pytest.mark.parametrize(
    "late",
    [
        pod("c", 2, 4, gpus=2),
        replace(A, labels={"team": "vision"}),
        replace(A, workload=Workload("Job", "other")),
        replace(B, category=Category.INFERENCE),
        replace(A, namespace="search"),
        price("16", 3),
        busy("b", 0.25, 2),
        replace(B, end=at(3)),
    ],
    ids=["another pod", "label", "workload", "category", "namespace", "price", "usage", "end"],
)
def test_what_comes_late_shows_in_the_next_answer(tmp_path: Path, late: Fact) -> None:
    url = f"sqlite:///{tmp_path}/ledger.db"
    with Ledger(url) as ledger:
        ledger.record(WORLD)
        ledger.settle(NOW)
        everything(ledger)
        ledger.record([late])
        answer = everything(ledger)
    with Ledger(url) as fresh:
        assert answer == everything(fresh)


def test_the_same_question_is_read_once_and_few_are_kept() -> None:
    kept, read = Shelf(), []

    def answer(question: int) -> list[object]:
        return kept.answer(question, lambda: read.append(question) or [])  # type: ignore[func-returns-value, return-value]

    answer(1)
    answer(1)
    assert read == [1]
    for question in range(2, 100):
        answer(question)
    answer(1)
    assert read.count(1) == 2
