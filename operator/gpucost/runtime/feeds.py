"""What the feeds of metrics (queries, logs, last words) share: whose metrics are asked for, and what is in doubt.

A feed looks only at runs whose specification names its source and whose first worker runs or has just ended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from gpucost.api.convert import training_spec
from gpucost.core.clock import MINUTE, Instant, Micros
from gpucost.core.model import Job, Key, Pod
from gpucost.core.training.doubts import Doubt
from gpucost.core.training.metric_sources import MetricSources
from gpucost.core.training.observe import rank_zero
from gpucost.runtime.world import Custom, World

ENDED = frozenset({"Succeeded", "Failed"})
_MOST_EARLIER = 3
_WORDS_STAY: Micros = 10 * MINUTE
_NAMES = ("prometheus", "log", "terminationMessage")


@dataclass(frozen=True)
class Subject:
    """One run, and where its metrics are to be found."""

    record: Custom
    sources: MetricSources
    job: Job
    pod: Pod
    """Rank 0."""
    earlier: tuple[Pod, ...] = ()
    """Its pods before that one which have ended and still exist, the newest last."""
    is_past: bool = False
    """Whether `pod` was replaced by another one."""

    def before(self) -> tuple[Subject, ...]:
        """The same run with each of its earlier pods."""
        return tuple(replace(self, pod=pod, earlier=(), is_past=True) for pod in self.earlier)


@dataclass
class Subjects:
    """The runs that name a source beside their own messages; specifications are read once for each generation."""

    world: World
    _read: dict[str, tuple[int, MetricSources | None]] = field(default_factory=dict)

    def all(self) -> Iterator[Subject]:
        """Runs with a first worker."""
        for uid in self._read.keys() - self.world.trainingjob_uids:
            del self._read[uid]
        for record in list(self.world.trainingjobs.values()):
            if record.deleting or (sources := self._sources(record)) is None:
                continue
            job = self.world.job_of(record)
            pods = rank_zero(job, self.world.pods_of(job)) if job is not None else ()
            if job is not None and pods:
                ended = [pod for pod in pods[:-1] if pod.phase in ENDED]
                yield Subject(record, sources, job, pods[-1], tuple(ended[-_MOST_EARLIER:]))

    def _sources(self, record: Custom) -> MetricSources | None:
        metrics = record.spec.get("metrics")
        if not isinstance(metrics, Mapping) or not any(metrics.get(name) for name in _NAMES):
            return None
        known = self._read.get(record.uid)
        if known is None or known[0] != record.generation:
            spec = training_spec(record.body).value
            known = self._read[record.uid] = (record.generation, spec.metrics if spec is not None else None)
        return known[1]


@dataclass
class DoubtBoard:
    """What every feed doubts now, by run and source; a change of it marks the run."""

    world: World
    now: Callable[[], Instant]
    mark: Callable[[Key], None]
    _doubts: dict[tuple[str, str], tuple[Doubt, ...]] = field(default_factory=dict)
    _worded: dict[tuple[str, str], tuple[int, Instant]] = field(default_factory=dict)
    """Of which generation, and when, the words of the doubts are."""

    def of(self, key: Key) -> Sequence[Doubt] | None:
        """All doubts about one run; None while no source of it has been asked."""
        record = self.world.trainingjobs.get(key)
        found = [self._doubts.get((record.uid, name)) for name in _NAMES] if record is not None else []
        asked = [one for one in found if one is not None]
        return [doubt for one in asked for doubt in one] if asked else None

    def put(self, record: Custom, source: str, doubts: Sequence[Doubt]) -> None:
        """What one source doubts of one run from now on; a doubt that is not new keeps its beginning.

        Its words stay for a while too: which series a query has, or which port was refused, is another at every look,
        and each change would be a write of the status.
        """
        place, now = (record.uid, source), self.now()
        before = self._doubts.get(place)
        begun = {(one.field, one.reason): one.since for one in before or ()}
        after = tuple(replace(one, since=begun.get((one.field, one.reason), now)) for one in doubts)
        if before == after or (before is not None and _alike(before, after) and self._says_still(record, place, now)):
            return
        self._doubts[place], self._worded[place] = after, (record.generation, now)
        self.mark(record.key)

    def _says_still(self, record: Custom, place: tuple[str, str], now: Instant) -> bool:
        generation, since = self._worded[place]
        return generation == record.generation and now - since < _WORDS_STAY

    def clear(self, asked: Sequence[Custom], source: str) -> None:
        """Forget what a source doubted of runs that are not asked about any more."""
        living = {record.uid for record in asked}
        for uid, name in list(self._doubts):
            if name == source and uid not in living:
                del self._doubts[uid, name], self._worded[uid, name]


def _alike(before: Sequence[Doubt], after: Sequence[Doubt]) -> bool:
    """Whether the same is doubted for the same reasons, in whatever words."""
    return [(one.field, one.reason) for one in before] == [(one.field, one.reason) for one in after]
