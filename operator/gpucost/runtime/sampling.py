"""Measuring, once a tick: what GPUs did and what pods used since the last time, from every source there is.

Whatever cannot be known becomes unknown, and cost goes on. What is measured is condensed here and waits to be written
with the other facts.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from gpucost.core.clock import MINUTE, Instant, Micros
from gpucost.core.model import NeedFact, Pod, Resources, Unknown, UsageFact
from gpucost.core.needs import NeedKeeper, uses
from gpucost.core.sampling import Condensed, Mark, Window, condense, window
from gpucost.core.usage import Held, PodName, Sample, activity
from gpucost.runtime.metrics import Figures
from gpucost.runtime.recorder import Recorder
from gpucost.sources.exporters import ExporterSource
from gpucost.sources.metrics_server import NoMetricsServer
from gpucost.sources.promql import PrometheusError, PromQL

log = logging.getLogger(__name__)

Samples = Mapping[str, Sequence[Sample]]
Measured = UsageFact | NeedFact

_LONGEST: Micros = 10 * MINUTE


class Source(Protocol):
    """Where samples come from; `read` raises for an answer that cannot be used."""

    name: str
    last_success: Instant | None

    async def read(self, now: Instant) -> Samples:
        """Series by metric, each averaged over a window that ends now."""


@dataclass
class Sampling:
    """Asks the sources and turns their answers into facts."""

    pods: Mapping[str, Pod]
    recorder: Recorder
    figures: Figures
    now: Callable[[], Instant]
    monotonic: Callable[[], Micros]
    gpus: Sequence[Source] = ()
    """Asked for GPU series, all of them; what two say about one GPU counts once."""
    use: Sequence[Source] = ()
    """Asked for CPU and memory, one after the other until one has data."""
    window: Micros = MINUTE
    """What the first sample after a start stands for."""
    longest: Micros = _LONGEST
    on_quiet: Callable[[Mapping[str, bool | None], Window], None] = lambda _quiet, _span: None
    """Told after every pass whose GPUs did nothing."""
    on_series: Callable[[Samples, Mapping[PodName, Held], Mapping[str, float | Unknown], Window], None] | None = None
    """Given the series of GPUs after every pass that can be used, with who holds what and how active each pod was."""
    engine: PromQL | None = None
    exporters: ExporterSource | None = None
    needs: NeedKeeper = field(default_factory=NeedKeeper)
    condensed: dict[str, Condensed] = field(default_factory=dict)
    """The activity that is being condensed, by pod UID."""
    _facts: list[Measured] = field(default_factory=list)
    _last: Mark | None = None
    _begun: Instant = 0
    _told: dict[str, str] = field(default_factory=dict)
    """What was last said about each source, so that a lasting failure is logged once."""

    @property
    def last_success(self) -> Instant | None:
        """When any source last had GPU series."""
        return max((s.last_success for s in self.gpus if s.last_success is not None), default=None)

    async def close(self) -> None:
        """Close the connections to exporters."""
        if self.exporters is not None:
            await self.exporters.close()

    # --- what waits to be written -------------------------------------------------------------------------------------

    def drain(self) -> list[Measured]:
        """Everything that is to be written."""
        facts, self._facts = self._facts, []
        return facts

    def put_back(self, facts: list[Measured]) -> None:
        """Keep what could not be written for the next time."""
        self._facts = facts + self._facts

    def begin(self, open_pods: Iterable[str], needs: Iterable[NeedFact], until: Instant) -> None:
        """Nobody measured between the last stop, at `until`, and now: say so for every pod that was open.

        Pods count for what they reserve meanwhile. Call it when the recorder has written what they do reserve: what is
        measured from now on must come after that. No sample reaches back behind this, or it would hold on after it.
        """
        now = self.now()
        silent = until or now
        self._facts.extend(UsageFact(uid, silent, None) for uid in open_pods)
        counted = {need.pod_uid: need.needs for need in needs}
        for uid, (bound, request) in self._reserved().items():
            if counted.get(uid, request) != request:
                self._facts.append(NeedFact(uid, max(silent, bound), request))
        since = max(silent, now - self.window)
        self._last, self._begun = Mark(since, self.monotonic() - (now - since)), now

    # --- sampling -----------------------------------------------------------------------------------------------------

    async def sample(self) -> None:
        """Ask every source once, and conclude."""
        now = Mark(self.now(), self.monotonic())
        last = self._last or Mark(now.at - self.window, now.monotonic - self.window)
        span = window(last, now, self.longest)
        if span.fault:
            self.figures.errors["clock"] += 1
            self._tell("clock", f"{span.fault}: what was measured since the last pass is not used")
        else:
            self._told.pop("clock", None)
        if span.goes_back:
            return
        self._last = now
        await asyncio.gather(self._gpus(span), self._use(span))  # one that hangs costs its time once
        self._count()

    async def _gpus(self, span: Window) -> None:
        if not self.gpus:
            return
        answers = [await self._read(source, span.until) for source in self.gpus]
        held = self._held()
        series: Samples = {} if span.fault else merged(answers)
        found = activity(series, held)
        self.on_quiet(found.quiet, span)
        if self.on_series is not None and not span.fault:
            self.on_series(series, held, found.by_pod, span)
        self._dropped("gpu", found.dropped)
        if found.renamed:
            self._tell("labels", "GPU series name pods in exported_pod: Prometheus scrapes without honor_labels")
        for uid in self.condensed.keys() - {holder.uid for holder in held.values()}:
            del self.condensed[uid]
        for holder in held.values():
            value = found.by_pod[holder.uid]
            self._condense(holder.uid, value if isinstance(value, float) else None, span)

    def _living(self) -> Iterator[tuple[Pod, Resources]]:
        """Pods that are recorded and have not ended, with what they reserve."""
        for uid, reserved in self.recorder.reserved.items():
            pod = self.pods.get(uid)
            if pod is not None and pod.bound is not None and pod.ended is None:
                yield pod, reserved

    def _reserved(self) -> dict[str, tuple[Instant, Resources]]:
        return {pod.uid: (pod.bound or 0, reserved) for pod, reserved in self._living()}

    def _held(self) -> dict[PodName, Held]:
        """Pods that hold GPUs, and how many devices should report of each."""
        found = {}
        for pod, reserved in self._living():
            if reserved.gpus:
                units = self.recorder.holdings.units(pod)
                shared = bool(units) and reserved.gpus != units
                found[pod.namespace, pod.name] = Held(pod.uid, reserved.gpus, units, shared, pod.node_name or "")
        return found

    def _condense(self, uid: str, value: float | None, span: Window) -> None:
        start = min(max(span.since, self.pods[uid].bound or 0), span.until)
        self.condensed[uid], news = condense(self.condensed.get(uid), value, start, span.until)
        if news is not None:
            self._facts.append(UsageFact(uid, *news))

    async def _use(self, span: Window) -> None:
        for source in self.use:
            answer = await self._read(source, span.until)
            if any(answer.values()):
                break
        else:
            answer = {}
        found, dropped = uses({} if span.fault else answer, self.pods.values())
        self._dropped("pods", dropped)
        self._facts.extend(self.needs.take(found, self._reserved(), max(span.since, self._begun), span.until))

    async def _read(self, source: Source, now: Instant) -> Samples:
        """The answer of a source; nothing when it has none, which is said once."""
        answer: Samples = {}
        try:
            answer = await source.read(now)
        except (PrometheusError, NoMetricsServer) as error:
            self.figures.errors[source.name] += 1
            self._tell(source.name, f"not known from {source.name}: {error}")
        else:
            self._told.pop(source.name, None)
        self.figures.data_times[source.name] = source.last_success
        return answer

    def _tell(self, about: str, text: str) -> None:
        if self._told.get(about) != text:
            log.warning("%s", text)
        self._told[about] = text

    # --- figures ------------------------------------------------------------------------------------------------------

    def _dropped(self, source: str, counts: Mapping[tuple[str, str], int]) -> None:
        for (metric, reason), count in counts.items():
            self.figures.dropped[source, metric, reason] += count

    def _count(self) -> None:
        figures, exporters = self.figures, self.exporters
        figures.errors["needs postponed"] = self.needs.postponed
        if self.engine is not None:
            figures.queries, figures.query_samples = self.engine.queries, self.engine.samples
        if exporters is not None:
            figures.exporters = {"up": exporters.up, "down": len(exporters.down), "left out": exporters.left_out}
            figures.dropped["gpu", "", "stale"] = exporters.stale


def merged(answers: Sequence[Samples]) -> dict[str, list[Sample]]:
    """The series of several sources."""
    found: dict[str, list[Sample]] = {}
    for answer in answers:
        for metric, samples in answer.items():
            found.setdefault(metric, []).extend(samples)
    return found
