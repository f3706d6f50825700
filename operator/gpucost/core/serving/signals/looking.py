"""One look at one endpoint: what its pods say, compared with the look before, becomes `Signals`.

Two things go at their own pace. Load is looked at every few seconds; latency histograms, which have a series for every
bucket, every minute, and with them ends the pod-minute from which capacity is learned.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from gpucost.core.clock import SECOND, Instant, Micros
from gpucost.core.serving.signals import totals
from gpucost.core.serving.signals.attainment import KEPT, Buckets, Span, attained, grown, in_time, limits_of, together
from gpucost.core.serving.signals.capacity import FULL_KV, Learned, Window, capacity, learn
from gpucost.core.serving.signals.counting import PodCount, PodMemory, count
from gpucost.core.serving.signals.joining import Found, Group
from gpucost.core.serving.signals.model import (
    FIGURES,
    Asked,
    Availability,
    InTime,
    Known,
    PodRef,
    PodSignals,
    Reading,
    Signals,
    Stale,
    Work,
    value_of,
)
from gpucost.core.serving.signals.presets import REQUIRED
from gpucost.core.serving.spec import Runtime

_MEANS = frozenset({"kv_cache"})
_P95 = 0.95
"""`ttftP95` and `itlP95`: the share of a pod-minute's events that must be within the limit."""
_QUEUE = 1.0
"""So many requests that wait throughout a minute show that a pod takes no more."""


@dataclass(frozen=True, slots=True)
class OpenWindow:
    """A pod-minute that goes on."""

    span: Micros = 0
    work: Work = field(default_factory=Work)
    least_waiting: float | None = None
    most_kv: float | None = None

    @property
    def full(self) -> bool:
        """Whether the pod could have taken no more."""
        return (self.least_waiting or 0.0) >= _QUEUE or (self.most_kv or 0.0) >= FULL_KV


@dataclass(frozen=True, slots=True)
class Memory:
    """What is remembered of an endpoint from look to look; only `learned` is worth keeping over a restart."""

    at: Instant | None = None
    about: tuple[Group, str] | None = None
    """Which series were looked at: the group, and the name of the model. Counters of others are no earlier ones."""
    pods: Mapping[str, PodMemory] = field(default_factory=dict)
    unknown_since: Instant | None = None
    windows: Mapping[str, OpenWindow] = field(default_factory=dict)
    buckets: Mapping[str, Mapping[str, Buckets]] = field(default_factory=dict)
    """By pod and objective, as of the last minute."""
    buckets_at: Instant | None = None
    spans: tuple[Span, ...] = ()
    learned: Learned = field(default_factory=Learned)


# --- the load ---------------------------------------------------------------------------------------------------------


def look(memory: Memory, asked: Asked, found: Found, at: Instant) -> tuple[Memory, Signals]:
    """What an answer of the engine means for an endpoint with one of the presets."""
    group = Group.of(asked)
    about = group, asked.spec.metrics.model_name
    if memory.about != about:
        memory = replace(memory, about=about, pods={}, windows={}, buckets={}, buckets_at=None)
    preset = group.preset
    counts = {
        ref.uid: count(ref, preset, found.looks.get(ref.uid), memory.pods.get(ref.uid), now=at, last=memory.at)
        for ref in asked.pods
    }
    pods = {uid: _with_fullness(one.signals) for uid, one in counts.items()}
    signals = summed(memory, asked, pods, {}, at)
    signals = _explained(signals, asked, found)
    signals = replace(signals, since=memory.at, **_work(asked, counts))
    return _remembered(memory, counts, signals, at), signals


def summed(
    memory: Memory, asked: Asked, pods: Mapping[str, PodSignals], whole: Mapping[str, Reading], at: Instant
) -> Signals:
    """Sums over pods, and what they allow; `whole` are figures that come for the endpoint as one."""
    refs = totals.expected(asked.pods, pods, at)
    figures: dict[str, Any] = {name: whole[name] if name in whole else _total(name, refs, pods) for name in FIGURES}
    needed = [(name, figures[name]) for name in REQUIRED[asked.spec.runtime]]
    worst = next(((name, one) for name, one in needed if not isinstance(one, Known)), None)
    silent = tuple(sorted(ref.name for ref in refs if not _tells(pods.get(ref.uid)) and "arrived" not in whole))
    availability = totals.availability_of(worst[1]) if worst is not None else Availability.FOUND
    message = _message(worst, refs, silent)
    frozen = "" if availability.available and not totals.too_many_silent(len(silent), len(refs)) else message
    if "arrived" in whole and availability.available:
        frozen = ""
    return Signals(
        at,
        availability,
        message,
        frozen=frozen,
        unknown_since=None if availability.available else _unknown_since(memory, asked, at),
        **figures,
        pods=pods,
        silent=silent,
        saturated=tuple(sorted(pods[ref.uid].name for ref in refs if ref.uid in pods and pods[ref.uid].saturated)),
        capacity=capacity(memory.learned, asked.spec.capacity),
        slo=attained(memory.spans),
    )


def _total(name: str, refs: list[PodRef], pods: Mapping[str, PodSignals]) -> Reading:
    readings: list[Reading] = [getattr(pods.get(ref.uid, PodSignals(ref.name)), name) for ref in refs]
    return totals.total(readings, mean=name in _MEANS)


def _tells(pod: PodSignals | None) -> bool:
    return pod is not None and isinstance(pod.arrived, Known)


def _first(before: Instant | None, at: Instant) -> Instant:
    return before if before is not None else at


def _unknown_since(memory: Memory, asked: Asked, at: Instant) -> Instant:
    """Without a pod there is no load to be known: unknown time begins when there is one."""
    return _first(memory.unknown_since if asked.pods else None, at)


def _message(worst: tuple[str, Reading] | None, refs: list[PodRef], silent: tuple[str, ...]) -> str:
    if not refs:
        return "no pod of the target has been ready for long enough to say anything"
    if worst is not None:
        return f"{worst[0]}: {worst[1]}, for all of {len(refs)} pods"
    if silent:
        return f"{len(silent)} of {len(refs)} pods say nothing: {', '.join(silent[:3])}"
    return f"{len(refs)} of {len(refs)} pods are measured"


def _with_fullness(pod: PodSignals) -> PodSignals:
    full = _full(pod)
    return replace(pod, saturated=full) if full != pod.saturated else pod


def _full(pod: PodSignals) -> str:
    waiting, cache = value_of(pod.waiting), value_of(pod.kv_cache)
    if cache is not None and cache >= FULL_KV:
        return f"its KV cache is used to {cache:.0%}"
    return f"{waiting:.0f} requests wait" if waiting is not None and waiting >= _QUEUE else ""


def _explained(signals: Signals, asked: Asked, found: Found) -> Signals:
    """Say what is wrong with the series themselves, where something is."""
    if found.crowded:
        most = Group.of(asked).most_series
        message = (
            f"more than {most} series for each metric of one pod ({found.crowded}); drop the label that "
            "multiplies them when scraping, or leave spec.metrics.tenantLabel empty"
        )
        return replace(signals, availability=Availability.TOO_MANY, message=message, frozen=message)
    if found.other_models and not signals.availability.available:
        models = ", ".join(found.other_models)
        message = f"spec.metrics.modelName: no series of {asked.spec.metrics.model_name!r}; the pods serve {models}"
        return replace(signals, availability=Availability.MISSING, message=message, frozen=message)
    return signals


def _work(asked: Asked, counts: Mapping[str, PodCount]) -> dict[str, Any]:
    done, tenants = None, dict[str, Work]()
    for one in counts.values():
        if one.work is not None:
            done = one.work if done is None else done + one.work
        for name, work in one.tenants.items():
            tenants[name] = tenants.get(name, Work()) + work
    ready = {ref.uid for ref in asked.pods if ref.ready_since is not None}
    is_partial = any(one.is_partial for uid, one in counts.items() if uid in ready)
    return {"work": done, "is_partial": is_partial, "tenants": tenants}


def _remembered(memory: Memory, counts: Mapping[str, PodCount], signals: Signals, at: Instant) -> Memory:
    windows = {}
    for uid, one in counts.items():
        before, window = memory.pods.get(uid), memory.windows.get(uid, OpenWindow())
        has_news = one.memory is not None and before is not None and one.memory.look.stamp > before.look.stamp
        if has_news and one.work is not None and not one.is_partial:
            assert one.memory is not None
            assert before is not None
            window = longer(window, one.memory.look.stamp - before.look.stamp, one.work, one.signals)
        windows[uid] = window
    pods = {uid: one.memory for uid, one in counts.items() if one.memory is not None}
    return replace(memory, at=at, pods=pods, windows=windows, unknown_since=signals.unknown_since)


def longer(window: OpenWindow, span: Micros, work: Work, pod: PodSignals) -> OpenWindow:
    """A pod-minute with another look in it."""
    waiting, cache = value_of(pod.waiting), value_of(pod.kv_cache)
    if window.span:
        least = min(window.least_waiting, waiting) if window.least_waiting is not None and waiting is not None else None
        work = window.work + work
    else:
        least = waiting
    most = max((one for one in (window.most_kv, cache) if one is not None), default=None)
    return OpenWindow(window.span + span, work, least, most)


def nothing(
    memory: Memory, asked: Asked, availability: Availability, message: str, at: Instant
) -> tuple[Memory, Signals]:
    """A look that brought no answer at all: the engine was silent, or there is none."""
    since = _unknown_since(memory, asked, at)
    signals = Signals(
        at,
        availability,
        message,
        frozen=message,
        unknown_since=since,
        capacity=capacity(memory.learned, asked.spec.capacity),
        slo=attained(memory.spans),
    )
    return replace(memory, unknown_since=since), signals


def outdated(signals: Signals, age: Micros) -> Signals:
    """A look that nobody has repeated for so long: what it said is not known any more."""
    figures: dict[str, Any] = dict.fromkeys(FIGURES, Stale(age))
    message = f"the load was looked at last {age // SECOND} s ago"
    return replace(
        signals,
        availability=Availability.STALE,
        message=message,
        frozen=message,
        unknown_since=_first(signals.unknown_since, signals.at),
        pods={},
        silent=(),
        saturated=(),
        since=None,
        work=None,
        tenants={},
        **figures,
    )


# --- latencies and capacity -------------------------------------------------------------------------------------------


def end_minute(
    memory: Memory, asked: Asked, buckets: Mapping[str, Mapping[str, Buckets]] | None, at: Instant
) -> Memory:
    """Take in the histograms of all pods, and learn from the pod-minutes that end now. None: they could not be read."""
    limits = limits_of(asked.spec.slo)
    since = memory.buckets_at if memory.buckets_at is not None else at
    anew = {ref.uid for ref in asked.pods if ref.started is not None and ref.started + SECOND > since}
    seen = {
        uid: _in_time(limits, memory.buckets.get(uid, {}), those, anew=uid in anew)
        for uid, those in (buckets or {}).items()
    }
    spans = memory.spans
    if limits and buckets is not None and memory.buckets_at is not None:
        parts = {name: [one[name] for one in seen.values() if name in one] for name in limits}
        whole = {name: found for name, those in parts.items() if (found := together(those)) is not None}
        if whole:
            spans = (*spans, Span(memory.buckets_at, at, whole))
    spans = tuple(one for one in spans if one.until > at - KEPT)
    windows = [
        Window(one.span, one.work, _kept(one, seen.get(uid, {})), one.full, one.most_kv)
        for uid, one in memory.windows.items()
        if one.span and _told(memory, buckets or {}, uid) & limits.keys() <= seen.get(uid, {}).keys()
    ]
    return replace(
        memory,
        windows={},
        spans=spans,
        buckets=buckets if buckets is not None else memory.buckets,
        buckets_at=at if buckets is not None else memory.buckets_at,
        learned=learn(memory.learned, windows, at),
    )


def _told(memory: Memory, buckets: Mapping[str, Mapping[str, Buckets]], uid: str) -> set[str]:
    """Objectives of which a pod tells: a minute of which it did not, for once, teaches nothing."""
    return {*memory.buckets.get(uid, {}), *buckets.get(uid, {})}


def _in_time(
    limits: Mapping[str, float], before: Mapping[str, Buckets], now: Mapping[str, Buckets], *, anew: bool
) -> dict[str, InTime]:
    found = {}
    for name, limit in limits.items():
        events = grown(now[name], before.get(name), anew=anew) if name in now else None
        share = in_time(events, limit) if events is not None else None
        if share is not None:
            found[name] = share
    return found


def _kept(window: OpenWindow, shares: Mapping[str, InTime]) -> bool:
    """Whether the objective was kept, by what is certain; without latencies, whether requests waited all the time."""
    counted = [one for one in shares.values() if one.count > 0]
    return all(one.at_least >= _P95 for one in counted) if counted else not window.full


def has_histograms(asked: Asked) -> bool:
    """Whether latencies are asked for, and told by this server."""
    return asked.spec.runtime is not Runtime.CUSTOM and bool(limits_of(asked.spec.slo))
