"""The facts that the kill -9 test writes, step by step; one step is a quarter of an hour."""

from __future__ import annotations

from collections.abc import Iterator

from gpucost.core.books import Fact
from support.ledger_world import busy, node, pod, price

STEPS = 120
NODES = 5


def steps() -> Iterator[list[Fact]]:
    """Pods come and go; every seventh step something of an hour long settled becomes known."""
    yield [fact for i in range(NODES) for fact in (node(f"n{i}", gpus=8), price(f"{i + 1}.37", node_uid=f"n{i}"))]
    for number in range(1, STEPS):
        start, uid = number / 4, f"n{number % NODES}"
        facts: list[Fact] = [pod(f"p{number}", start, None, gpus=2, node_uid=uid), busy(f"p{number}", 0.37, start)]
        if number > 6:
            before = number - 6
            facts.append(pod(f"p{before}", before / 4, start, gpus=2, node_uid=f"n{before % NODES}"))
        if number % 7 == 0:
            facts.append(pod(f"late{number}", start / 3, start / 2, gpus=1, node_uid=uid))
        yield facts
