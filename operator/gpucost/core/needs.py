"""What pods count for where they use more CPU or memory than they requested.

A pod is paid for max(request, use), so use below the request is no news. What exceeds it is condensed to one mean per
pod and five minutes, as GPU activity is, and written only when it changes what the pod counts for noticeably.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from gpucost.core.clock import SECOND, Instant, Micros, floor_to
from gpucost.core.model import NeedFact, Pod, Resources
from gpucost.core.sampling import SPAN
from gpucost.core.usage import Labels, PodName, Sample, pod_of

CPU = "cpu"
MEMORY = "memory"
SINCE = "gpucost_since"
"""Label of series that name no UID: since when, in seconds since the epoch, they have been measured."""

_MOST_CORES = 10_000.0
_MOST_BYTES = 2.0**50
_SAME = 0.05
"""A need that moved by less, relative to what is written, is not worth a fact."""
_CPU_STEP = 50
"""Millicores: smaller changes are noise, however small the request."""
_MEMORY_STEP = 64 * 1024 * 1024


class Use(NamedTuple):
    """Mean use of a pod over the sampling window; None is unknown, and counts as the request."""

    cpu_milli: float | None = None
    memory: float | None = None


NO_USE = Use()


@dataclass(slots=True)
class _Span:
    """What one pod has used since the start of its span."""

    start: Instant
    cpu: float
    memory: float
    weight: Micros


@dataclass(slots=True)
class NeedKeeper:
    """Turns use into `NeedFact`s; `most` bounds how many one tick may write, the largest changes first."""

    most: int = 1000
    postponed: int = 0
    """Changes that had to wait for a later tick, so far."""
    _spans: dict[str, _Span] = field(default_factory=dict)
    _above: dict[str, tuple[Resources, Resources]] = field(default_factory=dict)
    """What pods reserve, and what is written that they count for, where that is more."""

    def take(
        self, uses: Mapping[str, Use], reserved: Mapping[str, tuple[Instant, Resources]], since: Instant, until: Instant
    ) -> list[NeedFact]:
        """What to write for a window `[since, until)`.

        `reserved` says of every living pod since when it is bound and what it reserves now. A pod that is missing in
        `uses` counts for that.
        """
        news: list[tuple[float, NeedFact]] = []
        for uid in uses.keys() | self._above.keys() | self._spans.keys():
            known = reserved.get(uid)
            if known is None or self._is_resized(uid, known[1]):
                self._forget(uid)
                continue
            fact = self._of(uid, uses.get(uid, NO_USE), known[1], (max(since, known[0]), until))
            if fact is not None:
                news.append((_size(self._counted(uid, known[1]), fact.needs), fact))
        news.sort(key=lambda each: (-each[0], each[1].pod_uid))
        self.postponed += len(news[self.most :])
        facts = [fact for _, fact in news[: self.most]]
        for fact in facts:
            self._note(fact, reserved[fact.pod_uid][1])
        return facts

    def _is_resized(self, uid: str, request: Resources) -> bool:
        """Whoever saw a pod reserve something else has written that, which ends what was written here."""
        return uid in self._above and self._above[uid][0] != request

    def _of(self, uid: str, use: Use, request: Resources, window: tuple[Instant, Instant]) -> NeedFact | None:
        """The fact of one pod, None when it goes on counting for the same."""
        since, until = window
        cpu = request.cpu_milli if use.cpu_milli is None else use.cpu_milli
        memory = request.memory if use.memory is None else use.memory
        span = self._spans.get(uid)
        if span is not None and floor_to(span.start, SPAN) != floor_to(since, SPAN):
            span = None
        if span is None and uid not in self._above and cpu <= request.cpu_milli and memory <= request.memory:
            self._spans.pop(uid, None)  # the rule: nothing to remember of a pod that keeps to its request
            return None
        span = self._spans[uid] = _longer(span or _Span(since, 0.0, 0.0, 0), cpu, memory, max(until - since, 1))
        needs = replace(
            request,
            cpu_milli=max(request.cpu_milli, math.ceil(span.cpu)),
            memory=max(request.memory, math.ceil(span.memory)),
        )
        return NeedFact(uid, span.start, needs) if _differ(self._counted(uid, request), needs, request) else None

    def _counted(self, uid: str, request: Resources) -> Resources:
        return self._above[uid][1] if uid in self._above else request

    def _note(self, fact: NeedFact, request: Resources) -> None:
        if fact.needs == request:
            self._above.pop(fact.pod_uid, None)
        else:
            self._above[fact.pod_uid] = (request, fact.needs)

    def _forget(self, uid: str) -> None:
        self._above.pop(uid, None)
        self._spans.pop(uid, None)


def _differ(counted: Resources, needs: Resources, request: Resources) -> bool:
    """Whether a change is worth a fact; the way back to the request always is."""
    if needs == request:
        return counted != needs
    return _moved(counted.cpu_milli, needs.cpu_milli, _CPU_STEP) or _moved(counted.memory, needs.memory, _MEMORY_STEP)


def _longer(span: _Span, cpu: float, memory: float, weight: Micros) -> _Span:
    total = span.weight + weight
    return _Span(
        span.start,
        (span.cpu * span.weight + cpu * weight) / total,
        (span.memory * span.weight + memory * weight) / total,
        total,
    )


def _moved(before: int, after: int, step: int) -> bool:
    return abs(after - before) > max(step, _SAME * before)


def _size(before: Resources, after: Resources) -> float:
    """How much a change matters: in relation to what the pod counted for."""
    return max(
        abs(after.cpu_milli - before.cpu_milli) / max(before.cpu_milli, 1000),
        abs(after.memory - before.memory) / max(before.memory, 2**30),
    )


def uses(
    series: Mapping[str, Iterable[Sample]], pods: Iterable[Pod]
) -> tuple[dict[str, Use], Counter[tuple[str, str]]]:
    """Use by pod UID from series of `CPU` (cores) and `MEMORY` (bytes), one for each pod; and what was dropped.

    A series that names a UID belongs to that pod only; one that does not belongs to the living pod of its name.
    """
    living = [pod for pod in pods if pod.bound is not None and pod.ended is None]
    names = {(pod.namespace, pod.name): pod for pod in living}
    uids = {pod.uid for pod in living}
    dropped: Counter[tuple[str, str]] = Counter()
    cpu = _by_pod(CPU, _MOST_CORES, series.get(CPU, ()), (names, uids), dropped)
    memory = _by_pod(MEMORY, _MOST_BYTES, series.get(MEMORY, ()), (names, uids), dropped)
    found = {uid: Use(_milli(cpu.get(uid)), memory.get(uid)) for uid in cpu.keys() | memory.keys()}
    return found, dropped


def _milli(cores: float | None) -> float | None:
    return None if cores is None else cores * 1000


def _by_pod(
    metric: str,
    most: float,
    series: Iterable[Sample],
    known: tuple[Mapping[PodName, Pod], set[str]],
    dropped: Counter[tuple[str, str]],
) -> dict[str, float]:
    found: dict[str, float] = {}
    for labels, value in series:
        uid = _uid(labels, *known)
        if uid is None:
            continue
        reason = _absurd(value, most)
        if reason is not None:
            dropped[metric, reason] += 1
        elif value >= found.get(uid, 0.0):
            found[uid] = value
    return found


def _absurd(value: float, most: float) -> str | None:
    if 0.0 <= value <= most:
        return None
    if not math.isfinite(value):
        return "not a number"
    return "negative" if value < 0 else "out of range"


def _uid(labels: Labels, names: Mapping[PodName, Pod], living: set[str]) -> str | None:
    if told := labels.get("uid") or labels.get("pod_uid"):
        told = told.replace("_", "-")
        return told if told in living else None
    name = pod_of(labels)
    pod = names.get(name) if name is not None else None
    if pod is None or (SINCE in labels and int(labels[SINCE]) * SECOND < (pod.bound or 0)):
        return None  # what was measured before a pod was bound is about an earlier one of its name
    return pod.uid
