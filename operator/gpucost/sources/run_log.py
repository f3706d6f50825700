"""The log of a run, read bit by bit through the API server: only what is new, in bounded memory, whatever it holds.

The kubelet gives a log from a whole second on, each line with the instant at which the container's runtime took it. So
a place in a log is an instant and how many lines of that very instant were read (some runtimes stamp many lines alike):
no line counts twice or is passed over, and a log that is rotated or begins anew is still found again. A line may be
of any length and hold any bytes: its first part is looked at. What is not ended by a newline is still being written,
and read again next time.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import re2

from gpucost.core.clock import SECOND, Instant, Micros, floor_to, format_rfc3339, parse_rfc3339
from gpucost.core.training.metric_sources import PATTERN_MEMORY
from gpucost.core.training.observed import merged, push_of
from gpucost.core.training.push import Push
from gpucost.kube import paths
from gpucost.kube.client import KubeClient
from gpucost.kube.errors import Unreachable

LONGEST_LINE = 64 * 1024
"""Bytes of a line that are looked at."""
MOST_BYTES = 24 * 1024 * 1024
"""Read at one time; a line of 10 MB is passed in one go."""
MOST_BUSY = 1.0
"""Seconds of CPU for one look: many short lines that all match cost much more than their bytes."""
SPACING: Micros = 5 * SECOND
"""At most one report in so much time of the log, as a run that pushes may send."""
_FIRST_LINES = 5000
"""How much of a log is read that was never read before."""
_SILENCE_SECONDS = 5.0
_SECONDS = 15.0
_WASTE = 1024 * 1024

Find = Callable[[bytes], Mapping[str, str] | None]


@dataclass(frozen=True, slots=True)
class Log:
    """One log; `previous` is the container's life before the present one."""

    namespace: str
    pod: str
    container: str = ""
    previous: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """Up to where a log was read."""

    at: Instant = 0
    """Instant of the last line; 0 before the first one."""
    lines: int = 0
    """Lines of this very instant that were read."""
    skip: bool = False
    """Whether the rest of this second is passed over: what was read of it is too much to read it again."""


@dataclass(frozen=True, slots=True)
class LogRead:
    """What one look at a log brought."""

    place: Place
    found: tuple[Push, ...] = ()
    """Each with the instant of its line, at most one in `SPACING`."""
    size: int = 0
    """Bytes that were read."""
    busy: float = 0.0
    """Seconds of CPU that their lines took."""
    is_all: bool = True
    """Whether the end of what was written was reached."""
    foreign: str = ""
    """A line that carries no instant: the kubelet's own words instead of a log."""


@dataclass
class LineSplitter:
    """Splits bytes at newlines and keeps no more of a line than `limit`."""

    limit: int = LONGEST_LINE
    _rest: bytearray = field(default_factory=bytearray)

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Lines that are complete now."""
        start = 0
        while (end := chunk.find(b"\n", start)) >= 0:
            if self._rest:
                self._keep(chunk, start, end)
                yield bytes(self._rest)
                self._rest.clear()
            else:
                yield chunk[start : min(end, start + self.limit)]
            start = end + 1
        self._keep(chunk, start, len(chunk))

    def _keep(self, chunk: bytes, start: int, end: int) -> None:
        self._rest += chunk[start : min(end, start + self.limit - len(self._rest))]

    @property
    def unfinished(self) -> bytes:
        """The beginning of the line that is still being read."""
        return bytes(self._rest)


def finder(pattern: str) -> Find:
    """Looks for a pattern in a line and gives the named groups that took part; raises `re2.error` for a bad one."""
    options = re2.Options()
    options.log_errors = False
    options.max_mem = PATTERN_MEMORY
    compiled = re2.compile(pattern, options)

    def find(line: bytes) -> Mapping[str, str] | None:
        text = line if line.isascii() else line.decode(errors="replace")
        match = compiled.search(text)
        if match is None:
            return None
        groups = match.groupdict().items()
        return {
            name: found if isinstance(found, str) else found.decode() for name, found in groups if found is not None
        }

    return find


@dataclass
class _Reader:
    """The state of one look."""

    place: Place
    find: Find
    size: int = 0
    busy: float = 0.0
    waste: int = 0
    """Bytes that were read before."""
    foreign: str = ""
    found: list[Push] = field(default_factory=list)
    is_new: bool = False
    """Whether a line was found that was not read before; then all that follow are."""
    _again: int = 0

    def line(self, line: bytes) -> None:
        at, text = _stamped(line)
        if at is None:
            self.foreign = self.foreign or line[:300].decode(errors="replace")
            return
        if not self._counts(at):
            return
        if not self.is_new:
            self.is_new, self.waste = True, self.size
        self.place = Place(at, self.place.lines + 1 if at == self.place.at else 1)
        if (values := self.find(text)) is not None:
            self._take(push_of(values, at))

    def _counts(self, at: Instant) -> bool:
        """Whether a line was not read before; instants in a log do not fall, but for a clock that is set back."""
        if self.is_new:
            return True
        if at == self.place.at and self._again < self.place.lines:
            self._again += 1
            return False
        return at >= self.place.at

    def _take(self, push: Push) -> None:
        last = self.found[-1] if self.found else None
        if last is not None and (push.told_at or 0) // SPACING == (last.told_at or 0) // SPACING:
            self.found[-1] = merged(last, push)
        else:
            self.found.append(push)


def _stamped(line: bytes) -> tuple[Instant | None, bytes]:
    stamp, _, text = line.partition(b" ")
    try:
        return parse_rfc3339(stamp[:40].decode()), text
    except (ValueError, OverflowError):
        return None, line


async def read_log(client: KubeClient, what: Log, place: Place, find: Find) -> LogRead:
    """Read what is new. Raises `ApiError` and `Unreachable`."""
    path, params = paths.pod_log(what.namespace, what.pod), _params(what, place)
    reader, lines, is_all = _Reader(place, find), LineSplitter(), True
    try:
        async with asyncio.timeout(_SECONDS), client.chunks(path, params, silence=_SILENCE_SECONDS) as chunks:
            is_all = await _read(chunks, reader, lines)
    except (TimeoutError, Unreachable) as error:
        if not reader.size:
            raise Unreachable(str(error) or f"GET {path}: no log within {_SECONDS:.0f} s") from None
        is_all = False  # what came counts: a log that always breaks off at some place is got over
    return _result(reader, lines, place, is_all=is_all)


def _params(what: Log, place: Place) -> dict[str, str]:
    since = floor_to(place.at, SECOND) + (SECOND if place.skip else 0)
    begin = {"sinceTime": format_rfc3339(since)} if place.at else {"tailLines": str(_FIRST_LINES)}
    more = {"container": what.container} if what.container else {}
    return {"timestamps": "true", **begin, **more, **({"previous": "true"} if what.previous else {})}


async def _read(chunks: AsyncIterator[bytes], reader: _Reader, lines: LineSplitter) -> bool:
    """Whether everything was read."""
    async for chunk in chunks:
        begun = time.thread_time()
        reader.size += len(chunk)
        for line in lines.feed(chunk):
            reader.line(line)
        reader.busy += time.thread_time() - begun
        if reader.size > MOST_BYTES or reader.busy > MOST_BUSY:
            return False
        await asyncio.sleep(0)  # a log that arrives quickly must not keep everybody else waiting
    return True


def _result(reader: _Reader, lines: LineSplitter, before: Place, *, is_all: bool) -> LogRead:
    place, waste = reader.place, reader.waste if reader.is_new else reader.size
    if (
        not is_all and not reader.is_new and waste > _WASTE
    ):  # one line without an end, or too much that was read before: go round it
        at, _ = _stamped(lines.unfinished)
        place = replace(place, at=max(place.at, at or 0), skip=True)
    elif waste > _WASTE and floor_to(place.at, SECOND) == floor_to(before.at, SECOND):
        place = replace(place, skip=True)
    return LogRead(place, tuple(reader.found), reader.size, reader.busy, is_all, reader.foreign)
