"""What endpoints did and how their replicas started, kept in memory and in the ledger.

Fed with every look at an endpoint. The hour that is not over is read back at a start and goes on; what was done between
the last look before a restart and the first one after it is nobody's, because nobody knows it.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction

from gpucost.core.clock import HOUR, MINUTE, SECOND, Instant, Micros, floor_to
from gpucost.core.model import Pod
from gpucost.core.serving.quiet_times import with_look
from gpucost.core.serving.ready_times import Start, with_start
from gpucost.core.serving.signals.model import Asked, Signals, value_of
from gpucost.core.serving.work_hours import WorkHour, look
from gpucost.core.serving.work_json import Memory
from gpucost.core.timeline import Interval
from gpucost.ledger import LedgerError, LedgerFenced
from gpucost.ledger.endpoints import HourKey
from gpucost.runtime.endpoints.turning import Turns

log = logging.getLogger(__name__)

_KEPT_HOURS = 2
"""Hours that stay in memory: the present one, and the one before it until it is written."""
_TIDY_EVERY = HOUR
_NOTE_EVERY = 5 * MINUTE
_LONG_AGO = HOUR
"""A pod that was created earlier, and is not ready when it is seen first, is rather one that lost its readiness."""
_WRITE_EVERY = MINUTE
_NOTHING = Memory()

Write = Callable[[Mapping[HourKey, WorkHour], Mapping[str, Memory]], Awaitable[None]]


@dataclass
class EndpointsPast:
    """By UID of the InferenceEndpoint."""

    now: Callable[[], Instant]
    pods_of: Callable[[Asked], Sequence[Pod]]
    """Pods of an endpoint's workload that have not ended, one for each replica."""
    size_of: Callable[[Asked], Fraction] = lambda _asked: Fraction(1)
    """Pods of each replica."""
    asleep: Callable[[str], bool | None] = lambda _uid: None
    """Of an endpoint without replicas: whether nobody asks for any; None: nobody knows, or it has some."""
    living: Callable[[], Iterable[str]] = tuple
    """UIDs of the endpoints that exist."""
    write: Write | None = None
    forget: Callable[[Instant], Awaitable[int]] | None = None
    keep: Micros | None = None
    """How long hours are kept; None for ever."""
    hours: dict[HourKey, WorkHour] = field(default_factory=dict)
    memories: dict[str, Memory] = field(default_factory=dict)
    _dirty_hours: set[HourKey] = field(default_factory=set)
    _dirty: set[str] = field(default_factory=set)
    _unready: dict[str, set[str]] = field(default_factory=dict)
    """Pods that were seen before they were ready, by endpoint."""
    _looked: dict[str, Instant] = field(default_factory=dict)
    """When an endpoint's pods were looked at last, since this process began."""
    _tidied: Instant = 0
    _written: Instant = 0
    _noted: dict[str, Instant] = field(default_factory=dict)
    """When a memory was last given to be written."""
    _turns: Turns = field(default_factory=Turns)
    _asleep: set[str] = field(default_factory=set)
    """Endpoints that had no replica at the last look, and that nobody asked."""

    # --- what is seen -------------------------------------------------------------------------------------------------

    def heard(self, asked: Asked, signals: Signals) -> None:
        """A look at an endpoint."""
        uid, pods = asked.uid, self.pods_of(asked)
        if self._turns.is_new(uid, asked.spec.target):
            self._begin_anew(uid, signals.at)
        self._starts(uid, pods, signals.at)
        for hour, done in look(signals, _starting(pods, signals.at), self.size_of(asked)).items():
            key = uid, hour
            self.hours[key] = self.hours.get(key, WorkHour()) + done
            self._dirty_hours.add(key)
        memory = self.of(uid)
        requests = _requests(signals, memory.quiet.looked)
        quiet = with_look(memory.quiet, signals.at, self._is_idle(uid, pods, signals), requests)
        self._remember(uid, replace(memory, quiet=quiet), signals.at)

    def _begin_anew(self, uid: str, at: Instant) -> None:
        """The endpoint is about another workload: neither its starts nor its work of before are that one's."""
        hour = floor_to(at, HOUR)
        self.memories[uid] = Memory(since=hour)
        self._dirty.add(uid)
        for kept in (self._unready, self._looked, self._noted):
            kept.pop(uid, None)
        if (uid, hour) in self.hours:
            self.hours[uid, hour] = WorkHour()
            self._dirty_hours.add((uid, hour))

    def _is_idle(self, uid: str, pods: Sequence[Pod], signals: Signals) -> bool | None:
        """Whether nobody asks. Pods that are on their way out do not count, and who is woken up was asked for."""
        serves = any(pod.deleting is None for pod in pods)
        idle = is_idle(signals) if serves else self.asleep(uid)
        if idle is None and uid in self._asleep:
            idle = False
        if idle and not serves:
            self._asleep.add(uid)
        else:
            self._asleep.discard(uid)
        return idle

    def _starts(self, uid: str, pods: Sequence[Pod], at: Instant) -> None:
        """Pods that became ready since the last look."""
        unready = self._unready.setdefault(uid, set())
        starts, last = self.of(uid).starts, self._looked.get(uid)
        for pod in pods:
            if pod.ready_since is None:
                if last is not None or at - pod.created < _LONG_AGO:  # one of before this process may have been ready
                    unready.add(pod.uid)
                continue
            seen = pod.uid in unready or (last is not None and pod.created >= last)
            starts = with_start(starts, Start(pod.uid, pod.created, pod.bound, pod.ready_since, seen))
        unready &= {pod.uid for pod in pods}
        self._looked[uid] = at
        self._remember(uid, replace(self.of(uid), starts=starts), at)

    def _remember(self, uid: str, new: Memory, at: Instant) -> None:
        """What is news is written soon, that time went by now and then."""
        old, self.memories[uid] = self.of(uid), new
        is_news = new.starts != old.starts or new.quiet.gaps != old.quiet.gaps
        if is_news or at - self._noted.get(uid, 0) >= _NOTE_EVERY:
            self._noted[uid] = at
            self._dirty.add(uid)

    def of(self, uid: str) -> Memory:
        """What is remembered of an endpoint."""
        return self.memories.get(uid, _NOTHING)

    def with_present(self, uid: str, stored: Mapping[Instant, WorkHour]) -> dict[Instant, WorkHour]:
        """Hours from the ledger, with what is newer here, of the workload that the endpoint is about now."""
        found = {**stored, **{hour: done for (one, hour), done in self.hours.items() if one == uid}}
        since = self.of(uid).since
        return {hour: done for hour, done in found.items() if hour >= since}

    # --- the ledger ---------------------------------------------------------------------------------------------------

    def load(self, memories: Mapping[str, Memory], hours: Mapping[str, Mapping[Instant, WorkHour]]) -> None:
        """Begin with what the ledger knows; what was looked at before the start is no look of this process."""
        for uid, memory in memories.items():
            quiet = replace(memory.quiet, since=None, is_whole=False, is_busy=False, looked=None)
            self.memories[uid] = replace(memory, quiet=quiet)
        self.hours |= {(uid, hour): done for uid, those in hours.items() for hour, done in those.items()}

    async def flush(self, *, at_once: bool = False) -> None:
        """Write what is new, once a minute; what the ledger does not take is tried again."""
        if self.write is None or not (self._dirty or self._dirty_hours):
            return
        if not at_once and self.now() - self._written < _WRITE_EVERY:
            return
        self._written = self.now()
        hours, uids = self._dirty_hours, self._dirty
        self._dirty_hours, self._dirty = set(), set()
        known = {uid: self.memories[uid] for uid in uids if uid in self.memories}
        try:
            await self.write({key: self.hours[key] for key in hours if key in self.hours}, known)
        except BaseException as error:
            self._dirty_hours |= hours
            self._dirty |= uids
            if isinstance(error, LedgerFenced) or not isinstance(error, LedgerError):
                raise
            log.warning("work of %d endpoints waits for the ledger: %s", len(uids), error)
        self._shrink()

    def _shrink(self) -> None:
        """Forget hours that are over and written, and endpoints that are gone."""
        old = floor_to(self.now(), HOUR) - (_KEPT_HOURS - 1) * HOUR
        for key in [key for key in self.hours if key[1] < old and key not in self._dirty_hours]:
            del self.hours[key]
        alive = set(self.living())
        self._asleep &= alive
        self._turns.forget(alive)
        for kept in (self.memories, self._unready, self._looked, self._noted):
            for uid in kept.keys() - alive - self._dirty:
                del kept[uid]

    async def tidy(self) -> None:
        """Forget in the ledger what is too old."""
        if self.forget is not None and self.keep is not None and self.now() - self._tidied >= _TIDY_EVERY:
            self._tidied = self.now()
            await self.forget(self.now() - self.keep)


def is_idle(signals: Signals) -> bool | None:
    """Whether nobody asks; None: nobody knows, for lack of a figure or of a pod's word.

    What runs is seen at an instant, and short requests come and go between two of them: so what arrives counts too.
    """
    running, waiting, arrived = (value_of(one) for one in (signals.running, signals.waiting, signals.arrived))
    if signals.silent or not signals.availability.available:
        return None
    if running is None:
        served = value_of(signals.served)
        if waiting is None or arrived is None or served is None:
            return None
        return not (waiting or arrived or served)
    return not (running or waiting or arrived)


def _requests(signals: Signals, last: Instant | None) -> float | None:
    """Requests since the last look: as counted, else by the rate that own queries tell; None: nobody knows."""
    if signals.work is not None:
        return signals.work.requests
    rate = value_of(signals.arrived)
    if rate is None or last is None or not signals.availability.available:
        return None
    return rate * max(0, signals.at - last) / SECOND


def _starting(pods: Sequence[Pod], now: Instant) -> dict[str, Interval]:
    """Times in which pods held resources before they were ready, by UID, as far as they still show it."""
    found = {}
    for pod in pods:
        end = pod.ready_since if pod.ready_since is not None else now
        if pod.bound is not None and end > pod.bound and pod.deleting is None:
            found[pod.uid] = Interval(pod.bound, end)
    return found
