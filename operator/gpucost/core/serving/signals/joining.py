"""From the series of one bulk answer to what each pod of each target says: by name, version of the names, and model.

Nothing is judged here but whether a series is about the pod at all. Pods' names are used again by StatefulSets, so a
sample scraped before the pod's containers started is of its predecessor.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from gpucost.core.clock import SECOND, Instant
from gpucost.core.serving.signals.model import Asked, PodRef
from gpucost.core.serving.signals.presets import FIGURE_OF, PRESETS, Preset
from gpucost.core.serving.spec import Runtime
from gpucost.core.usage import Sample

NAME = "gpucost_name"
"""Label that our queries add: the name of the metric, which functions and `without` take away."""
PART = "gpucost_part"
"""Label that our queries add: which part of the answer a series belongs to."""
SUMS, PEAKS, STAMPS, NOW, BUCKETS = "sum", "max", "stamp", "now", "bucket"

MOST_LETTERS = 253
"""Of a tenant: names are kept for each hour, and a label may be of any length."""
MOST_SERIES = 64
"""Of one pod and metric: models multiply them. More means that a label explodes."""
MOST_BY_TENANT = 1000
"""The same where tenants are told apart."""


@dataclass(frozen=True, slots=True)
class Group:
    """Endpoints whose series have the same form, so that they are asked together."""

    runtime: Runtime
    namespace_label: str = "namespace"
    pod_label: str = "pod"
    tenant_label: str = ""

    @property
    def preset(self) -> Preset:
        """Names of the metrics."""
        return PRESETS[self.runtime]

    @property
    def most_series(self) -> int:
        """Of one pod and metric."""
        return MOST_BY_TENANT if self.tenant_label else MOST_SERIES

    @staticmethod
    def of(asked: Asked) -> Group:
        """The group of an endpoint with a preset."""
        metrics = asked.spec.metrics
        return Group(asked.spec.runtime, metrics.namespace_label, metrics.pod_label, metrics.tenant_label)


Figures = dict[str, tuple[str, float]]
"""By figure: the metric that told it, and its value. Counters of two names are not compared."""
Series = tuple[str, str, str, float]
"""Metric, model, tenant, value."""


@dataclass(slots=True)
class PodAnswer:
    """The series of one pod."""

    stamp: float | None = None
    """When it was scraped, in seconds of the engine's clock."""
    series: list[Series] = field(default_factory=list)
    buckets: list[tuple[str, str, float, float]] = field(default_factory=list)
    """Histogram, model, upper bound in seconds, count."""


@dataclass(slots=True)
class Answer:
    """A bulk answer, by namespace and pod."""

    now: float | None = None
    """The engine's clock, in seconds."""
    pods: dict[tuple[str, str], PodAnswer] = field(default_factory=dict)
    unnamed: int = 0
    """Series that have no pod under the label asked for."""


def read(group: Group, samples: Iterable[Sample]) -> Answer:
    """Sort the series of one group's answer."""
    answer, preset = Answer(), group.preset
    namespace, pod, model, tenant = group.namespace_label, group.pod_label, preset.model_label, group.tenant_label
    scales = {
        f"{name}_bucket": preset.bound_scale.get(name, 1.0) for those in preset.histograms.values() for name in those
    }
    pods = answer.pods
    for labels, value in samples:
        get, part = labels.get, labels.get(PART)
        if part == NOW:
            answer.now = value
            continue
        key = (get(namespace) or "", get(pod) or "")
        if not key[0] or not key[1]:
            answer.unnamed += 1
            continue
        one = pods.get(key)
        if one is None:
            one = pods[key] = PodAnswer()
        if part == STAMPS:
            one.stamp = value if one.stamp is None else max(one.stamp, value)
        elif part == BUCKETS:
            metric, bound = get(NAME) or "", bound_of(get("le"))
            if metric in scales and bound is not None:
                one.buckets.append((metric, get(model) or "", bound * scales[metric], value))
        else:
            who = (get(tenant) or "")[:MOST_LETTERS] if tenant else ""
            one.series.append((get(NAME) or "", get(model) or "", who, value))
    return answer


def bound_of(text: str | None) -> float | None:
    """The bound of a bucket as servers write it; None where it is no number."""
    try:
        bound = float(text or "")
    except ValueError:
        return None
    return None if math.isnan(bound) else bound


@dataclass(frozen=True, slots=True)
class PodLook:
    """What one pod said at its last scrape."""

    at: Instant
    """By our clock, for ages."""
    stamp: Instant
    """By the engine's clock, for differences: it is the same at every look at one scrape."""
    figures: Figures = field(default_factory=dict)
    tenants: Mapping[str, Figures] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Found:
    """What a bulk answer holds about one endpoint."""

    looks: Mapping[str, PodLook]
    """By UID."""
    crowded: int = 0
    """Series of the pod that has most, where those are too many."""
    other_models: tuple[str, ...] = ()
    """Models that the target's pods serve, where the one asked for is not among them."""
    unnamed: int = 0


def find(asked: Asked, answer: Answer, at: Instant) -> Found:
    """The figures of each pod of an endpoint; `at` is our time of the answer.

    Ages come from the engine's clock, on which samples are stamped, and are set against ours: the two may differ.
    """
    group = Group.of(asked)
    names, wanted = FIGURE_OF[group.runtime], asked.spec.metrics.model_name
    models: Counter[str] = Counter()
    looks: dict[str, PodLook] = {}
    most = 0.0
    for ref in asked.pods:
        one = answer.pods.get((asked.namespace, ref.name))
        if one is None or not one.series:
            continue
        if len(one.series) > group.most_series:
            most = max(most, len(one.series) / len({name for name, *_ in one.series}))
        series = one.series
        if wanted:
            models.update(model for _, model, _, _ in series if model)
            series = [each for each in series if each[1] == wanted]
        scraped = _scraped(one, answer, at)
        if series and not _is_earlier(ref, scraped):
            stamp = scraped if one.stamp is None else round(one.stamp * SECOND)
            looks[ref.uid] = PodLook(scraped, stamp, *_figures(names, series, by_tenant=bool(group.tenant_label)))
    crowded = math.ceil(most) if most > group.most_series else 0
    others = tuple(name for name, _ in models.most_common(3)) if wanted and models and wanted not in models else ()
    return Found({} if crowded else looks, crowded, others, answer.unnamed)


def _scraped(one: PodAnswer, answer: Answer, at: Instant) -> Instant:
    if one.stamp is None or answer.now is None:
        return at
    return at - max(0, round((answer.now - one.stamp) * SECOND))


def _is_earlier(ref: PodRef, scraped: Instant) -> bool:
    return ref.started is not None and scraped < ref.started - SECOND  # starts are told in whole seconds


def _figures(
    names: Mapping[str, tuple[str, int, float]], series: list[Series], *, by_tenant: bool
) -> tuple[Figures, dict[str, Figures]]:
    """Sums over models and tenants, each figure under the best of its names."""
    best: dict[str, tuple[int, str]] = {}
    for metric, _, _, _ in series:
        if (known := names.get(metric)) is not None and (known[0] not in best or known[1] < best[known[0]][0]):
            best[known[0]] = (known[1], metric)
    whole: Figures = {}
    tenants: dict[str, Figures] = {}
    for metric, _, tenant, value in series:
        known = names.get(metric)
        if known is None or best[known[0]][1] != metric:
            continue
        figure, _, scale = known
        _add(whole, figure, metric, value * scale)
        if by_tenant and tenant:
            _add(tenants.setdefault(tenant, {}), figure, metric, value * scale)
    return whole, tenants


def _add(figures: Figures, figure: str, metric: str, value: float) -> None:
    before = figures.get(figure)
    if before is None:
        figures[figure] = (metric, value)
    else:
        figures[figure] = (metric, max(before[1], value) if figure == "kv_cache" else before[1] + value)


def buckets_of(asked: Asked, answer: Answer) -> dict[str, dict[str, dict[float, float]]]:
    """By pod and by objective (first token, between tokens): counts up to each bound, in seconds."""
    preset, wanted = Group.of(asked).preset, asked.spec.metrics.model_name
    found: dict[str, dict[str, dict[float, float]]] = {}
    for ref in asked.pods:
        one = answer.pods.get((asked.namespace, ref.name))
        for objective, names in preset.histograms.items() if one is not None else ():
            assert one is not None
            for name in names:
                counts: dict[float, float] = {}
                for metric, model, bound, value in one.buckets:
                    if metric == f"{name}_bucket" and (not wanted or model == wanted) and math.isfinite(value):
                        counts[bound] = counts.get(bound, 0.0) + value
                if counts:
                    found.setdefault(ref.uid, {})[objective] = counts
                    break
    return found
