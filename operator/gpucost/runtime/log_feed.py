"""`spec.metrics.log` and `terminationMessage`: reads the log of the first worker bit by bit, and its last words.

A log is read every so often from where it was left, some at a time, and once more when the worker has ended. Where it
was left is known after a restart too, from the newest report that came from it. What a container said before it was
restarted is read before what it says now.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from gpucost.core.clock import MINUTE, SECOND, Instant, Micros
from gpucost.core.model import ContainerEnd, Pod
from gpucost.core.training.doubts import BAD_ENDING, FORBIDDEN, LOG_REFUSED, NO_MATCH, UNREACHABLE, Doubt
from gpucost.core.training.metric_sources import LogPattern
from gpucost.core.training.observed import ending_of, merged, push_of
from gpucost.core.training.progress import LOG, TERMINATION
from gpucost.core.training.push import Push
from gpucost.kube.client import KubeClient
from gpucost.kube.errors import ApiError, Unreachable
from gpucost.runtime.feeds import ENDED, DoubtBoard, Subject, Subjects
from gpucost.runtime.metrics import Figures
from gpucost.runtime.progress import RunHistories
from gpucost.sources.run_log import Find, Log, LogRead, Place, finder, read_log

log = logging.getLogger(__name__)

MOST_READS = 64
"""Logs that are read in one pass."""
_AT_ONCE = 8
_BYTES_A_SECOND = 1024 * 1024
"""What one run may keep us reading for long; a log that grows faster is read in parts."""
_REST = 4.0
"""How many times as long as reading took in one pass the next one waits: all logs together take a fifth of a core."""
_MOST_BUSY = 3.0
"""Seconds of CPU after which a pass begins with no other log; what waited longest comes first in the next one."""
_ONE_RUN = 50
"""How many times as long as its lines took a log is left alone."""
_BEHIND: Micros = MINUTE
_ALL_LINES = 1 << 60
_FIELD, _ENDING_FIELD = "spec.metrics.log", "spec.metrics.terminationMessage"


@dataclass
class _Standing:
    """How far the log of one pod was read."""

    place: Place = field(default_factory=Place)
    container: str = ""
    due: Instant = 0
    failures: int = 0
    lives: Instant = 0
    """End of the last life of the container whose log was read to its end."""
    matched: bool = False
    done: bool = False


@dataclass
class LogFeed:
    """Reads in passes; `every` is the time between two looks at one log."""

    subjects: Subjects
    histories: RunHistories
    board: DoubtBoard
    figures: Figures
    client: KubeClient
    now: Callable[[], Instant]
    every: Micros = 15 * SECOND
    busy: float = 0.0
    """Seconds of CPU that the present pass, or the last one, took for lines."""
    _standing: dict[str, _Standing] = field(default_factory=dict)
    _finders: dict[str, Find] = field(default_factory=dict)

    async def keep(self) -> None:
        """Pass after pass; a failure of one is logged."""
        while True:
            await asyncio.sleep(self.rest())
            try:
                await self.once()
            except Exception:
                log.exception("metrics in logs: the pass failed")
                self.figures.errors["metric logs"] += 1

    def rest(self) -> float:
        """Seconds until the next pass."""
        return max(self.every / SECOND / 3, self.busy * _REST)

    async def once(self) -> None:
        """One pass."""
        self.busy = 0.0
        every = list(self.subjects.all())
        self._forget(every)
        logged = [one for one in every if one.sources.log is not None and one.pod.phase in {"Running", *ENDED}]
        self.board.clear([one.record for one in logged], LOG)
        # What a pod said before it was replaced comes before what its successor says.
        await self._look_at([earlier for one in every if one.sources.log is not None for earlier in one.before()])
        await self._look_at(logged)
        heard = [one for one in every if one.sources.termination_message]
        self.board.clear([one.record for one in heard], TERMINATION)
        for subject in heard:
            try:
                self._hear_last_words(subject)
            except Exception:  # one run's words must not keep the others from being heard
                log.exception("%s: its last words could not be taken in", subject.record.key)
                self.figures.errors["metric logs"] += 1

    async def _look_at(self, logged: Sequence[Subject]) -> None:
        due = sorted((one for one in logged if self._is_due(one)), key=lambda one: self._of(one).due)
        gate = asyncio.Semaphore(_AT_ONCE)
        await asyncio.gather(*(self._look(one, gate) for one in due[:MOST_READS]))

    def _forget(self, every: Sequence[Subject]) -> None:
        for uid in self._standing.keys() - {pod.uid for one in every for pod in (*one.earlier, one.pod)}:
            del self._standing[uid]
        patterns = {one.sources.log.pattern for one in every if one.sources.log is not None}
        for pattern in self._finders.keys() - patterns:
            del self._finders[pattern]

    def _of(self, subject: Subject) -> _Standing:
        known = self._standing.get(subject.pod.uid)
        if known is None:
            known = self._standing[subject.pod.uid] = self._begun(subject)
        return known

    def _begun(self, subject: Subject) -> _Standing:
        """Where a log was left before a restart of the operator."""
        told = [one.at for one in self.histories.of(subject.record.key).reports if one.source == LOG]
        if told and told[-1] >= subject.pod.created:
            return _Standing(Place(told[-1], _ALL_LINES), matched=True)
        return _Standing()

    def _is_due(self, subject: Subject) -> bool:
        standing = self._of(subject)
        return not standing.done and standing.due <= self.now()

    # --- the log ------------------------------------------------------------------------------------------------------

    async def _look(self, subject: Subject, gate: asyncio.Semaphore) -> None:
        async with gate:
            if self.busy > _MOST_BUSY:
                return
            standing = self._of(subject)
            try:
                await self._look_once(subject, standing)
            except ApiError as error:
                self._put(subject, await self._refused(subject, standing, error))
            except Unreachable as error:
                self._later(standing)
                self._put(subject, Doubt(_FIELD, UNREACHABLE, str(error)[:300]))
            except Exception:  # one run's log must not keep the others from being read
                self._later(standing)
                log.exception("%s: its log could not be taken in", subject.record.key)
                self.figures.errors["metric logs"] += 1

    async def _look_once(self, subject: Subject, standing: _Standing) -> None:
        has_ended = subject.pod.phase in ENDED
        assert subject.sources.log is not None
        found = await self._read(subject, subject.sources.log, standing)
        standing.failures, standing.done = 0, has_ended and found.is_all
        wait = max(found.size * SECOND // _BYTES_A_SECOND, round(found.busy * _ONE_RUN * SECOND))
        standing.due = self.now() + max(self.every, wait)
        self._put(subject, self._doubt(standing, found))

    async def _read(self, subject: Subject, pattern: LogPattern, standing: _Standing) -> LogRead:
        pod, container = subject.pod, pattern.container or standing.container
        find = self._finders.get(pattern.pattern) or self._finders.setdefault(pattern.pattern, finder(pattern.pattern))
        lived = _earlier_life(pod, container)
        what = Log(pod.namespace, pod.name, container)
        if lived > standing.lives:
            await self._read_on(subject, replace(what, previous=True), standing, find)
            standing.lives = lived
        return await self._read_on(subject, what, standing, find)

    async def _read_on(self, subject: Subject, what: Log, standing: _Standing, find: Find) -> LogRead:
        try:
            found = await read_log(self.client, what, standing.place, find)
        except ApiError as error:
            if not what.previous or error.status not in {400, 404}:
                raise
            return LogRead(standing.place)  # the earlier log is gone
        standing.place = found.place
        self.busy += found.busy
        if not found.is_all and self.now() - found.place.at > _BEHIND:
            standing.place = Place(self.now() - self.every)  # it grows faster than it is read: what is between is lost
            self.figures.dropped[LOG, "", "log grows too fast"] += 1
        for push in found.found:
            standing.matched = True
            self.histories.hear(subject.record, push, LOG)
        return found

    def _doubt(self, standing: _Standing, found: LogRead) -> Doubt | None:
        if found.foreign and not found.found:
            return Doubt(_FIELD, UNREACHABLE, f"the node gives no log: {found.foreign}")
        if not standing.matched:
            return Doubt(f"{_FIELD}.pattern", NO_MATCH, "no line of the log has matched yet")
        return None

    async def _refused(self, subject: Subject, standing: _Standing, error: ApiError) -> Doubt | None:
        """What a refusal means, and when to look again."""
        self.figures.errors["metric logs"] += 1
        text = error.message
        if error.status == 404 or "waiting to start" in text or "ContainerCreating" in text:
            standing.due = self.now() + self.every
            return None
        if error.status == 400 and "container name must be specified" in text and not standing.container:
            standing.container = await self._first_container(subject.pod)
            return None
        self._later(standing)
        if error.status == 403:
            return Doubt(_FIELD, FORBIDDEN, "the operator may not read logs; set progress.logs to true in the chart")
        if error.status == 400:
            return Doubt(f"{_FIELD}.container", LOG_REFUSED, text[:300])
        return Doubt(_FIELD, UNREACHABLE, str(error)[:300])

    async def _first_container(self, pod: Pod) -> str:
        """Name of the first container; an adopted Job's template is not known."""
        found = await self.client.get(
            f"/api/v1/namespaces/{pod.namespace}/pods", {"fieldSelector": f"metadata.name={pod.name}"}
        )
        containers = [one["name"] for item in found.get("items") or () for one in item["spec"]["containers"]]
        return str(containers[0]) if containers else ""

    def _later(self, standing: _Standing) -> None:
        standing.failures += 1
        standing.due = self.now() + min(5 * MINUTE, self.every << min(standing.failures, 8))

    def _put(self, subject: Subject, doubt: Doubt | None) -> None:
        if not subject.is_past:
            self.board.put(subject.record, LOG, [doubt] if doubt is not None else [])

    # --- last words ---------------------------------------------------------------------------------------------------

    def _hear_last_words(self, subject: Subject) -> None:
        """Those of the container whose log counts, else of any, once."""
        wanted = subject.sources.log.container if subject.sources.log is not None else ""
        told = [one.at for one in self.histories.of(subject.record.key).reports if one.source == TERMINATION]
        doubts = []
        for end in (end for pod in (*subject.earlier, subject.pod) for end in pod.ends):
            if not end.message or wanted not in {"", end.container} or (told and told[-1] >= end.at):
                continue
            push, why = self._last_words(end, subject.sources.log)
            if why:
                doubts.append(Doubt(_ENDING_FIELD, BAD_ENDING, why))
            if push is not None:
                self.histories.hear(subject.record, push, TERMINATION, at=end.at)
        self.board.put(subject.record, TERMINATION, doubts)

    def _last_words(self, end: ContainerEnd, pattern: LogPattern | None) -> tuple[Push | None, str]:
        push, why = ending_of(end.message)
        if push is not None or why or pattern is None:
            return push, why
        find = self._finders.get(pattern.pattern) or self._finders.setdefault(pattern.pattern, finder(pattern.pattern))
        found = [push_of(values) for line in end.message.splitlines() if (values := find(line.encode())) is not None]
        result: Push | None = None
        for one in found:
            result = one if result is None else merged(result, one)
        return result, ""


def _earlier_life(pod: Pod, container: str) -> Instant:
    """When the container ended that runs again now; 0 when it never did."""
    ends = [one.at for one in pod.ends if container in {"", one.container}]
    return ends[-1] if ends and pod.phase == "Running" else 0
