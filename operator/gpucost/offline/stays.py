"""Pods of a scenario: who held how much of which node when."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from operator import itemgetter

from gpucost.core.category import category_of
from gpucost.core.clock import Instant, format_rfc3339
from gpucost.core.model import Workload
from gpucost.core.offline import UNKNOWN
from gpucost.core.shares import Scale
from gpucost.offline import values
from gpucost.offline.lanes import FOREVER, Lane, Need, Shape
from gpucost.offline.problems import Problems, at
from gpucost.offline.wire import Pod, Series, Span, Step, Usage

NO_LABEL = "(none)"

KeyOf = Callable[[Pod], str]
_Value = Callable[[str | float | None], int | None]

_PARSERS: Mapping[str, Callable[[str], int]] = {"cpu": values.cpu, "memory": values.whole}


def key_of(by: str) -> KeyOf:
    """How to tell the row of a pod: `namespace`, `pod`, `node`, `workload`, `category` or `label:KEY`."""
    if by.startswith("label:"):
        label = by.removeprefix("label:")
        return lambda pod: (pod.labels or {}).get(label, NO_LABEL)
    found: Mapping[str, KeyOf] = {
        "namespace": lambda pod: pod.namespace,
        "pod": lambda pod: f"{pod.namespace}/{pod.name}",
        "node": lambda pod: pod.node,
        "workload": lambda pod: f"{pod.namespace}/{pod.workload or f'Pod/{pod.name}'}",
        "category": _category,
    }
    return found[by]


def _category(pod: Pod) -> str:
    kind, _, name = (pod.workload or f"Pod/{pod.name}").partition("/")
    gpus = sum(text != "0" for name, text in (pod.requests or {}).items() if name not in {"cpu", "memory"})
    workload = Workload(kind, name)
    return category_of(namespace=pod.namespace, workload=workload, labels=pod.labels or {}, gpus=gpus).value


@dataclass(slots=True)
class Stays:
    """Reads pods into the lanes of their nodes; whatever is wrong goes to `problems`."""

    problems: Problems
    lanes: Mapping[str, Lane]
    key_of: KeyOf
    spared: frozenset[str] = frozenset()
    """UIDs of faulty nodes: not to be reported as unknown."""
    rows: dict[str, int] = field(default_factory=dict)
    """Number of each row by its key."""
    workloads: set[str] = field(default_factory=set)
    """Names of workloads that are known to be well formed."""

    def read(self, pods: Sequence[Pod], places: Sequence[int]) -> None:
        """Fill `rows` and the lanes' holds."""
        if len({pod.uid for pod in pods}) != len(pods):
            self._same_uid(pods, places)
        lane_of = self.lanes.get
        for place, pod in zip(places, pods, strict=True):
            lane = lane_of(pod.node)
            if lane is None:
                self._no_node(pod, place)
            else:
                self._pod(pod, place, lane)
        for lane in self.lanes.values():
            for resource, changes in lane.changes.items():
                if self._overfull(changes, lane.shape.devices[resource]):
                    self._too_many(lane, resource, pods, places)

    def _pod(self, pod: Pod, place: int, lane: Lane) -> None:
        shape = lane.shape
        key = tuple(pod.requests.items()) if pod.requests else ()
        need = shape.needs.get(key) or self._need(shape, key, lane, place)
        workload = pod.workload
        if workload is not None and workload not in self.workloads:
            self._workload(workload, place)
        constant = self._constant(pod.usage, need, shape.sized)
        line = None if constant else self._series(pod.usage or Usage(), place)
        row = -1
        for start, end in self._spans(pod.intervals, place):
            if need.devices:
                self._claim(lane, start, end, need)
            first = start if start > lane.start else lane.start
            last = end if end < lane.end else lane.end
            if first >= last and not (start == end and lane.start <= start < lane.end):
                continue
            if row < 0:
                row = self.rows.setdefault(self.key_of(pod), len(self.rows))
            if first >= last:
                continue
            if constant:
                lane.holds.append((first, last, *constant, row))
            elif line:
                lane.holds.extend((*piece, row) for piece in line.pieces(first, last, need, shape.sized))

    def _claim(self, lane: Lane, start: Instant, end: Instant, need: Need) -> None:
        """Note when which devices are requested, while the node is there, within the window or not."""
        first, last = max(start, lane.born), min(end, lane.gone)
        if first < last:
            for resource, units in need.devices:
                changes = lane.changes.get(resource)
                if changes is None:
                    changes = lane.changes[resource] = []
                changes.append((first, units))
                changes.append((last, -units))

    def _constant(self, usage: Usage | None, need: Need, scale: Scale) -> _Holding | None:
        """What a pod holds all the time; None when that changes, or cannot be read."""
        if usage is None:
            return need.units, need.gpus, need.cpu, need.memory, UNKNOWN
        cpu, memory, active = usage.cpu, usage.memory, usage.gpu_active
        if isinstance(cpu, list) or isinstance(memory, list) or isinstance(active, list):
            return None
        try:
            used = values.cpu_used(cpu) if cpu is not None else 0
            taken = values.memory_used(memory) if memory is not None else 0
            activity = values.activity(active) if active is not None else UNKNOWN
        except ValueError:
            return None
        return _holding(used, taken, activity, need, scale)

    def _spans(self, intervals: Sequence[Span], place: int) -> list[tuple[Instant, Instant]]:
        """When the pod was there, as far as that can be read; in order."""
        spans = []
        instant = values.instant
        for number, span in enumerate(intervals):
            try:
                start = instant(span.start)
                end = FOREVER if span.end is None else instant(span.end)
            except ValueError:
                self._bad_times(span, f"$.pods[{place}].intervals[{number}]")
                continue
            if end < start:
                path = f"$.pods[{place}].intervals[{number}].end"
                self.problems.add(path, f"{span.end} is before the start {span.start}")
                continue
            spans.append((start, end))
        if len(spans) > 1:
            self._check_order(spans, place)
        return spans

    def _bad_times(self, span: Span, path: str) -> None:
        for name, text in (("start", span.start), ("end", span.end)):
            if text is not None:
                self._value(values.instant, text, f"{path}.{name}")

    def _check_order(self, spans: list[tuple[Instant, Instant]], place: int) -> None:
        """No two intervals may overlap; an empty one holds nothing."""
        spans.sort()
        until = -FOREVER
        for start, end in spans:
            if start < until and start < end:
                self.problems.add(f"$.pods[{place}].intervals", f"overlap at {format_rfc3339(start)}")
            until = max(until, end)

    def _series(self, usage: Usage, place: int) -> _Series:
        """What the pod used over time, naming everything that is wrong with it."""
        path = f"$.pods[{place}].usage"
        return _Series(
            self._line(usage.cpu, values.cpu_used, f"{path}.cpu"),
            self._line(usage.memory, values.memory_used, f"{path}.memory"),
            self._line(usage.gpu_active, values.activity, f"{path}.gpuActive"),
        )

    def _line(self, series: Series, parse: _Value, path: str) -> _Line:
        """A line of steps; a constant is one that begins long ago."""
        if not isinstance(series, list):
            value = None if series is None else self._value(parse, series, path)
            return _Line([-FOREVER], [value])
        steps: dict[Instant, int | None] = {}
        for number, step in enumerate(series):
            self._step(step, steps, parse, f"{path}[{number}]")
        ordered = sorted(steps.items(), key=itemgetter(0))
        return _Line([start for start, _ in ordered], [value for _, value in ordered])

    def _step(self, step: Step, steps: dict[Instant, int | None], parse: _Value, path: str) -> None:
        start = self._value(values.instant, step.since, f"{path}.from")
        value = self._value(parse, step.value, f"{path}.value")
        if start is None:
            return
        if start in steps:
            self.problems.add(f"{path}.from", f"two values from {step.since}; one at a time")
        steps[start] = value

    def _value(self, parse: Callable[..., int | None], value: str | float | None, path: str) -> int | None:
        try:
            return parse(value)
        except ValueError as error:
            self.problems.add(path, str(error))
            return None

    def _need(self, shape: Shape, key: tuple[tuple[str, str], ...], lane: Lane, place: int) -> Need:
        """What the requests come to on a node of this shape."""
        before = len(self.problems)
        amounts: dict[str, int] = {}
        for name, text in key:
            parse = _PARSERS.get(name) or (values.units if name in shape.devices else values.whole)
            try:
                amount = parse(text)
            except ValueError as error:
                self.problems.add(at(f"$.pods[{place}].requests", name), str(error))
                continue
            amounts[name] = amount
            if amount and not self._offers(shape, name):
                path = at(f"$.pods[{place}].requests", name)
                self.problems.add(path, f"node {lane.uid!r} has no {name} in its capacity")
        devices = tuple((name, amount) for name, amount in amounts.items() if amount and name in shape.devices)
        grain, parts = shape.sized.grain, shape.layout.parts
        gpus = sum(int(amount * parts.get(name, 1) * grain) for name, amount in devices)
        cpu, memory = amounts.get("cpu", 0), amounts.get("memory", 0)
        need = Need(cpu, memory, gpus, shape.sized.units(cpu, memory, gpus), devices)
        if len(self.problems) == before:
            shape.needs[key] = need
        return need

    def _offers(self, shape: Shape, name: str) -> int:
        if name in {"cpu", "memory"}:
            return shape.cpu if name == "cpu" else shape.memory
        return shape.devices.get(name) or shape.others.get(name) or 0

    def _overfull(self, changes: list[tuple[Instant, int]], has: int) -> bool:
        """Whether more GPUs are requested at once than the node has."""
        changes.sort()  # at one instant, who leaves comes first
        held = 0
        for _, change in changes:
            held += change
            if held > has:
                return True
        return False

    def _too_many(self, lane: Lane, resource: str, pods: Sequence[Pod], places: Sequence[int]) -> None:
        """Name the pod with which it became too many."""
        has, held, instant = lane.shape.devices[resource], 0, 0
        for moment, change in lane.changes[resource]:
            held += change
            if held > has:
                instant = moment
                break
        asked = sum(change for moment, change in lane.changes[resource] if moment <= instant)
        late = [
            place
            for place, pod in zip(places, pods, strict=True)
            if pod.node == lane.uid and resource in (pod.requests or {}) and _begins(pod, lane, instant)
        ]
        self.problems.add(
            at(f"$.pods[{late[-1] if late else '?'}].requests", resource),
            f"{asked} are requested at once on node {lane.uid!r} at {format_rfc3339(instant)}, which has {has}",
        )

    def _workload(self, workload: str, place: int) -> None:
        kind, _, name = workload.partition("/")
        if kind and name:
            self.workloads.add(workload)
        else:
            self.problems.add(f"$.pods[{place}].workload", f"want Kind/name, not {workload!r}")

    def _no_node(self, pod: Pod, place: int) -> None:
        if pod.node in self.spared:
            return
        named = [lane.uid for lane in self.lanes.values() if lane.name == pod.node]
        hint = f"; {pod.node!r} is a name, its UID is {named[0]!r}" if named else ""
        self.problems.add(f"$.pods[{place}].node", f"no node has the UID {pod.node!r}{hint}")

    def _same_uid(self, pods: Sequence[Pod], places: Sequence[int]) -> None:
        seen: dict[str, int] = {}
        for place, pod in zip(places, pods, strict=True):
            first = seen.setdefault(pod.uid, place)
            if first != place:
                message = f"{pod.uid!r} is the UID of $.pods[{first}] too; each pod needs its own"
                self.problems.add(f"$.pods[{place}].uid", message)


def _begins(pod: Pod, lane: Lane, instant: Instant) -> bool:
    """Whether a pod comes onto a node at an instant; times that cannot be read do not."""
    for span in pod.intervals:
        try:
            start = values.instant(span.start)
        except ValueError:
            continue
        if max(start, lane.born) == instant:
            return True
    return False


_Holding = tuple[int, int, int, int, int]
"""Units of share, GPUs, CPU, memory and activity, as in `core.offline.Hold`."""


def _holding(cpu: int | None, memory: int | None, activity: int | None, need: Need, scale: Scale) -> _Holding:
    """What counts: use where it is known and more than the request."""
    cpu = need.cpu if cpu is None or cpu < need.cpu else cpu
    memory = need.memory if memory is None or memory < need.memory else memory
    units = scale.units(cpu, memory, need.gpus)
    return units, need.gpus, cpu, memory, UNKNOWN if activity is None else activity


@dataclass(slots=True)
class _Line:
    """A value from each start on; unknown before the first."""

    starts: list[Instant]
    values: list[int | None]

    def at(self, instant: Instant) -> int | None:
        """Value in force at an instant."""
        index = bisect_right(self.starts, instant) - 1
        return self.values[index] if index >= 0 else None


@dataclass(slots=True)
class _Series:
    """A pod's use over time."""

    cpu: _Line
    memory: _Line
    activity: _Line

    def pieces(
        self, start: Instant, end: Instant, need: Need, scale: Scale
    ) -> Iterator[tuple[Instant, Instant, int, int, int, int, int]]:
        """Cut a stay where the use changes."""
        lines = (self.cpu, self.memory, self.activity)
        cuts = sorted({start, end, *(cut for line in lines for cut in line.starts if start < cut < end)})
        for first, last in pairwise(cuts):
            cpu, memory, activity = (line.at(first) for line in lines)
            yield (first, last, *_holding(cpu, memory, activity, need, scale))
