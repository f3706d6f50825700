"""The changeover of a run: from asking for nodes to the first new progress, and the work lost with the nodes before.

Measured for each run from its own stays, because it decides what a move is worth: a run that restores terabytes is not
moved for the price difference of an hour. A few samples say little, so each part begins with a prior and outliers are
pulled in (a node that came after an hour is waiting, not changing over).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from gpucost.core.clock import MINUTE, SECOND, Instant, Micros
from gpucost.core.model import CapacityType
from gpucost.core.training.auto.stays import Stay
from gpucost.core.training.auto.work import RESTORING, lost_span
from gpucost.core.training.progress import Progress

SCHEDULING, STARTING = 90 * SECOND, MINUTE
"""Priors, and RESTORING: a node is bought and boots, the image is pulled, the program starts and reads a checkpoint."""
_PRIOR_WEIGHT = 1
_OUTLIER = 3
_WAITING: Micros = 10 * MINUTE
"""Nodes of spot that come later than that were waited for."""
_RECENT = 12
"""Stays that are looked at: images and checkpoints change over the months."""


@dataclass(frozen=True, slots=True)
class Changeover:
    """Its parts, as expected of the next one."""

    scheduling: Micros = SCHEDULING
    """From the creation of the pods until all of them have a node."""
    starting: Micros = STARTING
    """From there until all containers run: the image, mostly."""
    restoring: Micros = RESTORING
    """From there to the first report."""
    lost: Micros = 5 * MINUTE
    """Work since the last checkpoint."""
    samples: int = 0
    """Stays that it was measured on; 0: nothing is known but what is usual."""
    worst: Micros = 0
    """The longest that was seen, outliers pulled in."""

    @property
    def start(self) -> Micros:
        """Without the work that is lost."""
        return self.scheduling + self.starting + self.restoring

    @property
    def total(self) -> Micros:
        """All of it."""
        return self.start + self.lost

    @property
    def safe(self) -> Micros:
        """What a deadline should be guarded with."""
        return max(self.total, self.worst)


def measured(
    stays: Sequence[Stay], progress: Progress, *, interval: Micros, saves_every: Micros | None = None
) -> Changeover:
    """The changeover of a run; `interval` is the time between its checkpoints, of which half is lost on the average."""
    recent = [stay for stay in stays[-_RECENT:] if stay.bound is not None]
    scheduling = [stay.bound - stay.start for stay in recent if stay.bound is not None and not _waited(stay)]
    starting = [stay.running - stay.bound for stay in recent if stay.running is not None and stay.bound is not None]
    restoring = [first - stay.running for stay in recent if (first := _first(stay, progress)) and stay.running]
    spans = [lost_span(stay, progress, saves_every) for stay in recent]
    lost = [span[1] - span[0] for span in spans if span is not None]
    parts = (
        _robust(scheduling, SCHEDULING),
        _robust(starting, STARTING),
        _robust(restoring, RESTORING),
        _robust(lost, interval // 2),
    )
    worst = sum(
        max(_pulled_in(samples), default=mean)
        for samples, mean in zip((scheduling, starting, restoring, lost), parts, strict=True)
    )
    return Changeover(*parts, samples=len(recent), worst=worst)


def _waited(stay: Stay) -> bool:
    """Whether its nodes came late for want of spot, which tells nothing of how long nodes take otherwise."""
    return stay.capacity is CapacityType.SPOT and stay.bound is not None and stay.bound - stay.start > _WAITING


def _first(stay: Stay, progress: Progress) -> Instant | None:
    """The first report of a stay; of those that are kept, when it was not noted in time."""
    if stay.running is None or stay.reported is not None:
        return stay.reported
    index = bisect_left(progress.reports, stay.running, key=lambda one: one.at)
    if index == len(progress.reports):
        return None
    at = progress.reports[index].at
    return at if stay.ended is None or at <= stay.ended else None


def _pulled_in(samples: Iterable[Micros]) -> list[Micros]:
    """Samples no further from their median than the factor of an outlier."""
    known = [max(0, one) for one in samples]
    if not known:
        return []
    middle = max(SECOND, round(median(known)))
    return [min(max(one, middle // _OUTLIER), middle * _OUTLIER) for one in known]


def _robust(samples: Sequence[Micros], prior: Micros) -> Micros:
    """The mean of the samples, outliers pulled in, with the prior counting as one more."""
    known = _pulled_in(samples)
    return (sum(known) + _PRIOR_WEIGHT * prior) // (len(known) + _PRIOR_WEIGHT)
