"""Books what the replicas of every endpoint cost beside what they would have cost otherwise.

Fed by every pass over an endpoint. The hours that are open are kept here and written to the ledger every few minutes; a
restart loses at most what was seen since then, and that time is not counted, neither way.
"""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field

from gpucost.core.clock import DAY, HOUR, Instant, Micros, floor_to
from gpucost.core.money import PICO, Pico
from gpucost.core.serving import shadow
from gpucost.core.serving.counterfactual import Look, stretches
from gpucost.core.serving.pausing import pause_of
from gpucost.core.serving.shadow import Shadow, follow
from gpucost.core.serving.signals.model import Signals, value_of
from gpucost.core.serving.spec import EndpointSpec, Mode
from gpucost.core.serving.state import EndpointDecision, EndpointState, Target
from gpucost.core.timeline import Interval
from gpucost.ledger.replicas import GONE, SAVED, Booked, Note
from gpucost.runtime.endpoints.turning import Turns
from gpucost.runtime.world import Custom

log = logging.getLogger(__name__)

BEFORE, HPA = "before", "hpa"
KEPT: Micros = 35 * DAY
"""For how long hours are kept by themselves."""

Write = Callable[[Iterable[Booked], Iterable[Note]], Awaitable[None]]
Read = Callable[[Interval, str | None], Awaitable[list[Booked]]]


@dataclass
class ReplicaBook:
    """What was seen of replicas, and what follows from it."""

    now: Callable[[], Instant]
    signals_of: Callable[[str], Signals | None] = lambda _uid: None
    write: Write | None = None
    read: Read | None = None
    tidy: Callable[[Iterable[str], Instant], Awaitable[None]] | None = None
    _looks: dict[str, Look] = field(default_factory=dict)
    _open: dict[tuple[str, Instant, bool], Booked] = field(default_factory=dict)
    _changed: set[tuple[str, Instant, bool]] = field(default_factory=set)
    _before: dict[str, int] = field(default_factory=dict)
    _shadows: dict[str, Shadow] = field(default_factory=dict)
    _saved: dict[str, Pico] = field(default_factory=lambda: defaultdict(int))
    """Since the beginning, by UID."""
    _turned: set[str] = field(default_factory=set)
    """Endpoints that the operator has begun to set, or sets no more, which the ledger does not know yet."""
    _turns: Turns = field(default_factory=Turns)
    _tidied: Instant = 0

    def load(
        self, hours: Iterable[Booked], before: Mapping[str, str], shadows: Mapping[str, str], saved: Mapping[str, str]
    ) -> None:
        """Begin with what the ledger knows: the open hour, and notes by UID."""
        self._open = {(one.uid, one.hour.hour, one.hour.applied): one for one in hours}
        self._before = {uid: int(text) for uid, text in before.items() if text}
        for uid, text in shadows.items():
            try:
                self._shadows[uid] = shadow.restored(json.loads(text))
            except (ValueError, TypeError):  # it begins anew
                log.warning("%s: the HPA that it is compared with cannot be read: %.80s", uid, text)
        self._saved.update({uid: int(text) for uid, text in saved.items()})

    # --- what is seen -------------------------------------------------------------------------------------------------

    def look(self, record: Custom, state: EndpointState, decision: EndpointDecision) -> None:
        """After a pass: `decision` is as it was told, with the number that is set now."""
        spec, now = state.spec, self.now()
        self._close(record, now)
        if spec is not None and self._turns.is_new(record.uid, spec.target):
            self._shadows.pop(record.uid, None)
            if self._before.pop(record.uid, None) is not None:
                self._turned.add(record.uid)
        if spec is None or not isinstance(state.target, Target):
            return
        applied = spec.mode is Mode.AUTO and not state.rivals and not pause_of(record.annotations).dry_run
        if not applied:
            if self._before.pop(record.uid, None) is not None:
                self._turned.add(record.uid)
        elif record.uid not in self._before:
            self._before[record.uid] = state.target.replicas
            self._turned.add(record.uid)
        wanted = decision.status.get("desiredReplicas") if state.measured.known and state.wish is not None else None
        hourly = state.replica_hourly
        self._looks[record.uid] = Look(
            at=now,
            replicas=int(decision.status.get("currentReplicas", state.target.replicas)),
            hourly=None if hourly is None else int(hourly * PICO),
            applied=applied,
            before=self._before.get(record.uid),
            wanted=wanted,
            hpa=self._shadow(record.uid, spec, state.target, now),
        )

    def _close(self, record: Custom, now: Instant) -> None:
        """What the last look stood for until now."""
        look = self._looks.pop(record.uid, None)
        for one in stretches(look, now) if look is not None else ():
            key = record.uid, one.hour, one.applied
            known = self._open.get(key)
            hour = one if known is None else known.hour + one
            self._open[key] = Booked(record.uid, record.namespace, record.name, hour)
            self._changed.add(key)
            if one.applied:
                self._saved[record.uid] += one.before - one.before_paid

    def _shadow(self, uid: str, spec: EndpointSpec, target: Target, now: Instant) -> int | None:
        """What an HPA would have now; None while the load is not known."""
        signals = self.signals_of(uid)
        arrived = value_of(signals.arrived) if signals is not None else None
        each = signals.capacity.requests_per_second if signals is not None else None
        if arrived is None or not each:
            return None
        known = self._shadows.get(uid) or Shadow(max(target.replicas, 1), now)
        self._shadows[uid] = follow(known, arrived / each, (max(1, spec.least), max(1, spec.most)), now)
        return self._shadows[uid].replicas

    # --- what is asked ------------------------------------------------------------------------------------------------

    def saved(self) -> Pico:
        """Saved by right-sizing since the beginning, against the replicas of before."""
        return sum(self._saved.values())

    async def hours(self, span: Interval, namespace: str | None) -> list[Booked]:
        """All hours of a window: those that are written, and in their place those that have grown since."""
        written = await self.read(span, namespace) if self.read is not None else []
        found = {(one.uid, one.hour.hour, one.hour.applied): one for one in written}
        for key, one in self._open.items():
            if span.start <= key[1] < span.end and namespace in {None, one.namespace}:
                found[key] = one
        return list(found.values())

    @property
    def is_pressing(self) -> bool:
        """Whether something waits for the ledger that nobody could find out again: how many there were before."""
        return bool(self._turned)

    # --- keeping ------------------------------------------------------------------------------------------------------

    async def flush(self) -> None:
        """Write what has changed; it is kept and tried again when the ledger does not take it."""
        if self.write is None or not (self._changed or self._turned):
            return
        changed, turned, self._changed, self._turned = self._changed, self._turned, set(), set()
        uids = {uid for uid, _, _ in changed}
        try:
            await self.write([self._open[key] for key in changed if key in self._open], self._notes(uids | turned))
        except BaseException:
            self._changed |= changed
            self._turned |= turned
            raise
        border = floor_to(self.now(), HOUR) - HOUR
        for key in [key for key in self._open if key[1] < border and key not in self._changed]:
            del self._open[key]

    def _notes(self, uids: Iterable[str]) -> list[Note]:
        found = []
        for uid in sorted(uids):
            before = self._before.get(uid)
            found.append(Note(uid, BEFORE, "" if before is None else str(before)))
            if uid in self._shadows:
                found.append(Note(uid, HPA, json.dumps(shadow.stored(self._shadows[uid]))))
            if uid in self._saved:
                found.append(Note(uid, SAVED, str(self._saved[uid])))
        return found

    async def forget(self, living: Iterable[str]) -> None:
        """Once a day: long ago is kept by days, and endpoints that are gone leave what they have saved."""
        now = self.now()
        if self.tidy is None or now - self._tidied < DAY:
            return
        alive = frozenset(living)
        await self.tidy(alive, now - KEPT)
        self._tidied = now
        self._turns.forget(alive)
        for memory in (self._looks, self._before, self._shadows):
            for uid in memory.keys() - alive:
                del memory[uid]
        for uid in self._saved.keys() - alive - {GONE}:
            self._saved[GONE] += self._saved.pop(uid)
