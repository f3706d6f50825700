"""What every PriceBook says about itself: conditions, what is held back, and how far commitments are used."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from gpucost.core.actions import Condition
from gpucost.core.clock import Instant
from gpucost.core.commitments import Use, uses
from gpucost.core.quarantine import ACCEPT, Jump
from gpucost.effects.status import conditions_json, write_status
from gpucost.kube import paths
from gpucost.kube.client import KubeClient
from gpucost.kube.errors import ApiError, Unreachable
from gpucost.runtime.prices import Book, Prices
from gpucost.runtime.world import Custom

log = logging.getLogger(__name__)

_MESSAGE_LIMIT = 1024


async def report(client: KubeClient, prices: Prices, now: Callable[[], Instant], *, ledger: str | None = None) -> None:
    """Write the status of every book that says something new; `ledger` is what keeps costs from being written down."""
    for name, book in list(prices.world.pricebooks.items()):
        status = status_of(book, prices, now(), ledger=ledger)
        if status is None or _same(status, book.status):
            continue
        metadata = {"name": name, "uid": book.uid}
        try:
            await write_status(client, path=paths.pricebook(name), kind="PriceBook", metadata=metadata, status=status)
        except (ApiError, Unreachable) as error:
            log.warning("PriceBook/%s: status not written: %s", name, error)


def status_of(record: Custom, prices: Prices, now: Instant, *, ledger: str | None = None) -> dict[str, Any] | None:
    """The whole status of a book; None while it has not been looked at."""
    book = prices.books.get(record.name)
    if book is None:
        return None
    used = uses(book.tariff.commitments, prices.covered, now)
    verdict = [*_verdict(record.name, book, prices.currency), *_commitments(used), _recorded(ledger)]
    return {
        "observedGeneration": record.generation,
        "entries": len(book.tariff),
        "quarantined": len(book.jumps),
        **({"commitments": list(map(_use, used))} if used else {}),
        "conditions": conditions_json(
            verdict, record.status.get("conditions") or (), generation=record.generation, now=now
        ),
    }


def _verdict(name: str, book: Book, currency: str) -> Iterable[Condition]:
    """Ready, and each way not to be."""
    problems = [str(problem) for problem in book.converted.problems]
    if book.converted.value is not None and book.converted.value.currency != currency:
        problems.append(f"spec.currency: is {book.converted.value.currency}, the ledger is kept in {currency}")
    held = _held_back(name, book.jumps)
    aspects = (("Invalid", problems), ("Conflict", list(book.clashes)), ("Quarantined", held))
    worst = next(((reason, found) for reason, found in aspects if found), None)
    reason, found = worst if worst is not None else ("PricesInForce", [])
    yield Condition("Ready", worst is None, reason, _joined(found))
    fine = {"Invalid": "Valid", "Conflict": "NoConflict", "Quarantined": "NoJump"}
    for kind, wrong in aspects:
        yield Condition(kind, bool(wrong), kind if wrong else fine[kind], _joined(wrong))


def _held_back(name: str, jumps: Sequence[Jump]) -> list[str]:
    if not jumps:
        return []
    values = ",".join(dict.fromkeys(f"{jump.found:f}" for jump in jumps))
    remedy = f"to accept: kubectl annotate --overwrite pricebook {name} {ACCEPT}={values}"
    return [remedy, *map(str, jumps)]


def _recorded(ledger: str | None) -> Condition:
    """A full or damaged ledger concerns every price, so it is told where people look at prices."""
    why = "Written" if ledger is None else "LedgerUnavailable"
    return Condition("CostsRecorded", ledger is None, why, _joined([ledger] if ledger else []))


def _commitments(used: Sequence[Use]) -> Iterable[Condition]:
    if not used:
        return
    idle = [one for one in used if one.commitment.count is not None and one.used < one.commitment.count]
    text = _joined([_described(one) for one in idle])
    yield Condition("CommitmentsUsed", not idle, "Unused" if idle else "Used", text)


def _described(one: Use) -> str:
    paid = f", {one.unused_hourly:f} an hour is paid and not used" if one.unused_hourly is not None else ""
    return f"{one.commitment.name}: {one.used} of {one.commitment.count} nodes{paid}"


def _use(one: Use) -> dict[str, Any]:
    found: dict[str, Any] = {"name": one.commitment.name, "used": one.used}
    if one.commitment.count is not None:
        found["count"] = one.commitment.count
    if one.unused_hourly is not None:
        found["unusedHourly"] = f"{one.unused_hourly:f}"
    return found


def _joined(problems: Sequence[str]) -> str:
    text = "; ".join(problems)
    return text if len(text) <= _MESSAGE_LIMIT else text[: _MESSAGE_LIMIT - 1] + "…"


def _same(new: Mapping[str, Any], old: Mapping[str, Any]) -> bool:
    """Whether the stored status says the same; one without commitments must not go on showing them."""
    return all(old.get(key) == value for key, value in new.items()) and ("commitments" in new) == ("commitments" in old)
