"""What the operator remembers of runs: in memory as long as it lives, in the ledger for longer.

Whoever decides reads the memory, so a ledger that is away stops nothing; what is new is written before the status that
speaks of it, and kept and tried again when the ledger did not take it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

from gpucost.core.clock import Instant, Micros
from gpucost.core.report import Amounts
from gpucost.core.training.runs.folding import fold
from gpucost.core.training.runs.run import REUSED, Run, Saving
from gpucost.ledger import LedgerError, LedgerFenced
from gpucost.ledger.runs import Books

log = logging.getLogger(__name__)

Write = Callable[[Books], Awaitable[None]]
Forget = Callable[[Iterable[str]], Awaitable[None]]


@dataclass
class RunBook:
    """Runs and savings, with the indexes over them."""

    write: Write | None = None
    """Writes what is new to the ledger; None while there is none."""
    forget: Forget | None = None
    _all: Books = field(default_factory=Books)
    _new: Books = field(default_factory=Books)
    _by_digest: dict[tuple[str, str], set[str]] = field(default_factory=lambda: defaultdict(set))
    _by_parent: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    _open: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """Runs of a schedule that no amounts are written down of."""
    _sums: dict[str, Amounts] = field(default_factory=dict)
    """Of the amounts that are written down, by schedule."""
    _savings_of: dict[str, dict[tuple[Instant, str], Saving]] = field(default_factory=lambda: defaultdict(dict))
    _writing: asyncio.Lock = field(default_factory=asyncio.Lock)

    # --- what others ask ----------------------------------------------------------------------------------------------

    def run(self, uid: str) -> Run | None:
        """One run."""
        return self._all.runs.get(uid)

    def same(self, namespace: str, digest: str) -> list[Run]:
        """Runs of one exact fingerprint in one namespace, the first one first."""
        found = [self._all.runs[uid] for uid in self._by_digest.get((namespace, digest), ())]
        return sorted(found, key=lambda run: (run.created, run.uid))

    def children(self, parent: str) -> list[Run]:
        """Runs of one schedule, by due time."""
        found = [self._all.runs[uid] for uid in self._by_parent.get(parent, ())]
        return sorted(found, key=lambda run: (run.due or 0, run.uid))

    def open_children(self, parent: str) -> list[Run]:
        """Those of one schedule whose amounts are not written down, by due time."""
        found = [self._all.runs[uid] for uid in self._open.get(parent, ())]
        return sorted(found, key=lambda run: (run.due or 0, run.uid))

    def sum_of(self, parent: str) -> Amounts | None:
        """What those runs of a schedule have cost whose amounts are written down; None when there are none."""
        return self._sums.get(parent)

    def savings(self, uid: str) -> list[Saving]:
        """What was not made or not started, by due time."""
        return sorted(self._savings_of.get(uid, {}).values(), key=lambda one: one.due)

    def amounts(self, uid: str) -> Amounts | None:
        """What a deleted run of a schedule has cost in all."""
        return self._all.amounts.get(uid)

    @property
    def parents(self) -> Iterable[str]:
        """UIDs of the schedules that have made runs."""
        return tuple(self._by_parent)

    def saved(self) -> dict[str, int]:
        """Pico-units saved, by policy."""
        skipped = sum(one.saved or 0 for one in self._all.savings.values() if one.is_skip)
        reused = sum(one.saved or 0 for one in self._all.savings.values() if one.kind == REUSED)
        return {"skipped-runs": skipped, "duplicates": reused}

    def counted(self) -> list[Saving]:
        """Runs that were not made because that was not worthwhile, or because the same one was there."""
        return [one for one in self._all.savings.values() if one.is_skip or one.kind == REUSED]

    # --- changes ------------------------------------------------------------------------------------------------------

    def put(self, run: Run, amounts: Amounts | None = None) -> None:
        """A run as it is known now."""
        known = self._all.runs.get(run.uid)
        if known == run and amounts in (None, self._all.amounts.get(run.uid)):
            return
        self._new.runs[run.uid] = run
        if amounts is not None:
            self._new.amounts[run.uid] = amounts
        elif run.uid in self._all.amounts:
            self._new.amounts[run.uid] = self._all.amounts[run.uid]
        self._index(run, amounts)

    def _index(self, run: Run, amounts: Amounts | None) -> None:
        self._all.runs[run.uid] = run
        if run.parent:
            self._add_up(run, amounts)
        if amounts is not None:
            self._all.amounts[run.uid] = amounts
        if run.digest and run.exact:
            self._by_digest[run.namespace, run.digest].add(run.uid)
        if run.parent:
            self._by_parent[run.parent].add(run.uid)

    def _add_up(self, run: Run, amounts: Amounts | None) -> None:
        known = self._all.amounts.get(run.uid)
        if amounts is None and known is None:
            self._open[run.parent].add(run.uid)
        elif amounts is not None and amounts != known:
            self._open[run.parent].discard(run.uid)
            rest = self._sums.get(run.parent, Amounts()) - (known if known is not None else Amounts())
            self._sums[run.parent] = rest + amounts

    def book(self, savings: Iterable[Saving]) -> None:
        """Records of a decision; what is booked is never booked anew."""
        for one in savings:
            known = self._savings_of[one.uid]
            if one.kind == REUSED and any(kind == REUSED for _, kind in known):
                continue
            if (one.due, one.kind) not in known:
                self._new.savings[one.uid, one.due, one.kind] = one
                self._keep(one)

    def _keep(self, one: Saving) -> None:
        self._savings_of[one.uid][one.due, one.kind] = one
        self._all.savings[one.uid, one.due, one.kind] = one

    # --- the ledger ---------------------------------------------------------------------------------------------------

    def load(self, books: Books) -> None:
        """Begin with what the ledger knows."""
        for run in books.runs.values():
            self._index(run, books.amounts.get(run.uid))
        for one in books.savings.values():
            self._keep(one)

    async def flush(self) -> bool:
        """Write what is new; False when the ledger did not take it: it is kept and tried again."""
        async with self._writing:
            if self._new.is_empty or self.write is None:
                return self._new.is_empty
            new, self._new = self._new, Books()
            try:
                await self.write(new)
            except BaseException as error:
                self._put_back(new)
                if isinstance(error, LedgerFenced) or not isinstance(error, LedgerError):
                    raise
                log.warning("what is new of %d runs waits for the ledger: %s", len(new.runs), error)
                return False
            return True

    def _put_back(self, new: Books) -> None:
        self._new.runs = {**new.runs, **self._new.runs}
        self._new.amounts = {**new.amounts, **self._new.amounts}
        self._new.dropped |= new.dropped
        savings = {**new.savings, **self._new.savings}
        self._new.savings = {key: one for key, one in savings.items() if key not in self._new.dropped}

    async def tidy(self, living: frozenset[str], now: Instant, keep: Micros | None) -> None:
        """Add up old records of schedules, and forget runs that nobody asks about any more."""
        for uid in list(self._savings_of):
            self._fold(uid)
        if keep is not None and self.forget is not None and (doomed := self._forgettable(living, now - keep)):
            await self.forget(doomed)
            for uid in doomed:
                self._drop(uid)

    def _fold(self, uid: str) -> None:
        kept, dropped = fold(self.savings(uid))
        for one in dropped:
            key = (uid, one.due, one.kind)
            self._savings_of[uid].pop((one.due, one.kind), None)
            self._all.savings.pop(key, None)
            self._new.savings.pop(key, None)
            self._new.dropped.add(key)
        for one in kept:
            if self._all.savings.get((uid, one.due, one.kind)) != one:
                self._keep(one)
                self._new.savings[uid, one.due, one.kind] = one
                self._new.dropped.discard((uid, one.due, one.kind))

    def _forgettable(self, living: frozenset[str], horizon: Instant) -> set[str]:
        """Runs and schedules that are gone, of which the last thing known is older than the horizon."""
        alive = set(living)
        gone = {
            uid
            for uid, run in self._all.runs.items()
            if uid not in alive and run.parent not in alive and (run.ended or run.created) < horizon
        }
        silent = {uid for uid, found in self._savings_of.items() if all(one.due < horizon for one in found.values())}
        owners = {run.parent for uid, run in self._all.runs.items() if uid not in gone}
        return gone | (silent - alive - owners - (self._all.runs.keys() - gone))

    def _drop(self, uid: str) -> None:
        run = self._all.runs.pop(uid, None)
        amounts = self._all.amounts.pop(uid, None)
        for kept in (self._sums, self._open, self._by_parent):
            kept.pop(uid, None)  # it was a schedule
        if run is not None:
            self._open[run.parent].discard(uid)
            if amounts is not None and run.parent in self._sums:
                self._sums[run.parent] -= amounts
            self._by_digest[run.namespace, run.digest].discard(uid)
            self._by_parent[run.parent].discard(uid)
        for due, kind in self._savings_of.pop(uid, {}):
            self._all.savings.pop((uid, due, kind), None)
