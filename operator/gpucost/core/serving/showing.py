"""What was measured of an endpoint, as its status shows it: attainment of the SLO and the capacity of a replica."""

from __future__ import annotations

from typing import Any

from gpucost.core.serving.signals.model import Evidence, Signals
from gpucost.core.serving.spec import EndpointSpec

_SOURCES = {Evidence.GIVEN: "Spec", Evidence.EXPLORED: "Explored", Evidence.SATURATED: "Learned"}


def measured_status(spec: EndpointSpec, signals: Signals) -> dict[str, Any]:
    """Status fields; what is not known is left out, because unknown is not zero."""
    slo: dict[str, str] = {"objective": f"{spec.slo.objective:f}"}
    share = signals.slo.share if signals.slo is not None else None
    if share is not None:
        slo["attainment"] = _percent(share)
    found: dict[str, Any] = {"slo": slo}
    capacity = signals.capacity
    if capacity.known and capacity.evidence in _SOURCES:
        shown = {"source": _SOURCES[capacity.evidence]}
        for name, value in (
            ("requestsPerSecond", capacity.requests_per_second),
            ("tokensPerSecond", capacity.tokens_per_second),
        ):
            if value is not None:
                shown[name] = f"{value:.2f}"
        found["capacity"] = shown
    return found


def _percent(share: float) -> str:
    """Per cent with two places, cut and not rounded: 99.996 % is not an attainment of 100 %."""
    return f"{int(share * 10_000 + 1e-9) / 100:.2f}"
