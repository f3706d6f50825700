"""Short ways to write down nodes, prices and pods, for tests of the cost arithmetic. Times are hours after `T0`."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction

from gpucost.core.books import Books, Fact
from gpucost.core.clock import HOUR, Instant, parse_rfc3339
from gpucost.core.model import (
    CapacityType,
    Category,
    Gpus,
    NeedFact,
    NodeFact,
    PodFact,
    PriceFact,
    Resources,
    UsageFact,
    Workload,
)
from gpucost.core.money import PICO
from gpucost.core.report import Amounts
from gpucost.core.timeline import Interval

T0 = parse_rfc3339("2026-11-02T00:00:00Z")
GIB = 1 << 30
Hours = float | Fraction


def at(hours: Hours) -> Instant:
    """An instant some hours after `T0`."""
    return T0 + int(Fraction(hours) * HOUR)


def span(start: Hours, end: Hours) -> Interval:
    """A window."""
    return Interval(at(start), at(end))


def node(
    uid: str = "n1",
    start: Hours = 0,
    end: Hours | None = None,
    *,
    gpus: int = 8,
    cpus: int = 0,
    memory: int = 0,
    name: str = "",
    **traits: str,
) -> NodeFact:
    """A node of some GPUs, CPUs and GiB; without CPUs and memory only its GPUs count."""
    size = Resources(cpu_milli=cpus * 1000, memory=memory * GIB, gpus=gpus)
    paid = CapacityType(traits.pop("capacity_type", "onDemand"))
    ended = None if end is None else at(end)
    return NodeFact(uid, name or f"node-{uid}", at(start), ended, size, capacity_type=paid, **traits)


def price(
    hourly: str | None, start: Hours = 0, node_uid: str = "n1", capacity_type: str = "onDemand", source: str = "test"
) -> PriceFact:
    """A price of a whole node from some time on."""
    amount = None if hourly is None else Decimal(hourly)
    return PriceFact(node_uid, at(start), amount, CapacityType(capacity_type), source)


def pod(
    uid: str,
    start: Hours = 0,
    end: Hours | None = None,
    *,
    gpus: Gpus = 0,
    cpus: float = 0,
    memory: float = 0,
    node_uid: str = "n1",
    namespace: str = "research",
    workload: str = "",
    name: str = "",
    labels: dict[str, str] | None = None,
) -> PodFact:
    """A stay of a pod."""
    return PodFact(
        uid=uid,
        namespace=namespace,
        name=name or uid,
        workload=Workload("Job", workload or uid),
        category=Category.TRAINING,
        node_uid=node_uid,
        start=at(start),
        end=None if end is None else at(end),
        requests=Resources(cpu_milli=int(cpus * 1000), memory=int(memory * GIB), gpus=gpus),
        labels=labels or {},
    )


def need(pod_uid: str, start: Hours, *, gpus: Gpus = 0, cpus: float = 0, memory: float = 0) -> NeedFact:
    """What a pod counts for from some time on."""
    return NeedFact(pod_uid, at(start), Resources(cpu_milli=int(cpus * 1000), memory=int(memory * GIB), gpus=gpus))


def busy(pod_uid: str, share: float | None, start: Hours = 0) -> UsageFact:
    """GPU activity from some time on."""
    return UsageFact(pod_uid, at(start), share)


def money(amount: str) -> int:
    """Pico-units of a decimal amount."""
    return int(Decimal(amount) * PICO)


def booked(facts: Iterable[Fact], window: Interval) -> tuple[dict[str, Amounts], int]:
    """Amounts by pod UID (`""` is idle) over a window, and the difference to the cost of the nodes."""
    books, found, difference = Books(), {}, 0
    books.put(facts)
    for booking in books.bookings(window):
        difference += booking.difference
        for charge in booking.charges:
            found[charge.pod_uid] = found.get(charge.pod_uid, Amounts()) + charge.amounts
    return found, difference
