"""`gpucost allocate` without its command line: a scenario's bytes and a question in, a report out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import msgspec

from gpucost.core.clock import Instant
from gpucost.core.gpus import DEFAULT_RESOURCES
from gpucost.core.offline import Books, Row
from gpucost.core.offline_report import Report, report
from gpucost.core.shares import SplitKind, Weights
from gpucost.core.timeline import Interval
from gpucost.offline import blame, values, wire
from gpucost.offline.lanes import Lane, Nodes
from gpucost.offline.problems import BadScenario, Problems
from gpucost.offline.stays import Stays, key_of

_REFUSALS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""How the decoder refuses."""


@dataclass(frozen=True, slots=True)
class Question:
    """What to work out."""

    by: str = "namespace"
    window: Interval | None = None
    """Instead of the scenario's."""
    split: SplitKind = SplitKind.DOMINANT
    weights: Weights | None = None
    gpu_resources: Sequence[str] = DEFAULT_RESOURCES


@dataclass(frozen=True, slots=True)
class Unpriced:
    """Time of a node that nobody knows the price of."""

    node: str
    name: str
    spans: list[Interval]


@dataclass(frozen=True, slots=True)
class Answer:
    """A report and what it is about."""

    currency: str
    window: Interval
    report: Report
    unpriced: list[Unpriced]
    notes: list[str]


@dataclass(frozen=True, slots=True)
class World:
    """A scenario that has been read: the nodes with what was held on them, and the keys of the rows."""

    currency: str
    window: Interval
    lanes: list[Lane]
    keys: list[str]
    grain: int


def allocate(data: bytes, question: Question) -> Answer:
    """Work out who pays for what; `BadScenario` names everything that is wrong."""
    world = read(data, question)
    books = book(world)
    return Answer(
        world.currency,
        world.window,
        report(books, world.keys, grain=world.grain, cpu_per_core=values.CPU_PER_CORE),
        [Unpriced(lane.uid, lane.name, spans) for lane in world.lanes if (spans := lane.unpriced())],
        _notes(world.lanes),
    )


def book(world: World) -> Books:
    """The exact sums."""
    books = Books([Row() for _ in world.keys])
    for lane in world.lanes:
        books.book(lane.ground(world.grain), lane.holds)
    return books


def read(data: bytes, question: Question) -> World:
    """Read and check a scenario; `BadScenario` names everything that is wrong."""
    problems = Problems()
    scenario = _cut(data, problems)
    source = _Source(scenario, problems)
    nodes = Nodes(problems, question.gpu_resources)
    window = nodes.read(list(source.nodes()), question.window or _window(scenario.window, problems))
    nodes.fit(question.split, question.weights)
    stays = Stays(problems, nodes.lanes, key_of(question.by, question.gpu_resources), source.refused)
    stays.read(source.pods)
    if problems:
        raise BadScenario(problems.lines())
    return World(scenario.currency, window, list(nodes.lanes.values()), list(stays.rows), nodes.grain)


def _cut(data: bytes, problems: Problems) -> wire.Scenario:
    try:
        return wire.cut(data)
    except _REFUSALS as error:
        scenario = blame.cut(data, problems)
        if not problems:  # the decoder saw something that the careful reader did not
            problems.add("$", str(error))
        return scenario


@dataclass(slots=True)
class _Source:
    """Reads the items of a scenario one by one, each with its place in the file."""

    scenario: wire.Scenario
    problems: Problems
    refused: set[str] = field(default_factory=set)
    """UIDs of nodes of faulty form."""

    def nodes(self) -> Iterator[tuple[int, wire.Node]]:
        """Nodes of sound form."""
        for place, raw in enumerate(self.scenario.nodes):
            if raw is None:
                continue
            try:
                yield place, wire.node_of(raw)
            except _REFUSALS as error:
                uid = blame.item_in(raw, wire.Node, f"$.nodes[{place}]", self.problems, str(error))
                self.refused.add(uid)

    def pods(self) -> Iterator[tuple[int, wire.Pod]]:
        """Pods of sound form."""
        decode = wire.pod_of
        for place, raw in enumerate(self.scenario.pods):
            if raw is None:
                continue
            try:
                pod = decode(raw)
            except _REFUSALS as error:
                blame.item_in(raw, wire.Pod, f"$.pods[{place}]", self.problems, str(error))
                continue
            yield place, pod


def _window(span: wire.Span | None, problems: Problems) -> Interval | None:
    if span is None:
        return None
    times: dict[str, Instant] = {}
    for name, text in (("start", span.start), ("end", span.end)):
        try:
            if text is None:
                raise ValueError("missing; a window has an end")
            times[name] = values.instant(text)
        except ValueError as error:
            problems.add(f"$.window.{name}", str(error))
    if len(times) < 2:
        return Interval(0, 0)
    if times["end"] < times["start"]:
        problems.add("$.window.end", f"{span.end} is before the start {span.start}")
    return Interval(times["start"], max(times.values()))


def _notes(lanes: Sequence[Lane]) -> list[str]:
    """What a reader of the numbers should know about the nodes."""
    return [
        f"node {lane.uid}: its MIG instances add up to {lane.shape.layout.capacity} GPUs' worth of the "
        f"{lane.shape.layout.physical} it has, by the larger of compute and memory; shares are scaled down to the node"
        for lane in lanes
        if lane.shape.layout.capacity > lane.shape.layout.physical
    ]
