"""Nodes of a scenario: what they offer, what they cost when, and room for what is held on them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import lcm

from gpucost.core.clock import Instant, format_rfc3339
from gpucost.core.gpus import Layout, is_gpu, layout
from gpucost.core.model import Gpus
from gpucost.core.offline import Ground, Hold
from gpucost.core.shares import Scale, Size, SplitKind, Weights, scale_of
from gpucost.core.timeline import Interval
from gpucost.offline import values
from gpucost.offline.problems import Problems, at
from gpucost.offline.wire import Gpu, Node, Price

FOREVER: Instant = 1 << 62

_PLENTY = 1 << 40
"""Stands for a capacity that cannot be read, so that pods are not blamed for it."""


_UNFIT = scale_of(SplitKind.DOMINANT, Size(0, 0, 0))


@dataclass(slots=True)
class Shape:
    """What nodes of one kind offer; shared by all nodes with the same capacity and GPUs."""

    cpu: int
    memory: int
    devices: dict[str, int]
    """Advertised units of each GPU resource."""
    others: dict[str, int]
    """Advertised amounts of anything else."""
    layout: Layout
    scale: Scale = _UNFIT
    """Set by `Nodes.fit`."""
    worth: dict[str, int] = field(default_factory=dict)
    """GPUs of one unit of each resource that is offered, in 1/grain."""


@dataclass(slots=True)
class Lane:
    """One node."""

    place: int
    uid: str
    name: str
    born: Instant
    gone: Instant
    start: Instant
    """Start of its life within the window, as `end` is the end of it."""
    end: Instant
    shape: Shape
    prices: list[tuple[Instant, int]]
    price_unit: int
    holds: list[Hold] = field(default_factory=list)
    changes: defaultdict[str, dict[Instant, int]] = field(default_factory=lambda: defaultdict(dict))
    """Of each GPU resource when how many units more are requested, or fewer."""

    def ground(self, grain: int) -> Ground:
        """The node as the arithmetic sees it."""
        offer = self.shape.layout
        lost = offer.stranded if offer.capacity < offer.physical else 0
        amounts = (offer.physical, offer.physical - lost, offer.stranded, offer.capacity)
        scaled = [int(amount * grain) for amount in amounts]
        return Ground(self.start, self.end, self.shape.scale, self.prices, self.price_unit, *scaled)

    def unpriced(self) -> list[Interval]:
        """Time of the node within the window that has no price."""
        spans: list[Interval] = []
        for (start, price), until in zip(
            [(self.start, 0), *self.prices], [*(start for start, _ in self.prices), self.end], strict=True
        ):
            span = None if price else Interval(start, until).clip(self.start, self.end)
            if span is not None and spans and spans[-1].end == span.start:
                spans[-1] = Interval(spans[-1].start, span.end)
            elif span is not None:
                spans.append(span)
        return spans


@dataclass(slots=True)
class Nodes:
    """Reads nodes; whatever is wrong goes to `problems`."""

    problems: Problems
    patterns: Sequence[str]
    lanes: dict[str, Lane] = field(default_factory=dict)
    shapes: list[Shape] = field(default_factory=list)
    known: dict[object, Shape] = field(default_factory=dict)
    grain: int = 1

    def read(self, nodes: Sequence[tuple[int, Node]], span: Interval | None) -> Interval:
        """Fill `lanes`; returns the window, which is the span of the nodes when none is given."""
        drafts = [(self._life(node, f"$.nodes[{place}]", span), place, node) for place, node in nodes]
        lives = [life for life, _, _ in drafts if life is not None]
        if span is None:
            span = Interval(
                min((life.start for life in lives), default=0), max((life.end for life in lives), default=0)
            )
            if not nodes and not self.problems:
                self.problems.add("$.window", "missing; without nodes there is no time to look at")
        for life, place, node in drafts:
            self._lane(node, place, life or Interval(0, 0), span)
        return span

    def fit(self, kind: SplitKind, weights: Weights | None) -> None:
        """Give every shape its scale; all count GPUs in the same fraction."""
        offers = [shape.layout for shape in self.shapes]
        amounts: list[Gpus] = [a for o in offers for a in (o.physical, o.capacity, o.stranded, *o.parts.values())]
        self.grain = lcm(*(amount.denominator for amount in amounts))
        for shape in self.shapes:
            offer = shape.layout
            size = Size(shape.cpu, shape.memory, offer.capacity, offer.physical, offer.stranded, values.CPU_PER_CORE)
            shape.scale = scale_of(kind, size, self.grain, weights)
            offered = [(name, offer.parts.get(name, 1)) for name, units in shape.devices.items() if units]
            shape.worth = {name: int(part * self.grain) for name, part in offered}

    def _life(self, node: Node, path: str, span: Interval | None) -> Interval | None:
        start = self._value(values.instant, node.start, f"{path}.start")
        end: Instant | None = FOREVER
        if node.end is not None:
            end = self._value(values.instant, node.end, f"{path}.end")
        elif span is None:
            self.problems.add(f"{path}.end", "missing; give the node an end, or the scenario a window")
        if start is None or end is None:
            return None
        if end < start:
            self.problems.add(f"{path}.end", f"{node.end} is before the start {node.start}")
            return None
        return Interval(start, end)

    def _lane(self, node: Node, place: int, life: Interval, span: Interval) -> None:
        path = f"$.nodes[{place}]"
        if node.uid in self.lanes:
            first = self.lanes[node.uid].place
            self.problems.add(
                f"{path}.uid", f"{node.uid!r} is the UID of $.nodes[{first}] too; each node needs its own"
            )
            return
        start, end = max(life.start, span.start), min(life.end, span.end)
        prices, unit = self._prices(node.prices or (), f"{path}.prices")
        self.lanes[node.uid] = Lane(
            place,
            node.uid,
            node.name or node.uid,
            life.start,
            life.end,
            start,
            max(start, end),
            self._shape(node, path),
            [price for price in prices if price[0] < end],
            unit,
        )

    def _prices(self, prices: Sequence[Price], path: str) -> tuple[list[tuple[Instant, int]], int]:
        """In order, and in which part of the currency unit; two from one instant are a problem."""
        instant, hourly = values.instant, values.hourly
        try:
            read = sorted((instant(price.since), *hourly(price.hourly)) for price in prices)
        except ValueError:
            self._bad_prices(prices, path)
            return [], 1
        most = max((decimals for _, _, decimals in read), default=0)
        unit = values.price_unit(most)
        factors = [unit // 10**decimals for decimals in range(most + 1)]
        steps = {start: amount * factors[decimals] for start, amount, decimals in read}
        if len(steps) != len(read):
            self._same_start(prices, path)
        return list(steps.items()), unit

    def _bad_prices(self, prices: Sequence[Price], path: str) -> None:
        for number, price in enumerate(prices):
            self._value(values.instant, price.since, f"{path}[{number}].from")
            self._value(values.hourly, price.hourly, f"{path}[{number}].hourly")

    def _same_start(self, prices: Sequence[Price], path: str) -> None:
        seen: dict[Instant, int] = {}
        for number, price in enumerate(prices):
            start = values.instant(price.since)
            if seen.setdefault(start, number) != number:
                self.problems.add(
                    f"{path}[{number}].from",
                    f"{format_rfc3339(start)} is the start of {path}[{seen[start]}] too; one price at a time",
                )

    def _shape(self, node: Node, path: str) -> Shape:
        gpu = node.gpu or Gpu()
        key = (tuple((node.capacity or {}).items()), gpu.model, gpu.count, gpu.memory_gib, gpu.replicas)
        shape = self.known.get(key)
        if shape is None:
            shape = self._new_shape(node.capacity or {}, gpu, path)
            self.shapes.append(shape)
            if not self.problems:  # a faulty shape is named for every node that has it
                self.known[key] = shape
        return shape

    def _new_shape(self, capacity: Mapping[str, str], gpu: Gpu, path: str) -> Shape:
        shape, before = Shape(0, 0, {}, {}, Layout()), len(self.problems)
        for name, text in capacity.items():
            is_device = is_gpu(name, self.patterns)
            parse = values.cpu if name == "cpu" else values.units if is_device else values.whole
            amount = self._value(parse, text, at(f"{path}.capacity", name))
            amount = _PLENTY if amount is None else amount
            if name == "cpu":
                shape.cpu = amount
            elif name == "memory":
                shape.memory = amount
            else:
                (shape.devices if is_device else shape.others)[name] = amount
        if len(self.problems) == before:
            shape.layout = self._layout(shape.devices, gpu, f"{path}.gpu")
        return shape

    def _layout(self, devices: Mapping[str, int], gpu: Gpu, path: str) -> Layout:
        if not self._sensible(gpu, path):
            return Layout(parts=dict.fromkeys(devices, 1))
        count = None if gpu.count is None else Fraction(str(gpu.count))
        memory = None if gpu.memory_gib is None else float(gpu.memory_gib)
        offer = layout(devices, model=gpu.model or "", physical=count, memory_gib=memory, replicas=gpu.replicas)
        if offer.problem:
            self.problems.add(path, offer.problem)
            return Layout(parts=dict.fromkeys(devices, 1))
        return offer

    def _sensible(self, gpu: Gpu, path: str) -> bool:
        """Whether the numbers can be what they are said to be."""
        faults = {
            "count": gpu.count is not None and not 0 <= gpu.count < 1 << 20,
            "memoryGiB": gpu.memory_gib is not None and not 0 < gpu.memory_gib < 1 << 20,
            "replicasPerGpu": gpu.replicas is not None and not 0 < gpu.replicas < 1 << 20,
        }
        for name, fault in faults.items():
            if fault:
                least = "0 or more" if name == "count" else "more than 0"
                self.problems.add(f"{path}.{name}", f"want a number that is {least}")
        return not any(faults.values())

    def _value(self, parse: Callable[[str], object], text: str, path: str) -> int | None:
        """What a text says, or None after naming the problem."""
        try:
            return parse(text)  # type: ignore[return-value]
        except ValueError as error:
            self.problems.add(path, str(error))
            return None
