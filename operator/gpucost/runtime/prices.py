"""Prices in force: from PriceBooks, annotations and exported prices to what a node costs.

Everything here is level-triggered: `reload` and `observe` compare what the sources say now with what is in force
(`memory`), and `of` computes a node's whole timeline from that. How books say what became of them is `price_status`.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cached_property
from typing import TypeVar

from gpucost.api.convert import Converted, PriceList, Term, conflicts, price_list
from gpucost.core import exported as seen
from gpucost.core.allocate import FOREVER
from gpucost.core.assets import asset_prices
from gpucost.core.clock import Instant
from gpucost.core.commitments import Coverage, coverage
from gpucost.core.model import CapacityType, Node, NodeFact, PriceEntry, PriceFact
from gpucost.core.offers import Exported
from gpucost.core.pricelist import BUILT_IN, BUILT_IN_ASSETS, CURRENCY
from gpucost.core.pricing import ANNOTATION, ANNOTATION_SOURCE, node_prices, parse_annotation, rank
from gpucost.core.quarantine import ACCEPT, Amounts, Jump, Screened, confirmed_amounts, is_jump, known_things, screen
from gpucost.core.tariff import NOTHING, AssetPrice, Tariff, together
from gpucost.core.timeline import Timeline
from gpucost.runtime.price_memory import PriceMemory
from gpucost.runtime.world import Custom, World
from gpucost.sources.exported_prices import PricesSeen
from gpucost.sources.promql import Series

K = TypeVar("K")

log = logging.getLogger(__name__)

_LABEL_SOURCE = f"{seen.KARPENTER_SOURCE} (node label)"
_HELD_BACK = f"{ANNOTATION_SOURCE} (jump held back)"


@dataclass
class Book:
    """What was made of one PriceBook at the last `reload`."""

    converted: Converted[PriceList]
    tariff: Tariff = NOTHING
    clashes: tuple[str, ...] = ()
    jumps: tuple[Jump, ...] = ()


@dataclass
class Prices:
    """The prices in force; `currency` is the ledger's, and books in another currency are not used."""

    world: World
    currency: str
    books: dict[str, Book] = field(default_factory=dict)
    tariff: Tariff = NOTHING
    memory: PriceMemory = field(default_factory=PriceMemory)
    covered: Coverage = field(default_factory=dict)
    held_back: dict[str, Jump] = field(default_factory=dict)
    """Jumps of annotations and exported prices, by what they are for; those of books are theirs."""
    dropped: Counter[str] = field(default_factory=Counter)
    lives: dict[str, tuple[NodeFact, Node | None]] = field(default_factory=dict)
    """Nodes that live, and those that lived beside them: a commitment covers the oldest of them."""
    confirmed: frozenset[Decimal] = frozenset()
    _relevant: dict[tuple[str, str, str, str], tuple[PriceEntry, ...]] = field(default_factory=dict)

    @property
    def entries(self) -> tuple[PriceEntry, ...]:
        """Prices of nodes and GPUs from the books."""
        return self.tariff.prices

    @property
    def assets(self) -> tuple[AssetPrice, ...]:
        """Prices of storage and load balancers from the books, for `core.assets.asset_prices`."""
        return self.tariff.assets

    @property
    def built_in_assets(self) -> tuple[AssetPrice, ...]:
        """Those of the built-in list, as far as its currency is the ledger's."""
        return BUILT_IN_ASSETS if self._listed else ()

    @property
    def _listed(self) -> bool:
        """Whether prices in the built-in list's currency mean anything here."""
        return self.currency == CURRENCY

    # --- a node -------------------------------------------------------------------------------------------------------

    def of(self, fact: NodeFact, node: Node) -> list[PriceFact]:
        """Price timeline of a node."""
        self.lives[fact.uid] = (fact, node)
        annotation, held = self._annotation(node)
        prices = node_prices(
            fact,
            self._entries(fact),
            annotation=annotation,
            built_in=BUILT_IN if self._listed else (),
            terms=self.tariff,
            covered=self.covered.get(fact.uid, ()),
            exported=self._exported(fact, node) if self._listed else (),
        )
        return [replace(price, source=_HELD_BACK) for price in prices] if held else prices

    def of_the_past(self, fact: NodeFact, node: Node) -> list[PriceFact]:
        """Price timeline of a node that is long gone: whatever is said of living ones does not concern it."""
        prices = self.of(fact, node)
        self.lives.pop(fact.uid, None)
        self.memory.own.pop(fact.uid, None)
        return prices

    def _entries(self, fact: NodeFact) -> tuple[PriceEntry, ...]:
        """Prices that may concern a node, found once for all nodes like it."""
        key = (fact.instance_type, fact.gpu_model, fact.region, fact.zone)
        if key not in self._relevant:
            like = replace(fact, physical_gpus=max(fact.physical_gpus, 1))
            self._relevant[key] = tuple(entry for entry in self.entries if rank(like, entry) is not None)
        return self._relevant[key]

    def _annotation(self, node: Node) -> tuple[str | None, bool]:
        """The annotation's price in force, and whether that is because a new one is held back."""
        thing = f"node {node.name}"
        jump, text = None, node.price_annotation
        before = self.memory.own.get(node.uid)
        if text is None:
            self.memory.own.pop(node.uid, None)
        elif (price := _parsed(text)) is not None:
            if before is not None and is_jump(before, price) and price not in self.confirmed:
                jump, text = Jump(thing, ANNOTATION_SOURCE, before, price), f"{before:f}"
            else:
                self.memory.own[node.uid] = price
        self._note(thing, jump, f"remove the annotation {ANNOTATION} and set it again")
        return text, jump is not None

    def _note(self, thing: str, jump: Jump | None, remedy: str) -> None:
        if jump is not None and self.held_back.get(thing) != jump:
            log.warning("%s, %s; to accept it %s", jump.source, jump, remedy)
        if jump is not None:
            self.held_back[thing] = jump
        else:
            self.held_back.pop(thing, None)

    def _exported(self, fact: NodeFact, node: Node) -> list[Exported]:
        """What others say of this node, in order of precedence."""
        found: list[Exported] = []
        label = seen.labelled(node.labels.get(seen.KARPENTER_LABEL), Counter())
        if label is not None:
            found.append(Exported(_LABEL_SOURCE, fact.capacity_type, Timeline.of([(fact.start, label)])))
        for kind in dict.fromkeys((fact.capacity_type, CapacityType.ON_DEMAND)):
            if steps := seen.of_offering(fact, kind, self.memory.karpenter):
                found.append(seen.exported(seen.KARPENTER_SOURCE, kind, steps))
        if steps := self.memory.opencost.get(fact.uid, ()):
            found.append(seen.exported(seen.OPENCOST_SOURCE, fact.capacity_type, steps))
        return found

    # --- what the books say -------------------------------------------------------------------------------------------

    def of_asset(self, fact: NodeFact) -> list[PriceFact]:
        """Price timeline of a volume, from its sizes over time, or of a load balancer."""
        sizes = [(span.start, sized.capacity.storage) for span, sized in fact.sizes(fact.start, FOREVER)]
        return asset_prices(
            fact.kind,
            uid=fact.uid,
            start=fact.start,
            end=fact.end,
            region=fact.region,
            storage_class=fact.instance_type,
            load_balancer_class=fact.instance_type,
            size_bytes=sizes,
            entries=self.assets,
            built_in=self.built_in_assets,
        )

    def reload(self) -> bool:
        """Read every book again; whether the prices have changed."""
        converted = {name: price_list(book.body) for name, book in self.world.pricebooks.items()}
        usable = {name: self._usable(one) for name, one in converted.items()}
        clashes = conflicts({name: _terms(tariff) for name, tariff in usable.items()})
        accepted = {name: _accepted(book) for name, book in self.world.pricebooks.items()}
        screened = {name: self._screened(name, usable[name], accepted[name]) for name in usable}
        self.books = {
            name: Book(one, screened[name].tariff, tuple(map(str, clashes.get(name, ()))), screened[name].jumps)
            for name, one in converted.items()
        }
        self.memory.books = {name: screened[name].memory for name in sorted(screened)}
        confirmed = frozenset().union(*accepted.values())
        tariff = together(self.books[name].tariff for name in sorted(self.books))
        changed = (tariff, confirmed) != (self.tariff, self.confirmed)
        self.tariff, self.confirmed, self._relevant = tariff, confirmed, {}
        return changed

    def _usable(self, one: Converted[PriceList]) -> Tariff:
        return one.value.tariff if one.value is not None and one.value.currency == self.currency else NOTHING

    def _screened(self, name: str, tariff: Tariff, accepted: frozenset[Decimal]) -> Screened:
        memory = self.memory.books.get(name, {})
        if tariff == NOTHING:  # nothing usable at present: what was in force is not forgotten
            return Screened(tariff, memory=memory)
        return screen(tariff, memory, confirmed=accepted, known=self._known)

    @cached_property
    def _known(self) -> Mapping[str, Amounts]:
        """Amounts of the built-in list, to compare first prices with."""
        return known_things([*BUILT_IN, *BUILT_IN_ASSETS]) if self._listed else {}

    # --- what others export -------------------------------------------------------------------------------------------

    def observe(self, answer: PricesSeen, now: Instant) -> bool:
        """Take in exported prices as of now; whether prices of nodes have changed by that."""
        living = self.living()
        karpenter = seen.karpenter_prices(_sampled(answer.karpenter), self.dropped)
        opencost = seen.opencost_prices(
            {metric: _sampled(series) for metric, series in answer.opencost.items()}, living, self.dropped
        )
        used = {
            offering: price for offering, price in karpenter.items() if any(_concerns(offering, one) for one in living)
        }
        return self.take_in(
            {offering: [(now, price)] for offering, price in used.items()},
            {uid: [(now, price)] for uid, price in opencost.items()},
        )

    def take_in(
        self,
        karpenter: Mapping[seen.Offering, Iterable[tuple[Instant, Decimal]]],
        opencost: Mapping[str, Iterable[tuple[Instant, Decimal]]],
    ) -> bool:
        """Take in exported prices of some instants; whether prices of nodes have changed by that."""
        before = (dict(self.memory.karpenter), dict(self.memory.opencost))
        for offering, samples in karpenter.items():
            self._observed(self.memory.karpenter, offering, samples, seen.KARPENTER_SOURCE, str(offering))
        for uid, prices in opencost.items():
            name = self.lives[uid][0].name if uid in self.lives else uid
            self._observed(self.memory.opencost, uid, prices, seen.OPENCOST_SOURCE, f"node {name} in OpenCost")
        return before != (self.memory.karpenter, self.memory.opencost)

    def _observed(
        self, into: dict[K, seen.Steps], key: K, samples: Iterable[tuple[Instant, Decimal]], source: str, thing: str
    ) -> None:
        steps, jump = seen.observed(into.get(key, ()), samples, thing=thing, source=source, confirmed=self.confirmed)
        if steps:
            into[key] = steps
        self._note(thing, jump, f"put it into a PriceBook, or list it in the annotation {ACCEPT} of one")

    # --- commitments --------------------------------------------------------------------------------------------------

    def living(self) -> list[NodeFact]:
        """Nodes that have been priced and have not ended."""
        return [fact for fact, _ in self.lives.values() if fact.end is None and fact.uid in self.world.nodes]

    def cover(self, facts: Iterable[NodeFact]) -> dict[str, list[PriceFact]]:
        """Find out anew what commitments cover; new timelines of the nodes for which that has changed.

        `facts` are the nodes as they stand now, those that have ended lately included.
        """
        for fact in facts:
            self.lives[fact.uid] = (fact, self.lives.get(fact.uid, (fact, None))[1])
        self._forget()
        before, lives = self.covered, [fact for fact, _ in self.lives.values()]
        self.covered = coverage(self.tariff.commitments, lives) if self.tariff.commitments else {}
        changed = {uid for uid in before.keys() | self.covered.keys() if before.get(uid) != self.covered.get(uid)}
        nodes = {uid: self.lives[uid] for uid in changed if uid in self.lives}
        return {uid: self.of(fact, node) for uid, (fact, node) in nodes.items() if node is not None}

    def _forget(self) -> None:
        """Keep of the nodes that have ended only those that a commitment may have covered instead of a living one."""
        oldest = min((fact.start for fact, _ in self.lives.values() if fact.end is None), default=0)

        def matters(fact: NodeFact) -> bool:
            if fact.end is None:
                return True
            return fact.end > oldest and any(rank(fact, one) is not None for one in self.tariff.commitments)

        self.lives = {uid: life for uid, life in self.lives.items() if matters(life[0])}

    def tidy(self) -> None:
        """Forget what the memory holds of nodes that are gone."""
        living = self.living()
        if living:
            self.memory.prune((fact.uid for fact in living), min(fact.start for fact in living))
        names = {f"node {node.name}" for node in self.world.nodes.values()}
        self.held_back = {
            thing: jump for thing, jump in self.held_back.items() if jump.source != ANNOTATION_SOURCE or thing in names
        }

    def quarantined(self) -> dict[str, int]:
        """Number of prices that are held back, by source; every source of which a price may be is there."""
        counts = {f"PriceBook/{name}": len(book.jumps) for name, book in self.books.items()}
        counts |= dict.fromkeys((ANNOTATION_SOURCE, seen.KARPENTER_SOURCE, seen.OPENCOST_SOURCE), 0)
        for jump in self.held_back.values():
            counts[jump.source] += 1
        return counts


def _accepted(book: Custom) -> frozenset[Decimal]:
    return confirmed_amounts(book.annotations.get(ACCEPT, ""))


def _terms(tariff: Tariff) -> list[Term]:
    return [*tariff.prices, *tariff.base, *tariff.discounts, *tariff.assets]


def _parsed(text: str) -> Decimal | None:
    try:
        return parse_annotation(text)
    except ValueError:
        return None


def _sampled(series: Iterable[Series]) -> list[seen.Sampled]:
    return [(one.labels, one.value) for one in series]


def _concerns(offering: seen.Offering, node: NodeFact) -> bool:
    return offering.instance_type == node.instance_type and offering.zone in {"", node.zone}
