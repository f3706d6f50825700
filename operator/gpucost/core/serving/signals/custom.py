"""Figures that a user's own queries give: one series for each pod, or a single one for the endpoint.

What several series without a pod mean is not ours to guess, and thousands of them are a mistake of the query: both are
told with what was found, and the replicas stay as they are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from gpucost.core.clock import SECOND, Instant
from gpucost.core.serving.signals.counting import STALE
from gpucost.core.serving.signals.looking import Memory, OpenWindow, longer, summed
from gpucost.core.serving.signals.model import (
    FIGURES,
    Asked,
    Availability,
    Known,
    PodSignals,
    Reading,
    Signals,
    Unusable,
    Work,
    value_of,
)
from gpucost.core.serving.signals.presets import CUSTOM
from gpucost.core.usage import Sample

MOST_SERIES = 1000
"""Of one query; a target has no more pods than that."""

Answers = Mapping[str, Sequence[Sample] | Unusable]
"""By the query's name in `spec.metrics.queries`."""


def look(memory: Memory, asked: Asked, answers: Answers, at: Instant) -> tuple[Memory, Signals]:
    """What the answers to an endpoint's own queries mean. Rates are the engine's, and of now."""
    by_pod: dict[str, dict[str, Any]] = {}
    whole: dict[str, Reading] = {}
    problem, crowded = "", False
    for name, answer in answers.items():
        figure = CUSTOM[name]
        if isinstance(answer, Unusable):
            whole[figure] = answer
            problem = problem or f"spec.metrics.queries.{name}: {answer.reason}"
        elif len(answer) > MOST_SERIES:
            whole[figure] = Unusable(f"more than {MOST_SERIES} series")
            crowded = True
            found = f"more than {MOST_SERIES} series, such as {_shown(answer[0])}"
            problem = f"spec.metrics.queries.{name}: {found}; sum by (pod)"
        elif odd := _read(asked, figure, answer, at, by_pod=by_pod, whole=whole):
            whole[figure] = Unusable(odd)
            problem = problem or f"spec.metrics.queries.{name}: {odd}"
    pods = {ref.uid: replace(PodSignals(ref.name), **by_pod[ref.uid]) for ref in asked.pods if ref.uid in by_pod}
    signals = summed(memory, asked, pods, whole, at)
    if problem and not signals.availability.available:
        kind = Availability.TOO_MANY if crowded else signals.availability
        signals = replace(signals, availability=kind, message=problem, frozen=problem)
    elif problem:
        signals = replace(signals, message=problem)
    windows = _windows(memory, asked, signals, whole, at)
    signals = replace(signals, since=memory.at, **_done(memory, asked, signals, at))
    return replace(memory, at=at, windows=windows, unknown_since=signals.unknown_since), signals


def _done(memory: Memory, asked: Asked, signals: Signals, at: Instant) -> dict[str, Any]:
    """What was done since the last look: rates times time, which is right on average, as rates are."""
    span = at - memory.at if memory.at is not None else 0
    requests = value_of(getattr(signals, _served(asked)))
    if not 0 < span <= STALE or not signals.availability.available or requests is None:
        return {}
    seconds, ready = span / SECOND, (ref.uid for ref in asked.pods if ref.ready_since is not None)
    prompt, tokens = value_of(signals.prompt_tokens), value_of(signals.generation_tokens)
    work = Work(requests * seconds, _times(prompt, seconds), _times(tokens, seconds))
    return {"work": work, "is_partial": bool(signals.silent), "as_one": tuple(ready)}


def _served(asked: Asked) -> str:
    return "served" if "servedPerSecond" in asked.spec.metrics.queries else "arrived"


def _windows(
    memory: Memory, asked: Asked, signals: Signals, whole: Mapping[str, Reading], at: Instant
) -> Mapping[str, OpenWindow]:
    """What pods have done since the last look, by their rates; where those come for the endpoint, a mean pod's part."""
    span = at - memory.at if memory.at is not None else 0
    if not 0 < span <= STALE or not signals.availability.available:
        return memory.windows
    served = _served(asked)
    windows, pods = dict(memory.windows), signals.pods
    if served in whole:
        ready = sum(ref.ready_since is not None for ref in asked.pods)
        pods = {"": _mean_pod(whole, ready)} if ready else {}
    for uid, pod in pods.items():
        requests, tokens = value_of(getattr(pod, served)), value_of(pod.generation_tokens)
        prompt, seconds = value_of(pod.prompt_tokens), span / SECOND
        if requests is not None:
            done = Work(requests * seconds, _times(prompt, seconds), _times(tokens, seconds))
            windows[uid] = longer(windows.get(uid, OpenWindow()), span, done, pod)
    return windows


def _mean_pod(whole: Mapping[str, Reading], count: int) -> PodSignals:
    shares: dict[str, Any] = {
        name: one if name == "kv_cache" or not isinstance(one, Known) else _reading(name, one.value / count, one.at)
        for name, one in whole.items()
    }
    return replace(PodSignals("mean"), **shares)


def _times(rate: float | None, seconds: float) -> float | None:
    return rate * seconds if rate is not None else None


def _read(
    asked: Asked,
    figure: str,
    series: Sequence[Sample],
    at: Instant,
    *,
    by_pod: dict[str, dict[str, Any]],
    whole: dict[str, Reading],
) -> str:
    """Give the series to pods, or to the endpoint; what is wrong with them, if something is."""
    assert figure in FIGURES
    metrics = asked.spec.metrics
    if len(series) == 1 and metrics.pod_label not in series[0].labels:
        whole[figure] = _reading(figure, series[0].value, at)
        return ""
    foreign, uids = None, {ref.name: ref.uid for ref in asked.pods}
    for labels, value in series:
        namespace, uid = (
            labels.get(metrics.namespace_label, asked.namespace),
            uids.get(labels.get(metrics.pod_label, "")),
        )
        if namespace != asked.namespace or uid is None:
            foreign = foreign or labels
            continue
        known = by_pod.setdefault(uid, {})
        if figure in known:
            return f"several series of one pod, such as {_shown(Sample(labels, value))}; sum by (pod)"
        known[figure] = _reading(figure, value, at)
    if foreign is not None and not any(figure in one for one in by_pod.values()):
        return (
            f"{len(series)} series, none of a pod of the target by its label {metrics.pod_label!r}, such as "
            + _shown(Sample(foreign, 0.0))
        )
    return ""


def _reading(figure: str, value: float, at: Instant) -> Reading:
    most = 1.0 if figure == "kv_cache" else math.inf
    if not math.isfinite(value) or not 0 <= value <= most * 1.0001:
        return Unusable(f"{figure} reads {value:g}")
    return Known(value, at, value, value)


def _shown(series: Sample) -> str:
    labels = ", ".join(f'{name}="{value}"' for name, value in sorted(series.labels.items()) if name != "__name__")
    return f"{series.labels.get('__name__', '')}{{{labels[:150]}}}"
