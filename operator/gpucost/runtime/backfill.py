"""Fill in the past that nobody watched, in the background and from the newest hour to the oldest.

The operator is ready before any of this begins. What has to be filled in is a mark in the ledger: a start that comes in
the middle goes on there, and a span whose facts are written is not read again. Until a span is read its nodes carry a
gap, so that at no time unknown costs pass for idle ones.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from gpucost.core.backfill.activity import Activities, Track, activities
from gpucost.core.backfill.evidence import Event, evidence, narrowed, node_narrowed, untold
from gpucost.core.backfill.fill import Filled, Known, fill, unwatched
from gpucost.core.backfill.seen import Seen
from gpucost.core.backfill.series import Reading, read
from gpucost.core.clock import DAY, HOUR, MINUTE, SECOND, Instant, Micros, floor_to, format_rfc3339
from gpucost.core.model import Gap, Node, NodeFact, PodFact, PriceFact, UsageFact
from gpucost.core.timeline import Interval
from gpucost.kube.client import KubeClient
from gpucost.kube.errors import ApiError, Unreachable
from gpucost.ledger import Ledger, LedgerError
from gpucost.ledger.recorded import Recorded
from gpucost.runtime.prices import Prices
from gpucost.runtime.settings import Settings, listed
from gpucost.runtime.world import World
from gpucost.sources.cluster_events import read_events
from gpucost.sources.history import LONGEST, SHORTEST, HistorySource
from gpucost.sources.promql import PrometheusError, PromQL

log = logging.getLogger(__name__)

MARK = "history-to-fill"
_BATCH = 2_000  # facts in one transaction: others wait for the ledger meanwhile
_PATIENCE_SECONDS = (5.0, 600.0)  # first and longest wait after an engine has not answered
_REPORT_SECONDS = 30.0

_SLOW_SECONDS = 60.0  # a query about hours may take longer than one about now

Fact = NodeFact | PodFact | UsageFact | Gap
Call = Callable[[Callable[[], Any]], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Span:
    """A span that is still to be filled in; its newest part is next."""

    start: Instant
    end: Instant
    until: Instant
    """From when on somebody watches again; the end moves down, this stays."""
    measured: Instant
    """From when on activity is sampled again."""
    watched: bool = False
    """Whether the API server told everything that happened, so that only activity and exact ends are missing."""
    next_scrape: Instant | None = None


def backfill_of(
    settings: Settings,
    ledger: Ledger,
    *,
    client: KubeClient,
    call: Call,
    world: World,
    prices: Prices,
    engine: PromQL | None,
) -> Backfill:
    """A backfill as it is set; without an engine, or with 0 days, only Events can tell of the past."""

    async def events() -> Sequence[Event]:
        try:
            return await read_events(client)
        except (ApiError, Unreachable) as error:
            log.warning("Events cannot tell what happened: %s", error)
            return ()

    source = None
    if engine is not None and settings.backfill_days > 0:
        patient = PromQL(engine.url, engine.headers, engine.verify_tls, timeout=_SLOW_SECONDS)
        source = HistorySource(patient, settings.backfill_matchers, tuple(listed(settings.gpu_resources, ",")))
    return Backfill(
        ledger=ledger,
        call=call,
        source=source,
        prices_of=prices.of_the_past,
        alive=lambda: frozenset(world.nodes) | frozenset(world.pods),
        events=events,
        days=settings.backfill_days,
        window=settings.prometheus_window_seconds * SECOND,
    )


def to_mark(spans: Iterable[Span]) -> str:
    """Spans as they are remembered."""
    return json.dumps([[s.start, s.end, s.until, s.measured, s.watched, s.next_scrape] for s in spans])


def from_mark(text: str | None) -> list[Span]:
    """Spans that a mark remembers."""
    return [Span(*one) for one in json.loads(text or "[]")]


@dataclass
class Backfill:
    """`call` runs a function in the ledger's thread; `alive` gives the UIDs that the API server shows."""

    ledger: Ledger
    call: Call
    source: HistorySource | None
    prices_of: Callable[[NodeFact, Node], list[PriceFact]]
    alive: Callable[[], frozenset[str]]
    events: Callable[[], Awaitable[Sequence[Event]]]
    days: float = 30
    window: Micros = MINUTE
    """How far the first live sample of activity reaches back."""
    spans: list[Span] = field(default_factory=list)
    written: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    problem: str | None = None
    _halved: int = 0
    """How often less than usual is asked for at once."""
    _length: Micros = LONGEST
    """How much was asked for last."""
    _reported: float = 0.0
    _since: Interval | None = None
    _owed: list[Gap] | None = None
    """Gaps of a plan that is not written yet."""

    async def plan(self, observed_until: Instant, now: Instant, nodes: Iterable[NodeFact], *, watched: bool) -> None:
        """Note what has to be filled in; call it before anything is written after a start.

        `observed_until` is 0 in an empty ledger; `watched` says that the API server told everything since then.
        """
        mark = await self.call(lambda: self.ledger.marked(MARK))
        oldest = now - round(self.days * DAY)
        spans = [replace(span, start=max(span.start, oldest)) for span in from_mark(mark)]
        start = max(observed_until, oldest)
        self._since = Interval(max(observed_until, now - DAY), now)  # no API server keeps Events for longer
        first_sample = max(observed_until, now - self.window) if observed_until else now
        if start < now:
            spans.append(Span(start, now, now, first_sample, watched))
        self.spans = [span for span in spans if span.start < span.end] if self.source is not None else []
        self._owed = [] if watched else unwatched(nodes, Interval(observed_until, now))
        try:
            await self._note()
        except LedgerError as error:  # it is written as soon as it can be
            self._complain(error)

    async def _note(self) -> None:
        """Write what is planned."""
        owed, mark = self._owed, to_mark(self.spans)
        if owed is not None:
            await self.call(lambda: self.ledger.record(owed, marks={MARK: mark}))
            self._owed = None

    async def keep(self) -> None:
        """Fill in everything, then rest: a task that ends would end the process."""
        if self.spans and self.source is not None:
            days = sum(span.end - span.start for span in self.spans) / DAY
            log.info("filling in %.2f days of history from %s", days, self.source.engine.url)
        await self.fill_in()
        await asyncio.Event().wait()

    async def fill_in(self) -> None:
        """Read and write everything that is left, however often that has to be tried."""
        wait, told = _PATIENCE_SECONDS[0], False
        while self.spans or not told:
            try:
                await self._note()
                if self.spans:
                    await self.step()
                if not told and not (self.spans and self._since and self.spans[-1].end > self._since.end - HOUR):
                    await self.hear_events()  # about the last hour, when the series have told what they can
                    told = True
                wait = _PATIENCE_SECONDS[0]
            except (PrometheusError, LedgerError) as error:
                self._complain(error)
                if not self._shorter():
                    await asyncio.sleep(wait)
                    wait = min(2 * wait, _PATIENCE_SECONDS[1])
        self._report(final=True)

    def _complain(self, error: Exception) -> None:
        if self.problem != str(error):
            log.warning("history is not filled in yet, trying again: %s", error)
        self.problem = str(error)

    def _shorter(self) -> bool:
        """Ask for less at once, which helps an engine that refuses large queries; False when it is little already."""
        if self._length <= SHORTEST:
            return False
        self._halved += 1
        self._length >>= 1  # also while it is another query that fails: it must come to an end
        return True

    # --- one span -----------------------------------------------------------------------------------------------------

    async def step(self) -> None:
        """Read and write the newest part of what is left."""
        assert self.source is not None
        span = self.spans[-1]
        interval = await self.source.interval(span.end, min(LONGEST, span.end - span.start))
        part = self._part(span, interval) if interval is not None else await self._nothing(span)
        reading, tracks = await self._read(span, part, interval)
        seen = await asyncio.to_thread(read, reading)
        known = await self.call(lambda: self.ledger.recorded(part, [pod.uid for pod in seen.pods]))
        filled, active = await asyncio.to_thread(self._fill, span, seen, known, tracks)
        rest = _rest(span, seen)
        await self._write(filled, active, [*self.spans[:-1], *rest])
        self.spans = [*self.spans[:-1], *rest]
        self.problem, self._halved = None, max(0, self._halved - 1)
        self._report()

    async def _nothing(self, span: Span) -> Interval:
        """The newest part of a span, of which nothing is recorded: as far as that reaches."""
        assert self.source is not None
        newest = await self.source.newest(Interval(span.start, span.end))
        if newest is None:
            return Interval(span.start, span.end)
        return Interval(max(span.start, min(newest, span.end - LONGEST)), span.end)

    def _part(self, span: Span, interval: Micros) -> Interval:
        """The newest part of a span; it begins at a full hour, so that no hour is booked twice for it."""
        assert self.source is not None
        self._length = max(SHORTEST, self.source.length(interval) >> self._halved)
        start = span.end - self._length
        if self._length >= 2 * HOUR:
            start = -floor_to(-start, HOUR)
        return Interval(max(span.start, start), span.end)

    async def _read(
        self, span: Span, part: Interval, interval: Micros | None
    ) -> tuple[Reading, Mapping[str, Sequence[Track]]]:
        assert self.source is not None
        if interval is None:
            nothing = Reading(part, SECOND, {}, holes=(part,), next_scrape=span.next_scrape)
            return nothing, await self.source.activity(part) if part.length <= LONGEST else {}
        return await self.source.read(part, interval, span.next_scrape), await self.source.activity(part)

    def _fill(
        self, span: Span, seen: Seen, recorded: Recorded, tracks: Mapping[str, Sequence[Track]]
    ) -> tuple[Filled, Activities]:
        known = Known(
            until=span.until,
            nodes=recorded.nodes,
            pods=recorded.pods,
            gaps=recorded.gaps,
            alive=self.alive(),
            watched=span.watched,
        )
        filled = fill(seen, known)
        pods = {pod.uid: pod for pod in (*recorded.gpu_pods, *filled.pods)}
        part = Interval(seen.span.start, min(seen.span.end, span.measured))
        return filled, activities(tracks, pods.values(), part)

    async def _write(self, filled: Filled, active: Activities, rest: list[Span]) -> None:
        """Write everything of a part in transactions of bounded size; the last of them says that it is done."""
        self.dropped.update(filled.dropped)
        self.dropped.update(active.dropped)
        batches = list(_batches(filled, active.facts)) or [[]]
        for number, batch in enumerate(batches, start=1):
            prices = {
                fact.uid: self._prices(fact, filled)
                for fact in batch
                if isinstance(fact, NodeFact) and fact.uid in filled.seen
            }
            marks = {MARK: to_mark(rest)} if number == len(batches) else {}
            closed = filled.closed if number == 1 else []
            await self.call(_recording(self.ledger, batch, prices, marks, closed))
            self.written.update(type(fact).__name__ for fact in batch)
        await self.call(self.ledger.trim)

    def _prices(self, fact: NodeFact, filled: Filled) -> list[PriceFact]:
        seen = filled.seen[fact.uid]
        node = Node(
            uid=fact.uid,
            name=fact.name,
            created=fact.start,
            capacity=fact.capacity,
            labels=seen.labels,
            ended=fact.end,
            price_annotation=seen.price_annotation,
            devices=seen.devices,
        )
        return self.prices_of(fact, node)

    def _report(self, *, final: bool = False) -> None:
        """Tell how far it has come, now and then; nothing where there was nothing to ask."""
        now = time.monotonic()
        due = final or (bool(self.spans) and now - self._reported >= _REPORT_SECONDS)
        if self.source is None or not due:
            return
        self._reported, engine = now, self.source.engine
        counts = f"{self.written['NodeFact']} nodes, {self.written['PodFact']} pods, {self.written['Gap']} gaps"
        where = "completely" if final else f"down to {format_rfc3339(floor_to(self.spans[-1].end, SECOND))}"
        log.info("history is filled in %s: %s (%d queries, %d samples)", where, counts, engine.queries, engine.samples)

    # --- Events -------------------------------------------------------------------------------------------------------

    async def hear_events(self) -> None:
        """Let Events tell what no series told of the time since the last stop."""
        if self._since is None or self._since.length <= 0:
            return
        found = evidence(await self.events())
        since = self._since
        known: Recorded = await self.call(lambda: self.ledger.recorded(since, found.pods))
        facts: list[Fact] = []
        closed: list[Gap] = []
        for uid, pod in known.pods.items():
            for gap in known.gaps.get(uid, ()):
                told = narrowed(pod, gap, found) if gap.span.start == pod.end else None
                if told is not None:
                    closed.append(gap)
                    facts += [fact for fact in told if fact is not None]
        for node in known.nodes:
            for gap in known.gaps.get(node.uid, ()):
                if gap.span.start == node.end and (left := node_narrowed(node, gap, found)) is not None:
                    facts.append(left)
        lives = {node.name: node for node in known.nodes}
        told_of = frozenset({*known.pods, *known.gaps, *self.alive()})
        facts += untold(found, since, lives, told_of)
        await self.call(lambda: self.ledger.record(facts, closed=closed))
        self.written.update(type(fact).__name__ for fact in facts)


def _recording(
    ledger: Ledger,
    batch: Sequence[Fact],
    prices: Mapping[str, list[PriceFact]],
    marks: Mapping[str, str],
    closed: Sequence[Gap],
) -> Callable[[], None]:
    return lambda: ledger.record(batch, prices=prices, marks=marks, closed=closed)


def _rest(span: Span, seen: Seen) -> list[Span]:
    """What is left of a span, and when the first scrape after that was where a hole lies between."""
    if seen.span.start <= span.start:
        return []
    hole = next((hole for hole in seen.holes if hole.start <= seen.span.start), None)
    scraped = None
    if hole is not None:
        scraped = hole.end if hole.end < seen.span.end else span.next_scrape or min(span.until, hole.end)
    return [replace(span, end=seen.span.start, next_scrape=scraped)]


def _batches(filled: Filled, usage: Iterable[UsageFact]) -> Iterator[list[Fact]]:
    """Facts in batches of bounded size, a node with everything on it: then no hour of it is booked twice."""
    by_node: dict[str, list[Fact]] = {node.uid: [node] for node in filled.nodes}
    node_of: dict[str, str] = {}
    for pod in filled.pods:
        by_node.setdefault(pod.node_uid, []).append(pod)
        node_of[pod.uid] = pod.node_uid
    for value in usage:
        by_node.setdefault(node_of.get(value.pod_uid, value.pod_uid), []).append(value)
    for gap in filled.gaps:
        by_node.setdefault(node_of.get(gap.uid, gap.uid), []).append(gap)
    batch: list[Fact] = []
    for facts in by_node.values():
        batch += facts
        if len(batch) >= _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
