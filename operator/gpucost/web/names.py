"""Names of workloads as people type them: `TrainingJob/bert`, `tj/bert`, `trainingjob.bert`.

Kinds are compared as kubectl compares them, without regard to case, with plurals and the usual short names.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from gpucost.core.model import Workload

_SHORT = {
    "tj": "trainingjob",
    "iep": "inferenceendpoint",
    "mgw": "modelgateway",
    "deploy": "deployment",
    "sts": "statefulset",
    "ds": "daemonset",
    "rs": "replicaset",
    "ro": "rollout",
    "rc": "replicationcontroller",
    "cj": "cronjob",
    "po": "pod",
    "no": "node",
    "ns": "namespace",
    "lws": "leaderworkerset",
}


def canonical(kind: str) -> str:
    """A kind in lower case and singular, short names spelled out."""
    lower = kind.lower()
    return _SHORT.get(lower) or (_SHORT.get(lower.removesuffix("s")) or lower)


def find(kind: str, name: str, known: Iterable[Workload]) -> Workload | None:
    """The known workload that is meant; kinds may be plural."""
    wanted = canonical(kind)
    for workload in known:
        have = workload.kind.lower()
        if workload.name == name and wanted in {have, f"{have}s"}:
            return workload
    return None


def similar(kind: str, name: str, known: Iterable[Workload]) -> list[str]:
    """Known workloads with a similar name, at most three, as `Kind/name`."""
    names = {f"{workload.kind}/{workload.name}".lower(): f"{workload.kind}/{workload.name}" for workload in known}
    return [names[match] for match in get_close_matches(f"{kind}/{name}".lower(), names, n=3, cutoff=0.5)]
