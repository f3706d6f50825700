"""What a run would have cost under another policy: its work once more, at the recorded prices and availability.

The policies are those of the operator (`deadline.choose`), asked as the operator asks them: with what was known at each
moment and no more. Availability that nobody has seen is taken one way or the other by the caller, who runs it twice.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction

from gpucost.core.clock import HOUR, MINUTE, Instant, Micros
from gpucost.core.timeline import Timeline
from gpucost.core.training.deadline import Capacity, Outlook, Span, Zone, choose

POLICIES = ("auto", "onDemand", "spotOnly")
_TICK: Micros = 5 * MINUTE
_MOST_TICKS = 600
"""Longer spans are looked at less often, so that a month takes no longer than two days."""
_GRACE = 2
"""A run that is not done after so many times the whole span is never done."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """The world that the run is put into."""

    start: Instant
    deadline: Instant
    work: Micros
    changeover: Micros
    spot: Timeline[Decimal]
    """Price per hour of all nodes together."""
    on_demand: Timeline[Decimal]
    seen: tuple[Span, ...] = ()
    """When spot capacity was known to be there, or not to be, in order and apart."""


@dataclass(frozen=True, slots=True)
class Course:
    """How a run would have gone."""

    policy: str
    cost: Decimal | None
    """None when a part of the time has no price."""
    end: Instant | None
    """None: it would not have ended."""
    missed: bool
    spot: Micros
    on_demand: Micros
    switches: int


@dataclass(slots=True)
class _Run:
    """A run at an instant."""

    now: Instant
    left: Micros
    on: Capacity = Capacity.NONE
    changeover: Micros = 0
    spent: Fraction | None = Fraction(0)
    time: dict[Capacity, Micros] = field(default_factory=lambda: dict.fromkeys(Capacity, 0))
    starts: int = 0


def replay(conditions: Conditions, policy: str, *, when_unknown: bool) -> Course:
    """One policy; `when_unknown` says whether spot capacity is there while nobody knows."""
    span = conditions.deadline - conditions.start
    tick = max(_TICK, span // _MOST_TICKS)
    run = _Run(conditions.start, conditions.work)
    latest = conditions.start + _GRACE * max(span, conditions.work)
    while run.left > 0 and run.now < latest:
        there, until = _availability(conditions, run.now, when_unknown=when_unknown)
        if run.on is Capacity.SPOT and not there:
            run.on, run.changeover = Capacity.NONE, 0
        wanted, look_again = _wanted(conditions, run, policy, tick, there=there)
        if wanted is not run.on:
            run.starts += wanted is not Capacity.NONE
            run.on = wanted
            run.changeover = conditions.changeover if wanted is not Capacity.NONE else 0
        _advance(conditions, run, max(1, min(tick, until - run.now, look_again - run.now)))
    return _course(conditions, policy, run)


def _availability(conditions: Conditions, now: Instant, *, when_unknown: bool) -> tuple[bool, Instant]:
    """Whether spot capacity is there, and until when that is known to hold."""
    starts = [span.start for span in conditions.seen]
    index = bisect_right(starts, now) - 1
    if index >= 0 and now < conditions.seen[index].end:
        return conditions.seen[index].available, conditions.seen[index].end
    later = conditions.seen[index + 1].start if index + 1 < len(starts) else now + conditions.work + _TICK
    return when_unknown, later


def _wanted(conditions: Conditions, run: _Run, policy: str, tick: Micros, *, there: bool) -> tuple[Capacity, Instant]:
    """Where the run should be, and when to ask again at the latest."""
    spot, on_demand = conditions.spot.at(run.now), conditions.on_demand.at(run.now)
    if policy == "spotOnly":
        return (Capacity.SPOT if there else Capacity.NONE), run.now + tick
    if policy == "onDemand" or spot is None or on_demand is None:
        return Capacity.ON_DEMAND, run.now + tick
    past = tuple(_clipped(conditions.seen, run.now))
    outlook = Outlook(
        now=run.now,
        work_left=run.left,
        deadline=conditions.deadline,
        total_work=conditions.work,
        total_time=conditions.deadline - conditions.start,
        changeover=conditions.changeover,
        spot_price=spot,
        on_demand_price=on_demand,
        zones=(Zone("", there, past),),
        running=run.on,
        zone="" if run.on is Capacity.SPOT else None,
        changeover_left=run.changeover,
        spent=Decimal(0) if run.spent is None else Decimal(float(run.spent)),
        interval=tick,
    )
    choice = choose(outlook, policy)
    chosen = choice.capacity if there or choice.capacity is not Capacity.SPOT else Capacity.NONE
    again = choice.look_again if choice.look_again > run.now else run.now + MINUTE
    return chosen, again


def _clipped(seen: Sequence[Span], now: Instant) -> list[Span]:
    """What was known at an instant: nobody sees the future."""
    return [Span(one.start, min(one.end, now), one.available) for one in seen if one.start < now]


def _advance(conditions: Conditions, run: _Run, span: Micros) -> None:
    """Let time pass, until something may change or the work is done."""
    if run.on is Capacity.NONE:
        run.now += span
        return
    span = min(span, run.changeover + run.left)
    timeline = conditions.spot if run.on is Capacity.SPOT else conditions.on_demand
    hourly = timeline.at(run.now)
    change = next((start for start in timeline.starts if start > run.now), None)
    if change is not None:
        span = min(span, change - run.now)
    if hourly is None or run.spent is None:
        run.spent = None
    else:
        run.spent += Fraction(hourly) * span / HOUR
    waited = min(run.changeover, span)
    run.changeover -= waited
    run.left -= span - waited
    run.time[run.on] += span
    run.now += span


def _course(conditions: Conditions, policy: str, run: _Run) -> Course:
    done = run.left <= 0
    return Course(
        policy=policy,
        cost=None if run.spent is None else Decimal(round(run.spent * 10**6)).scaleb(-6),
        end=run.now if done else None,
        missed=not done or run.now > conditions.deadline,
        spot=run.time[Capacity.SPOT],
        on_demand=run.time[Capacity.ON_DEMAND],
        switches=max(0, run.starts - 1),
    )
