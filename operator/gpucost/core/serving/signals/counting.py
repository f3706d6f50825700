"""Rates and work from counters, by differences between two scrapes, and gauges checked for what cannot be.

A rate that the engine computes hides what matters here: whether the counter began anew, and how old its last sample is.
Differences between scrapes also add up: what is counted for two spans is what is counted for both together.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from gpucost.core.clock import MINUTE, SECOND, Instant, Micros
from gpucost.core.serving.signals import presets
from gpucost.core.serving.signals.joining import MOST_BY_TENANT, Figures, PodLook
from gpucost.core.serving.signals.model import (
    CounterReset,
    FirstLook,
    Known,
    NoSeries,
    PodRef,
    PodSignals,
    Reading,
    Stale,
    Unusable,
    Work,
)
from gpucost.core.serving.signals.presets import Preset

STALE: Micros = 2 * MINUTE
"""A scrape that is older says nothing of the present: scrapes are seldom more than a minute apart."""

_RATES = {"served": presets.REQUESTS, "prompt_tokens": presets.PROMPT, "generation_tokens": presets.GENERATION}
_WORK = {
    "requests": presets.REQUESTS,
    "prompt_tokens": presets.PROMPT,
    "generation_tokens": presets.GENERATION,
    "prefill_seconds": presets.PREFILL,
    "decode_seconds": presets.DECODE,
    "cache_hits": presets.CACHE_HITS,
    "cache_queries": presets.CACHE_QUERIES,
}


@dataclass(frozen=True, slots=True)
class PodMemory:
    """What is remembered of a pod until the next look."""

    look: PodLook
    signals: PodSignals
    """As of the last scrape: they hold until the next one, or until they are stale."""
    lost: Mapping[str, float] = field(default_factory=dict)
    """By figure: what went with series that vanished. It may come back with them, and is no work then."""


@dataclass(frozen=True, slots=True)
class PodCount:
    """What one look at a pod brings."""

    signals: PodSignals
    memory: PodMemory | None
    work: Work | None = None
    is_partial: bool = False
    tenants: Mapping[str, Work] = field(default_factory=dict)


def count(
    ref: PodRef,
    preset: Preset,
    look: PodLook | None,
    memory: PodMemory | None,
    *,
    now: Instant,
    last: Instant | None,
) -> PodCount:
    """Compare a pod's look with what is remembered of it; `last` is when the endpoint was looked at before."""
    if look is None:
        return PodCount(PodSignals(ref.name), memory, is_partial=True)
    if now - look.at > STALE:
        return PodCount(_all(ref.name, Stale(now - look.at)), memory, is_partial=True)
    if memory is not None and look.stamp <= memory.look.stamp:
        if now - memory.look.at <= STALE:  # no scrape since
            return PodCount(memory.signals, memory, _nothing_more(memory.look.figures))
        memory = None  # the engine's clock went back: what is remembered is no earlier look
    before, lost = (memory.look, memory.lost) if memory is not None else (_born(ref, look, last), {})
    look = _with_lazy_counters(look, preset, before)
    anew = before is not None and ref.started is not None and ref.started + SECOND > before.at
    if before is not None:
        before, lost = _without_returned(before, look, {} if anew else lost, anew=anew)
    signals = _signals(ref.name, look, before)
    if before is not None and last is not None and last - before.at > STALE:
        # It was silent while the endpoint was looked at: its time is nobody's, and so is what it did in it.
        return PodCount(signals, PodMemory(look, signals, lost), is_partial=True)
    work, is_partial = _work(look.figures, before.figures if before is not None else None, anew=anew)
    tenants, look = _tenants(look, before, work, anew=anew)
    return PodCount(signals, PodMemory(look, signals, lost), work, is_partial, tenants)


def _without_returned(
    before: PodLook, look: PodLook, lost: Mapping[str, float], *, anew: bool
) -> tuple[PodLook, Mapping[str, float]]:
    """The look before, without counters to which series have come back that were away; and what is away now.

    A second engine in the pod whose scrape failed once takes its whole count away and brings it back.
    """
    figures, away = dict(before.figures), dict(lost)
    for figure in presets.COUNTERS & look.figures.keys() & figures.keys():
        (metric, value), (known, earlier) = look.figures[figure], figures[figure]
        if metric == known and value < earlier and not anew:
            away[figure] = away.get(figure, 0.0) + earlier - value
        elif figure in away and value - earlier >= away[figure]:
            figures[figure] = known, math.nan
            del away[figure]
    return (replace(before, figures=figures) if away.keys() != lost.keys() else before), away


def _born(ref: PodRef, look: PodLook, last: Instant | None) -> PodLook | None:
    """The start of a pod that began after the last look, when all of its counters were zero."""
    if last is None or ref.started is None or not last <= ref.started < look.at:
        return None
    return PodLook(ref.started, look.stamp - (look.at - ref.started), _zeros(look.figures))


def _zeros(figures: Figures) -> Figures:
    return {figure: (metric, 0.0) for figure, (metric, _) in figures.items()}


def _nothing_more(figures: Figures) -> Work:
    """Between two scrapes nothing is counted, which is known of what the server counts at all."""
    told = {name for name, figure in _WORK.items() if figure in figures and math.isfinite(figures[figure][1])}
    return Work(**dict.fromkeys(told, 0.0))


def _with_lazy_counters(look: PodLook, preset: Preset, before: PodLook | None) -> PodLook:
    """With zeros for counters of a server that has not had a request yet, where it creates them with the first one.

    Believed only where nothing contradicts it: nothing runs, nothing waits, and no counter is there at all. A counter
    that an upgrade renamed is missing from a server that counts other things.
    """
    figures = look.figures
    if not preset.creates_lazily or presets.RUNNING not in figures or presets.COUNTERS & figures.keys():
        return look
    if any(figures.get(name, ("", 0.0))[1] != 0 for name in (presets.RUNNING, presets.WAITING)):
        return look
    if before is not None and any(value for name, (_, value) in before.figures.items() if name in presets.COUNTERS):
        return look
    written = preset.sums[presets.RUNNING].index(figures[presets.RUNNING][0])  # all names are written in one way
    zeros = {
        figure: (names[min(written, len(names) - 1)], 0.0)
        for figure, names in preset.sums.items()
        if figure in presets.COUNTERS
    }
    return replace(look, figures={**zeros, **figures})


# --- one look against another -----------------------------------------------------------------------------------------


def _signals(name: str, look: PodLook, before: PodLook | None) -> PodSignals:
    rates = {field: rate(look, before, figure) for field, figure in _RATES.items()}
    running, waiting = _gauge(look, presets.RUNNING), _gauge(look, presets.WAITING)
    if presets.STAYED in look.figures:  # it has no gauge of these: the time spent in a second is how many there are
        waited, stayed = rate(look, before, presets.WAITED), rate(look, before, presets.STAYED)
        if presets.WAITING not in look.figures:
            waiting = waited
        running = stayed
        if isinstance(stayed, Known) and isinstance(waited, Known):
            running = _known(max(0.0, stayed.value - waited.value), look.at)
    return PodSignals(
        name,
        arrived=_arrived(look, before, rates["served"]),
        served=rates["served"],
        waiting=waiting,
        running=running,
        kv_cache=_gauge(look, presets.KV_CACHE, most=1.0),
        prompt_tokens=rates["prompt_tokens"],
        generation_tokens=rates["generation_tokens"],
    )


def rate(look: PodLook, before: PodLook | None, figure: str) -> Reading:
    """How fast a counter grew, in units a second."""
    if figure not in look.figures:
        return NoSeries()
    metric, value = look.figures[figure]
    if not math.isfinite(value) or value < 0:
        return Unusable(f"{metric} reads {value}")
    if before is None or figure not in before.figures or look.stamp - before.stamp > STALE:
        return FirstLook()
    name, earlier = before.figures[figure]
    if not math.isfinite(earlier):
        return FirstLook()
    if name != metric or value < earlier:
        return CounterReset()
    return _known((value - earlier) * SECOND / (look.stamp - before.stamp), look.at)


def _arrived(look: PodLook, before: PodLook | None, served: Reading) -> Reading:
    """Requests that came: those that ended and those that are there now, less those that were there before."""
    if presets.RECEIVED in look.figures:
        return rate(look, before, presets.RECEIVED)
    if not isinstance(served, Known) or before is None:
        return served
    change = 0.0
    for figure in (presets.RUNNING, presets.WAITING):
        if figure in look.figures and figure in before.figures:
            change += look.figures[figure][1] - before.figures[figure][1]
    if not math.isfinite(change):
        return Unusable("the number of requests is no number")
    return _known(max(0.0, served.value + change * SECOND / (look.stamp - before.stamp)), look.at)


def _gauge(look: PodLook, figure: str, most: float = math.inf) -> Reading:
    if figure not in look.figures:
        return NoSeries()
    metric, value = look.figures[figure]
    if not math.isfinite(value) or not 0 <= value <= most * 1.0001:
        return Unusable(f"{metric} reads {value:g}")
    return _known(min(value, most), look.at)


def _work(figures: Figures, before: Figures | None, *, anew: bool) -> tuple[Work | None, bool]:
    """What was done since, and whether a part of it is unknown.

    After a restart (`anew`) what came since then is counted. A counter that is smaller without one has lost some of its
    series (a model, a tenant): what is left of it is no work of now.
    """
    if before is None:
        return None, True
    done: dict[str, float] = {}
    is_partial = False
    for name, figure in _WORK.items():
        if figure not in figures:
            continue
        metric, value = figures[figure]
        known = before.get(figure)
        if not math.isfinite(value) or known is None or known[0] != metric or not math.isfinite(known[1]):
            is_partial = True
        elif value >= known[1]:
            done[name] = value - known[1]
        else:
            is_partial = True
            if anew:
                done[name] = value
    return Work(**done), is_partial


def _tenants(
    look: PodLook, before: PodLook | None, whole: Work | None, *, anew: bool
) -> tuple[dict[str, Work], PodLook]:
    """What was done for each tenant; and the look as it is remembered, with tenants that are silent at the moment.

    A tenant that was not seen before began at zero only if it counts no more than was done for all since then: else its
    series are older than our looks at them, as when the label was named a moment ago.
    """
    found: dict[str, Work] = {}
    if before is None or whole is None:
        return found, look
    for name, figures in look.tenants.items():
        known = before.tenants.get(name)
        if known is None:
            known = _zeros(figures) if _is_new(figures, whole) else None
        done, _ = _work(figures, known, anew=anew)
        if done is not None:
            found[name] = done
    silent = {} if anew else {name: one for name, one in before.tenants.items() if name not in look.tenants}
    if silent:
        look = replace(look, tenants=dict([*silent.items(), *look.tenants.items()][-MOST_BY_TENANT:]))
    return found, look


def _is_new(figures: Figures, whole: Work) -> bool:
    counted = [(figures[figure][1], getattr(whole, name)) for name, figure in _WORK.items() if figure in figures]
    return all(done is not None and value <= done * (1 + 1e-9) for value, done in counted)


def _known(value: float, at: Instant) -> Known:
    return Known(value, at, value, value)


def _all(name: str, reading: Reading) -> PodSignals:
    return PodSignals(name, reading, reading, reading, reading, reading, reading, reading)
