"""Turn JSON objects of the API server into the core's slim records.

Whole bodies are never kept: at 10,000 pods they are the difference between 60 and 400 MiB.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from gpucost.core import owners
from gpucost.core.category import program_category
from gpucost.core.clock import SECOND, Instant, parse_rfc3339
from gpucost.core.model import NO_LABELS, ContainerEnd, Job, JobCondition, Node, Owner, Pod, Resources, Waiting
from gpucost.core.notices import notice_of
from gpucost.core.quantity import milli, whole
from gpucost.core.training.jobset import PART_LABEL

Json = Mapping[str, Any]

PREFIX = "gpucost.dev/"
QUEUE = "kueue.x-k8s.io/queue-name"
GPU = "nvidia.com/gpu"
NO_DEVICES: Mapping[str, int] = {}
_POD_LABELS = frozenset({"app.kubernetes.io/name", "job-name", "batch.kubernetes.io/job-name", *owners.LABELS})
_JOB_LABELS = frozenset({PART_LABEL})
COST_LABELS = frozenset(
    {
        "app",
        "app.kubernetes.io/component",
        "app.kubernetes.io/instance",
        "app.kubernetes.io/name",
        "app.kubernetes.io/part-of",
        "cost-center",
        "environment",
        "owner",
        "project",
        "team",
    }
)
"""Labels of pods that the ledger keeps beside our own unless the settings name others: costs can be grouped by them."""
_NODE_LABEL_PARTS = (
    "instance-type", "topology.kubernetes.io/", "karpenter.", "eks.amazonaws.com/", "cloud.google.com/",
    "kubernetes.azure.com/", "nvidia.com/", "eks-node-viewer/", PREFIX,
)  # fmt: skip
_FINISHED = frozenset({"Succeeded", "Failed"})


def instant(text: str | None) -> Instant | None:
    """An optional RFC 3339 time."""
    return parse_rfc3339(text) if text else None


def labels_of(labels: Mapping[str, str] | None, wanted: Iterable[str] = ()) -> dict[str, str]:
    """Our own labels and the wanted ones, interned: they repeat over thousands of objects."""
    keep = set(wanted)
    return {
        sys.intern(key): sys.intern(value)
        for key, value in (labels or {}).items()
        if key in keep or key.startswith(PREFIX)
    }


def owner_of(metadata: Json) -> Owner | None:
    """The controlling owner reference."""
    for reference in metadata.get("ownerReferences") or ():
        if reference.get("controller"):
            return Owner(
                kind=sys.intern(reference["kind"]),
                name=reference["name"],
                uid=reference["uid"],
                api_version=sys.intern(reference["apiVersion"]),
            )
    return None


def node_record(body: Json) -> Node:
    """Read a Node; `ended` stays None, only whoever saw the deletion can set it."""
    metadata, status = body["metadata"], body.get("status") or {}
    capacity = status.get("capacity") or {}
    conditions = status.get("conditions") or ()
    return Node(
        uid=metadata["uid"],
        name=metadata["name"],
        created=parse_rfc3339(metadata["creationTimestamp"]),
        capacity=resources(capacity),
        labels={
            sys.intern(key): sys.intern(value)
            for key, value in (metadata.get("labels") or {}).items()
            if any(part in key for part in _NODE_LABEL_PARTS)
        },
        ready=any(c["type"] == "Ready" and c["status"] == "True" for c in conditions),
        price_annotation=(metadata.get("annotations") or {}).get(PREFIX + "hourly-price"),
        taints=tuple(f"{t['key']}={t.get('value', '')}:{t['effect']}" for t in body["spec"].get("taints") or ()),
        devices=devices(capacity),
        notice=notice_of(
            [(t["key"], instant(t.get("timeAdded"))) for t in body["spec"].get("taints") or ()],
            [
                (c["type"], f"{c.get('reason', '')} {c.get('message', '')}", instant(c.get("lastTransitionTime")))
                for c in conditions
                if c["status"] == "True" or c["type"] == "Ready"
            ],
            deleting=instant(metadata.get("deletionTimestamp")),
        ),
    )


def resources(amounts: Mapping[str, str]) -> Resources:
    """Read a capacity or a request; a malformed quantity counts as nothing of that resource."""
    return Resources(
        cpu_milli=_quantity(milli, amounts.get("cpu")),
        memory=_quantity(whole, amounts.get("memory")),
        gpus=_quantity(whole, amounts.get(GPU)),
    )


def _quantity(read: Any, text: object) -> int:
    if text is None:
        return 0
    try:
        return max(0, int(read(str(text))))
    except ValueError:
        return 0


def pod_record(body: Json, kept: frozenset[str] = COST_LABELS) -> Pod:
    """Read a Pod: who it belongs to, what it requests, and since when it holds it; `kept` are labels for reports."""
    metadata, spec, status = body["metadata"], body["spec"], body.get("status") or {}
    conditions = {c["type"]: c for c in status.get("conditions") or ()}
    node_name = spec.get("nodeName")
    disruption = conditions.get("DisruptionTarget")
    owner = owner_of(metadata)
    return Pod(
        uid=metadata["uid"],
        name=metadata["name"],
        namespace=sys.intern(metadata["namespace"]),
        created=parse_rfc3339(metadata["creationTimestamp"]),
        requests=pod_requests(spec),
        devices=pod_devices(spec),
        program=program_category(_images(spec), metadata.get("labels") or NO_LABELS),
        owner=owner,
        labels=labels_of(metadata.get("labels"), _POD_LABELS | kept),
        node_name=sys.intern(node_name) if node_name else None,
        phase=sys.intern(status.get("phase", "Pending")),
        bound=_bound(metadata, status, conditions) if node_name else None,
        started=instant(status.get("startTime")),
        ended=_ended(metadata, status),
        deleting=instant(metadata.get("deletionTimestamp")),
        waiting=_waiting(metadata, status, conditions),
        running=_running(spec, status),
        ready_since=_ready_since(conditions.get("Ready") or {}),
        disruption=disruption.get("reason", "") if disruption and disruption["status"] == "True" else None,
        ends=_ends(status) if owner is not None and owner.kind == "Job" else (),
    )


def _ready_since(condition: Json) -> Instant | None:
    return instant(condition.get("lastTransitionTime")) if condition.get("status") == "True" else None


def _ends(status: Json) -> tuple[ContainerEnd, ...]:
    """Ends of containers, the oldest first; a message is at most as long as the kubelet lets it be."""
    states = [
        (one.get("name", ""), (one.get(kind) or {}).get("terminated") or {})
        for one in status.get("containerStatuses") or ()
        for kind in ("lastState", "state")
    ]
    found = [
        ContainerEnd(sys.intern(name), parse_rfc3339(ended["finishedAt"]), str(ended.get("message") or "")[:4096])
        for name, ended in states
        if ended.get("finishedAt")
    ]
    return tuple(sorted(found, key=lambda end: end.at))


def devices(amounts: Mapping[str, str]) -> Mapping[str, int]:
    """Units of every extended resource in a capacity or a request; empty for most objects."""
    found = {name: _quantity(whole, amount) for name, amount in amounts.items() if _is_extended(name)}
    return {sys.intern(name): units for name, units in found.items() if units} or NO_DEVICES


def _is_extended(name: str) -> bool:
    """Kubernetes documentation, "Extended resources": names with a domain that is not Kubernetes' own."""
    domain, slash, _ = name.partition("/")
    return bool(slash) and domain != "kubernetes.io" and not domain.endswith(".kubernetes.io")


def pod_requests(spec: Json) -> Resources:
    """What a pod reserves; see `_effective`."""
    found = _effective(spec, resources, Resources(), Resources.maximum)
    return found + resources(spec.get("overhead") or {})


def pod_devices(spec: Json) -> Mapping[str, int]:
    """Units of extended resources that a pod reserves; see `_effective`."""
    return _effective(spec, lambda needs: _Units(devices(needs)), _Units(), _Units.maximum) or NO_DEVICES


class _Units(dict[str, int]):
    """Units by name that add up as `Resources` do."""

    def __add__(self, other: _Units) -> _Units:
        return _Units({name: self.get(name, 0) + other.get(name, 0) for name in (*self, *other)}) if other else self

    def maximum(self, other: _Units) -> _Units:
        """The larger amount of each."""
        return _Units({name: max(self.get(name, 0), other.get(name, 0)) for name in (*self, *other)})


A = TypeVar("A", Resources, _Units)


def _effective(spec: Json, read: Callable[[Json], A], nothing: A, maximum: Callable[[A, A], A]) -> A:
    """Effective request: the larger of containers plus sidecars and of any init container.

    Follows the scheduler's rule (Kubernetes documentation, "Resource sharing within containers"); an init container
    with `restartPolicy: Always` is a sidecar and adds to everything that starts after it.
    """
    sidecars = peak = nothing
    for container in spec.get("initContainers") or ():
        needs = read(_container(container))
        if container.get("restartPolicy") == "Always":
            sidecars = sidecars + needs
            peak = maximum(peak, sidecars)
        else:
            peak = maximum(peak, sidecars + needs)
    running = sidecars
    for container in spec.get("containers") or ():
        running = running + read(_container(container))
    return maximum(running, peak)


def _container(container: Json) -> Json:
    needs = container.get("resources") or {}
    return {**(needs.get("limits") or {}), **(needs.get("requests") or {})}


def _images(spec: Json) -> Iterator[str]:
    for container in spec.get("containers") or ():
        yield container.get("image") or ""


def _bound(metadata: Json, status: Json, conditions: Mapping[str, Json]) -> Instant:
    """When the scheduler bound the pod; a pod that names its node itself is bound from its creation."""
    scheduled = conditions.get("PodScheduled")
    if scheduled and scheduled["status"] == "True" and scheduled.get("lastTransitionTime"):
        return parse_rfc3339(scheduled["lastTransitionTime"])
    return parse_rfc3339(status.get("startTime") or metadata["creationTimestamp"])


def _running(spec: Json, status: Json) -> Instant | None:
    """When the last container was started; a container that has ended since was started too."""
    begun: list[Instant] = []
    for container in status.get("containerStatuses") or ():
        state = container.get("state") or {}
        start = (state.get("running") or state.get("terminated") or {}).get("startedAt")
        if start is None:
            return None
        begun.append(parse_rfc3339(start))
    return max(begun) if begun and len(begun) >= len(spec.get("containers") or ()) else None


def _ended(metadata: Json, status: Json) -> Instant | None:
    """When the last container ended, once none can start again; None while the pod holds its resources."""
    phase_finished = status.get("phase") in _FINISHED
    finished = phase_finished
    statuses = list(status.get("containerStatuses") or ()) + list(status.get("initContainerStatuses") or ())
    ends = [s["state"]["terminated"].get("finishedAt") for s in statuses if "terminated" in (s.get("state") or {})]
    if metadata.get("deletionTimestamp") and statuses and len(ends) == len(statuses):
        finished = True
    if not finished:
        return None
    known = [parse_rfc3339(end) for end in ends if end]
    if known:
        return max(known)
    return _last_transition(status) if phase_finished else None


def _last_transition(status: Json) -> Instant | None:
    times = [c["lastTransitionTime"] for c in status.get("conditions") or () if c.get("lastTransitionTime")]
    return max(map(parse_rfc3339, times)) if times else None


def _waiting(metadata: Json, status: Json, conditions: Mapping[str, Json]) -> Waiting | None:
    """Why the pod does not run yet: the scheduler's words, else those of the first container that waits."""
    if status.get("phase", "Pending") != "Pending":
        return None
    created = parse_rfc3339(metadata["creationTimestamp"])
    scheduled = conditions.get("PodScheduled")
    if scheduled and scheduled["status"] == "False":
        since = instant(scheduled.get("lastTransitionTime")) or created
        return Waiting(scheduled.get("reason", "Unschedulable"), scheduled.get("message", ""), since)
    for container in status.get("containerStatuses") or ():
        if waiting := (container.get("state") or {}).get("waiting"):
            begun = instant(scheduled.get("lastTransitionTime")) if scheduled else None
            return Waiting(waiting.get("reason", "Waiting"), waiting.get("message", ""), begun or created)
    return None


def job_record(body: Json) -> Job:
    """Read a batch/v1 Job."""
    metadata, spec, status = body["metadata"], body["spec"], body.get("status") or {}
    labels = metadata.get("labels") or {}
    pod = spec["template"]["spec"]
    parallelism = int(spec.get("parallelism", 1))
    return Job(
        uid=metadata["uid"],
        name=metadata["name"],
        namespace=sys.intern(metadata["namespace"]),
        created=parse_rfc3339(metadata["creationTimestamp"]),
        resource_version=metadata["resourceVersion"],
        owner=owner_of(metadata),
        labels=labels_of(labels, _JOB_LABELS),
        annotations={k: v for k, v in (metadata.get("annotations") or {}).items() if k.startswith(PREFIX)},
        suspend=bool(spec.get("suspend")),
        completions=int(spec.get("completions") or parallelism),
        parallelism=parallelism,
        active=status.get("active", 0),
        ready=status.get("ready", 0),
        terminating=status.get("terminating", 0) or 0,
        succeeded=status.get("succeeded", 0),
        failed=status.get("failed", 0),
        started=instant(status.get("startTime")),
        completed=instant(status.get("completionTime")),
        conditions=conditions_of(status),
        node_selector=pod.get("nodeSelector") or {},
        tolerations=tuple(pod.get("tolerations") or ()),
        affinity=pod.get("affinity"),
        managed_by=spec.get("managedBy"),
        suspend_manager=setter_of(metadata, "suspend"),
        queue=labels.get(QUEUE),
    )


def conditions_of(status: Json) -> tuple[JobCondition, ...]:
    """The conditions of a status."""
    return tuple(
        JobCondition(
            type=c["type"],
            status=c["status"] == "True",
            reason=c.get("reason", ""),
            message=c.get("message", ""),
            since=instant(c.get("lastTransitionTime")) or 0,
        )
        for c in status.get("conditions") or ()
    )


def setter_of(metadata: Json, field: str) -> str | None:
    """Field manager that set a field of the specification, such as `suspend`, last."""
    setters = [
        (str(entry.get("time") or ""), str(entry.get("manager") or ""))
        for entry in metadata.get("managedFields") or ()
        if f"f:{field}" in ((entry.get("fieldsV1") or {}).get("f:spec") or {})
    ]
    return sys.intern(max(setters)[1]) if setters else None


@dataclass(frozen=True, slots=True)
class NamespaceRecord:
    """A namespace: its identity and what we wrote on it."""

    uid: str
    name: str
    annotations: Mapping[str, str]


def namespace_record(body: Json) -> NamespaceRecord:
    """Read a Namespace."""
    metadata = body["metadata"]
    annotations = {k: v for k, v in (metadata.get("annotations") or {}).items() if k.startswith(PREFIX)}
    return NamespaceRecord(metadata["uid"], metadata["name"], annotations)


def last_touched(body: Json) -> Instant:
    """Latest time that the object itself proves: a lower bound for when it was deleted."""
    metadata, status = body["metadata"], body.get("status") or {}
    times = [metadata["creationTimestamp"]]
    times += [entry.get("time") for entry in metadata.get("managedFields") or ()]
    times += [c.get("lastHeartbeatTime") or c.get("lastTransitionTime") for c in status.get("conditions") or ()]
    known = max(parse_rfc3339(text) for text in times if text)
    deleting = instant(metadata.get("deletionTimestamp"))
    if deleting is not None:
        requested = deleting - int(metadata.get("deletionGracePeriodSeconds") or 0) * SECOND
        known = max(known, requested)
    return known
