"""Prices that jump a hundredfold are not believed until somebody confirms them.

A slip of the decimal point, a price per minute for one per hour, cents for dollars: mistakes of this size are common in
price lists, and a budget that stops work acts on them. So a price that is 100 times the price in force for the same
thing in the same source, or a hundredth of it, is held back and the old price goes on. Nothing else is held back:
ordinary price changes, however large, stay far below.

Level, not edge: what is in force is remembered (`Memory`, kept in the ledger), and every pass compares what a source
says now with that. An edit made while nobody watched is found the same way, and a restart changes nothing. A first
price is compared with the built-in list where that knows the thing, for there is nothing else to compare it with.
0 means unknown, and is neither compared nor compared with.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import TypeVar

from gpucost.core.clock import Instant
from gpucost.core.model import NodeKind, PriceEntry
from gpucost.core.tariff import AssetPrice, BasePrice, Commitment, Tariff

JUMP = 100
ACCEPT = "gpucost.dev/accept-price-jump"

Amounts = tuple[Decimal, ...]
Priced = PriceEntry | BasePrice | Commitment | AssetPrice
P = TypeVar("P", PriceEntry, BasePrice, Commitment, AssetPrice)


@dataclass(frozen=True, slots=True)
class Step:
    """Amounts in force for a thing from an instant on."""

    amounts: Amounts
    until: Instant | None = None


Memory = Mapping[str, Mapping[Instant, Step]]
"""What is in force in one book: by thing, the steps by the instant that they hold from."""


@dataclass(frozen=True, slots=True)
class Jump:
    """A price that is held back, and the one that goes on instead."""

    thing: str
    source: str
    before: Decimal
    found: Decimal
    reference: str = "in force"
    """What `before` is: the price in force, or that of the built-in list."""

    def __str__(self) -> str:
        return f"{self.thing}: {self.found:f} is held back, {self.before:f} is {self.reference}"


@dataclass(frozen=True, slots=True)
class Screened:
    """A book without what is held back, and with what goes on instead."""

    tariff: Tariff
    jumps: tuple[Jump, ...] = ()
    memory: Memory = field(default_factory=dict)


def is_jump(before: Decimal, found: Decimal) -> bool:
    """Whether a price is at least a hundred times another, or at most a hundredth."""
    if not before or not found:
        return False
    return found >= JUMP * before or before >= JUMP * found


def confirmed_amounts(text: str) -> frozenset[Decimal]:
    """Amounts listed in the annotation, separated by commas or spaces; what is none is ignored."""
    return frozenset(Decimal(part) for part in text.replace(",", " ").split() if part.replace(".", "", 1).isdecimal())


# --- a book -----------------------------------------------------------------------------------------------------------


def screen(
    tariff: Tariff,
    memory: Memory,
    *,
    confirmed: frozenset[Decimal] = frozenset(),
    known: Mapping[str, Amounts] | None = None,
) -> Screened:
    """Compare a book with what is in force in it; `known` are amounts of the built-in list by thing (see `thing_of`).

    Discounts are not looked at: a percentage cannot move a price a hundredfold unless it is above 99.
    """
    new: dict[str, dict[Instant, Step]] = {}
    jumps: list[Jump] = []

    def screened(terms: tuple[P, ...]) -> tuple[P, ...]:
        result: list[P] = []
        for thing, each in _by_thing(terms).items():
            listed = (known or {}).get(thing_of(_anywhere(each[0])))
            kept, found = _screen_thing(thing, each, memory.get(thing, {}), confirmed, listed)
            new[thing] = {one.effective_from: Step(_amounts(one), one.effective_until) for one in kept}
            result += kept
            jumps.extend(found)
        return tuple(result)

    cleared = replace(
        tariff,
        prices=screened(tariff.prices),
        base=screened(tariff.base),
        commitments=screened(tariff.commitments),
        assets=screened(tariff.assets),
    )
    return Screened(cleared, tuple(jumps), new)


def thing_of(term: Priced) -> str:
    """What a price is for, in words that are the same for every price of the thing."""
    match term:
        case PriceEntry():
            words = [term.instance_type or f"GPU {term.gpu_model}", term.capacity_type, term.region, term.zone]
        case BasePrice():
            words = ["CPU and memory", term.capacity_type, term.region, term.zone]
        case Commitment():
            words = [f"commitment {term.name}"]
        case AssetPrice():
            kind = "storage" if term.kind is NodeKind.VOLUME else "load balancer"
            words = [f"{kind} {term.asset_class}".strip(), term.region]
    return " ".join(word for word in words if word)


def _anywhere(term: P) -> P:
    """The same thing without its place: the built-in list names none."""
    match term:
        case AssetPrice():
            return replace(term, region="")
        case _:
            return replace(term, region="", zone="")


def known_things(entries: Iterable[Priced]) -> dict[str, Amounts]:
    """Amounts of a list without dates, by thing."""
    return {thing_of(one): _amounts(one) for one in entries}


def _by_thing(terms: Sequence[P]) -> dict[str, list[P]]:
    groups: dict[str, list[P]] = {}
    for term in terms:
        groups.setdefault(thing_of(term), []).append(term)
    return groups


def _amounts(term: Priced) -> Amounts:
    match term:
        case AssetPrice():
            return (term.amount,)
        case BasePrice():
            return (term.cpu_hourly, term.memory_gib_hourly)
        case _:
            return (term.hourly,)


def _with_step(term: P, start: Instant, step: Step) -> P:
    match term:
        case AssetPrice():
            return replace(term, amount=step.amounts[0], effective_from=start, effective_until=step.until)
        case BasePrice():
            cpu, memory = step.amounts
            return replace(
                term, cpu_hourly=cpu, memory_gib_hourly=memory, effective_from=start, effective_until=step.until
            )
        case _:
            return replace(term, hourly=step.amounts[0], effective_from=start, effective_until=step.until)


def _screen_thing(
    thing: str,
    terms: Sequence[P],
    old: Mapping[Instant, Step],
    confirmed: frozenset[Decimal],
    known: Amounts | None,
) -> tuple[list[P], list[Jump]]:
    kept: list[P] = []
    jumps: list[Jump] = []
    for term in sorted(terms, key=lambda one: one.effective_from):
        amounts, same = _amounts(term), old.get(term.effective_from)
        before, reference = _reference(term.effective_from, kept, old, known)
        pairs = zip(before or amounts, amounts, strict=True)
        jumped = next((pair for pair in pairs if is_jump(*pair) and pair[1] not in confirmed), None)
        settled = same is not None and same.amounts == amounts
        if jumped is None or settled:
            kept.append(term)
        else:
            jumps.append(Jump(thing, term.source, *jumped, reference))
    if jumps:  # what the book said before goes on where it says nothing that is believed
        taken = {one.effective_from for one in kept}
        kept += [_with_step(terms[0], start, step) for start, step in old.items() if start not in taken]
    return kept, jumps


def _reference(
    start: Instant, kept: Sequence[Priced], old: Mapping[Instant, Step], known: Amounts | None
) -> tuple[Amounts | None, str]:
    """The amounts that a price from `start` on follows upon: the latest in force, else the built-in list's."""
    candidates = [(one.effective_from, 0, _amounts(one)) for one in kept]
    candidates += [(since, int(since == start), step.amounts) for since, step in old.items() if since <= start]
    if candidates:
        return max(candidates, key=lambda one: one[:2])[2], "in force"
    if old:
        return old[min(old)].amounts, "in force"
    return known, "the list price"
