"""`gpucost allocate` without its command line: a scenario's bytes and a question in, a report out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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
    scenario, node_places, pod_places, spared = _decode(data, problems)
    nodes = Nodes(problems, question.gpu_resources)
    window = nodes.read(scenario.nodes, node_places, question.window or _window(scenario.window, problems))
    nodes.fit(question.split, question.weights)
    stays = Stays(problems, nodes.lanes, key_of(question.by), spared)
    stays.read(scenario.pods, pod_places)
    if problems:
        raise BadScenario(problems.lines())
    return World(scenario.currency, window, list(nodes.lanes.values()), list(stays.rows), nodes.grain)


_Decoded = tuple[wire.Scenario, Sequence[int], Sequence[int], frozenset[str]]


def _decode(data: bytes, problems: Problems) -> _Decoded:
    try:
        scenario = wire.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        scenario, places = blame.sound_part(data, problems)
        if not problems:  # the decoder saw something that the careful reader did not
            problems.add("$", str(error))
        return scenario, places["nodes"], places["pods"], blame.uids_in(data)
    return scenario, range(len(scenario.nodes)), range(len(scenario.pods)), frozenset()


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
