"""What series of kube-state-metrics say about one span of time, as records with UIDs and instants.

A time that the API server gave (a value of a series) is exact; a time at which a sample was taken only bounds the
truth: what a sample shows was so at that instant, and what the next scrape lacks had ended by then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gpucost.core.clock import Instant, Micros
from gpucost.core.gpus import DEFAULT_RESOURCES
from gpucost.core.model import Category, Resources
from gpucost.core.timeline import Interval


@dataclass(frozen=True, slots=True)
class SeenNode:
    """One life of a node: a node that was replaced under its name is two."""

    name: str
    created: Instant | None
    """The API server's time; None where the series is missing."""
    first: Instant
    last: Instant
    """First and last sample in the span."""
    capacity: Resources | None
    """CPU and memory; None where nobody recorded it. GPUs follow from `devices`."""
    labels: Mapping[str, str] = field(default_factory=dict)
    devices: Mapping[str, int] = field(default_factory=dict)
    machine: str = ""
    """Identity of the machine (provider's or system's), for nodes whose creation nobody recorded."""
    price_annotation: str | None = None


@dataclass(frozen=True, slots=True)
class SeenPod:
    """A pod that was bound to a node, as its last sample in the span shows it."""

    uid: str
    namespace: str
    name: str
    node: str
    last: Instant
    owner: tuple[str, str] | None = None
    """Kind and name of its controller."""
    first: Instant | None = None
    """First sample in the span; asked for only where no exact start is known."""
    scheduled: Instant | None = None
    started: Instant | None = None
    created: Instant | None = None
    completed: Instant | None = None
    """When the last of its containers that have terminated did so; other containers may still run."""
    deleting: bool = False
    running: bool = False
    """Whether a container ran at the last sample."""
    phase: str = ""
    """`Succeeded`, `Failed`, or empty."""
    requests: Resources | None = None
    """CPU and memory; None where nobody knows what it requested. GPUs follow from `devices` and the node."""
    labels: Mapping[str, str] = field(default_factory=dict)
    devices: Mapping[str, int] = field(default_factory=dict)
    program: Category | None = None
    """The category of what it ran, where its images tell."""

    @property
    def bound(self) -> Instant | None:
        """When it was bound to its node by the API server's own times; a static pod is bound from its creation."""
        static = self.created if self.owner is not None and self.owner[0] == "Node" else None
        return next((at for at in (self.scheduled, self.started, static) if at is not None), None)

    @property
    def ended(self) -> Instant | None:
        """When its last container ended, once none could start again; None when no sample shows that."""
        over = bool(self.phase) or (self.deleting and not self.running)
        return self.completed if over else None


Owners = Mapping[tuple[str, str], tuple[str, str]]
"""From namespace and name of a ReplicaSet or Job to kind and name of its controller."""


@dataclass(frozen=True, slots=True)
class Seen:
    """Everything that was recorded about one span."""

    span: Interval
    interval: Micros
    """Time between two scrapes."""
    holes: Sequence[Interval] = ()
    """Parts of the span in which kube-state-metrics was not scraped, in order."""
    nodes: Sequence[SeenNode] = ()
    pods: Sequence[SeenPod] = ()
    replicasets: Owners = field(default_factory=dict)
    jobs: Owners = field(default_factory=dict)
    dropped: Mapping[str, int] = field(default_factory=dict)
    """Samples that could not be used, by reason."""
    next_scrape: Instant | None = None
    """First scrape after the span; None when it is not known to be later than usual."""
    resources: Sequence[str] = DEFAULT_RESOURCES
    """Names or patterns of the resources that are GPUs."""
