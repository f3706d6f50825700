"""What one replica serves within the objective, learned from the endpoint's own metrics.

The unit is work: output tokens, and prompt tokens at a fraction of one each, so that a change of the requests' length
does not look like a change of the replica. Each pod-minute is one observation: how much was done, whether the objective
was kept, and whether the pod could have taken more (a queue, a full KV cache). GPU utilisation is not looked at: it is
near 100 % with a single request. While no limit has been met, the capacity is what was seen and a step beyond, no more:
so replicas are taken away in steps that each had a reason, and the first one too many shows where the limit is.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gpucost.core.clock import HOUR, MINUTE, Instant, Micros
from gpucost.core.serving.signals.model import Evidence, ReplicaCapacity, Work
from gpucost.core.serving.spec import Capacity

PROMPT_WEIGHT = 0.1
"""Work of a prompt token that is not in the prefix cache, in output tokens: prefill reads many at once."""
FULL_KV = 0.8
"""Part of the KV cache from which a server begins to put requests off."""

_STEP = math.log(1.05)
"""Width of a level: 5 %."""
_HALF_LIFE: Micros = 24 * HOUR
_MIX_HALF_LIFE: Micros = HOUR
_LEAST_WEIGHT = 3.0
"""Pod-minutes before a level is believed."""
_MOST_MISSED = 0.1
"""Share of pod-minutes beyond the objective at which a level is above the capacity."""
_BEYOND, _FAR_BEYOND = 1.25, 2.0
"""How far beyond what was seen a replica is trusted: without, and with a KV cache that is mostly empty."""
_NEGLIGIBLE = 0.01


@dataclass(frozen=True, slots=True)
class Window:
    """A pod during about a minute."""

    span: Micros
    work: Work
    kept: bool
    """Whether the objective was kept; where none is set or told, whether no request waited all the time."""
    full: bool
    """Whether it could have taken no more: requests waited throughout, or the KV cache was full."""
    kv_cache: float | None = None
    """The most that was used of it."""


@dataclass(frozen=True, slots=True)
class Level:
    """Pod-minutes at one throughput, older ones counting less."""

    kept: float = 0.0
    missed: float = 0.0
    full: float = 0.0
    kv_cache: float = 0.0
    """The most that was seen; 0 is unknown."""


@dataclass(frozen=True, slots=True)
class Learned:
    """Everything that has been learned of a replica."""

    levels: Mapping[int, Level] = field(default_factory=dict)
    at: Instant = 0
    in_tokens: bool = True
    work: float = 0.0
    """Recent work and requests: their ratio is what a request takes."""
    requests: float = 0.0


def work_of(work: Work, *, in_tokens: bool) -> float | None:
    """Work in one number: tokens, or requests."""
    if not in_tokens:
        return work.requests
    if work.generation_tokens is None:
        return None
    read = max(0.0, (work.prompt_tokens or 0.0) - (work.cache_hits or 0.0))
    return work.generation_tokens + PROMPT_WEIGHT * read


def learn(learned: Learned, windows: Iterable[Window], now: Instant) -> Learned:
    """Take in the windows that ended now."""
    windows = [one for one in windows if one.span > 0]
    if not windows:
        return learned
    windows, in_tokens = _in_one_unit(learned, windows, now)
    if in_tokens != learned.in_tokens:
        learned = Learned(in_tokens=in_tokens)  # tokens and requests are no levels of one scale
    if not windows:
        return learned
    passed = max(0, now - learned.at) if learned.at else 0
    fade, fade_mix = 0.5 ** (passed / _HALF_LIFE), 0.5 ** (passed / _MIX_HALF_LIFE)
    levels = {level: faded for level, one in learned.levels.items() if (faded := _faded(one, fade)) is not None}
    work, requests = learned.work * fade_mix, learned.requests * fade_mix
    for one in windows:
        done = work_of(one.work, in_tokens=in_tokens)
        if done is None or done <= 0:
            continue
        level = round(math.log(done * 1e6 / one.span) / _STEP)
        levels[level] = _with(levels.get(level, Level()), one)
        if one.work.requests:
            work, requests = work + done, requests + one.work.requests
    return Learned(levels, max(now, learned.at), in_tokens, work, requests)


def _in_one_unit(learned: Learned, windows: list[Window], now: Instant) -> tuple[list[Window], bool]:
    """The windows that count, and whether in tokens: as before while that is possible.

    A pod or a minute without tokens is no reason to forget what was learned in them; a day without any is.
    """
    with_tokens = [one for one in windows if one.work.generation_tokens is not None]
    if with_tokens or (learned.in_tokens and learned.levels and now - learned.at < _HALF_LIFE):
        return with_tokens, True
    return windows, False


def _faded(level: Level, fade: float) -> Level | None:
    if (level.kept + level.missed) * fade < _NEGLIGIBLE:
        return None
    return Level(level.kept * fade, level.missed * fade, level.full * fade, level.kv_cache)


def _with(level: Level, window: Window) -> Level:
    weight = window.span / MINUTE
    return Level(
        level.kept + (weight if window.kept else 0.0),
        level.missed + (0.0 if window.kept else weight),
        level.full + (weight if window.full else 0.0),
        max(level.kv_cache, window.kv_cache or 0.0),
    )


def capacity(learned: Learned, given: Capacity = Capacity()) -> ReplicaCapacity:  # noqa: B008
    """What a replica serves; what the user says counts before what was learned."""
    per_request = learned.work / learned.requests if learned.requests else None
    if given.requests_per_second is not None:
        return ReplicaCapacity(Evidence.GIVEN, float(given.requests_per_second), None, 0, 1.0)
    if given.tokens_per_second is not None:
        tokens = float(given.tokens_per_second)
        in_requests = tokens / per_request if per_request and learned.in_tokens else None
        return ReplicaCapacity(Evidence.GIVEN, in_requests, tokens, 0, 1.0)
    found = _highest(learned.levels)
    if found is None:
        return ReplicaCapacity()
    level, evidence, weight = found
    best = math.exp(level * _STEP)
    if evidence is Evidence.EXPLORED:
        best *= _beyond(learned.levels[level])
    confidence = (1 - 0.5 ** (weight / 10)) * (1.0 if evidence is Evidence.SATURATED else 0.5)
    if not learned.in_tokens:
        return ReplicaCapacity(evidence, best, None, weight, confidence)
    in_requests = best / per_request if per_request else None
    return ReplicaCapacity(evidence, in_requests, best, weight, confidence)


def _highest(levels: Mapping[int, Level]) -> tuple[int, Evidence, float] | None:
    """The highest level at which the objective is kept, what it rests on, and for how many minutes it was seen.

    Neighbouring levels count together. A slow minute with little work (a long prompt, a node in trouble) is below the
    highest level that was kept and says nothing; minutes above it that were missed, or with a queue, show the limit.
    """
    above = above_missed = above_full = 0.0
    for level in sorted(levels, reverse=True):
        near = [levels[one] for one in range(level - 2, level + 3) if one in levels]
        kept, missed = sum(one.kept for one in near), sum(one.missed for one in near)
        here = levels[level]
        above, above_missed, above_full = above + here.kept, above_missed + here.missed, above_full + here.full
        if above >= _LEAST_WEIGHT and missed <= _MOST_MISSED * (kept + missed):
            met = above_missed >= 1 or above_full >= 1
            return level, Evidence.SATURATED if met else Evidence.EXPLORED, sum(one.kept for one in near)
    if above + above_missed < _LEAST_WEIGHT:
        return None
    return _never_kept(levels)


def _never_kept(levels: Mapping[int, Level]) -> tuple[int, Evidence, float] | None:
    """The objective was kept at no level: then what was served most is all that there is to go by."""
    seen = 0.0
    for level in sorted(levels, reverse=True):
        seen += levels[level].kept + levels[level].missed
        if seen >= _LEAST_WEIGHT:
            return level, Evidence.SATURATED, 0.0
    return None


def _beyond(level: Level) -> float:
    if not level.kv_cache:
        return _BEYOND
    return min(max(FULL_KV / level.kv_cache, 1.0), _FAR_BEYOND)


# --- over a restart ---------------------------------------------------------------------------------------------------


def stored(learned: Learned) -> dict[str, Any]:
    """What was learned as plain values."""
    levels = [
        [level, round(one.kept, 3), round(one.missed, 3), round(one.full, 3), round(one.kv_cache, 3)]
        for level, one in sorted(learned.levels.items())
    ]
    return {
        "levels": levels,
        "at": learned.at,
        "inTokens": learned.in_tokens,
        "work": _short(learned.work),
        "requests": _short(learned.requests),
    }


def _short(value: float) -> float:
    """Six digits, however small it has become: their ratio counts, also after a weekend without requests."""
    return float(f"{value:.6g}")


def restored(document: Mapping[str, Any]) -> Learned:
    """What was stored; nothing learned where the document has another form."""
    try:
        levels = {int(one[0]): Level(*(float(value) for value in one[1:5])) for one in document["levels"]}
        return Learned(
            levels,
            int(document["at"]),
            bool(document["inTokens"]),
            float(document["work"]),
            float(document["requests"]),
        )
    except (KeyError, TypeError, ValueError, IndexError):
        return Learned()
