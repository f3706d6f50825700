"""From what pods say to what the endpoint says: sums that a silent pod cannot turn into less load, and when to freeze.

One pod that does not answer must not keep an endpoint from being scaled, and must not look like a pod without requests
either. So a sum counts silent pods as the mean of the others, says between which bounds it is, and beyond a fifth of
silent pods nobody lowers anything.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from gpucost.core.clock import MINUTE, Instant, Micros
from gpucost.core.serving.signals.model import (
    FIGURES,
    Availability,
    CounterReset,
    FirstLook,
    Known,
    NoSeries,
    PodRef,
    PodSignals,
    Reading,
    Stale,
    Unread,
    Unusable,
)

YOUNG: Micros = MINUTE
"""For so long after it became ready a pod need not have been scraped."""
_SILENT_SHARE = 0.2
_KINDS: Mapping[type, Availability] = {
    Stale: Availability.STALE,
    CounterReset: Availability.RESET,
    FirstLook: Availability.LEARNING,
    Unusable: Availability.MISSING,
    NoSeries: Availability.MISSING,
}
"""Of several kinds of ignorance the first one is told."""


def expected(refs: Sequence[PodRef], pods: Mapping[str, PodSignals], at: Instant) -> list[PodRef]:
    """Pods that should speak: ready for a while, or speaking already."""
    return [ref for ref in refs if _is_grown(ref, at) or _speaks(pods.get(ref.uid))]


def _is_grown(ref: PodRef, at: Instant) -> bool:
    return ref.ready_since is not None and at - ref.ready_since >= YOUNG


def _speaks(pod: PodSignals | None) -> bool:
    return pod is not None and any(isinstance(getattr(pod, name), Known) for name in FIGURES)


def total(readings: Sequence[Reading], *, mean: bool = False) -> Reading:
    """A figure of the endpoint from that of each pod which should speak."""
    known = [one for one in readings if isinstance(one, Known)]
    if not known:
        return worst([one for one in readings if not isinstance(one, Known)])
    values, at = [one.value for one in known], min(one.at for one in known)
    average, silent = sum(values) / len(values), len(readings) - len(known)
    if mean:
        return Known(average, at, average, average)
    least = sum(values)
    return Known(least + silent * average, at, least, least + silent * max(values))


def worst(unread: Sequence[Unread]) -> Unread:
    """What to say of several that are not known."""
    for kind in _KINDS:
        if found := [one for one in unread if isinstance(one, kind)]:
            return min(found, key=_age)
    return NoSeries()


def _age(one: Unread) -> Micros:
    return one.age if isinstance(one, Stale) else 0


def availability_of(reading: Reading) -> Availability:
    """What a reading means for the condition."""
    return Availability.FOUND if isinstance(reading, Known) else _KINDS[type(reading)]


def too_many_silent(count: int, of: int) -> bool:
    """Whether so many pods say nothing that the sums cannot be trusted for less."""
    return count > max(1, math.floor(of * _SILENT_SHARE)) or count >= of
