"""What pods count for over time: the larger of request and use, as holds of a node that the arithmetic can sum up.

A pod whose use never changes is one hold. One whose use is a list of steps is cut only where its share of the node or
its activity changes: most pods with GPUs hold their share by their GPUs, however much CPU they use.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from operator import lt

from gpucost.core.clock import Instant
from gpucost.core.offline import UNKNOWN
from gpucost.core.shares import Scale
from gpucost.offline import values
from gpucost.offline.problems import Problems
from gpucost.offline.values import TIMES, Known
from gpucost.offline.wire import Series, Step, Usage

Need = tuple[int, int, int, tuple[tuple[str, int], ...]]
"""Nanocores, bytes, GPUs in 1/grain, and the units of each GPU resource that a pod requests."""

Holding = tuple[int, int, int, int, int]
"""Units of share, GPUs, CPU, memory and activity that a pod holds all the time."""

Piece = tuple[Instant, Instant, int, int, int, int, int]
"""All of `core.offline.Hold` but the row."""


def constant(usage: Usage | None, need: Need, scale: Scale) -> Holding | None:
    """What a pod holds all the time; None when that changes, or cannot be read."""
    cpu, memory, gpus, _ = need
    if usage is None:
        return scale.units(cpu, memory, gpus), gpus, cpu, memory, UNKNOWN
    used, taken, active = usage.cpu, usage.memory, usage.gpu_active
    if isinstance(used, list):
        return None
    try:
        if used is not None:  # seldom repeats
            more = values.cpu_used(used)
            cpu = more if more > cpu else cpu
        more = values.MEMORY[taken]
        memory = more if more > memory else memory
        activity = values.ACTIVITY[active]
    except (TypeError, ValueError):  # a list is no key of a table
        return None
    return scale.units(cpu, memory, gpus), gpus, cpu, memory, activity


@dataclass(slots=True)
class Line:
    """A value from each start on, in order; `first` before."""

    first: int
    starts: list[Instant]
    values: list[int]

    def raised(self, floor: int) -> Line:
        """The same, with what is less raised to a floor."""
        if self.first >= floor and (not self.values or min(self.values) >= floor):
            return self
        values = [value if value > floor else floor for value in self.values]
        return Line(max(self.first, floor), self.starts, values)

    def peak(self) -> int:
        """The highest value."""
        return max(self.first, *self.values) if self.values else self.first

    def integral(self, start: Instant, end: Instant) -> int:
        """The value times how long it was in force within a time."""
        total, at, value = 0, start, self.first
        for since, following in zip(self.starts, self.values, strict=True):
            if since > at:
                if since >= end:
                    break
                total += value * (since - at)
                at = since
            value = following
        return total + value * (end - at)


@dataclass(slots=True)
class Course:
    """What a pod holds over time: of CPU and memory, as a share of the node, and how active it is."""

    gpus: int
    cpu: Line
    memory: Line
    share: Line
    activity: Line

    @classmethod
    def of(cls, lines: Sequence[Line], need: Need, scale: Scale) -> Course:
        """Of a pod's use (CPU, memory, activity) and requests."""
        least_cpu, least_memory, gpus, _ = need
        cpu, memory = lines[0].raised(least_cpu), lines[1].raised(least_memory)
        least = scale.units(cpu.first, memory.first, gpus)
        most = scale.units(cpu.peak(), memory.peak(), gpus)
        share = Line(least, [], [])
        if most != least:  # then its share may change; else all that it uses stays within the share of its GPUs
            steps = list(_together(cpu, memory))
            share = Line(least, [at for at, _, _ in steps], [scale.units(c, m, gpus) for _, c, m in steps])
        return cls(gpus, cpu, memory, share, lines[2])

    def pieces(self, start: Instant, end: Instant) -> list[Piece]:
        """A stay as holds, cut where share or activity change; the first has the CPU and memory time of all."""
        cpu, memory = self.cpu.integral(start, end), self.memory.integral(start, end)
        gpus, pieces = self.gpus, []
        units, activity = self.share.first, self.activity.first
        for since, share, active in _together(self.share, self.activity):
            if since > start and (share != units or active != activity):
                if since >= end:
                    break
                pieces.append((start, since, units, gpus, cpu, memory, activity))
                start, cpu, memory = since, 0, 0
            units, activity = share, active
        pieces.append((start, end, units, gpus, cpu, memory, activity))
        return pieces


def _together(one: Line, other: Line) -> Iterable[tuple[Instant, int, int]]:
    """From when which values of two lines are in force, in order; not what is in force before the first."""
    if not other.starts or one.starts == other.starts:
        return zip(one.starts, one.values, other.values or repeat(other.first), strict=False)
    if not one.starts:
        return zip(other.starts, repeat(one.first), other.values, strict=False)
    return _merged(one, other)


def _merged(one: Line, other: Line) -> Iterator[tuple[Instant, int, int]]:
    firsts, seconds = dict(zip(one.starts, one.values, strict=True)), dict(zip(other.starts, other.values, strict=True))
    first, second = one.first, other.first
    for start in sorted(firsts | seconds):
        first, second = firsts.get(start, first), seconds.get(start, second)
        yield start, first, second


@dataclass(slots=True)
class Reader:
    """Reads use that changes; whatever is wrong goes to `problems`."""

    problems: Problems

    def lines(self, usage: Usage, place: int) -> list[Line]:
        """CPU, memory and activity of a pod, naming everything that is wrong with them."""
        path = f"$.pods[{place}].usage"
        return [
            self._line(usage.cpu, values.CPU, f"{path}.cpu"),
            self._line(usage.memory, values.MEMORY, f"{path}.memory"),
            self._line(usage.gpu_active, values.ACTIVITY, f"{path}.gpuActive"),
        ]

    def _line(self, series: Series, known: Known, path: str) -> Line:
        if not isinstance(series, list):
            return Line(self._value(known, series, path), [], [])
        try:
            starts = [TIMES[step.since] for step in series]
            line = Line(known[None], starts, [known[step.value] for step in series])
        except ValueError:
            return self._careful_line(series, known, path)
        in_order = len(starts) < 2 or all(map(lt, starts, starts[1:]))
        return line if in_order else self._careful_line(series, known, path)

    def _careful_line(self, series: Sequence[Step], known: Known, path: str) -> Line:
        """In order, naming everything that is wrong."""
        steps: dict[Instant, int] = {}
        for number, step in enumerate(series):
            self._step(step, steps, known, f"{path}[{number}]")
        starts = sorted(steps)
        return Line(known[None], starts, [steps[start] for start in starts])

    def _step(self, step: Step, steps: dict[Instant, int], known: Known, path: str) -> None:
        start: Instant | None = None
        try:
            start = TIMES[step.since]
        except ValueError as error:
            self.problems.add(f"{path}.from", str(error))
        value = self._value(known, step.value, f"{path}.value")
        if start is None:
            return
        if start in steps:
            self.problems.add(f"{path}.from", f"two values from {step.since}; one at a time")
        steps[start] = value

    def _value(self, known: Known, value: object, path: str) -> int:
        """What a value says; what cannot be read counts as unknown after naming the problem."""
        try:
            return known[value]
        except ValueError as error:
            self.problems.add(path, str(error))
            return known[None]
