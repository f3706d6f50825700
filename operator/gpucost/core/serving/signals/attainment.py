"""How the service level objective was kept, from the cumulative buckets of latency histograms.

A limit that is no bound of the histogram lies inside a bucket, and how its events are spread nobody knows: the share in
time is then told as two bounds instead of one interpolated figure that looks exact.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gpucost.core.clock import HOUR, SECOND, Instant, Micros
from gpucost.core.serving.signals.model import Attainment, InTime
from gpucost.core.serving.signals.presets import BETWEEN_TOKENS, FIRST_TOKEN
from gpucost.core.serving.spec import Slo

Buckets = Mapping[float, float]
"""Counts of events up to each bound, in seconds; `inf` has all."""

KEPT: Micros = HOUR
"""Over how long attainment is told."""


@dataclass(frozen=True, slots=True)
class Span:
    """What was seen between two looks at the histograms."""

    since: Instant
    until: Instant
    in_time: Mapping[str, InTime]
    """By objective."""


def limits_of(slo: Slo) -> dict[str, float]:
    """Limits in seconds, by objective."""
    limits = {FIRST_TOKEN: slo.ttft_p95, BETWEEN_TOKENS: slo.itl_p95}
    return {name: limit / SECOND for name, limit in limits.items() if limit is not None}


def around(bounds: Iterable[float], limit: float) -> tuple[float, ...]:
    """The bounds that are needed to judge a limit: the nearest on either side, and all events."""
    finite = [bound for bound in bounds if math.isfinite(bound)]
    below = [bound for bound in finite if bound <= limit * (1 + 1e-9)]
    above = [bound for bound in finite if bound >= limit * (1 - 1e-9)]
    return tuple(sorted({*([max(below)] if below else []), *([min(above)] if above else []), math.inf}))


def grown(now: Buckets, before: Buckets | None, *, anew: bool = True) -> Buckets | None:
    """Events between two looks; after a restart (`anew`) those since then. None: nothing to compare with."""
    if before is None or before.keys() != now.keys():
        return None
    if any(value < before[bound] for bound, value in now.items()):
        return now if anew else None  # series have vanished: what is left is the past of the others
    return {bound: value - before[bound] for bound, value in now.items()}


def in_time(events: Buckets, limit: float) -> InTime | None:
    """Share of events within a limit; None without a count of all of them."""
    count = events.get(math.inf)
    if count is None:
        return None
    if count <= 0:
        return InTime(1.0, 1.0, 0.0)
    below = [value for bound, value in events.items() if bound <= limit * (1 + 1e-9)]
    above = [value for bound, value in events.items() if bound >= limit * (1 - 1e-9)]
    at_least, at_most = max(below, default=0.0) / count, min(above) / count
    return InTime(min(max(at_least, 0.0), 1.0), min(max(at_most, at_least), 1.0), count)


def together(parts: Iterable[InTime]) -> InTime | None:
    """Shares of several pods or spans, weighted by their events."""
    parts = list(parts)
    count = sum(one.count for one in parts)
    if not parts:
        return None
    if count <= 0:
        return InTime(1.0, 1.0, 0.0)
    return InTime(
        sum(one.at_least * one.count for one in parts) / count,
        sum(one.at_most * one.count for one in parts) / count,
        count,
    )


def attained(spans: Iterable[Span]) -> Attainment | None:
    """All spans together."""
    spans = list(spans)
    if not spans:
        return None
    found = {
        name: together(span.in_time[name] for span in spans if name in span.in_time)
        for name in (FIRST_TOKEN, BETWEEN_TOKENS)
    }
    return Attainment(spans[0].since, spans[-1].until, found[FIRST_TOKEN], found[BETWEEN_TOKENS])
