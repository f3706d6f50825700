"""From what was recorded of a run to the world that it is put into once more: work, prices, availability.

Nothing is made up silently: what the record does not tell is taken over from what it tells nearby, and a note says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from statistics import median

from gpucost.core.clock import MINUTE, Instant, Micros, format_duration, format_rfc3339
from gpucost.core.model import CapacityType, NodeFact, PriceFact
from gpucost.core.money import exact
from gpucost.core.report import Line
from gpucost.core.timeline import Interval, Timeline
from gpucost.core.training.accounts import Placed, most_at_once, placements
from gpucost.core.training.auto.stays import Cause, Stay
from gpucost.core.training.deadline import Span
from gpucost.core.training.estimating.market import Quote, choose
from gpucost.core.training.progress import Progress
from gpucost.core.training.replay import Conditions
from gpucost.core.training.state import Interruption

CHANGEOVER: Micros = 12 * MINUTE
"""Where neither the caller nor the run says what one change of nodes costs."""
_GONE: Micros = 30 * MINUTE
"""How long the loss of the last spot node of a type says that there is none, when nothing else is seen."""

Alike = Sequence[tuple[NodeFact, Sequence[PriceFact]]]
"""Nodes of one type with their prices over time."""


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of a run."""

    lines: tuple[Line, ...]
    progress: Progress
    interruptions: Sequence[Interruption]
    alike: Alike
    quotes: Sequence[Quote] = ()
    stays: Sequence[Stay] = ()
    is_over: bool = True

    @property
    def span(self) -> Interval:
        """From the first pod to the last."""
        return Interval(min(one.span.start for one in self.lines), max(one.span.end for one in self.lines))

    @property
    def nodes(self) -> Fraction:
        """Nodes' worth that it held at most at once."""
        return Fraction(most_at_once(self.lines, lambda line: line.share))


@dataclass(frozen=True, slots=True)
class WhatIf:
    """The world for a replay, and what was assumed to make it."""

    conditions: Conditions
    known: Fraction
    """Share of the window in which somebody knows whether spot capacity was there."""
    notes: tuple[str, ...]


def what_if(record: Record, deadline: Instant, changeover: Micros | None) -> WhatIf:
    """The conditions for a run that is due at `deadline`."""
    notes: list[str] = []
    stays, start = placements(record.lines), record.span.start
    change = changeover if changeover is not None else _changeover(stays, record.progress, notes)
    seen = _seen(record, stays)
    conditions = Conditions(
        start=start,
        deadline=deadline,
        work=_work(record, stays, change, notes),
        changeover=change,
        spot=_prices(record, CapacityType.SPOT, notes),
        on_demand=_prices(record, CapacityType.ON_DEMAND, notes),
        seen=seen,
    )
    covered = sum(max(0, min(one.end, deadline) - max(one.start, start)) for one in seen)
    return WhatIf(conditions, Fraction(covered, max(1, deadline - start)), tuple(notes))


# --- work -------------------------------------------------------------------------------------------------------------


def _changeover(stays: Sequence[Placed], progress: Progress, notes: list[str]) -> Micros:
    """From the nodes to the first report on them; without any a usual value."""
    told = [delay for stay in stays if (delay := _first_report(stay, progress)) is not None]
    if told:
        notes.append(f"a change of nodes takes {format_duration(int(median(told)))}, as measured on this run")
        return int(median(told))
    notes.append(f"a change of nodes takes {format_duration(CHANGEOVER)}: the run has not said how long")
    return CHANGEOVER


def _first_report(stay: Placed, progress: Progress) -> Micros | None:
    first = next((one.at for one in progress.reports if stay.span.start <= one.at < stay.span.end), None)
    return None if first is None else first - stay.span.start


def _work(record: Record, stays: Sequence[Placed], changeover: Micros, notes: list[str]) -> Micros:
    """Time on nodes without changeovers; of a run that goes on, all of its work by the progress that it reports."""
    worked = sum(max(0, stay.span.length - changeover) for stay in stays)
    done = next((one.progress for one in reversed(record.progress.reports) if one.progress), None)
    if not record.is_over and done is not None and 0 < done < 1:
        notes.append(f"the run goes on and says that {done:.0%} is done: all of its work is reckoned with")
        worked = int(worked / done)
    elif not record.is_over:
        notes.append("the run goes on and does not say how much is left: its work until now is reckoned with")
    return max(1, worked)


# --- prices -----------------------------------------------------------------------------------------------------------


def _prices(record: Record, kind: CapacityType, notes: list[str]) -> Timeline[Decimal]:
    """Price of all nodes of the run together over time: what nodes of its type cost then, else what they cost now."""
    whole, words = record.nodes, "spot" if kind is CapacityType.SPOT else "on-demand"
    steps = dict(_recorded(record.alike, kind))
    if steps:
        first = min(steps)
        if first > record.span.start:
            notes.append(f"no {words} price was recorded before {format_rfc3339(first)[:16]}Z: the first one is used")
            steps[record.span.start] = steps[first]
        return Timeline.of((at, exact(Fraction(hourly) * whole)) for at, hourly in steps.items())
    quote = _quoted(record, kind)
    if quote is None:
        notes.append(f"nobody knows a {words} price of these nodes")
        return Timeline((), ())
    notes.append(f"no {words} price of these nodes was recorded: the one of now is used ({quote.source})")
    gpus = max((fact.physical_gpus or fact.capacity.gpus for fact, _ in record.alike), default=0)
    hourly = quote.hourly.typical * Fraction(gpus) * whole
    return Timeline.of([(record.span.start, exact(hourly))])


def _recorded(alike: Alike, kind: CapacityType) -> Iterator[tuple[Instant, Decimal]]:
    """Mean over the nodes that lived at each instant at which something changed, unpriced ones left out."""
    timelines = [
        (fact, Timeline.of((price.start, value) for price in prices if (value := _of_kind(fact, price, kind))))
        for fact, prices in alike
    ]
    timelines = [(fact, timeline) for fact, timeline in timelines if timeline.starts]
    for moment in sorted({start for _, timeline in timelines for start in timeline.starts}):
        there = [
            value
            for fact, timeline in timelines
            if fact.start <= moment and (fact.end is None or moment < fact.end)
            if (value := timeline.at(moment)) is not None
        ]
        if there:
            yield moment, exact(sum(map(Fraction, there), Fraction(0)) / len(there))


def _of_kind(fact: NodeFact, price: PriceFact, kind: CapacityType) -> Decimal | None:
    """What a node says of a capacity type: its own price, or what a spot node would have cost on demand."""
    if fact.capacity_type is kind:
        return price.hourly
    return price.on_demand if kind is CapacityType.ON_DEMAND and fact.capacity_type is CapacityType.SPOT else None


def _quoted(record: Record, kind: CapacityType) -> Quote | None:
    fact = next((fact for fact, _ in record.alike), None)
    if fact is None:
        return None
    found = choose(record.quotes, fact.gpu_model, kind, instance_type=fact.instance_type)
    return found or choose(record.quotes, fact.gpu_model, kind)


# --- availability -----------------------------------------------------------------------------------------------------


def _seen(record: Record, stays: Sequence[Placed]) -> tuple[Span, ...]:
    """Spot nodes of the type that lived were there; there were none when the run asked in vain, nor after the last one
    was lost until another came. What the run itself has met with goes first: a node may live and be somebody else's.
    """
    there = _union(
        Interval(fact.start, fact.end if fact.end is not None else record.span.end)
        for fact, _ in record.alike
        if fact.capacity_type is CapacityType.SPOT
    )
    missing = _union([*_refused(record.stays), *_gone(record, there, sorted(stay.span.start for stay in stays))])
    spans = [Span(*one, available=False) for one in missing]
    spans += [Span(*part, available=True) for one in there for part in _without(one, missing)]
    return tuple(sorted(spans, key=lambda span: span.start))


def _refused(stays: Iterable[Stay]) -> Iterator[Interval]:
    for one in stays:
        if one.cause is Cause.UNAVAILABLE and one.ended is not None:
            yield Interval(one.start, one.ended)


def _gone(record: Record, there: Sequence[Interval], starts: Sequence[Instant]) -> Iterator[Interval]:
    """From the loss of the last spot node until another one came, or the run was somewhere else."""
    for one in record.interruptions:
        if not any(span.start <= one.at < span.end for span in there):
            until = [span.start for span in there if span.start > one.at] + [at for at in starts if at > one.at]
            yield Interval(one.at, min([*until, one.at + _GONE]))


def _union(spans: Iterable[Interval]) -> list[Interval]:
    joined: list[Interval] = []
    for span in sorted(spans):
        if joined and span.start <= joined[-1].end:
            joined[-1] = Interval(joined[-1].start, max(joined[-1].end, span.end))
        elif span.length > 0:
            joined.append(span)
    return joined


def _without(span: Interval, holes: Sequence[Interval]) -> Iterator[Interval]:
    """The parts of a span outside of holes, which are in order and apart."""
    start = span.start
    for hole in holes:
        if (part := span.clip(start, hole.start)) is not None:
            yield part
        start = max(start, hole.end)
    if (part := span.clip(start, span.end)) is not None:
        yield part
