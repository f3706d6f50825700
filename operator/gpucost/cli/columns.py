"""The columns of a table of costs: what each shows, how it is titled, and when it belongs in the table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from gpucost.cli.figures import NOT_APPLICABLE, UNKNOWN, Rate, money, percent, quantity, symbol
from gpucost.web.schema import Allocation, Costs, Remainder

_NEARLY_ALL = Decimal("0.99")


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of a table: a row, a total, or capacity that nobody holds."""

    names: tuple[str, ...]
    costs: Costs
    wasted: Decimal | None
    """Paid for and measured as not computing, or held by nobody; None when it was not measured, or is no GPU's."""
    utilization: float | None
    rates: tuple[str | None, ...]
    """Hourly rates that make up this line's; an unpriced one is None."""
    kind: str = "row"
    """row, idle or total."""
    pods: int | None = None
    category: str | None = None

    @property
    def has_gpus(self) -> bool:
        """Whether any GPU was held."""
        return Decimal(self.costs.gpu_hours) > 0

    @property
    def is_partly_unpriced(self) -> bool:
        """Whether its cost is more than what is shown."""
        return self.costs.cost is not None and self.costs.coverage is not None and self.costs.coverage < 1

    @property
    def is_partly_unmeasured(self) -> bool:
        """Whether it may have wasted more than what is shown."""
        if self.kind != "row" or self.wasted is None:
            return Decimal(self.costs.unknown_activity) > 0
        return Decimal(self.costs.gpu_hours_measured) < Decimal(self.costs.gpu_hours) * _NEARLY_ALL


def row_entry(row: Allocation, names: tuple[str, ...], *, measured: bool = True) -> Entry:
    """A row; `measured` False when nobody says how much was measured, but `held` is told all the same."""
    known = not measured or Decimal(row.gpu_hours_measured) > 0
    wasted = Decimal(row.held) if known and Decimal(row.gpu_hours) > 0 else None
    return Entry(names, row, wasted, row.gpu_utilization, (row.hourly,), pods=row.pods, category=row.category)


def remainder_entry(remainder: Remainder, names: tuple[str, ...]) -> Entry:
    """Capacity that nobody holds: all of it is wasted, none of it computes."""
    zero = "0.000000"
    costs = Costs(
        cost=remainder.cost,
        hourly=remainder.hourly,
        gpu_hours=remainder.gpu_hours,
        gpu_hours_measured=zero,
        gpu_hours_active=zero,
        cpu_core_hours=zero,
        memory_gib_hours=zero,
        active=zero,
        held=zero,
        unknown_activity=zero,
        non_gpu=zero,
        spot=zero,
        on_demand=zero,
        gpu_utilization=None,
        coverage=None,
    )
    wasted = None if remainder.cost is None else Decimal(remainder.cost)
    utilization = 0.0 if Decimal(remainder.gpu_hours) else None
    return Entry(names, costs, wasted, utilization, (remainder.hourly,), kind="idle")


def total_entry(entries: Sequence[Entry], costs: Costs, names: tuple[str, ...]) -> Entry:
    """The last line; `costs` is the sum of the others, in which GPUs that nobody held count as not computing."""
    wastes = [entry.wasted for entry in entries if entry.wasted is not None]
    idle = sum((Decimal(e.costs.gpu_hours) for e in entries if e.kind == "idle"), Decimal(0))
    known = Decimal(costs.gpu_hours_measured) + idle
    return Entry(
        names,
        costs,
        sum(wastes, Decimal(0)) if wastes else None,
        float(Decimal(costs.gpu_hours_active) / known) if known else None,
        tuple(rate for entry in entries for rate in entry.rates),
        kind="total",
        pods=sum(entry.pods or 0 for entry in entries),
    )


@dataclass(frozen=True, slots=True)
class Column:
    """A column of numbers."""

    title: str
    show: Callable[[Entry], str]
    wide: bool = False


def columns(currency: str, rate: Rate | None) -> list[Column]:
    """The columns right of the names."""
    per = f"/{rate.unit.upper()}" if rate else ""
    show = _Amounts(currency, rate)
    now = f"NOW{per}" if rate else f"{symbol(currency).strip()}/HOUR"
    return [
        Column("GPU-HOURS", lambda e: quantity(e.costs.gpu_hours)),
        Column("UTIL%", lambda e: percent(e.utilization, none=UNKNOWN if e.has_gpus else NOT_APPLICABLE)),
        Column(f"SPENT{per}", show.spent),
        Column(f"WASTED{per}", show.wasted),
        Column(now, show.hourly),
        Column("PODS", lambda e: NOT_APPLICABLE if e.pods is None else str(e.pods), wide=True),
        Column("CPU-HOURS", lambda e: quantity(e.costs.cpu_core_hours), wide=True),
        Column("GIB-HOURS", lambda e: quantity(e.costs.memory_gib_hours), wide=True),
        Column(f"ACTIVE{per}", lambda e: show.part(e, e.costs.active), wide=True),
        Column(f"UNKNOWN{per}", lambda e: show.part(e, e.costs.unknown_activity), wide=True),
        Column(f"NO-GPU{per}", lambda e: show.part(e, e.costs.non_gpu), wide=True),
        Column(f"SPOT{per}", lambda e: show.part(e, e.costs.spot), wide=True),
        Column(f"ON-DEMAND{per}", lambda e: show.part(e, e.costs.on_demand), wide=True),
        Column("PRICED%", lambda e: percent(e.costs.coverage), wide=True),
        Column("CATEGORY", lambda e: e.category or NOT_APPLICABLE, wide=True),
    ]


@dataclass(frozen=True, slots=True)
class _Amounts:
    """Shows amounts of one currency, as sums or as rates."""

    currency: str
    rate: Rate | None

    def spent(self, entry: Entry) -> str:
        cost = entry.costs.cost
        return money(self._sum(cost), self.currency, at_least=entry.is_partly_unpriced)

    def wasted(self, entry: Entry) -> str:
        if entry.wasted is None:
            return UNKNOWN if entry.has_gpus else NOT_APPLICABLE
        partly = entry.is_partly_unmeasured or entry.is_partly_unpriced
        return money(self._sum(str(entry.wasted)), self.currency, at_least=partly)

    def hourly(self, entry: Entry) -> str:
        known = [Decimal(rate) for rate in entry.rates if rate is not None]
        if entry.rates and not known:
            return money(None, self.currency) if entry.costs.cost is None else UNKNOWN
        amount = sum(known, Decimal(0))
        shown = self.rate.of_hourly(amount) if self.rate else amount
        return money(shown, self.currency, at_least=len(known) < len(entry.rates))

    def part(self, entry: Entry, amount: str) -> str:
        """A part of a cost; capacity that nobody holds has none."""
        return NOT_APPLICABLE if entry.kind == "idle" else money(self._sum(amount), self.currency)

    def _sum(self, text: str | None) -> Decimal | None:
        if text is None:
            return None
        return self.rate.of_sum(Decimal(text)) if self.rate else Decimal(text)
