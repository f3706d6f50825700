"""What the operator has to know about prices after a restart, as one mark in the ledger.

The prices in force in every book and annotation (a jump is measured against them), and the exported prices as they were
seen: Karpenter and OpenCost tell only the present, and a node's past must not change because the operator restarted.
It is written before the facts that rest on it, so a crash between the two is decided again with the same result.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from gpucost.core.clock import Instant
from gpucost.core.exported import Offering, Steps, forgotten
from gpucost.core.model import CapacityType
from gpucost.core.quarantine import Memory, Step

log = logging.getLogger(__name__)

MARK = "prices-in-force"


@dataclass
class PriceMemory:
    """The mark's content; empty when nothing is known."""

    books: dict[str, Memory] = field(default_factory=dict)
    """By name of the book."""
    own: dict[str, Decimal] = field(default_factory=dict)
    """Prices in force from the annotations of nodes, by UID."""
    karpenter: dict[Offering, Steps] = field(default_factory=dict)
    opencost: dict[str, Steps] = field(default_factory=dict)
    """By node UID."""

    def prune(self, living: Iterable[str], oldest: Instant) -> None:
        """Forget nodes that are gone, and observations that were over before the oldest living node began."""
        nodes = set(living)
        self.own = {uid: price for uid, price in self.own.items() if uid in nodes}
        self.opencost = {uid: forgotten(steps, oldest) for uid, steps in self.opencost.items() if uid in nodes}
        self.karpenter = {offering: forgotten(steps, oldest) for offering, steps in self.karpenter.items()}

    def encode(self) -> str:
        """The mark's text; equal memories have equal texts."""
        document = {
            "books": {name: _book_json(book) for name, book in self.books.items()},
            "own": {uid: f"{price:f}" for uid, price in self.own.items()},
            "karpenter": [
                [one.instance_type, one.capacity_type.value, one.zone, _steps_json(steps)]
                for one, steps in sorted(self.karpenter.items())
            ],
            "opencost": {uid: _steps_json(steps) for uid, steps in self.opencost.items()},
        }
        return json.dumps(document, sort_keys=True, separators=(",", ":"))


def decode(text: str) -> PriceMemory:
    """Read the mark; what cannot be read (it is of another version) is like nothing, and said in the log."""
    try:
        return _decoded(json.loads(text)) if text else PriceMemory()
    except (ValueError, KeyError, TypeError, ArithmeticError, AttributeError) as error:
        log.warning("the prices in force before this start cannot be read from the ledger, going on without: %s", error)
        return PriceMemory()


def _decoded(document: Any) -> PriceMemory:
    return PriceMemory(
        books={name: _book(book) for name, book in document["books"].items()},
        own={uid: Decimal(price) for uid, price in document["own"].items()},
        karpenter={
            Offering(instance, CapacityType(kind), zone): _steps(steps)
            for instance, kind, zone, steps in document["karpenter"]
        },
        opencost={uid: _steps(steps) for uid, steps in document["opencost"].items()},
    )


def _book_json(book: Memory) -> Any:
    return {
        thing: [[since, step.until, *(f"{one:f}" for one in step.amounts)] for since, step in sorted(steps.items())]
        for thing, steps in book.items()
    }


def _book(document: Any) -> Memory:
    return {
        thing: {since: Step(tuple(map(Decimal, amounts)), until) for since, until, *amounts in steps}
        for thing, steps in document.items()
    }


def _steps_json(steps: Steps) -> Any:
    return [[at, f"{price:f}"] for at, price in steps]


def _steps(document: Any) -> Steps:
    return tuple((int(at), Decimal(price)) for at, price in document)
