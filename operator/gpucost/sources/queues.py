"""Turn Kueue's Workloads into slim records."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from gpucost.core.training.queueing import Entry
from gpucost.sources.records import PREFIX, conditions_of, owner_of, setter_of

Json = Mapping[str, Any]


def entry_record(body: Json) -> Entry:
    """Read a kueue.x-k8s.io Workload, of any version that is known."""
    metadata, spec, status = body["metadata"], body["spec"], body.get("status") or {}
    owner = owner_of(metadata)
    admission = status.get("admission") or {}
    assigned = [one.get("flavors") or {} for one in admission.get("podSetAssignments") or ()]
    return Entry(
        uid=metadata["uid"],
        name=metadata["name"],
        namespace=sys.intern(metadata["namespace"]),
        resource_version=metadata["resourceVersion"],
        api_version=sys.intern(body["apiVersion"]),
        owner_uid=owner.uid if owner is not None else "",
        active=spec.get("active") is not False,
        annotations={k: v for k, v in (metadata.get("annotations") or {}).items() if k.startswith(PREFIX)},
        conditions=conditions_of(status),
        cluster_queue=admission.get("clusterQueue") or "",
        flavors=tuple(dict.fromkeys(flavor for one in assigned for flavor in one.values())),
        active_manager=setter_of(metadata, "active"),
    )
