"""Whom the cost of a pod of the past is shown for: the topmost owner that its series name."""

from __future__ import annotations

import re

from gpucost.core.backfill.seen import Seen, SeenPod
from gpucost.core.model import Workload
from gpucost.core.owners import above

_TEMPLATE_HASH = re.compile(r"(.+)-[bcdfghjklmnpqrstvwxz2456789]{6,10}")
"""Kubernetes' alphabet for generated names: a ReplicaSet of a Deployment is named by a hash in it."""


def workload_of(pod: SeenPod, seen: Seen) -> Workload:
    """The owner of its ReplicaSet or Job where that is recorded, else its own; a bare pod is its own workload."""
    if pod.owner is None:
        return Workload("Pod", pod.name)
    kind, name = pod.owner
    if kind == "Job":
        return Workload(*seen.jobs.get((pod.namespace, name), pod.owner))
    if kind == "ReplicaSet":
        return _of_replicaset(pod, name, seen)
    return above(kind, name, pod.labels)


def _of_replicaset(pod: SeenPod, name: str, seen: Seen) -> Workload:
    owner = seen.replicasets.get((pod.namespace, name))
    if owner is not None:
        return Workload(*owner)
    told = above("ReplicaSet", name, pod.labels)
    if told.kind != "ReplicaSet":
        return told
    named = _TEMPLATE_HASH.fullmatch(name)
    if named is not None and not seen.replicasets:  # nobody recorded owners of ReplicaSets at all
        return Workload("Deployment", named[1])
    return Workload("ReplicaSet", name)
