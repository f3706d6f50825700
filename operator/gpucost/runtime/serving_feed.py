"""Asks for the signals of all endpoints: a request for each kind of server and pass, however many endpoints there are.

Latency histograms, of which each bucket is a series, are asked for once a minute, and of their buckets only those
around somebody's objective. Users' own queries go together too. Whatever fails costs its endpoints a look, and freezes
them; and so does a look that is too old, whatever has become of the passes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from gpucost.core.clock import MINUTE, SECOND, Instant, Micros
from gpucost.core.serving.signals import capacity, custom, looking
from gpucost.core.serving.signals.attainment import around, limits_of
from gpucost.core.serving.signals.counting import STALE
from gpucost.core.serving.signals.joining import Answer, Group, bound_of, buckets_of, find
from gpucost.core.serving.signals.model import Asked, Availability, Signals, Unusable
from gpucost.core.serving.spec import Runtime
from gpucost.core.usage import Sample
from gpucost.runtime.endpoints.turning import Turns
from gpucost.runtime.metrics import Figures
from gpucost.sources.promql import PrometheusError, PromQL
from gpucost.sources.serving_metrics import (
    NOT_SCRAPED,
    Bounds,
    Question,
    ask,
    ask_bounds,
    ask_buckets,
    ask_custom,
    bundles,
    diagnose,
    refused,
)

log = logging.getLogger(__name__)

NO_ENGINE = "the operator knows no Prometheus; set prometheus.url in the chart"
NOT_ALLOWED = "spec.metrics.queries: queries of users are turned off (settings.metricsQueries in the chart)"
_BOUNDS_STAY: Micros = 10 * MINUTE
_REASON_STAYS: Micros = 5 * MINUTE
_NO_REASON_STAYS: Micros = MINUTE
"""While nothing is there that could be wrong: the first scrape may be near, and show what is."""
_MOST_REASONS = 4
"""Endpoints a pass of which it is asked why they have no series."""
_APART: Micros = 2 * MINUTE
"""For how long what the engine has refused is not asked for again: a query, or all series of a namespace."""
_MOST_SPLITS = 16
"""Refused requests of a pass that are asked again in two halves, to find out whose fault it is."""
FAILED = "the last look at it failed; the operator's log has the reason"


@dataclass
class ServingFeed:
    """Looks at the endpoints that `asked` names, in passes of `every`."""

    asked: Callable[[], Sequence[Asked]]
    engine: PromQL | None
    figures: Figures
    now: Callable[[], Instant]
    every: Micros = 15 * SECOND
    allowed: bool = True
    """Whether users' own queries are asked."""
    heard: Callable[[Asked, Signals], None] = lambda _asked, _signals: None
    """Told of every look at every endpoint."""
    _memories: dict[str, looking.Memory] = field(default_factory=dict)
    _signals: dict[str, Signals] = field(default_factory=dict)
    living: Callable[[], Collection[str]] = tuple
    """UIDs of all endpoints, also of those that nobody asks about at the moment: what they taught is kept."""
    _bounds: dict[Group, tuple[Instant, Bounds]] = field(default_factory=dict)
    _reasons: dict[str, tuple[Instant, str]] = field(default_factory=dict)
    _refused: dict[Question, tuple[Instant, Unusable]] = field(default_factory=dict)
    """Users' queries that the engine refused, or did not finish in time."""
    _crowded: dict[tuple[Group, str], tuple[Instant, PrometheusError]] = field(default_factory=dict)
    """Namespaces whose series the engine does not give, such as because they are too many."""
    _turns: Turns = field(default_factory=Turns)
    _minute_at: Instant = 0

    @property
    def stale_after(self) -> Micros:
        """How old a look may be: with the next ones missing, nobody knows the load any more."""
        return max(STALE, 3 * self.every)

    def of(self, uid: str) -> Signals | None:
        """The last look at an endpoint; None before the first."""
        found = self._signals.get(uid)
        age = self.now() - found.at if found is not None else 0
        return looking.outdated(found, age) if found is not None and age > self.stale_after else found

    # --- over a restart -----------------------------------------------------------------------------------------------

    def load(self, documents: Mapping[str, Mapping[str, Any]]) -> None:
        """Begin with what was learned before, by UID."""
        for uid, document in documents.items():
            memory = self._memories.get(uid, looking.Memory())
            self._memories[uid] = replace(memory, learned=capacity.restored(document))

    def learned(self) -> dict[str, dict[str, Any]]:
        """What has been learned, to be kept."""
        return {uid: capacity.stored(one.learned) for uid, one in self._memories.items() if one.learned.levels}

    # --- passes -------------------------------------------------------------------------------------------------------

    async def keep(self) -> None:
        """Pass after pass; a failure of one is logged."""
        while True:
            try:
                await self.once()
            except Exception:  # the next pass may do better
                log.exception("signals of endpoints: the pass failed")
                self.figures.errors["endpoint signals"] += 1
            await asyncio.sleep(self.every / SECOND)

    async def once(self) -> None:
        """One look at every endpoint."""
        endpoints = list(self.asked())
        self._forget(endpoints)
        for one in endpoints:
            if self._turns.is_new(one.uid, one.spec.target):
                self._memories.pop(one.uid, None)
        ends_minute = self.now() - self._minute_at >= MINUTE
        if ends_minute:
            self._minute_at = self.now()
        own = [one for one in endpoints if one.spec.runtime is Runtime.CUSTOM]
        groups: dict[Group, list[Asked]] = {}
        for one in endpoints:
            if one.spec.runtime is not Runtime.CUSTOM:
                groups.setdefault(Group.of(one), []).append(one)
        for group, those in groups.items():
            await self._or_freeze(those, self._look_at_group(group, those))
        await self._or_freeze(own, self._look_at_custom(own))
        if ends_minute:
            for group, those in groups.items():
                await self._end_minute(group, those)
            for one in own:
                self._end_minute_of(one, None)

    def _forget(self, endpoints: Iterable[Asked]) -> None:
        asked = {one.uid for one in endpoints}
        for uid in self._memories.keys() & set(self.living()) - asked:
            self._memories[uid] = looking.Memory(learned=self._memories[uid].learned)
        for kept, alive in (
            (self._memories, asked | set(self.living())),
            (self._signals, asked),
            (self._reasons, asked),
        ):
            for uid in kept.keys() - alive:
                del kept[uid]
        self._turns.forget(asked | set(self.living()))
        lately = self.now() - _APART
        self._refused = {one: why for one, why in self._refused.items() if why[0] > lately}
        self._crowded = {one: why for one, why in self._crowded.items() if why[0] > lately}

    async def _or_freeze(self, endpoints: Sequence[Asked], looks: Awaitable[None]) -> None:
        """One kind of server whose looks fail keeps no other from being looked at."""
        try:
            await looks
        except Exception:
            log.exception("the load of %d endpoints could not be looked at", len(endpoints))
            self.figures.errors["endpoint signals"] += 1
            for one in endpoints:
                self._freeze(one)

    @contextmanager
    def _apart(self, asked: Asked, *, is_look: bool = True) -> Iterator[None]:
        """Around what concerns one endpoint: its failure is logged and counted, and a look that failed freezes it."""
        try:
            yield
        except Exception:  # one endpoint must not keep the others from being looked at
            log.exception("%s: an endpoint could not be looked at", asked.uid)
            self.figures.errors["endpoint signals"] += 1
            if is_look:
                self._freeze(asked)

    def _freeze(self, asked: Asked) -> None:
        """What was known of an endpoint does not hold any more."""
        memory = replace(self._memory(asked), learned=capacity.Learned())  # not even that is looked at again
        _, signals = looking.nothing(memory, asked, Availability.SOURCE_ERROR, FAILED, self.now())
        self._signals[asked.uid] = signals
        self._memories[asked.uid] = replace(self._memory(asked), unknown_since=signals.unknown_since)
        try:
            self.heard(asked, signals)
        except Exception:
            log.exception("%s: that nothing is known of an endpoint could not be told", asked.uid)

    def _conclude(self, asked: Asked, looked: tuple[looking.Memory, Signals]) -> None:
        self._memories[asked.uid], signals = looked
        self._signals[asked.uid] = signals
        self.heard(asked, signals)

    def _nothing(self, endpoints: Iterable[Asked], error: PrometheusError | str) -> None:
        """Nobody answers. What the engine says may hold others' queries: it is for the log."""
        if isinstance(error, str):
            message = error
        else:
            log.warning("the load of endpoints is not known: %s", error)
            self.figures.errors["endpoint signals"] += 1
            status = f" (HTTP {error.status})" if error.status is not None else ""
            message = f"Prometheus does not answer{status}; the operator's log has the reason"
        for one in endpoints:
            with self._apart(one):
                found = looking.nothing(self._memory(one), one, Availability.SOURCE_ERROR, message, self.now())
                self._conclude(one, found)

    def _memory(self, asked: Asked) -> looking.Memory:
        return self._memories.get(asked.uid, looking.Memory())

    # --- servers with a preset ----------------------------------------------------------------------------------------

    async def _look_at_group(self, group: Group, endpoints: Sequence[Asked]) -> None:
        if self.engine is None:
            self._nothing(endpoints, NO_ENGINE)
            return
        waiting, splits = [self._without_crowded(group, endpoints)], _MOST_SPLITS
        while waiting:
            those = waiting.pop()
            try:
                answer = await ask(self.engine, group, {one.namespace for one in those}) if those else Answer()
            except PrometheusError as error:
                halves = _halves(those) if error.may_be_of_some and splits else ()
                if not halves:
                    if error.may_be_of_some and splits and splits < _MOST_SPLITS:  # found out: it is this namespace
                        self._crowded[group, those[0].namespace] = self.now(), error
                    self._nothing(those, error)
                waiting += halves
                splits -= bool(halves)
            else:
                await self._look_at_answer(group, those, answer)

    def _without_crowded(self, group: Group, endpoints: Sequence[Asked]) -> list[Asked]:
        """Those that are asked together; the others had been found out a moment ago."""
        for one in endpoints:
            if (found := self._crowded.get((group, one.namespace))) is not None:
                self._nothing([one], found[1])
        return [one for one in endpoints if (group, one.namespace) not in self._crowded]

    async def _look_at_answer(self, group: Group, endpoints: Sequence[Asked], answer: Answer) -> None:
        at, reasons = self.now(), 0
        for one in endpoints:
            with self._apart(one):
                found = find(one, answer, at)
                memory, signals = looking.look(self._memory(one), one, found, at)
                if signals.availability.available:
                    self._reasons.pop(one.uid, None)  # if they go again, it may be for another reason
                if signals.availability is Availability.MISSING and one.pods and not found.other_models:
                    reason, is_new = await self._reason(group, one, may_ask=reasons < _MOST_REASONS)
                    reasons += is_new
                    if reason:
                        signals = replace(signals, message=reason, frozen=reason)
                self._conclude(one, (memory, signals))

    async def _reason(self, group: Group, asked: Asked, *, may_ask: bool) -> tuple[str, bool]:
        """Why an endpoint has no series, asked for now and then; and whether it was asked for now."""
        at, reason = self._reasons.get(asked.uid, (0, ""))
        speaking = [one.name for one in asked.pods if one.ready_since is not None]
        stays = _NO_REASON_STAYS if reason in {"", NOT_SCRAPED} else _REASON_STAYS
        if self.now() - at < stays or not may_ask or self.engine is None or not speaking:
            return reason, False
        try:
            reason = await diagnose(self.engine, group, asked.namespace, speaking)
        except PrometheusError as error:
            log.warning("%s: it is not known why there are no series: %s", asked.uid, error)
        self._reasons[asked.uid] = (self.now(), reason)
        return reason, True

    # --- users' own queries -------------------------------------------------------------------------------------------

    async def _look_at_custom(self, endpoints: Sequence[Asked]) -> None:
        if endpoints and (self.engine is None or not self.allowed):
            self._nothing(endpoints, NOT_ALLOWED if self.engine is not None else NO_ENGINE)
            return
        questions = {
            one.uid: [Question(one.uid, name, query) for name, query in sorted(one.spec.metrics.queries.items())]
            for one in endpoints
        }
        answers: dict[Question, list[Sample] | Unusable] = {}
        failed: PrometheusError | None = None
        everything = [one for those in questions.values() for one in those]
        for one in everything:
            if (problem := refused(one)) is not None:
                answers[one] = problem
            elif one in self._refused:  # a query that takes too long must not take the time of all others each time
                answers[one] = self._refused[one][1]
        for bundle in bundles([one for one in everything if one not in answers]):
            assert self.engine is not None
            try:
                found = await ask_custom(self.engine, bundle)
            except PrometheusError as error:
                failed = error
                continue
            answers |= found
            self._refused |= {one: (self.now(), why) for one, why in found.items() if isinstance(why, Unusable)}
        for asked in endpoints:
            mine = questions[asked.uid]
            if failed is not None and not all(one in answers for one in mine):
                self._nothing([asked], failed)
                continue
            with self._apart(asked):
                by_name = {one.name: answers[one] for one in mine}
                self._conclude(asked, custom.look(self._memory(asked), asked, by_name, self.now()))

    # --- once a minute ------------------------------------------------------------------------------------------------

    async def _end_minute(self, group: Group, endpoints: Sequence[Asked]) -> None:
        judged = [one for one in endpoints if looking.has_histograms(one)]
        answer = await self._buckets(group, judged) if judged else None
        for one in endpoints:
            self._end_minute_of(one, answer)

    def _end_minute_of(self, asked: Asked, answer: Answer | None) -> None:
        with self._apart(asked, is_look=False):
            buckets = buckets_of(asked, answer) if answer is not None else None
            self._memories[asked.uid] = looking.end_minute(self._memory(asked), asked, buckets, self.now())

    async def _buckets(self, group: Group, endpoints: Sequence[Asked]) -> Answer | None:
        """The buckets around all objectives; None when nobody answers."""
        if self.engine is None:
            return None
        namespaces = {one.namespace for one in endpoints}
        try:
            at, bounds = self._bounds.get(group, (0, {}))
            if not bounds or self.now() - at >= _BOUNDS_STAY:
                bounds = await ask_bounds(self.engine, group, namespaces)
                self._bounds[group] = (self.now(), bounds)
            return await ask_buckets(self.engine, group, namespaces, _needed(group, endpoints, bounds))
        except PrometheusError as error:
            log.warning("latencies of endpoints are not known: %s", error)
        except Exception:  # without latencies the minute ends all the same
            log.exception("latencies of endpoints are not known")
        self.figures.errors["endpoint signals"] += 1
        return None


def _halves(endpoints: Sequence[Asked]) -> list[list[Asked]]:
    """Two parts of different namespaces; none where all are of one."""
    namespaces = sorted({one.namespace for one in endpoints})
    first = frozenset(namespaces[: len(namespaces) // 2])
    return [[one for one in endpoints if (one.namespace in first) is kind] for kind in (True, False)] if first else []


def _needed(group: Group, endpoints: Sequence[Asked], bounds: Bounds) -> dict[str, set[str]]:
    """For each histogram the bounds around the limits of all endpoints, as the servers of their namespace have them."""
    needed: dict[str, set[str]] = {}
    for objective, names in group.preset.histograms.items():
        limits = {
            (one.namespace, found[objective]) for one in endpoints if objective in (found := limits_of(one.spec.slo))
        }
        for name in names:
            scale = group.preset.bound_scale.get(name, 1.0)
            for namespace, limit in limits:
                needed.setdefault(name, set()).update(_around(bounds.get((namespace, name), {}), limit, scale))
    return {name: those for name, those in needed.items() if those}


def _around(counted: Mapping[str, float], limit: float, scale: float) -> set[str]:
    """The nearest bounds that some of the servers have, and the nearest that all of them have.

    Servers of two versions may have other buckets, and write one bound in two ways.
    """
    written: dict[float, set[str]] = {}
    for text in counted:
        if (bound := bound_of(text)) is not None:
            written.setdefault(bound * scale, set()).add(text)
    count = {bound: sum(counted[text] for text in texts) for bound, texts in written.items()}
    common = [bound for bound in written if count[bound] >= max(count.values())]
    wanted = {*around(written, limit), *around(common, limit)} if written else set()
    return {text for bound in wanted for text in written.get(bound, ())}
