"""Turn JobSets into slim records; their Jobs and pods come through the mirrors of Jobs and pods."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from gpucost.core.clock import parse_rfc3339
from gpucost.core.training.jobset import JobSet, Template
from gpucost.sources.records import PREFIX, QUEUE, conditions_of, labels_of, owner_of, setter_of

Json = Mapping[str, Any]


def jobset_record(body: Json) -> JobSet:
    """Read a jobset.x-k8s.io JobSet."""
    metadata, spec, status = body["metadata"], body["spec"], body.get("status") or {}
    labels = metadata.get("labels") or {}
    return JobSet(
        uid=metadata["uid"],
        name=metadata["name"],
        namespace=sys.intern(metadata["namespace"]),
        created=parse_rfc3339(metadata["creationTimestamp"]),
        resource_version=metadata["resourceVersion"],
        owner=owner_of(metadata),
        labels=labels_of(labels),
        annotations={k: v for k, v in (metadata.get("annotations") or {}).items() if k.startswith(PREFIX)},
        suspend=bool(spec.get("suspend")),
        templates=tuple(_template(one) for one in spec.get("replicatedJobs") or ()),
        conditions=conditions_of(status),
        active_jobs=sum(int(one.get("active") or 0) for one in status.get("replicatedJobsStatus") or ()),
        managed_by=spec.get("managedBy"),
        queue=labels.get(QUEUE),
        suspend_manager=setter_of(metadata, "suspend"),
    )


def _template(replicated: Json) -> Template:
    job = replicated["template"]["spec"]
    pod = job["template"]["spec"]
    parallelism = int(job.get("parallelism", 1))
    return Template(
        name=sys.intern(replicated["name"]),
        pods=int(replicated.get("replicas", 1)) * min(parallelism, int(job.get("completions") or parallelism)),
        holds_gpus=any(_holds_gpus(one) for one in pod.get("containers") or ()),
        node_selector=pod.get("nodeSelector") or {},
        tolerations=tuple(pod.get("tolerations") or ()),
    )


def _holds_gpus(container: Json) -> bool:
    """Whether it asks for devices: `nvidia.com/gpu`, a slice, a shared replica, or a claim of devices."""
    resources = container.get("resources") or {}
    names = {*(resources.get("limits") or {}), *(resources.get("requests") or {})}
    return bool(resources.get("claims")) or any(name.startswith(("nvidia.com/", "amd.com/")) for name in names)
