"""What an InferenceEndpoint asks for, in the core's terms: frozen, typed, with every default filled in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction

from gpucost.core.clock import MINUTE, SECOND, Micros
from gpucost.core.model import Workload

INFERENCE_ENDPOINT = "InferenceEndpoint"


class Mode(StrEnum):
    """Who changes the number of replicas."""

    OFF = "Off"
    RECOMMEND = "Recommend"
    AUTO = "Auto"


class Runtime(StrEnum):
    """The inference server, which decides what its metrics are called."""

    VLLM = "vllm"
    SGLANG = "sglang"
    TGI = "tgi"
    TRITON = "triton"
    NIM = "nim"
    CUSTOM = "custom"


@dataclass(frozen=True, slots=True)
class TargetRef:
    """The workload whose replicas are counted and changed, through its `scale` subresource."""

    kind: str
    name: str
    api_version: str = "apps/v1"

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}"

    @property
    def workload(self) -> Workload:
        """It, as costs are booked on it."""
        return Workload(self.kind, self.name)

    @property
    def group(self) -> str:
        """API group; empty for the core one. Versions of one group are views of the same object."""
        group, slash, _ = self.api_version.partition("/")
        return group if slash else ""


@dataclass(frozen=True, slots=True)
class Slo:
    """What users of the endpoint may expect."""

    ttft_p95: Micros | None = None
    """Time to the first token."""
    itl_p95: Micros | None = None
    """Time between two tokens."""
    objective: Decimal = Decimal("99.9")
    """Per cent of the requests that must be in time."""

    @property
    def late_allowed(self) -> Fraction:
        """Part of the requests that may be late."""
        return 1 - Fraction(self.objective) / 100


class SelectPolicy(StrEnum):
    """Which of several policies holds; Disabled forbids the direction."""

    MAX = "Max"
    MIN = "Min"
    DISABLED = "Disabled"


@dataclass(frozen=True, slots=True)
class RatePolicy:
    """How much may change within a period: a number of pods, or a percentage of them."""

    is_percent: bool
    value: int
    period: Micros


@dataclass(frozen=True, slots=True)
class Direction:
    """Scaling up or down, with the meaning that autoscaling/v2 gives these fields."""

    stabilization: Micros = 0
    """Up: the smallest recommendation of this time counts; down: the largest."""
    select: SelectPolicy = SelectPolicy.MAX
    policies: tuple[RatePolicy, ...] = ()
    """None: no limit of the rate."""
    tolerance: Decimal = Decimal(0)
    """A change by no more than this part of the present number is not made."""
    warm_up: Micros = 0
    """Down: for how long after the first look no replica is taken away."""


OWN_DOWN = Direction(warm_up=5 * MINUTE)
"""Where nothing is said about going down: the recommendation itself is careful, once it has seen some traffic."""


@dataclass(frozen=True, slots=True)
class Behavior:
    """Limits of how the number of replicas changes."""

    up: Direction = field(default_factory=Direction)
    down: Direction = OWN_DOWN


class OnMissing(StrEnum):
    """What to do while nobody knows the load."""

    HOLD = "Hold"
    AT_LEAST = "AtLeast"


@dataclass(frozen=True, slots=True)
class MissingMetrics:
    """The replicas stay as they are; after a while `AtLeast` raises them. Nothing ever lowers them on unknown."""

    behavior: OnMissing = OnMissing.HOLD
    after: Micros = 5 * MINUTE
    replicas: int | None = None
    """For `AtLeast`."""


class HolderKind(StrEnum):
    """Who keeps requests while no replica runs."""

    KNATIVE = "Knative"
    KEDA_HTTP = "KedaHttp"
    GATEWAY = "Gateway"


@dataclass(frozen=True, slots=True)
class Holder:
    """The object that proves that requests are held: a Knative Service, an HTTPScaledObject, a gateway's Service."""

    kind: HolderKind
    name: str
    namespace: str = ""
    """Empty: that of the endpoint."""


@dataclass(frozen=True, slots=True)
class ScaleToZero:
    """No replica at all while nobody asks for anything."""

    holder: Holder
    idle_after: Micros | None = None
    """Time without a request; None: when it is cheaper than to keep a replica, by the measured ready time."""


@dataclass(frozen=True, slots=True)
class ReplicaWindow:
    """A recurring time with its own limits."""

    start: str
    """A cron expression."""
    duration: Micros
    time_zone: str = "UTC"
    least: int | None = None
    most: int | None = None


@dataclass(frozen=True, slots=True)
class MetricSettings:
    """Where the endpoint's metrics are, for the runtimes' own names and for others."""

    queries: Mapping[str, str] = field(default_factory=dict)
    """PromQL by what it gives: requestsPerSecond, servedPerSecond, waiting, running, kvCacheUsage,
    promptTokensPerSecond, generationTokensPerSecond. Each has to give one series per pod, or one for the endpoint.
    """
    namespace_label: str = "namespace"
    pod_label: str = "pod"
    model_name: str = ""
    """Of several models on one server, the one that this endpoint is about."""
    tenant_label: str = ""
    """The label by which the server tells who asked; empty: it does not."""


@dataclass(frozen=True, slots=True)
class ApiPrice:
    """What somebody else asks for the same work, to compare with: money per million tokens."""

    name: str
    input: Decimal
    output: Decimal


@dataclass(frozen=True, slots=True)
class Capacity:
    """What one replica serves within the SLO, where the user knows it; else it is learned."""

    requests_per_second: Decimal | None = None
    tokens_per_second: Decimal | None = None


@dataclass(frozen=True, slots=True)
class EndpointSpec:
    """The specification of an InferenceEndpoint."""

    target: TargetRef
    runtime: Runtime
    least: int = 1
    most: int = 10
    mode: Mode = Mode.RECOMMEND
    slo: Slo = field(default_factory=Slo)
    behavior: Behavior = field(default_factory=Behavior)
    missing: MissingMetrics = field(default_factory=MissingMetrics)
    metrics: MetricSettings = field(default_factory=MetricSettings)
    capacity: Capacity = field(default_factory=Capacity)
    zero: ScaleToZero | None = None
    windows: tuple[ReplicaWindow, ...] = ()
    compared_to: ApiPrice | None = None
    least_used_first: bool = False
    """Whether pods may be marked so that a scale-down removes the least used ones."""


HPA_UP = Direction(
    policies=(RatePolicy(False, 4, 15 * SECOND), RatePolicy(True, 100, 15 * SECOND)), tolerance=Decimal("0.1")
)
"""What autoscaling/v2 means by a `scaleUp` that says nothing."""
HPA_DOWN = Direction(
    stabilization=300 * SECOND, policies=(RatePolicy(True, 100, 15 * SECOND),), tolerance=Decimal("0.1")
)
