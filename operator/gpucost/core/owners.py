"""What a pod's labels say of the workload above its owner, where nobody watches the owner itself.

Controllers that make pods through something in between (ReplicaSets, StatefulSets) mark the pods with what they need to
find them again. These marks name the workload that people know, without a watch of what lies in between.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from gpucost.core.model import Pod, Workload

TEMPLATE_HASHES: Mapping[str, str] = {"pod-template-hash": "Deployment", "rollouts-pod-template-hash": "Rollout"}
"""Kinds that own ReplicaSets, by the label with the end of the ReplicaSet's name: Kubernetes' own, and Argo's."""
SET_NAME = "leaderworkerset.sigs.k8s.io/name"
WORKER_INDEX = "leaderworkerset.sigs.k8s.io/worker-index"
"""Place of a pod in its group; "0" is the leader."""
LABELS = frozenset({*TEMPLATE_HASHES, SET_NAME, WORKER_INDEX})
"""What has to be kept of a pod's labels for this."""
_LEADER_WORKER_SET = "LeaderWorkerSet"


def above(kind: str, name: str, labels: Mapping[str, str]) -> Workload:
    """The workload behind the owner of a pod: the owner itself unless the pod's labels name what stands above it."""
    if kind == "ReplicaSet":
        for label, owner in TEMPLATE_HASHES.items():
            suffix = "-" + labels.get(label, "")
            if len(suffix) > 1 and name.endswith(suffix):
                return Workload(owner, name.removesuffix(suffix))
    of = labels.get(SET_NAME, "")
    # That of the leaders has the name of the whole; the workers of a group are in one named after their leader.
    if kind == "StatefulSet" and of and (name == of or name.removeprefix(f"{of}-").isdecimal()):
        return Workload(_LEADER_WORKER_SET, of)
    return Workload(kind, name)


def stands_for_a_replica(pod: Pod) -> bool:
    """Whether requests may go to it: of a group of pods that serve together, only the leader counts as a replica."""
    return SET_NAME not in pod.labels or pod.labels.get(WORKER_INDEX, "0") == "0"


def replicas_among(pods: Iterable[Pod]) -> tuple[Pod, ...]:
    """Those that stand for a replica each."""
    return tuple(pod for pod in pods if stands_for_a_replica(pod))
