"""The world as the core sees it: slim, frozen records of cluster objects and of the facts kept in the ledger.

Records of the cluster (`Node`, `Pod`, `Job`) are what a watch last said. Facts (`NodeFact`, `PriceFact`, `PodFact`,
`UsageFact`, `Gap`) are what is durable: they carry UIDs as the only identity and times from the API server, so writing
one twice changes nothing and every cost can be computed from them again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction

from gpucost.core.clock import Instant
from gpucost.core.notices import Notice
from gpucost.core.timeline import Interval

NO_LABELS: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Unknown:
    """A measurement that is missing, stale or absurd; never the same as zero."""

    reason: str


class CapacityType(StrEnum):
    """How a node is paid for."""

    ON_DEMAND = "onDemand"
    SPOT = "spot"
    RESERVED = "reserved"


class Category(StrEnum):
    """Cost driver of a workload."""

    TRAINING = "training"
    INFERENCE = "inference"
    DATA = "data"
    INFRASTRUCTURE = "infrastructure"
    OTHER = "other"


Gpus = int | Fraction
"""GPUs' worth: whole GPUs are plain integers, a MIG slice or a shared replica is a fraction of one."""


@dataclass(frozen=True, slots=True)
class Resources:
    """Amounts of what a node offers or a pod requests: millicores, bytes of memory, GPUs, bytes of storage."""

    cpu_milli: int = 0
    memory: int = 0
    gpus: Gpus = 0
    storage: int = 0
    """Size of a volume; nodes and pods have none."""

    def __add__(self, other: Resources) -> Resources:
        return Resources(
            self.cpu_milli + other.cpu_milli,
            self.memory + other.memory,
            self.gpus + other.gpus,
            self.storage + other.storage,
        )

    def maximum(self, other: Resources) -> Resources:
        """The larger amount of each resource (an init container beside the containers, for example)."""
        return Resources(
            max(self.cpu_milli, other.cpu_milli),
            max(self.memory, other.memory),
            max(self.gpus, other.gpus),
            max(self.storage, other.storage),
        )


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """Name of a namespaced object of a known kind."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Owner:
    """The controlling owner reference of an object."""

    kind: str
    name: str
    uid: str
    api_version: str = ""


@dataclass(frozen=True, slots=True)
class Workload:
    """Whom a cost is shown for: the topmost known owner, such as `TrainingJob/bert`; a bare pod is its own."""

    kind: str
    name: str


# --- what the cluster says now ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Node:
    """A node; `created` and `ended` come from the API server."""

    uid: str
    name: str
    created: Instant
    capacity: Resources
    labels: Mapping[str, str] = field(default_factory=dict)
    ended: Instant | None = None
    ready: bool = True
    price_annotation: str | None = None
    taints: tuple[str, ...] = ()
    devices: Mapping[str, int] = field(default_factory=dict)
    """Units that the node advertises of each extended resource, such as `nvidia.com/mig-3g.40gb`."""
    notice: Notice | None = None
    """That it is about to go, as far as the node itself says it."""

    @property
    def is_leaving(self) -> bool:
        """Whether it is about to go."""
        return self.notice is not None


@dataclass(frozen=True, slots=True)
class Waiting:
    """Why a pod does not run yet, in the words of whoever holds it up, and since when."""

    reason: str
    message: str
    since: Instant


@dataclass(frozen=True, slots=True)
class ContainerEnd:
    """One end of a container, with what it left as its termination message."""

    container: str
    at: Instant
    message: str = ""


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod; it holds resources in `[bound, ended)`."""

    uid: str
    name: str
    namespace: str
    created: Instant
    requests: Resources = Resources()
    owner: Owner | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    node_name: str | None = None
    phase: str = "Pending"
    bound: Instant | None = None
    started: Instant | None = None
    ended: Instant | None = None
    deleting: Instant | None = None
    waiting: Waiting | None = None
    devices: Mapping[str, int] = field(default_factory=dict)
    """Units that the pod requests of each extended resource."""
    program: Category | None = None
    """Cost driver of a known program that the pod runs (`core.category`)."""
    running: Instant | None = None
    """When the last of its containers was started; None while one has not been."""
    ready_since: Instant | None = None
    """Since when it is ready to serve; None while it is not."""
    disruption: str | None = None
    """Reason of the `DisruptionTarget` condition, such as `EvictionByEvictionAPI` or `DeletionByPodGC`."""
    ends: tuple[ContainerEnd, ...] = ()
    """Ends of containers that the pod tells of, of Jobs' pods only: the present one, and the one before a restart."""

    @property
    def serving_since(self) -> Instant | None:
        """As `ready_since`; None, too, while it is on its way out."""
        return self.ready_since if self.deleting is None else None


@dataclass(frozen=True, slots=True)
class JobCondition:
    """One condition of a batch/v1 Job."""

    type: str
    status: bool
    reason: str = ""
    message: str = ""
    since: Instant = 0


@dataclass(frozen=True, slots=True)
class Part:
    """One of several pod templates in a workload, such as a replicated Job of a JobSet."""

    index: int
    """Its place in the list of templates."""
    name: str
    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: tuple[Mapping[str, object], ...] = ()
    moves: bool = True
    """Whether it follows the placement; a small CPU-only part beside those that hold GPUs stays where it is."""
    jobs: frozenset[str] = frozenset()
    """UIDs of the Jobs made from it."""


@dataclass(frozen=True, slots=True)
class Job:
    """What runs, reduced to what decisions need; `annotations` holds only those under `gpucost.dev/`.

    As a rule a batch/v1 Job. A workload of several Jobs shows the same face (`core.training.jobset`): its counts are
    sums over its Jobs, and its templates are `parts`.
    """

    uid: str
    name: str
    namespace: str
    created: Instant
    resource_version: str
    owner: Owner | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    suspend: bool = False
    completions: int = 1
    parallelism: int = 1
    active: int = 0
    ready: int = 0
    terminating: int = 0
    succeeded: int = 0
    failed: int = 0
    started: Instant | None = None
    completed: Instant | None = None
    conditions: tuple[JobCondition, ...] = ()
    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: tuple[Mapping[str, object], ...] = ()
    affinity: Mapping[str, object] | None = None
    managed_by: str | None = None
    queue: str | None = None
    """Value of the label `kueue.x-k8s.io/queue-name`: such a Job is never suspended or resumed by us."""
    suspend_manager: str | None = None
    """Field manager that set `spec.suspend` last (`metadata.managedFields`); None when unknown."""
    kind: str = "Job"
    parts: tuple[Part, ...] = ()
    """Empty for a Job: it has one template, whose directives are above."""
    stuck: Mapping[str, str] = field(default_factory=dict)
    """Node selectors that its Jobs keep whatever its templates say (JobSet merges, it never takes away)."""

    def condition(self, kind: str) -> JobCondition | None:
        """The condition of a type when it is true."""
        return next((c for c in self.conditions if c.type == kind and c.status), None)


# --- durable facts ----------------------------------------------------------------------------------------------------


class NodeKind(StrEnum):
    """What is paid for by the hour. Only a node is shared; the others are held whole, or by nobody."""

    NODE = "Node"
    VOLUME = "Volume"
    LOAD_BALANCER = "LoadBalancer"


@dataclass(frozen=True, slots=True)
class EarlierSize:
    """What a node offered until an instant: GPUs are cut up and handed out anew during its life."""

    until: Instant
    capacity: Resources
    physical_gpus: Gpus = 0
    stranded_gpus: Gpus = 0


@dataclass(frozen=True, slots=True)
class NodeFact:
    """Life and size of one node, or of another thing that costs by the hour (`kind`).

    A volume is held by its claim and a load balancer by its Service, each recorded as a `PodFact` that holds it whole.
    """

    uid: str
    name: str
    start: Instant
    end: Instant | None
    capacity: Resources
    """What can be held; `gpus` is the whole of which a pod's GPUs are a share (see `core.gpus`)."""
    instance_type: str = ""
    gpu_model: str = ""
    region: str = ""
    zone: str = ""
    capacity_type: CapacityType = CapacityType.ON_DEMAND
    kind: NodeKind = NodeKind.NODE
    physical_gpus: Gpus = 0
    """GPUs in the machine (0: as many as `capacity`); differs where slices or replicas are lost or do not fill it."""
    stranded_gpus: Gpus = 0
    """GPUs' worth of compute that nobody can be given: what no MIG profile fits any more, a lost replica."""
    earlier: tuple[EarlierSize, ...] = ()
    """Sizes before the present one, in order of time; the first holds from the beginning."""

    def sizes(self, start: Instant, end: Instant) -> Iterator[tuple[Interval, NodeFact]]:
        """The node as it was in each part of `[start, end)`."""
        for size in self.earlier:
            if start < (until := min(size.until, end)):
                sized = replace(
                    self,
                    capacity=size.capacity,
                    physical_gpus=size.physical_gpus,
                    stranded_gpus=size.stranded_gpus,
                    earlier=(),
                )
                yield Interval(start, until), sized
                start = until
        if start < end:
            yield Interval(start, end), self


@dataclass(frozen=True, slots=True)
class PriceFact:
    """Price of a whole node from an instant on; `hourly` None means that nobody knows it."""

    node_uid: str
    start: Instant
    hourly: Decimal | None
    capacity_type: CapacityType
    source: str
    on_demand: Decimal | None = None
    """What the same node would cost per hour on demand, for the sake of comparison; None when nobody knows."""


@dataclass(frozen=True, slots=True)
class PodFact:
    """One stay of a pod on a node: the half-open time in which it held its requests."""

    uid: str
    namespace: str
    name: str
    workload: Workload
    category: Category
    node_uid: str
    start: Instant
    end: Instant | None
    requests: Resources
    labels: Mapping[str, str] = field(default_factory=dict)
    end_reason: str = ""
    note: str = ""
    """What a reader of the arithmetic should know, such as `1/3 of a claim that 3 pods share`."""


@dataclass(frozen=True, slots=True)
class NeedFact:
    """What a pod counts for from an instant until its next such fact: its requests, or its use where that is more.

    Before the first one, and without any, a pod counts for the `requests` of its `PodFact`.
    """

    pod_uid: str
    start: Instant
    needs: Resources


@dataclass(frozen=True, slots=True)
class UsageFact:
    """Mean share of time in which the pod's GPUs computed, from an instant until the next fact of the pod."""

    pod_uid: str
    start: Instant
    gpu_active: float | None
    """0..1 over the GPUs held; None is unknown."""


@dataclass(frozen=True, slots=True)
class Gap:
    """A span in which nobody watched, and in which something ended that nobody saw end."""

    uid: str
    """UID of the pod or node concerned."""
    span: Interval
    reason: str


# --- prices -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PriceEntry:
    """One line of a price list: per node (`instance_type`) or per GPU (`gpu_model`); empty matches anything."""

    hourly: Decimal
    effective_from: Instant
    capacity_type: CapacityType
    instance_type: str = ""
    gpu_model: str = ""
    region: str = ""
    source: str = ""
    zone: str = ""
    effective_until: Instant | None = None
    """Instant from which it holds no more; None: until the next one for the same thing."""
