"""PriceBooks: from the objects to the entries that price nodes, and back to their status."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gpucost.api.convert import Converted, PriceList, conflicts, price_list
from gpucost.core.actions import Condition
from gpucost.core.clock import Instant
from gpucost.core.model import Node, NodeFact, PriceEntry, PriceFact
from gpucost.core.pricing import node_prices
from gpucost.effects.status import conditions_json, write_status
from gpucost.kube import paths
from gpucost.kube.client import KubeClient
from gpucost.kube.errors import ApiError, Unreachable
from gpucost.runtime.world import Custom, World

log = logging.getLogger(__name__)

_MESSAGE_LIMIT = 1024


@dataclass
class Prices:
    """The prices in force; `currency` is the ledger's, and books in another currency are not used."""

    world: World
    currency: str
    entries: tuple[PriceEntry, ...] = ()
    verdicts: dict[str, tuple[Condition, ...]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def of(self, fact: NodeFact, node: Node) -> list[PriceFact]:
        """Price timeline of a node."""
        return node_prices(fact, self.entries, annotation=node.price_annotation)

    def of_asset(self, fact: NodeFact, _sizes: Sequence[tuple[Instant, int]]) -> list[PriceFact]:
        """Price timeline of a volume, from its sizes over time, or of a load balancer."""
        return [PriceFact(fact.uid, fact.start, None, fact.capacity_type, "")]

    def reload(self) -> bool:
        """Read every book again; whether the prices have changed."""
        lists = {name: price_list(book.body) for name, book in self.world.pricebooks.items()}
        usable = {name: self._usable(one) for name, one in lists.items()}
        clashes = conflicts(usable)
        self.verdicts = {name: self._verdict(lists[name], [str(p) for p in clashes.get(name, ())]) for name in lists}
        self.counts = {name: len(entries) for name, entries in usable.items()}
        entries = tuple(entry for name in sorted(usable) for entry in usable[name])
        changed = entries != self.entries
        self.entries = entries
        return changed

    def _usable(self, one: Converted[PriceList]) -> tuple[PriceEntry, ...]:
        return one.value.entries if one.value is not None and one.value.currency == self.currency else ()

    def _verdict(self, one: Converted[PriceList], clashes: list[str]) -> tuple[Condition, ...]:
        problems = [str(problem) for problem in one.problems]
        if one.value is not None and one.value.currency != self.currency:
            problems.append(f"spec.currency: is {one.value.currency}, the ledger is kept in {self.currency}")
        ready, reason = not problems and not clashes, "Invalid" if problems else "Conflict"
        return (
            Condition("Ready", ready, "PricesInForce" if ready else reason, _joined(problems or clashes)),
            Condition("Invalid", bool(problems), "Invalid" if problems else "Valid", _joined(problems)),
            Condition("Conflict", bool(clashes), "Conflict" if clashes else "NoConflict", _joined(clashes)),
        )


def _joined(problems: list[str]) -> str:
    text = "; ".join(problems)
    return text if len(text) <= _MESSAGE_LIMIT else text[: _MESSAGE_LIMIT - 1] + "…"


async def report(client: KubeClient, prices: Prices, now: Callable[[], Instant]) -> None:
    """Write the status of every book that says something new."""
    for name, book in list(prices.world.pricebooks.items()):
        status = _status(book, prices, now())
        if status is None or _same(status, book.status):
            continue
        metadata = {"name": name, "uid": book.uid}
        try:
            await write_status(client, path=paths.pricebook(name), kind="PriceBook", metadata=metadata, status=status)
        except (ApiError, Unreachable) as error:
            log.warning("PriceBook/%s: status not written: %s", name, error)


def _status(book: Custom, prices: Prices, now: Instant) -> dict[str, Any] | None:
    verdict = prices.verdicts.get(book.name)
    if verdict is None:
        return None
    stored = book.status.get("conditions") or ()
    return {
        "observedGeneration": book.generation,
        "entries": prices.counts.get(book.name, 0),
        "conditions": conditions_json(verdict, stored, generation=book.generation, now=now),
    }


def _same(new: Mapping[str, Any], old: Mapping[str, Any]) -> bool:
    return all(old.get(key) == value for key, value in new.items())
