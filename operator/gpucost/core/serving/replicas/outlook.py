"""What is asked about an endpoint's replicas, and what is answered. Plain values: no numpy here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from gpucost.core.clock import SECOND, Instant, Micros

STEP: Micros = 15 * SECOND
"""How often a policy decides, and the length over which rates are averaged."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Between what the number of replicas has to stay."""

    least: int = 1
    most: int = 100


@dataclass(frozen=True, slots=True)
class Params:
    """What may be tuned. The defaults of `gpucost` are those that kept 0.1 % late on recorded traffic."""

    policy: str = "gpucost"
    """gpucost, hpa, kpa, keda or static."""
    values: Mapping[str, float] = field(default_factory=dict)
    """By the names in `policies.AXES`; what is not given has its default."""
    limits: Limits = Limits()


@dataclass(frozen=True, slots=True)
class Observation:
    """What is known when a decision is due. Rates are averages over the step that ended at `measured`."""

    now: Instant
    measured: Instant
    """When the metrics are from; they may be older than `now`."""
    arrived: float | None
    """Requests a second. None: no series, or stale."""
    served: float | None
    queue: float | None
    """Requests that wait."""
    ready: int
    pending: tuple[Micros, ...]
    """For each replica that is not ready yet: for how long it has existed."""
    throughput: float
    """Requests a second that one replica serves while it keeps the SLO."""
    ready_time: Micros
    """From a replica's creation until it serves, as learned."""

    @property
    def total(self) -> int:
        """Replicas that exist."""
        return self.ready + len(self.pending)


class Reason(StrEnum):
    """Why the number is what it is."""

    METRICS_MISSING = "MetricsMissing"
    """Nothing is known now: the number stays."""
    RISING_LOAD = "RisingLoad"
    """What arrives may soon be more than there is capacity for."""
    DRAINING_QUEUE = "DrainingQueue"
    """Requests wait longer than they may, or will before another replica can be ready."""
    FALLING_LOAD = "FallingLoad"
    """The replicas that go would not be needed within the time that it takes to get them back."""
    STEADY = "Steady"
    LIMITED = "Limited"
    """The policy wanted a number outside of the limits."""


@dataclass(frozen=True, slots=True)
class Recommendation:
    """How many replicas should exist, and on what evidence."""

    replicas: int
    reason: Reason
    message: str
    """One sentence with the figures, for people."""
    wanted: int
    """Before the limits."""
    load: float | None = None
    """What arrives, in replicas' worth, as estimated."""
    chance: float | None = None
    """Part of the time until a new replica would be ready in which more would arrive than these replicas serve."""
    backlog: float | None = None
    """Requests that would wait when a replica asked for now is ready, if nothing were changed."""
    forecast: str = "none"
    """Which of its own past the endpoint's forecast rests on: none, day or week."""
