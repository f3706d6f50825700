"""GPU activity of the past: means of five minutes, by the same rules as live sampling.

A recorded series names a pod by namespace and name, and a StatefulSet uses a name again and again: who bore it in five
minutes is known from the pods' times; where two did, nobody knows whose the activity was.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from gpucost.core.clock import Instant
from gpucost.core.model import PodFact, UsageFact
from gpucost.core.sampling import SPAN, Condensed, condense
from gpucost.core.timeline import Interval
from gpucost.core.usage import Held, PodName, Sample, activity


@dataclass(frozen=True, slots=True)
class Track:
    """One series: its labels, and the means of the steps that end at these instants."""

    labels: Mapping[str, str]
    means: Mapping[Instant, float]


@dataclass(frozen=True, slots=True)
class Activities:
    """Facts to write, and samples that were dropped, by reason."""

    facts: Sequence[UsageFact]
    dropped: Mapping[str, int] = field(default_factory=dict)


def activities(tracks: Mapping[str, Sequence[Track]], pods: Iterable[PodFact], span: Interval) -> Activities:
    """Activity of the pods that held GPUs in a span; `tracks` are series by metric, in steps of `SPAN`.

    What is known when the span ends is not known to hold on: it is ended there, a moment before whatever comes next may
    begin. So spans may be read in any order.
    """
    holders = [(pod, life) for pod in pods if pod.requests.gpus and (life := _life(pod).clip(*span)) is not None]
    if not any(tracks.values()):
        return Activities(())
    condensed: dict[str, Condensed] = {}
    facts: list[UsageFact] = []
    dropped: Counter[str] = Counter()
    for step in _steps(span):
        held, lives, unclear = _held(holders, step)
        found = activity(_at(tracks, step), held)
        for (_, reason), count in found.dropped.items():
            dropped[reason] += count
        for uid, life in lives.items():
            value = found.by_pod.get(uid) if uid not in unclear else None
            condensed[uid], news = condense(
                condensed.get(uid), value if isinstance(value, float) else None, life.start, life.end
            )
            if news is not None:
                facts.append(UsageFact(uid, *news))
    facts += [
        UsageFact(pod.uid, span.end - 1, None)
        for pod, life in holders
        if life.end == span.end and pod.uid in condensed and condensed[pod.uid].mean is not None
    ]
    return Activities(_once(facts), dict(dropped))


def _life(pod: PodFact) -> Interval:
    return Interval(pod.start, pod.end if pod.end is not None else 2**62)


def _steps(span: Interval) -> Iterable[Interval]:
    for start in range(span.start - span.start % SPAN, span.end, SPAN):
        step = Interval(start, start + SPAN).clip(*span)
        if step is not None:
            yield step


def _held(
    holders: Iterable[tuple[PodFact, Interval]], step: Interval
) -> tuple[dict[PodName, Held], dict[str, Interval], set[str]]:
    """Who held GPUs in a step, by name; when, by UID; and who shared a name with another."""
    held: dict[PodName, Held] = {}
    lives: dict[str, Interval] = {}
    unclear: set[str] = set()
    for pod, life in holders:
        part = life.clip(*step)
        if part is None:
            continue
        name = (pod.namespace, pod.name)
        if name in held:
            unclear |= {held[name].uid, pod.uid}
        held[name] = Held(pod.uid, pod.requests.gpus)
        lives[pod.uid] = part
    return held, lives, unclear


def _at(tracks: Mapping[str, Sequence[Track]], step: Interval) -> dict[str, list[Sample]]:
    at = step.start - step.start % SPAN + SPAN
    return {
        metric: [Sample(track.labels, track.means[at]) for track in several if at in track.means]
        for metric, several in tracks.items()
    }


def _once(facts: Iterable[UsageFact]) -> list[UsageFact]:
    """The last word on each instant: a mean that grew was said again."""
    return list({(fact.pod_uid, fact.start): fact for fact in facts}.values())
