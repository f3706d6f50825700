"""What is known of an endpoint's load at one look, in types that keep the kinds of ignorance apart.

Autoscalers have scaled production to its minimum because a missing series was read as zero. Here a figure is `Known`,
and zero is one of its values, or it says why it is not: no series, a stale one, a counter that began anew, a first look
at a counter, or a value that cannot be. `frozen` draws the conclusion once, for everyone who might lower replicas.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction

from gpucost.core.clock import SECOND, Instant, Micros
from gpucost.core.serving.spec import EndpointSpec

# --- one figure -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Known:
    """A figure that was measured."""

    value: float
    """Where pods were silent, they count as the mean of those that spoke."""
    at: Instant
    """When it was scraped; the oldest, where it is a sum over pods."""
    least: float
    """With silent pods at zero."""
    most: float
    """With silent pods at what the busiest one says."""


@dataclass(frozen=True, slots=True)
class NoSeries:
    """Nobody says anything under this name: unknown, and not zero."""

    def __str__(self) -> str:
        return "no series"


@dataclass(frozen=True, slots=True)
class Stale:
    """The last value is too old to be believed."""

    age: Micros

    def __str__(self) -> str:
        return f"stale for {self.age // SECOND} s"


@dataclass(frozen=True, slots=True)
class CounterReset:
    """The counter is below its last value: the server began anew, and what lies between is not known."""

    def __str__(self) -> str:
        return "counter reset"


@dataclass(frozen=True, slots=True)
class FirstLook:
    """A rate needs two looks at its counter, and this was the first."""

    def __str__(self) -> str:
        return "first look at its counter"


@dataclass(frozen=True, slots=True)
class Unusable:
    """There is an answer, but it cannot be right, or cannot be had."""

    reason: str

    def __str__(self) -> str:
        return self.reason


Unread = NoSeries | Stale | CounterReset | FirstLook | Unusable
Reading = Known | Unread


def value_of(reading: Reading) -> float | None:
    """The figure where it is known."""
    return reading.value if isinstance(reading, Known) else None


# --- work done --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Work:
    """What was done between two looks: differences of counters. None: the server does not tell."""

    requests: float | None = None
    prompt_tokens: float | None = None
    generation_tokens: float | None = None
    prefill_seconds: float | None = None
    decode_seconds: float | None = None
    cache_hits: float | None = None
    """Prompt tokens that were found in the prefix cache."""
    cache_queries: float | None = None
    """Prompt tokens that were looked up there."""

    def __add__(self, other: Work) -> Work:
        return Work(*(_sum(getattr(self, name), getattr(other, name)) for name in WORK))

    @property
    def tokens(self) -> Fraction | None:
        """Of prompts and of answers; None where one of them is not counted."""
        prompt, generated = self.prompt_tokens, self.generation_tokens
        return None if prompt is None or generated is None else Fraction(prompt) + Fraction(generated)


WORK = tuple(Work.__dataclass_fields__)
"""Names of the figures of work."""


def _sum(one: float | None, other: float | None) -> float | None:
    return one + other if one is not None and other is not None else one if other is None else other


# --- service level ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class InTime:
    """Share of events within a limit, from the buckets of a histogram.

    The limit may lie inside a bucket: then only bounds are known, and `at_least` is the one to act on.
    """

    at_least: float
    at_most: float
    count: float
    """Events that were seen."""


@dataclass(frozen=True, slots=True)
class Attainment:
    """How the service level objective was kept in `[since, until)`."""

    since: Instant
    until: Instant
    first_token: InTime | None = None
    between_tokens: InTime | None = None

    @property
    def share(self) -> float | None:
        """The smaller of what is certain; None: nothing was asked for, or nothing is known."""
        shares = [one.at_least for one in (self.first_token, self.between_tokens) if one is not None and one.count > 0]
        return min(shares) if shares else None


# --- capacity ---------------------------------------------------------------------------------------------------------


class Evidence(StrEnum):
    """What a replica's capacity rests on."""

    NONE = "None"
    """Nothing has been learned yet."""
    GIVEN = "Given"
    """`spec.capacity` says it."""
    EXPLORED = "Explored"
    """The most that was seen within the objective, and a little more, as no limit was met."""
    SATURATED = "Saturated"
    """The limit was met: above it, requests waited or the objective was missed."""


@dataclass(frozen=True, slots=True)
class ReplicaCapacity:
    """What one replica serves within the objective."""

    evidence: Evidence = Evidence.NONE
    requests_per_second: float | None = None
    """At the present mix of requests."""
    tokens_per_second: float | None = None
    """Output tokens, with prompt tokens at `capacity.PROMPT_WEIGHT` each; None: the server does not count tokens."""
    windows: float = 0
    """Pod-minutes that it rests on, older ones counting less."""
    confidence: float = 0
    """0 to 1."""

    @property
    def known(self) -> bool:
        """Whether there is a figure at all."""
        return self.requests_per_second is not None


# --- who is asked about -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PodRef:
    """A pod of the target, as far as it matters who speaks."""

    uid: str
    name: str
    ready_since: Instant | None = None
    """None: it is not ready, and nothing is expected of it."""
    started: Instant | None = None
    """When its containers were started last; samples from before are of an earlier pod of the same name."""


@dataclass(frozen=True, slots=True)
class Asked:
    """An endpoint whose signals are wanted."""

    uid: str
    namespace: str
    spec: EndpointSpec
    pods: tuple[PodRef, ...] = ()
    """Pods that the target's selector finds, without those that have ended."""


# --- pods and the whole -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PodSignals:
    """What one pod says."""

    name: str
    arrived: Reading = NoSeries()
    """Requests a second."""
    served: Reading = NoSeries()
    waiting: Reading = NoSeries()
    running: Reading = NoSeries()
    """Requests that are worked on: a pod with none of them streams to nobody."""
    kv_cache: Reading = NoSeries()
    """Part of the KV cache in use, 0 to 1."""
    prompt_tokens: Reading = NoSeries()
    """Tokens a second."""
    generation_tokens: Reading = NoSeries()
    saturated: str = ""
    """Why it can take no more, in words; empty where it can."""


FIGURES = ("arrived", "served", "waiting", "running", "kv_cache", "prompt_tokens", "generation_tokens")
"""Of a pod, and of the endpoint as a whole."""


class Availability(StrEnum):
    """Reasons of the condition `MetricsAvailable`."""

    FOUND = "MetricsFound"
    MISSING = "MetricsMissing"
    STALE = "MetricsStale"
    RESET = "CounterReset"
    LEARNING = "FirstLook"
    TOO_MANY = "TooManySeries"
    SOURCE_ERROR = "SourceError"

    @property
    def available(self) -> bool:
        """Status of the condition."""
        return self is Availability.FOUND


@dataclass(frozen=True, slots=True)
class Signals:
    """Everything that was learned of one endpoint at one look."""

    at: Instant
    availability: Availability
    message: str
    """For the condition: what was found, and what to do."""
    frozen: str = ""
    """Why nobody may lower the replicas now; empty: nothing of the metrics speaks against it."""
    unknown_since: Instant | None = None
    """Since when the load is unknown, without a break; None: it is known."""
    arrived: Reading = NoSeries()
    """Requests a second, all pods together."""
    served: Reading = NoSeries()
    waiting: Reading = NoSeries()
    running: Reading = NoSeries()
    kv_cache: Reading = NoSeries()
    """Mean over the pods."""
    prompt_tokens: Reading = NoSeries()
    generation_tokens: Reading = NoSeries()
    pods: Mapping[str, PodSignals] = field(default_factory=dict)
    """By UID."""
    silent: tuple[str, ...] = ()
    """Names of pods that should speak and do not."""
    saturated: tuple[str, ...] = ()
    """Names of pods that can take no more."""
    capacity: ReplicaCapacity = ReplicaCapacity()
    slo: Attainment | None = None
    """Over the last hour."""
    since: Instant | None = None
    """Beginning of the span that `work` is about, which ends at `at`."""
    work: Work | None = None
    """Since the last look; None where nothing could be compared."""
    is_partial: bool = False
    """Whether some pod's part of `work` is not known, or only as a lower bound."""
    as_one: tuple[str, ...] = ()
    """UIDs of the pods whose `work` it is, where figures may come for the endpoint as one and tell nothing of each."""
    tenants: Mapping[str, Work] = field(default_factory=dict)
    """The same by tenant, where the series name them."""

    @property
    def measured(self) -> Instant | None:
        """When the load was measured."""
        return self.arrived.at if isinstance(self.arrived, Known) else None
