"""What an endpoint did in each hour, gathered look by look: the denominators of its unit costs.

A look tells what was done since the look before it, and what each pod was doing. Time of which nothing is told is in no
sum: what the pods cost then belongs to no token.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil

from gpucost.core.clock import HOUR, MINUTE, Instant, Micros, floor_to
from gpucost.core.serving.signals.model import WORK, Known, PodSignals, Signals, Work
from gpucost.core.timeline import Interval

OTHERS = "(others)"
"""Tenants beyond `MOST_TENANTS` of an hour."""
MOST_TENANTS = 200
LONGEST_LOOK: Micros = 10 * MINUTE
"""Between two looks that are further apart pods may have come and gone: what they say of it is not believed."""
NO_WORK = Work()
_NOBODY: Mapping[str, Interval] = {}


@dataclass(frozen=True, slots=True)
class WorkHour:
    """What is known of an hour. Times are pod-microseconds."""

    covered: Micros = 0
    """Part of the hour of which work is known; a time, not a pod-time."""
    uncertain: Micros = 0
    """Part of `covered` in which some pod's work is missing, or only known to be more."""
    busy: Micros = 0
    """Pods that worked on requests, or did not say whether they did."""
    idle: Micros = 0
    """Pods that said that they have none."""
    starting: Micros = 0
    """Pods that held their GPUs and were not ready yet."""
    work: Work = NO_WORK
    tenants: Mapping[str, Work] = field(default_factory=dict)

    def __add__(self, other: WorkHour) -> WorkHour:
        return WorkHour(
            covered=self.covered + other.covered,
            uncertain=self.uncertain + other.uncertain,
            busy=self.busy + other.busy,
            idle=self.idle + other.idle,
            starting=self.starting + other.starting,
            work=self.work + other.work,
            tenants=_merged(self.tenants, other.tenants),
        )


def look(
    signals: Signals, starting: Mapping[str, Interval] = _NOBODY, size: Fraction = Fraction(1)
) -> dict[Instant, WorkHour]:
    """What one look adds to its hours; `starting` are the times in which pods held GPUs before they were ready, by UID.

    A pod may speak before it is ready: that time is of its start, and not of its work. Of a replica that is a group of
    pods one speaks; `size` are the pods of each, whose times are all that of the one.
    """
    if signals.since is None or not 0 < signals.at - signals.since <= LONGEST_LOOK:
        return {}
    span = Interval(signals.since, signals.at)
    told = {uid: _is_idle(pod) for uid, pod in signals.pods.items() if _speaks(pod)} or _told_as_one(signals)
    found: dict[Instant, WorkHour] = {}
    for hour in range(floor_to(span.start, HOUR), span.end, HOUR):
        part = span.clip(hour, hour + HOUR)
        if part is None:
            continue
        share = Fraction(part.length, span.length)
        begun = {uid: _common(one, part) for uid, one in starting.items()}
        idle, busy = (
            sum(part.length - begun.get(uid, 0) for uid, is_idle in told.items() if is_idle is kind)
            for kind in (True, False)
        )
        is_known = signals.work is not None
        found[hour] = WorkHour(
            covered=part.length if is_known else 0,
            uncertain=part.length if is_known and signals.is_partial else 0,
            busy=int(busy * size) if is_known else 0,
            idle=int(idle * size),
            starting=int(sum(begun.values()) * size),
            work=_scaled(signals.work or NO_WORK, share),
            tenants={name: _scaled(work, share) for name, work in signals.tenants.items()},
        )
    return found


def _common(one: Interval, other: Interval) -> Micros:
    return max(0, min(one.end, other.end) - max(one.start, other.start))


def _speaks(pod: PodSignals) -> bool:
    figures = (pod.running, pod.arrived, pod.served, pod.generation_tokens)
    return any(isinstance(figure, Known) for figure in figures)


def _told_as_one(signals: Signals) -> dict[str, bool]:
    """Of pods that have one figure together: no more of them work than requests are worked on, unless some wait."""
    running, waiting = signals.running, signals.waiting
    queue = isinstance(waiting, Known) and waiting.value > 0
    busy = ceil(running.value) if isinstance(running, Known) and not queue else len(signals.as_one)
    return {uid: number >= busy for number, uid in enumerate(signals.as_one)}


def _is_idle(pod: PodSignals) -> bool:
    """Whether the pod says that nothing runs and nothing waits, at the look: over many looks that is its part of the
    time, whatever was done between two of them. One that does not say is not idle.
    """
    running, waiting = pod.running, pod.waiting
    return isinstance(running, Known) and running.value == 0 and (not isinstance(waiting, Known) or waiting.value == 0)


def _scaled(work: Work, share: Fraction) -> Work:
    if share == 1:
        return work
    part = float(share)
    return Work(*(None if (value := getattr(work, name)) is None else value * part for name in WORK))


def _merged(one: Mapping[str, Work], other: Mapping[str, Work]) -> Mapping[str, Work]:
    if not other:
        return one
    found = dict(one)
    for name in sorted(other, key=lambda name: (-(other[name].prompt_tokens or 0), name)):
        key = name if name in found or len(found) < MOST_TENANTS else OTHERS
        found[key] = found.get(key, NO_WORK) + other[name]
    return found
