"""What the status of an endpoint shows of its signals: the objective as it was kept, and what a replica serves."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from gpucost.core.serving.signals.model import Evidence, ReplicaCapacity, Signals
from gpucost.core.serving.spec import EndpointSpec

SOURCES = {Evidence.GIVEN: "Spec", Evidence.EXPLORED: "Explored", Evidence.SATURATED: "Learned"}


def shown(signals: Signals, spec: EndpointSpec) -> dict[str, dict[str, Any]]:
    """Fields of the status; what is not known is absent."""
    found: dict[str, dict[str, Any]] = {}
    share = signals.slo.share if signals.slo is not None else None
    if share is not None:
        found["slo"] = {"attainment": _percent(share), "objective": str(spec.slo.objective)}
    if signals.capacity.known:
        found["capacity"] = _capacity(signals.capacity)
    return found


def _percent(share: float) -> str:
    """Rounded down: 99.99 must not show as 100 while a request was late."""
    return f"{int(share * 10_000 + 1e-9) / 100:.2f}".rstrip("0").rstrip(".")


def _capacity(capacity: ReplicaCapacity) -> dict[str, Any]:
    figures = {"requestsPerSecond": capacity.requests_per_second, "tokensPerSecond": capacity.tokens_per_second}
    told: dict[str, Any] = {name: _figure(value) for name, value in figures.items() if value is not None}
    return {**told, "source": SOURCES[capacity.evidence]}


def _figure(value: float) -> str:
    """Three figures: more were not measured."""
    return f"{value:.0f}" if value >= 100 else format(Decimal(f"{value:.3g}"), "f")
