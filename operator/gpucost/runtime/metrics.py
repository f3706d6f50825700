"""What the operator exports about cost and about itself, in Prometheus' format.

Costs come from the ledger's totals of the last tick. A counter never falls: a correction downwards shows in the API,
and here only as a pause.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gpucost.core.clock import SECOND, Instant
from gpucost.core.money import PICO
from gpucost.runtime.bulk import BulkText, Family, Labels

__all__ = ["Exposition", "Figures", "FiguresCollector", "Labels"]

COST_LABELS = ("namespace", "workload_kind", "workload", "category", "capacity_type", "state")
GPU_LABELS = ("namespace", "workload_kind", "workload", "category", "capacity_type", "state")
PRICE_LABELS = ("node", "instance_type", "price_source")


@dataclass
class Figures:
    """Everything that is exported; the loop fills it in."""

    cost: dict[Labels, int] = field(default_factory=dict)
    """Pico-units by `COST_LABELS`."""
    gpu_time: dict[Labels, int] = field(default_factory=dict)
    """GPU-microseconds by `GPU_LABELS`."""
    gpu_price: dict[Labels, float] = field(default_factory=dict)
    conservation: int = 0
    data_times: dict[str, Instant | None] = field(default_factory=dict)
    actions: Counter[Labels] = field(default_factory=Counter)
    """By policy, mode and outcome."""
    saved: dict[str, int] = field(default_factory=dict)
    writes: Mapping[str, int] = field(default_factory=dict)
    dropped: Counter[Labels] = field(default_factory=Counter)
    """Samples by source, metric and reason."""
    queries: int = 0
    """Asked of Prometheus, and values read from it."""
    query_samples: int = 0
    exporters: dict[str, int] = field(default_factory=dict)
    """GPU exporters that the operator asks itself, by state."""
    errors: Counter[str] = field(default_factory=Counter)
    exported: Counter[str] = field(default_factory=Counter)
    """Days by what became of them."""
    quarantined: dict[str, int] = field(default_factory=dict)
    """Prices that are held back, by source."""
    sizes: dict[str, int] = field(default_factory=dict)
    ledger_up: bool = False
    """Whether the last write of the ledger succeeded."""
    ledger_waiting: int = 0
    """Facts that wait for it."""
    tick_seconds: float = 0.0
    ticks: int = 0

    def update_counter(self, target: dict[Labels, int], values: Mapping[Labels, int]) -> None:
        """Take new totals: a series that fell stays, even when nothing is left; who is gone takes its along."""
        gone = target.keys() - values.keys()
        if gone:
            owners = {labels[:3] for labels in values}
            for labels in gone:
                if labels[:3] not in owners:
                    del target[labels]
        for labels, value in values.items():
            if value > target.setdefault(labels, 0):
                target[labels] = value

    def large(self) -> Iterator[Family]:
        """The families that grow with the number of workloads and nodes."""
        yield Family(
            "gpucost_cost_total",
            "counter",
            "Cost booked, in units of the currency; by state: active, held, unknown, nonGpu, idle, stranded.",
            COST_LABELS,
            self.cost,
            PICO,
        )
        yield Family(
            "gpucost_gpu_seconds_total",
            "counter",
            "GPU time by state: active, held, unknown, idle, stranded.",
            GPU_LABELS,
            self.gpu_time,
            SECOND,
        )
        yield Family("gpucost_gpu_price_per_hour", "gauge", "Price of one GPU per hour.", PRICE_LABELS, self.gpu_price)


class FiguresCollector(Collector):
    """Renders the small families of `Figures` at scrape time; the large ones are `Figures.large`."""

    def __init__(self, figures: Figures, now: Callable[[], Instant]) -> None:
        """`now()` gives the instant that ages refer to."""
        self._figures = figures
        self._now = now

    def collect(self) -> Iterator[Metric]:
        """All families."""
        yield from self._money()
        yield from self._health()

    def _money(self) -> Iterator[Metric]:
        figures = self._figures
        yield _gauge(
            "gpucost_price_quarantined",
            "Prices that jumped a hundredfold and are held back until they are confirmed.",
            ("source",),
            _single(figures.quarantined),
        )
        yield _gauge(
            "gpucost_conservation_difference",
            "Cost of the nodes less the sum of its parts; anything but 0 is a defect.",
            (),
            [((), figures.conservation / PICO)],
        )
        yield _gauge(
            "gpucost_saved",
            "Saved against on-demand prices, by policy.",
            ("policy",),
            (((policy,), value / PICO) for policy, value in figures.saved.items()),
        )

    def _health(self) -> Iterator[Metric]:
        figures, now = self._figures, self._now()
        ages = {name: (now - at) / SECOND for name, at in figures.data_times.items() if at is not None}
        yield _gauge("gpucost_data_age_seconds", "Age of the newest data.", ("source",), _single(ages))
        yield _counter("gpucost_actions", "Actions.", ("policy", "mode", "outcome"), figures.actions.items())
        yield _counter("gpucost_api_writes", "Writes sent to the API server.", ("verb",), _single(figures.writes))
        yield _counter(
            "gpucost_samples_dropped",
            "Samples that make no sense or are not counted.",
            ("source", "metric", "reason"),
            figures.dropped.items(),
        )
        yield _counter("gpucost_prometheus_queries", "Queries sent to Prometheus.", (), [((), figures.queries)])
        yield _counter("gpucost_prometheus_samples", "Values read from it.", (), [((), figures.query_samples)])
        yield _gauge("gpucost_exporters", "GPU exporters asked directly.", ("state",), _single(figures.exporters))
        yield _counter("gpucost_errors", "Failures survived, by place.", ("place",), _single(figures.errors))
        yield _counter("gpucost_exported_days", "Days exported.", ("action",), _single(figures.exported))
        yield _gauge("gpucost_ledger_up", "1 while the ledger takes what is written.", (), [((), figures.ledger_up)])
        yield _gauge(
            "gpucost_ledger_waiting_facts", "Facts that wait for the ledger.", (), [((), figures.ledger_waiting)]
        )
        yield _gauge("gpucost_objects", "Objects known.", ("kind",), _single(figures.sizes))
        yield _gauge(
            "gpucost_tick_duration_seconds", "Duration of the last full pass.", (), [((), figures.tick_seconds)]
        )
        yield _counter("gpucost_ticks", "Full passes completed.", (), [((), figures.ticks)])


def _single(values: Mapping[str, float]) -> Iterable[tuple[Labels, float]]:
    return (((name,), value) for name, value in values.items())


def _counter(name: str, text: str, labels: Labels, values: Iterable[tuple[Labels, float]]) -> Metric:
    family = CounterMetricFamily(name, text, labels=labels)
    for key, value in values:
        family.add_metric(key, value)
    return family


def _gauge(name: str, text: str, labels: Labels, values: Iterable[tuple[Labels, float]]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=labels)
    for key, value in values:
        family.add_metric(key, value)
    return family


@dataclass
class Exposition:
    """The text of a scrape: the registry's families, and the large ones."""

    registry: CollectorRegistry
    figures: Figures
    _large: BulkText = field(default_factory=BulkText)

    def pieces(self) -> list[bytes]:
        """Everything, in the text format 0.0.4; made at once, because figures change while it is sent."""
        return [generate_latest(self.registry), *self._large.pieces(self.figures.large())]
