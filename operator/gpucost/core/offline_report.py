"""From the books of `core.offline` to a report: one rounding for everything, so that the parts add up in decimal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from gpucost.core.clock import HOUR
from gpucost.core.money import MICRO, Micro, apportion_over
from gpucost.core.offline import ACTIVE, Books, Row, common_denominator

_GIB = 1 << 30
_KINDS = 4  # active, held, unknown activity, no GPU


@dataclass(slots=True)  # not frozen, which makes each of many thousands three times as slow to make
class Line:
    """One row of the report; money in micro-units, amounts of time in millionths of an hour."""

    key: str
    cost: Micro | None
    """None when nothing of what was held had a price."""
    gpu: int
    cpu: int
    memory: int
    active: Micro
    held: Micro
    unknown: Micro
    non_gpu: Micro
    utilization: float | None
    coverage: float


@dataclass(frozen=True, slots=True)
class Report:
    """Everything, rounded; `difference` was taken before and should be 0."""

    lines: list[Line]
    idle_cost: Micro
    idle_gpu: int
    stranded_cost: Micro
    stranded_gpu: int
    total_cost: Micro
    total_gpu: int
    difference: Fraction
    """In currency units, exact."""


@dataclass(frozen=True, slots=True)
class Exact:
    """Sums of money before rounding, over one denominator, in currency units."""

    denominator: int
    rows: list[list[int]]
    """By row: active, held, unknown activity, no GPU."""
    idle: int
    stranded: int
    total: int


def exact(books: Books) -> Exact:
    """Bring all purses to one denominator."""
    common = common_denominator([denominator * ACTIVE for denominator in books.purses])
    rows = [[0] * _KINDS for _ in books.rows]
    idle = stranded = total = 0
    for denominator, purse in books.purses.items():
        times, over = _factor(common, denominator)
        over_active = over * ACTIVE
        idle += purse.idle * times // over
        stranded += purse.stranded * times // over
        total += purse.total * times // over
        for number, (measured, active, unknown, non_gpu) in purse.rows.items():
            computed = active * times // over_active
            row = rows[number]
            row[0] += computed
            row[1] += measured * times // over - computed
            if unknown:
                row[2] += unknown * times // over
            if non_gpu:
                row[3] += non_gpu * times // over
    return Exact(common, rows, idle, stranded, total)


def _factor(common: int, denominator: int) -> tuple[int, int]:
    """What brings an amount over one denominator to the common one."""
    factor, rest = divmod(common, denominator)
    return (factor, 1) if not rest else (common, denominator)


def report(books: Books, keys: Sequence[str], *, grain: int, cpu_per_core: int) -> Report:
    """Round: every amount by largest remainder, rows sorted by cost, the unpriced last."""
    sums = exact(books)
    costs = [sum(row) for row in sums.rows]
    *rounded, idle, stranded = _millionths([*costs, sums.idle, sums.stranded], sums.denominator)
    gpus = [row.gpu for row in books.rows]
    *gpu_hours, idle_gpu, stranded_gpu = _millionths([*gpus, books.idle_gpu, books.stranded_gpu], grain * HOUR)
    cpus = _millionths([row.cpu for row in books.rows], cpu_per_core * HOUR)
    memories = _millionths([row.memory for row in books.rows], _GIB * HOUR)
    lines = [
        _line(key, row, cost, hours, _split(parts, sums.denominator, cost))
        for key, row, cost, parts, hours in zip(
            keys, books.rows, rounded, sums.rows, zip(gpu_hours, cpus, memories, strict=True), strict=True
        )
    ]
    lines.sort(key=lambda line: (line.cost is None, -(line.cost or 0), line.key))
    return Report(
        lines=lines,
        idle_cost=idle,
        idle_gpu=idle_gpu,
        stranded_cost=stranded,
        stranded_gpu=stranded_gpu,
        total_cost=sum(rounded) + idle + stranded,
        total_gpu=round(Fraction(books.total_gpu * MICRO, grain * HOUR)),
        difference=sum((Fraction(p.difference, d) for d, p in books.purses.items() if p.difference), Fraction(0)),
    )


def _line(key: str, row: Row, cost: Micro, hours: tuple[int, int, int], parts: Sequence[Micro]) -> Line:
    active, held, unknown, non_gpu = parts
    return Line(
        key=key,
        cost=None if row.held and row.held == row.unpriced else cost,
        gpu=hours[0],
        cpu=hours[1],
        memory=hours[2],
        active=active,
        held=held,
        unknown=unknown,
        non_gpu=non_gpu,
        utilization=_ratio(row.active, row.measured * ACTIVE) if row.measured else None,
        coverage=_ratio(row.held - row.unpriced, row.held) if row.unpriced else 1.0,
    )


def _ratio(part: int, whole: int) -> float:
    """To six places."""
    return (2 * part * MICRO + whole) // (2 * whole) / MICRO


def _millionths(amounts: Sequence[int], denominator: int) -> list[int]:
    return apportion_over([amount * MICRO for amount in amounts], denominator)


def _split(parts: Sequence[int], denominator: int, total: Micro) -> list[Micro]:
    """Round the parts of a row so that they add up to its rounded cost, by largest remainder."""
    some = [number for number, part in enumerate(parts) if part]
    rounded = [0] * len(parts)
    if len(some) == 1:
        rounded[some[0]] = total
        return rounded
    remainders = []
    missing = total
    for number in some:
        floor, remainder = divmod(parts[number] * MICRO, denominator)
        rounded[number] = floor
        remainders.append((-remainder, number))
        missing -= floor
    if missing:
        for _, number in sorted(remainders)[:missing]:
            rounded[number] += 1
    return rounded
