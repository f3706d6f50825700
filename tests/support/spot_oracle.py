"""Recomputes what runs cost from the lines of a timeline, and the optimum by trying everything: slow, exact,
independent.

Nothing of the simulator is used. A run is walked through tick by tick in fractions of an hour, checking on the way that
it only used spot that was there.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Any

Number = Fraction


@dataclass(frozen=True)
class Case:
    """A job and the traces of its zones; times in hours."""

    traces: Sequence[Sequence[int]]
    tick: Number
    work: Number
    deadline: Number
    changeover: Number
    spot_price: Number
    on_demand_price: Number
    nodes: int = 1

    def is_up(self, zone: int, tick: int) -> bool:
        return self.traces[zone][tick] >= self.nodes


@dataclass
class Walked:
    """What a timeline amounts to."""

    cost: Number = Fraction(0)
    starts: int = 0
    work_left: Number = Fraction(0)


def walk(case: Case, lines: Iterable[dict[str, Any]]) -> Walked:
    """One run of one policy, its lines in order."""
    found = Walked(work_left=case.work)
    held: tuple[str, int | None] = ("none", None)
    delay, passed, before = Fraction(0), Fraction(0), None
    for line in lines:
        tick, now = line["tick"], (line["state"], line["zone"])
        assert before is None or tick == before + 1, "a tick is missing"
        assert found.work_left > 0, "it had ended"
        before = tick
        if now[0] == "spot":
            assert case.is_up(now[1], tick), "spot that was not there"
        else:
            assert now[1] is None
        if now[0] == "none":
            delay = Fraction(0)
        else:
            lost = held[0] == "spot" and not case.is_up(held[1] or 0, tick)
            if now != held or lost:
                delay = case.changeover
                found.starts += 1
            length = min(case.tick, delay + found.work_left, case.deadline - passed)
            price = case.spot_price if now[0] == "spot" else case.on_demand_price
            found.cost += length * price
            useful = max(Fraction(0), length - delay)
            delay = max(Fraction(0), delay - length)
            found.work_left -= useful
        held = now
        passed += case.tick
    return found


def by_run(text: str) -> dict[tuple[str, int], list[dict[str, Any]]]:
    """Lines of a timeline by policy and run."""
    found: dict[tuple[str, int], list[dict[str, Any]]] = defaultdict(list)
    for line in text.splitlines():
        record = json.loads(line)
        found[record["policy"], record["run"]].append(record)
    return found


def cheapest(case: Case, start: int) -> Number | None:
    """The least cost of a run that begins at a tick, by trying everything; None when no way is in time."""
    zones = range(len(case.traces))

    @cache
    def rest(tick: int, work: Number, delay: Number, held: tuple[str, int]) -> Number | None:
        left = case.deadline - tick * case.tick
        if work == 0:
            return Fraction(0)
        if left <= 0:
            return None
        options = [("none", 0), ("onDemand", 0), *(("spot", z) for z in zones if case.is_up(z, start + tick))]
        costs = []
        for option in options:
            ahead = Fraction(0) if option[0] == "none" else delay if option == held else case.changeover
            length = Fraction(0) if option[0] == "none" else min(case.tick, ahead + work, left)
            price = case.spot_price if option[0] == "spot" else case.on_demand_price
            later = rest(tick + 1, work - max(Fraction(0), length - ahead), max(Fraction(0), ahead - length), option)
            if later is not None:
                costs.append(length * price + later)
        return min(costs, default=None)

    return rest(0, case.work, Fraction(0), ("none", 0))
