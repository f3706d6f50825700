"""What has been seen of spot capacity, and the habits that follow from it.

Spot comes and goes in spans whose chance to end falls with their age: what has been there for hours tends to stay,
and a zone that has been dry for hours tends to stay dry. So the habits of a zone are rates of ending by class of age,
one set for spans with spot and one for spans without. They are learned from the spans seen so far: ends over
exposure, where recent spans count more than old ones, and a prior worth one end in each class speaks while little has
been seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from gpucost.core.clock import DAY, HOUR, MINUTE, Instant, Micros
from gpucost.core.training.deadline.following import Stays, followed
from gpucost.core.training.deadline.outlook import Span

AGES: tuple[Micros, ...] = tuple(minutes * MINUTE for minutes in (0, 10, 20, 40, 90, 180, 360, 900))
"""From which age on a class counts."""
HALF_LIFE: Micros = 14 * DAY
"""After which time a span counts half."""
_PRIOR = np.array([1.5, 1.0, 0.8, 0.5, 0.3, 0.2, 0.1, 0.05])
"""Ends an hour by class of age, before anything is seen."""
_WEIGHT = 2.0
"""How many ends the prior is worth."""
_HOPE = 2.0
"""Standard deviations by which the rate at which spot comes back is taken higher than it was seen. Who hopes too much
waits, sees it, and still has on-demand capacity; who hopes too little pays for on-demand capacity and never learns."""
_STEP = 0.1
"""Rates are rounded to steps of this (natural logarithm), so that runs share what is worked out for a set of
rates."""

LEARN_EVERY: Micros = 3 * HOUR
"""Habits are learned anew at multiples of this: what follows from them is worked out once for all in between."""

Rates = tuple[float, ...]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Habits:
    """Ends per hour of spans with and without spot, by class of age."""

    up: Rates
    down: Rates


@dataclass(frozen=True, slots=True)
class Climate:
    """Habits of all zones, and of them together."""

    zones: tuple[Habits, ...]
    used: Habits
    """Of the zone in use, for whoever goes from zone to zone as `auto` does; one zone alone is always in use."""
    any: Habits
    """Of the state "some zone has spot"."""
    refuge: float
    """Chance that another zone has spot when the one in use loses it."""


@dataclass(frozen=True, slots=True)
class Sky:
    """Spot at one instant."""

    up: NDArray[np.bool_]
    """By zone, for the whole gang."""
    age: NDArray[np.int64]
    """For how long it has been so."""
    some_age: Micros
    """For how long some zone has had spot, or none."""
    climate: Climate


@dataclass(frozen=True, slots=True)
class Spans:
    """Spans of one zone in columns, in order; `ended` tells a span that was seen to end from one that was left."""

    start: NDArray[np.int64]
    end: NDArray[np.int64]
    up: NDArray[np.bool_]
    ended: NDArray[np.bool_]

    def until(self, now: Instant) -> Spans:
        """What was known at an instant."""
        count = int(np.searchsorted(self.start, now, side="left"))
        end = np.minimum(self.end[:count], now)
        return Spans(self.start[:count], end, self.up[:count], self.ended[:count] & (self.end[:count] <= now))


def from_history(history: Iterable[Span], now: Instant) -> Spans:
    """Spans as they were observed, joined where they touch; what lies in the future is left out."""
    joined: list[list[int]] = []
    for span in sorted(history, key=lambda span: (span.start, span.end)):
        start, end = span.start if not joined else max(span.start, joined[-1][1]), min(span.end, now)
        if end <= start:
            continue
        if joined and joined[-1][1] == start and joined[-1][2] == span.available:
            joined[-1][1] = end
        else:
            joined.append([start, end, int(span.available)])
    starts, ends, ups = np.array(joined, dtype=np.int64).reshape(-1, 3).T
    ended = np.zeros(len(starts), dtype=bool)
    ended[:-1] = (ends[:-1] == starts[1:]) & (ups[:-1] != ups[1:])
    return Spans(starts, ends, ups.astype(bool), ended)


def from_ticks(up: NDArray[np.bool_], tick: Micros) -> Spans:
    """Spans of a trace that begins at instant 0."""
    edges = np.flatnonzero(np.diff(up)) + 1
    start, end = np.r_[0, edges] * tick, np.r_[edges, len(up)] * tick
    ended = np.ones(len(start), dtype=bool)
    ended[-1] = False
    return Spans(start.astype(np.int64), end.astype(np.int64), up[np.r_[0, edges]], ended)


@dataclass(frozen=True, slots=True)
class _Tally:
    """Hours spent and ends seen in each class of age, recent ones counting more."""

    hours: Floats
    ends: Floats

    def rates(self, hope: float = 0.0) -> Rates:
        """Ends an hour, rounded, and higher by so many standard deviations of what was counted.

        The prior is first brought to the level that all classes together show.
        """
        level = (self.ends.sum() + _WEIGHT) / ((self.hours * _PRIOR).sum() + _WEIGHT)
        ends = self.ends + _WEIGHT
        rates = (ends + hope * np.sqrt(ends)) / (self.hours + _WEIGHT / (_PRIOR * level))
        return tuple(float(rate) for rate in np.exp(np.round(np.log(rates) / _STEP) * _STEP))


def climate(zones: Sequence[Spans], together: Spans, now: Instant) -> Climate:
    """Habits of zones, each and together, learned from what was known at an instant."""
    known = [spans.until(now) for spans in zones]
    up, down = [_tally(spans, now, up=True) for spans in known], [_tally(spans, now, up=False) for spans in known]
    each = tuple(_habits(a, b) for a, b in zip(up, down, strict=True))
    if len(known) == 1:
        return Climate(each, each[0], each[0], 0.0)
    union = together.until(now)
    some = _habits(_tally(union, now, up=True), _tally(union, now, up=False))
    spans = [(one.start[one.up].tolist(), one.end[one.up].tolist(), one.ended[one.up].tolist()) for one in known]
    stays = followed(spans, AGES, [lives(habits) for habits in each])
    used = _count(stays.came, stays.left, stays.ended, _weight(stays.end, now))
    return Climate(each, Habits(used.rates(), some.down), some, _refuge(stays))


def _habits(up: _Tally, down: _Tally) -> Habits:
    return Habits(up.rates(), down.rates(_HOPE))


def _refuge(stays: Stays) -> float:
    """How often some other zone had spot when the one in use lost it, rounded; a half before anything is seen."""
    losses = int(stays.ended.sum())
    return round(float((stays.saved[stays.ended].sum() + 1) / (losses + 2)), 1)


def _tally(spans: Spans, now: Instant, *, up: bool) -> _Tally:
    mine = spans.up == up
    length = (spans.end - spans.start)[mine]
    return _count(np.zeros_like(length), length, spans.ended[mine], _weight(spans.end[mine], now))


def _weight(end: NDArray[np.int64], now: Instant) -> Floats:
    weight: Floats = np.exp2((end - now) / HALF_LIFE)
    return weight


def _count(came: NDArray[np.int64], left: NDArray[np.int64], ended: NDArray[np.bool_], weight: Floats) -> _Tally:
    """Spans that were looked at from one age to another."""
    bounds = np.array([*AGES, np.iinfo(np.int64).max])
    upto = [np.clip(age[:, None] - bounds[None, :-1], 0, np.diff(bounds)[None, :]) for age in (left, came)]
    last = np.maximum(np.searchsorted(bounds, left, side="left") - 1, 0)
    ends = np.bincount(last, weights=weight * ended, minlength=len(AGES))[: len(AGES)].astype(np.float64)
    return _Tally(((upto[0] - upto[1]) * weight[:, None]).sum(axis=0) / HOUR, ends)


@lru_cache(maxsize=256)
def lives(habits: Habits) -> tuple[float, ...]:
    """Hours that a span with spot is expected to go on, by class of age."""
    left, found = 0.0, []
    for rate, width in zip(reversed(habits.up), reversed(np.diff(np.array([*AGES, np.inf])) / HOUR), strict=True):
        ends = 1.0 if np.isinf(width) else -np.expm1(-rate * width)
        left = ends / rate + (1 - ends) * left
        found.append(float(left))
    return tuple(reversed(found))
