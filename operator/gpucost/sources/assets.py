"""Volumes, claims on them, and load balancers: what costs by the hour beside nodes, as slim records."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from gpucost.core.clock import Instant, parse_rfc3339
from gpucost.core.model import NO_LABELS, Key
from gpucost.core.quantity import whole
from gpucost.sources.records import Json, instant, labels_of

_REGION = ("topology.kubernetes.io/region", "failure-domain.beta.kubernetes.io/region")
_ZONE = ("topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone", "topology.ebs.csi.aws.com/zone")
_LABELS = frozenset({"app.kubernetes.io/name"})


@dataclass(frozen=True, slots=True)
class VolumeRecord:
    """A PersistentVolume."""

    uid: str
    name: str
    created: Instant
    size: int
    """Bytes."""
    storage_class: str = ""
    region: str = ""
    zone: str = ""
    claim: str = ""
    """UID of the claim that it is bound to, or was until it was released."""
    bound: Instant = 0
    """When that claim was given the volume, as far as the object tells."""


@dataclass(frozen=True, slots=True)
class ClaimRecord:
    """A PersistentVolumeClaim; it holds its volume from when both exist and are bound to each other."""

    uid: str
    name: str
    namespace: str
    created: Instant
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ServiceRecord:
    """A Service; only one of type LoadBalancer that has its address costs something (`balanced` is since when)."""

    uid: str
    name: str
    namespace: str
    balanced: Instant | None = None
    balancer_class: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> Key:
        """Namespace and name."""
        return Key(self.namespace, self.name)


def volume_record(body: Json) -> VolumeRecord:
    """Read a PersistentVolume."""
    metadata, spec = body["metadata"], body["spec"]
    created = parse_rfc3339(metadata["creationTimestamp"])
    claim = spec.get("claimRef") or {}
    places: dict[str, str] = {**dict(_required_places(spec)), **(metadata.get("labels") or {})}
    return VolumeRecord(
        uid=metadata["uid"],
        name=metadata["name"],
        created=created,
        size=whole(str((spec.get("capacity") or {}).get("storage", "0"))),
        storage_class=sys.intern(spec.get("storageClassName") or ""),
        region=sys.intern(_first(places, _REGION)),
        zone=sys.intern(_first(places, _ZONE)),
        claim=claim.get("uid", ""),
        bound=max(created, _set_at(metadata, "f:claimRef") or created),
    )


def claim_record(body: Json) -> ClaimRecord:
    """Read a PersistentVolumeClaim."""
    metadata = body["metadata"]
    return ClaimRecord(
        uid=metadata["uid"],
        name=metadata["name"],
        namespace=sys.intern(metadata["namespace"]),
        created=parse_rfc3339(metadata["creationTimestamp"]),
        labels=labels_of(metadata.get("labels"), _LABELS),
    )


def service_record(body: Json) -> ServiceRecord:
    """Read a Service. A load balancer that is not there yet costs nothing."""
    metadata, spec = body["metadata"], body["spec"]
    there = (((body.get("status") or {}).get("loadBalancer")) or {}).get("ingress")
    balanced = spec.get("type") == "LoadBalancer" and bool(there)
    created = parse_rfc3339(metadata["creationTimestamp"])
    return ServiceRecord(
        uid=metadata["uid"],
        name=metadata["name"],
        namespace=sys.intern(metadata["namespace"]),
        balanced=max(created, _set_at(metadata, "f:loadBalancer") or created) if balanced else None,
        balancer_class=sys.intern(spec.get("loadBalancerClass") or ""),
        labels=labels_of(metadata.get("labels"), _LABELS) if balanced else NO_LABELS,
    )


def _required_places(spec: Json) -> Iterator[tuple[str, str]]:
    """Labels that the volume's nodes must have, where there is one value only."""
    required = (spec.get("nodeAffinity") or {}).get("required") or {}
    for term in required.get("nodeSelectorTerms") or ():
        for expression in term.get("matchExpressions") or ():
            values = list(expression.get("values") or ())
            if expression.get("operator") == "In" and len(values) == 1:
                yield expression["key"], values[0]


def _set_at(metadata: Json, field: str) -> Instant | None:
    """When a field of the spec or the status was set last, by the field managers' own record."""
    times = [
        entry["time"]
        for entry in metadata.get("managedFields") or ()
        if entry.get("time") and any(_mentions(part, field) for part in (entry.get("fieldsV1") or {}).values())
    ]
    return instant(max(times)) if times else None


def _mentions(part: Any, field: str) -> bool:
    return isinstance(part, Mapping) and field in part


def _first(labels: Mapping[str, str], keys: Iterable[str]) -> str:
    return next((labels[key] for key in keys if labels.get(key)), "")
