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

import numpy as np
from numpy.typing import NDArray

from gpucost.core.clock import DAY, HOUR, MINUTE, Instant, Micros
from gpucost.core.training.deadline.outlook import Span

AGES: tuple[Micros, ...] = (0, 15 * MINUTE, 45 * MINUTE, 2 * HOUR, 5 * HOUR, 12 * HOUR)
"""From which age on a class counts."""
HALF_LIFE: Micros = 7 * DAY
"""After which time a span counts half."""
_PRIOR = np.array([1.0, 0.7, 0.4, 0.2, 0.1, 0.05])
"""Ends an hour by class of age, before anything is seen."""
_WEIGHT = 1.0
"""How many ends the prior is worth."""
_STEP = 0.1
"""Rates are rounded to steps of this (natural logarithm), so that runs share what is worked out for a set of
rates."""

Rates = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Habits:
    """Ends per hour of spans with and without spot, by class of age."""

    up: Rates
    down: Rates


@dataclass(frozen=True, slots=True)
class Climate:
    """Habits of all zones, and of them together."""

    zones: tuple[Habits, ...]
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


def habits(spans: Spans, now: Instant) -> Habits:
    """Rates of ending, learned from what was known at an instant."""
    known = spans.until(now)
    return Habits(_rates(known, now, up=True), _rates(known, now, up=False))


def climate(zones: Sequence[Spans], together: Spans, now: Instant, refuge: float) -> Climate:
    """Habits of zones, each and together."""
    return Climate(tuple(habits(spans, now) for spans in zones), habits(together, now), round(refuge, 1))


def _rates(spans: Spans, now: Instant, *, up: bool) -> Rates:
    mine = spans.up == up
    length = (spans.end - spans.start)[mine]
    weight = np.exp2((spans.end[mine] - now) / HALF_LIFE)
    bounds = np.array([*AGES, np.iinfo(np.int64).max])
    inside = np.clip(length[:, None] - bounds[None, :-1], 0, np.diff(bounds)[None, :])
    exposure = (inside * weight[:, None]).sum(axis=0) / HOUR
    last = np.searchsorted(bounds, length, side="left") - 1
    ends = np.bincount(last, weights=weight * spans.ended[mine], minlength=len(AGES))[: len(AGES)]
    rates = (ends + _WEIGHT) / (exposure + _WEIGHT / _PRIOR)
    return tuple(float(rate) for rate in np.exp(np.round(np.log(rates) / _STEP) * _STEP))
