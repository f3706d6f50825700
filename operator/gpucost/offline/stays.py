"""Pods of a scenario: who held how much of which node when."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from itertools import accumulate
from operator import attrgetter

from gpucost.core.category import category_of, program_category
from gpucost.core.clock import Instant, format_rfc3339
from gpucost.core.gpus import DEFAULT_RESOURCES, is_gpu
from gpucost.core.model import Workload
from gpucost.offline import values
from gpucost.offline.lanes import FOREVER, Lane, Shape
from gpucost.offline.problems import Problems, at
from gpucost.offline.usage import Course, Need, Reader, constant
from gpucost.offline.values import CPU, MEMORY, UNITS, instant
from gpucost.offline.wire import Pod, Span, Usage

NO_LABEL = "(none)"

KeyOf = Callable[[Pod], str]

_PARSERS: Mapping[str, Callable[[str], int]] = {"cpu": values.cpu, "memory": values.whole}


def key_of(by: str, patterns: Sequence[str] = DEFAULT_RESOURCES) -> KeyOf:
    """How to tell the row of a pod: `namespace`, `pod`, `node`, `workload`, `category` or `label:KEY`."""
    if by.startswith("label:"):
        label = by.removeprefix("label:")
        return lambda pod: (pod.labels or {}).get(label, NO_LABEL)
    found: Mapping[str, KeyOf] = {
        "namespace": attrgetter("namespace"),
        "pod": lambda pod: f"{pod.namespace}/{pod.name}",
        "node": attrgetter("node"),
        "workload": lambda pod: f"{pod.namespace}/{pod.workload or f'Pod/{pod.name}'}",
        "category": lambda pod: _category(pod, patterns),
    }
    return found[by]


def _category(pod: Pod, patterns: Sequence[str]) -> str:
    """The cost driver, as far as the scenario tells: it knows labels and owners, not images."""
    kind, _, name = (pod.workload or f"Pod/{pod.name}").partition("/")
    workload = Workload(kind, name)
    labels = pod.labels or {}
    gpus = sum(text != "0" and is_gpu(resource, patterns) for resource, text in (pod.requests or {}).items())
    program = program_category((), labels)
    found = category_of(namespace=pod.namespace, workload=workload, labels=labels, gpus=gpus, program=program)
    return found.value


@dataclass(slots=True)
class Stays:
    """Reads pods into the lanes of their nodes; whatever is wrong goes to `problems`."""

    problems: Problems
    lanes: Mapping[str, Lane]
    key_of: KeyOf
    spared: Set[str] = frozenset()
    """UIDs of faulty nodes, not to be reported as unknown; an empty one stands for a node whose UID cannot be read."""
    rows: dict[str, int] = field(default_factory=dict)
    """Number of each row by its key."""
    workloads: set[str] = field(default_factory=set)
    """Names of workloads that are known to be well formed."""
    usage: Reader = field(init=False)

    def __post_init__(self) -> None:
        self.usage = Reader(self.problems)

    def read(self, pods: Callable[[], Iterable[tuple[int, Pod]]]) -> None:
        """Fill `rows` and the lanes' holds; `pods` gives all pods, each with its place in the file."""
        lane_of = self.lanes.get
        uids: list[str] = []
        for place, pod in pods():
            uids.append(pod.uid)
            lane = lane_of(pod.node)
            if lane is None:
                self._no_node(pod, place)
                self._by_itself(pod, place)
            else:
                self._pod(pod, place, lane)
        if len(set(uids)) != len(uids):
            self._same_uid(pods())
        for lane in self.lanes.values():
            for resource, changes in lane.changes.items():
                requested = accumulate(map(changes.__getitem__, sorted(changes)))
                if max(requested) > lane.shape.devices[resource]:
                    self._too_many(lane, resource, pods())

    def _pod(self, pod: Pod, place: int, lane: Lane) -> None:
        shape = lane.shape
        need = _need(pod.requests, shape) or self._careful_need(pod, shape, lane, place)
        if pod.workload is not None and pod.workload not in self.workloads:
            self._workload(pod.workload, place)
        held = constant(pod.usage, need, shape.scale)
        course = None if held else Course.of(self.usage.lines(pod.usage or Usage(), place), need, shape.scale)
        row = -1
        for start, end in _plain_span(pod.intervals) or self._spans(pod.intervals, place):
            if need[3]:
                _claim(lane, start, end, need[3])
            first = start if start > lane.start else lane.start
            last = end if end < lane.end else lane.end
            if first >= last and not (start == end and lane.start <= start < lane.end):
                continue
            if row < 0:
                row = self.rows.setdefault(self.key_of(pod), len(self.rows))
            if first >= last:
                continue
            if held:
                units, gpus, cpu, memory, activity = held
                length = last - first
                lane.holds.append((first, last, units, gpus, cpu * length, memory * length, activity, row))
            elif course:
                lane.holds.extend([(*piece, row) for piece in course.pieces(first, last)])

    def _spans(self, intervals: Sequence[Span], place: int) -> Sequence[tuple[Instant, Instant]]:
        """When the pod was there, as far as that can be read; in order."""
        try:
            spans = [(instant(span.start), FOREVER if span.end is None else instant(span.end)) for span in intervals]
        except ValueError:
            self._bad_times(intervals, place)
            return []
        return sorted(spans) if self._in_order(spans, place) else []

    def _bad_times(self, intervals: Sequence[Span], place: int) -> None:
        for number, span in enumerate(intervals):
            for name, text in (("start", span.start), ("end", span.end)):
                if text is not None:
                    self._value(instant, text, f"$.pods[{place}].intervals[{number}].{name}")

    def _in_order(self, spans: Sequence[tuple[Instant, Instant]], place: int) -> bool:
        """Whether none ends before it starts, and no two overlap; an empty one holds nothing."""
        path, before = f"$.pods[{place}].intervals", len(self.problems)
        for number, (start, end) in enumerate(spans):
            if end < start:
                message = f"{format_rfc3339(end)} is before the start {format_rfc3339(start)}"
                self.problems.add(f"{path}[{number}].end", message)
        until = -FOREVER
        for start, end, number in sorted((*span, number) for number, span in enumerate(spans) if span[0] < span[1]):
            if start < until:
                self.problems.add(f"{path}[{number}]", f"overlaps another one at {format_rfc3339(start)}")
            until = max(until, end)
        return len(self.problems) == before

    def _value(self, parse: Callable[..., int], value: str | float, path: str) -> int | None:
        try:
            return parse(value)
        except ValueError as error:
            self.problems.add(path, str(error))
            return None

    def _careful_need(self, pod: Pod, shape: Shape, lane: Lane, place: int) -> Need:
        """What the requests come to, naming everything that is wrong with them."""
        cpu = memory = gpus = 0
        devices = []
        for name, text in (pod.requests or {}).items():
            amount = self._amount(shape, name, text, lane, place) or 0
            if name == "cpu":
                cpu = amount
            elif name == "memory":
                memory = amount
            elif amount and name in shape.worth:
                gpus += amount * shape.worth[name]
                devices.append((name, amount))
        return cpu, memory, gpus, tuple(devices)

    def _amount(self, shape: Shape, name: str, text: str, lane: Lane, place: int) -> int | None:
        """One request; None after naming what is wrong with it."""
        parse = _PARSERS.get(name) or (values.units if name in shape.devices else values.whole)
        try:
            amount = parse(text)
        except ValueError as error:
            self.problems.add(at(f"$.pods[{place}].requests", name), str(error))
            return None
        if not amount or self._offers(shape, name):
            return amount
        path = at(f"$.pods[{place}].requests", name)
        self.problems.add(path, f"node {lane.uid!r} has no {name} in its capacity")
        return None

    def _offers(self, shape: Shape, name: str) -> int:
        if name == "cpu":
            return shape.cpu
        if name == "memory":
            return shape.memory
        return shape.worth.get(name) or shape.others.get(name) or 0

    def _too_many(self, lane: Lane, resource: str, pods: Iterable[tuple[int, Pod]]) -> None:
        """Name the pod with which it became too many."""
        has, held, since = lane.shape.devices[resource], 0, 0
        changes = sorted(lane.changes[resource].items())
        for moment, change in changes:
            held += change
            if held > has:
                since = moment
                break
        asked = sum(change for moment, change in changes if moment <= since)
        late = [
            place
            for place, pod in pods
            if pod.node == lane.uid and resource in (pod.requests or {}) and _begins(pod, lane, since)
        ]
        self.problems.add(
            at(f"$.pods[{late[-1] if late else '?'}].requests", resource),
            f"{asked} are requested at once on node {lane.uid!r} at {format_rfc3339(since)}, which has {has}",
        )

    def _same_uid(self, pods: Iterable[tuple[int, Pod]]) -> None:
        places: dict[str, int] = {}
        for place, pod in pods:
            first = places.setdefault(pod.uid, place)
            if first != place:
                message = f"{pod.uid!r} is the UID of $.pods[{first}] too; each pod needs its own"
                self.problems.add(f"$.pods[{place}].uid", message)

    def _workload(self, workload: str, place: int) -> None:
        kind, _, name = workload.partition("/")
        if kind and name:
            self.workloads.add(workload)
        else:
            self.problems.add(f"$.pods[{place}].workload", f"want Kind/name, not {workload!r}")

    def _no_node(self, pod: Pod, place: int) -> None:
        if pod.node in self.spared or "" in self.spared:
            return
        named = [lane.uid for lane in self.lanes.values() if lane.name == pod.node]
        hint = f"; {pod.node!r} is a name, its UID is {named[0]!r}" if named else ""
        self.problems.add(f"$.pods[{place}].node", f"no node has the UID {pod.node!r}{hint}")

    def _by_itself(self, pod: Pod, place: int) -> None:
        """Name what is wrong with a pod whatever its node may be."""
        for name, text in (pod.requests or {}).items():
            self._value(_PARSERS.get(name) or values.whole, text, at(f"$.pods[{place}].requests", name))
        if pod.workload is not None:
            self._workload(pod.workload, place)
        if _plain_span(pod.intervals) is None:
            self._spans(pod.intervals, place)
        list(self.usage.lines(pod.usage or Usage(), place))


def _plain_span(intervals: Sequence[Span]) -> tuple[tuple[Instant, Instant]] | None:
    """The only time of a pod; None when it has more or fewer, or there is something about it."""
    if len(intervals) != 1:
        return None
    only = intervals[0]
    try:
        start, end = instant(only.start), FOREVER if only.end is None else instant(only.end)
    except ValueError:
        return None
    return ((start, end),) if start <= end else None


_NOTHING: Need = (0, 0, 0, ())


def _need(requests: dict[str, str] | None, shape: Shape) -> Need | None:
    """What requests come to on a node of this shape; None when something is unusual about them."""
    if not requests:
        return _NOTHING
    cpu = memory = gpus = 0
    devices: tuple[tuple[str, int], ...] = ()
    try:
        for name, text in requests.items():
            if name == "cpu":
                cpu = CPU[text]
            elif name == "memory":
                memory = MEMORY[text]
            elif units := UNITS[text]:
                gpus += units * shape.worth[name]
                devices = (*devices, (name, units))
    except (KeyError, ValueError):
        return None
    if (cpu and not shape.cpu) or (memory and not shape.memory):
        return None
    return cpu, memory, gpus, devices


def _claim(lane: Lane, start: Instant, end: Instant, devices: tuple[tuple[str, int], ...]) -> None:
    """Note when which devices are requested, while the node is there, within the window or not."""
    first = start if start > lane.born else lane.born
    last = end if end < lane.gone else lane.gone
    if first < last:
        for resource, units in devices:
            changes = lane.changes[resource]
            changes[first] = changes.get(first, 0) + units
            changes[last] = changes.get(last, 0) - units


def _begins(pod: Pod, lane: Lane, moment: Instant) -> bool:
    """Whether a pod comes onto a node at an instant; times that cannot be read do not."""
    for span in pod.intervals:
        try:
            start = instant(span.start)
        except ValueError:
            continue
        if max(start, lane.born) == moment:
            return True
    return False
