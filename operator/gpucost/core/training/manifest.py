"""The Job and the Service that a TrainingJob stands for.

Everything that the user's template says is preserved; added is what a training run needs to survive interruptions and
what its workers need to find each other. All names follow from the TrainingJob's, so that creating twice is refused by
the API server instead of running twice.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gpucost.core.clock import Micros
from gpucost.core.model import CapacityType, Key
from gpucost.core.quantity import whole
from gpucost.core.training.memory import PREFIX
from gpucost.core.training.placement import Bound, Pool, applied, directives_of, pod_spec_fields
from gpucost.core.training.reporting import CHECKPOINTS, Reporting, seconds_of, with_reporting
from gpucost.core.training.spec import TrainingSpec
from gpucost.core.training.stopping.restore import with_restore
from gpucost.core.training.stopping.spec import Divergence
from gpucost.core.training.torchrun import PORT, environment, with_environment
from gpucost.core.training.validate import GPU, gpu_limit

API_VERSION = "gpucost.dev/v1alpha1"
KIND = "TrainingJob"
LABEL = PREFIX + "trainingjob"
TERMINATED = 143
"""Exit code of a process that ended on SIGTERM (128 + 15)."""
_QUEUE = "kueue.x-k8s.io/"


@dataclass(frozen=True)
class Identity:
    """The TrainingJob that owns what is created."""

    key: Key
    uid: str
    labels: Mapping[str, str] = field(default_factory=dict)


def job_manifest(
    owner: Identity,
    spec: TrainingSpec,
    *,
    pool: Pool | None,
    annotations: Mapping[str, str],
    suspend: bool,
    reporting: Reporting | None = None,
    keep: bool = False,
) -> tuple[dict[str, Any], Bound | None]:
    """A complete batch/v1 Job bound to a pool, and what was bound; `spec.template` must be free of problems.

    `annotations` are for the Job. With `reporting` its pods can report; with `keep` autoscalers leave them where they
    are.
    """
    assert spec.template is not None
    template, bound = _pod_template(owner, spec, spec.template, pool)
    if reporting is not None and spec.metrics.push:
        template = with_reporting(template, owner.key, reporting)
    if keep and (kept := kept_in_place(spec, stays=True)):
        metadata = template["metadata"]
        template = {
            **template,
            "metadata": {**metadata, "annotations": {**(metadata.get("annotations") or {}), **kept}},
        }
    manifest = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {**_metadata(owner, _job_labels(owner, template)), "annotations": dict(annotations)},
        "spec": {
            "suspend": suspend,
            "backoffLimit": spec.backoff_limit,
            "completions": spec.workers,
            "parallelism": spec.workers,
            **({"completionMode": "Indexed"} if spec.workers > 1 else {}),
            "podReplacementPolicy": "Failed",
            **_failure_policy(spec, template["spec"]),
            "template": template,
        },
    }
    return manifest, bound


def service_manifest(owner: Identity) -> dict[str, Any]:
    """The headless Service under which every worker has a host name, before it is ready too."""
    name = owner.key.name
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(owner, copied_labels(owner)),
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": {"batch.kubernetes.io/job-name": name},
            "ports": [{"name": "torchrun", "port": PORT, "targetPort": PORT}],
        },
    }


_STAY = {"karpenter.sh/do-not-disrupt": "true", "cluster-autoscaler.kubernetes.io/safe-to-evict": "false"}
"""Annotations of a pod by which Karpenter and the cluster autoscaler do not move it to save a node."""


def kept_in_place(spec: TrainingSpec, *, stays: bool) -> dict[str, str | None]:
    """Annotations of the pod template by which autoscalers leave on-demand pods alone; what its owner says counts.

    Spot pods do not get them: Karpenter would not evict such a pod when the provider takes the node back, and the
    program would lose the time to save.
    """
    return {key: value if stays else None for key, value in _STAY.items() if key not in _own_notes(spec)}


def _own_notes(spec: TrainingSpec) -> Mapping[str, str]:
    """Annotations that the template's owner has written."""
    return ((spec.template or {}).get("metadata") or {}).get("annotations") or {}  # type: ignore[attr-defined]


def resumed_notes(spec: TrainingSpec, placement: CapacityType, interval: Micros) -> dict[str, str | None]:
    """Annotations of the pod template of a Job of ours that go with the place where it resumes."""
    notes = kept_in_place(spec, stays=placement is CapacityType.ON_DEMAND)
    return notes if CHECKPOINTS in _own_notes(spec) else {**notes, CHECKPOINTS: seconds_of(interval)}


def _metadata(owner: Identity, labels: Mapping[str, str]) -> dict[str, Any]:
    reference = {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "name": owner.key.name,
        "uid": owner.uid,
        "controller": True,
        "blockOwnerDeletion": False,
    }
    return {
        "name": owner.key.name,
        "namespace": owner.key.namespace,
        "labels": dict(labels),
        "ownerReferences": [reference],
    }


def copied_labels(owner: Identity) -> dict[str, str]:
    """Labels of the Job: our own ones of the TrainingJob (team, cost-center, ...) and those that put it in a queue."""
    ours = {key: value for key, value in owner.labels.items() if key.startswith((PREFIX, _QUEUE))}
    return {**ours, LABEL: owner.key.name}


def _job_labels(owner: Identity, template: Mapping[str, Any]) -> dict[str, str]:
    """A queue reads the labels of the Job; some write them on the pods, where nobody would look for them."""
    labels: Mapping[str, str] = (template.get("metadata") or {}).get("labels") or {}
    return {**{k: v for k, v in labels.items() if k.startswith(_QUEUE)}, **copied_labels(owner)}


def _failure_policy(spec: TrainingSpec, pod: Mapping[str, Any]) -> dict[str, Any]:
    """Interruptions do not count as failures; the API accepts the policy only with `restartPolicy: Never`."""
    if pod["restartPolicy"] != "Never":
        return {}
    rules: list[dict[str, Any]] = []
    if (code := spec.configuration_error_exit_code) is not None:
        rules.append({"action": "FailJob", "onExitCodes": {"operator": "In", "values": [code]}})
    rules += [
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
        {"action": "Ignore", "onExitCodes": {"operator": "In", "values": [TERMINATED]}},
    ]
    return {"podFailurePolicy": {"rules": rules}}


# --- pod template -----------------------------------------------------------------------------------------------------


def _pod_template(
    owner: Identity, spec: TrainingSpec, template: Mapping[str, Any], pool: Pool | None
) -> tuple[dict[str, Any], Bound | None]:
    directives, bound = applied(directives_of(template["spec"]), pool)
    pod = {**template["spec"], **pod_spec_fields(directives)}
    pod = {key: value for key, value in pod.items() if value is not None}
    pod.setdefault("restartPolicy", "Never")
    pod["containers"] = _containers(owner, spec, template["spec"]["containers"])
    if spec.workers > 1:
        pod["subdomain"] = owner.key.name
    metadata = dict(template.get("metadata") or {})
    labels = {k: v for k, v in copied_labels(owner).items() if k.startswith(PREFIX)}
    metadata["labels"] = {**labels, **(metadata.get("labels") or {}), LABEL: owner.key.name}
    return {**template, "metadata": metadata, "spec": pod}, bound


def _containers(owner: Identity, spec: TrainingSpec, containers: list[Mapping[str, Any]]) -> list[dict[str, Any]]:
    result = [dict(container) for container in containers]
    if spec.gpus_per_worker is not None and not any(gpu_limit(container) for container in result):
        result[0] = _with_gpus(result[0], spec.gpus_per_worker)
    if any(isinstance(rule.kind, Divergence) for rule in spec.stopping.rules):
        result = [with_restore(container) for container in result]
    if spec.workers == 1:
        return result
    variables = environment(name=owner.key.name, workers=spec.workers, gpus=gpus_per_worker(spec))
    return [with_environment(container, variables) for container in result]


def _with_gpus(container: Mapping[str, Any], gpus: int) -> dict[str, Any]:
    resources = dict(container.get("resources") or {})
    resources["limits"] = {**(resources.get("limits") or {}), GPU: str(gpus)}
    return {**container, "resources": resources}


def gpus_per_worker(spec: TrainingSpec) -> int | None:
    """GPUs of one worker: what the template's containers say, else `gpusPerWorker`; None when nobody says."""
    containers = ((spec.template or {}).get("spec") or {}).get("containers") or ()  # type: ignore[attr-defined]
    limits = [limit for container in containers if (limit := gpu_limit(container)) is not None]
    return sum(whole(limit) for limit in limits) if limits else spec.gpus_per_worker


def template_hash(spec: TrainingSpec) -> str:
    """Digest of everything of a specification that becomes part of the Job and cannot change afterwards."""
    fixed = (spec.template, spec.workers, spec.gpus_per_worker, spec.backoff_limit, spec.configuration_error_exit_code)
    return hashlib.sha256(json.dumps(fixed, sort_keys=True, default=str).encode()).hexdigest()[:16]
