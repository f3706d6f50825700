"""A small world whose costs were worked out by hand, and a provider that tells them.

From 00:00 to 10:00 UTC on 1 November 2026:

    gpu-0   8 x H100, spot, $20.10 an hour      10 h x 20.10             = 201.00
      bert-0   TrainingJob/bert, 4 of 8 GPUs     2 h x 1/2 x 20.10        =  20.10   61 % active
      sweep-0  Job/sweep, 2 of 8 GPUs            3 h x 1/4 x 20.10        =  15.075  nobody measured
      idle     66 GPU-hours                      201.00 - 20.10 - 15.075  = 165.825
    gpu-1   1 x L4, on demand, $0.978 an hour   10 h x 0.978             =   9.78
      chat-0   Deployment/chat, the whole node                            =   9.78   34 % active
    cpu-0   no price
      web-0    Deployment/web                   10 h                     unpriced
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from fractions import Fraction

from gpucost.core.clock import HOUR, SECOND, Instant, parse_rfc3339
from gpucost.core.model import CapacityType, Category, Workload
from gpucost.core.report import Amounts, DataQuality, Explanation, Line, Report, Row
from gpucost.core.selector import Selector
from gpucost.core.timeline import Interval
from gpucost.web.provider import Unsupported

START = parse_rfc3339("2026-11-01T00:00:00Z")
NOW = START + 10 * HOUR
BERT = Workload("TrainingJob", "bert")
CENT = 10**10  # pico-units


def gpu_amounts(*, cents: int, gpu_hours: int, busy: Fraction | None, hours: int, spot: bool) -> Amounts:
    cost = cents * CENT // 10  # given in tenths of a cent
    active = int(cost * busy) if busy is not None else 0
    gpu_time = gpu_hours * HOUR
    return Amounts(
        cost=cost,
        active=active,
        held=cost - active if busy is not None else 0,
        unknown_activity=cost if busy is None else 0,
        spot=cost if spot else 0,
        on_demand=0 if spot else cost,
        gpu_time=gpu_time,
        active_gpu_time=int(gpu_time * busy) if busy is not None else 0,
        known_gpu_time=gpu_time if busy is not None else 0,
        cpu_time=16_000 * hours * HOUR,
        memory_time=128 * 1024 * hours * HOUR,
        held_time=hours * HOUR,
    )


ROWS = (
    Row(
        key="research/bert-0",
        namespace="research",
        workload=BERT,
        category=Category.TRAINING,
        hourly=0,
        amounts=gpu_amounts(cents=20_100, gpu_hours=8, busy=Fraction(61, 100), hours=2, spot=True),
    ),
    Row(
        key="research/sweep-0",
        namespace="research",
        workload=Workload("Job", "sweep"),
        category=Category.TRAINING,
        hourly=0,
        amounts=gpu_amounts(cents=15_075, gpu_hours=6, busy=None, hours=3, spot=True),
    ),
    Row(
        key="serving/chat-0",
        namespace="serving",
        workload=Workload("Deployment", "chat"),
        category=Category.INFERENCE,
        hourly=978 * 10**9,
        pods=1,
        amounts=gpu_amounts(cents=9_780, gpu_hours=10, busy=Fraction(34, 100), hours=10, spot=False),
    ),
    Row(
        key="serving/web-0",
        namespace="serving",
        workload=Workload("Deployment", "web"),
        category=Category.INFRASTRUCTURE,
        hourly=None,
        pods=1,
        amounts=Amounts(held_time=10 * HOUR, unpriced_time=10 * HOUR, cpu_time=2_000 * 10 * HOUR),
    ),
)
IDLE = Row(
    key="idle",
    hourly=20_100 * 10**9,
    amounts=Amounts(cost=165_825 * CENT // 10, spot=165_825 * CENT // 10, gpu_time=66 * HOUR, held_time=10 * HOUR),
)
NOTHING = Row(key="stranded", amounts=Amounts())
QUALITY = DataQuality(
    as_of=NOW,
    price_sources=("PriceBook/team", "built-in list 2026-11-01"),
    gpus_held=1,
    gpus_measured=1,
    data_age=40 * SECOND,
    unpriced_nodes=("cpu-0",),
)
LABELS = {"research/bert-0": {"team": "nlp"}, "serving/chat-0": {"team": "chat"}}


def bert_lines() -> tuple[Line, ...]:
    """Two stretches of an hour each: in the second the price is the same but the activity was measured anew."""

    def line(start: Instant, active: float) -> Line:
        return Line(
            pod="bert-0",
            node="gpu-0",
            span=Interval(start, start + HOUR),
            share=Fraction(1, 2),
            share_of="4 of 8 GPUs",
            gpus=4,
            hourly=Decimal("20.10"),
            capacity_type=CapacityType.SPOT,
            price_source="PriceBook/team",
            cost=10_050 * CENT // 10,
            gpu_active=active,
        )

    return line(START, 0.5), line(START + HOUR, 0.72)


@dataclass
class ExampleProvider:
    """Answers like the ledger, from the rows above."""

    rows: Sequence[Row] = ROWS
    idle: Row = IDLE
    quality: DataQuality = QUALITY
    error: Exception | None = None
    gaps: tuple[tuple[Interval, str], ...] = ()
    lines: dict[Workload, tuple[Line, ...]] = field(default_factory=lambda: {BERT: bert_lines()})

    def now(self) -> Instant:
        return NOW

    async def report(
        self, span: Interval, *, by: str, namespace: str | None = None, selector: Selector | None = None
    ) -> Report:
        if self.error:
            raise self.error
        if by == "node":
            raise Unsupported("this provider cannot group by node")
        rows = [row for row in self.rows if namespace in (None, row.namespace) and span.end > START]
        if selector is not None:
            rows = [row for row in rows if selector.matches(LABELS.get(row.key, {}))]
        whole = namespace is None and selector is None and span.end > START
        idle = self.idle if whole else replace(NOTHING, key="idle")
        grouped = tuple(group(rows, by))
        total = sum((row.amounts for row in (*grouped, idle)), Amounts())
        return Report("USD", span, grouped, idle, NOTHING, total, 0, self.quality)

    async def workloads(self, namespace: str) -> Sequence[Workload]:
        return [row.workload for row in self.rows if row.namespace == namespace and row.workload]

    async def knows(self, namespace: str, what: Workload) -> bool:
        return any(row.key == f"{namespace}/{what.name}" for row in self.rows)

    async def explain(self, namespace: str, workload: Workload, span: Interval) -> Explanation:
        lines = self.lines.get(workload, ()) if span.end > START else ()
        total = next(row.amounts for row in self.rows if row.workload == workload) if lines else Amounts()
        return Explanation("USD", namespace, workload, span, lines, total, self.gaps, self.quality)


def group(rows: Iterable[Row], by: str) -> Iterable[Row]:
    """Add up rows by a grouping, as the ledger does."""
    groups: dict[str, Row] = {}
    for row in rows:
        key = _key(row, by)
        seen = groups.get(key)
        if seen is None:
            groups[key] = _labelled(row, key, by)
            continue
        hourly = None if seen.hourly is None or row.hourly is None else seen.hourly + row.hourly
        groups[key] = replace(seen, amounts=seen.amounts + row.amounts, hourly=hourly, pods=seen.pods + row.pods)
    return groups.values()


def _key(row: Row, by: str) -> str:
    assert row.workload is not None
    assert row.category is not None
    return {
        "namespace": row.namespace,
        "pod": row.key,
        "workload": f"{row.namespace}/{row.workload.kind}/{row.workload.name}",
        "category": row.category.value,
    }[by]


def _labelled(row: Row, key: str, by: str) -> Row:
    """Keep only what the grouping tells apart."""
    return replace(
        row,
        key=key,
        namespace="" if by == "category" else row.namespace,
        workload=row.workload if by in {"workload", "pod"} else None,
        category=None if by == "namespace" else row.category,
    )
