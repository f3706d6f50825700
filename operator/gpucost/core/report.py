"""What is told about cost: rows, totals and the lines of an explanation.

These records are the border between the arithmetic (`allocate`, `booking`, the ledger) and everything that shows
numbers (status, annotations, metrics, HTTP, CLI). Money is booked money (integer pico-units); it is rounded to
micro-units only when it is written down, always together with its siblings.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from gpucost.core.clock import Instant, Micros
from gpucost.core.model import CapacityType, Category, Gpus, NodeFact, Workload
from gpucost.core.money import Pico
from gpucost.core.timeline import Interval


class Amounts(NamedTuple):
    """Cost of a stretch of time and what it paid for; amounts add up field by field.

    A tuple, because tens of thousands are made at every pass.

    `cost` is what is known to be owed: `active + held + unknown_activity + non_gpu` for pods; idle and stranded cost is
    none of these four. Time without a price adds to `unpriced_time` and not to the cost; `held_time` is all pod time,
    priced or not (for idle: time in which some of a node was idle). `*_gpu_time` are GPU-microseconds.
    """

    cost: Pico = 0
    active: Pico = 0
    held: Pico = 0
    unknown_activity: Pico = 0
    non_gpu: Pico = 0
    spot: Pico = 0
    on_demand: Pico = 0
    gpu_time: int = 0
    active_gpu_time: int = 0
    """GPU-microseconds in which the GPUs computed, over the known part."""
    known_gpu_time: int = 0
    """GPU-microseconds whose activity was measured."""
    cpu_time: int = 0
    """Millicore-microseconds held."""
    memory_time: int = 0
    """MiB-microseconds held."""
    held_time: Micros = 0
    unpriced_time: Micros = 0
    saved: Pico = 0
    """What the same time on demand would have cost more; negative when spot was dearer, 0 where nobody knows."""

    def __add__(self, other: Amounts) -> Amounts:  # type: ignore[override]
        return Amounts._make(map(operator.add, self, other))

    def __sub__(self, other: Amounts) -> Amounts:
        return Amounts._make(map(operator.sub, self, other))

    @property
    def coverage(self) -> Fraction | None:
        """Priced share of the time held; None when nothing was held."""
        return Fraction(self.held_time - self.unpriced_time, self.held_time) if self.held_time else None

    @property
    def gpu_utilization(self) -> Fraction | None:
        """Share of measured GPU time that computed; None when nothing was measured."""
        return Fraction(self.active_gpu_time, self.known_gpu_time) if self.known_gpu_time else None

    @property
    def known_cost(self) -> Pico | None:
        """Cost, or None when no part of the time had a price: unknown is not zero."""
        return None if self.held_time and self.unpriced_time == self.held_time else self.cost


_NONE = Amounts()


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a report. Fields that the grouping does not tell apart are empty."""

    key: str
    amounts: Amounts
    hourly: Pico | None = 0
    """What it costs per hour right now; None when something it holds has no price."""
    namespace: str = ""
    workload: Workload | None = None
    category: Category | None = None
    pods: int = 0
    """Pods that hold resources right now."""
    name: str = ""
    """Name for people where the key is none: of a node (its key is the UID) or of a pod."""
    parts: tuple[str, ...] = ()
    """Names for people, one for each grouping of the report."""


@dataclass(frozen=True, slots=True)
class NodeUse:
    """What became of one node's money: `used + idle + stranded` is what it cost."""

    node: NodeFact
    used: Amounts
    """What pods held."""
    idle: Amounts
    stranded: Amounts = _NONE
    hourly: Pico | None = 0
    """Of the whole node right now; None when it has no price, 0 when it is gone."""
    idle_hourly: Pico | None = 0

    @property
    def cost(self) -> Pico:
        """What the node cost."""
        return self.used.cost + self.idle.cost + self.stranded.cost


@dataclass(frozen=True, slots=True)
class DataQuality:
    """Where the numbers come from and how good they are; the last line of every table."""

    as_of: Instant
    price_sources: tuple[str, ...] = ()
    """Such as `PriceBook/team-prices` or `built-in list 2026-11-01`."""
    gpus_held: Gpus = 0
    gpus_measured: Gpus = 0
    data_age: Micros | None = None
    """Age of the newest utilisation sample; None when there is none."""
    unpriced_nodes: tuple[str, ...] = ()
    gaps: int = 0
    """Intervals in the window that nobody could observe."""


@dataclass(frozen=True, slots=True)
class Report:
    """Cost of a window by some grouping; `sum(rows) + idle + stranded == total` in pico-units."""

    currency: str
    span: Interval
    rows: tuple[Row, ...]
    idle: Row
    stranded: Row
    total: Amounts
    difference: Pico
    """Cost of the nodes, integrated on its own, less the sum of the parts; not 0 is a defect."""
    quality: DataQuality
    nodes: tuple[NodeUse, ...] = ()
    """What became of each node's money, where the grouping tells nodes apart and everything is asked for."""
    labels: tuple[str, ...] = ()
    """Keys of the labels that pods in the window have, where a label is grouped by."""


@dataclass(frozen=True, slots=True)
class Line:
    """One stretch of an explanation: `span` x `share` x `hourly` = `cost`."""

    pod: str
    node: str
    span: Interval
    share: Fraction
    share_of: str
    """What made the share, such as `4 of 8 GPUs`."""
    gpus: Gpus
    hourly: Decimal | None
    capacity_type: CapacityType
    price_source: str
    cost: Pico | None
    gpu_active: float | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """The arithmetic behind one workload's cost; `sum(line.cost) == total.cost`."""

    currency: str
    namespace: str
    workload: Workload
    span: Interval
    lines: tuple[Line, ...]
    total: Amounts
    gaps: tuple[tuple[Interval, str], ...]
    quality: DataQuality
