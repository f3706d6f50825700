"""Dynamic resource allocation: which devices a node has (ResourceSlices), and which of them pods hold (ResourceClaims).

Field names as in resource.k8s.io/v1; attributes as NVIDIA's, AMD's and Intel's DRA drivers publish them. Of each device
only what tells its worth is kept.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gpucost.core.capacity import gpu_model
from gpucost.core.dra import Claim, Device, DeviceId
from gpucost.core.quantity import whole
from gpucost.sources.records import Json


@dataclass(frozen=True, slots=True)
class SliceRecord:
    """A ResourceSlice: devices of one pool that are on one node."""

    uid: str
    node: str
    generation: int
    devices: tuple[Device, ...]
    pool: tuple[str, str] = ("", "")
    """Driver and name."""


def slice_record(body: Json) -> SliceRecord:
    """Read a ResourceSlice; devices that are not bound to one node have an empty `node`."""
    spec = body["spec"]
    pool = spec["pool"]
    driver, name = sys.intern(spec["driver"]), sys.intern(pool["name"])
    return SliceRecord(
        uid=body["metadata"]["uid"],
        node=sys.intern(spec.get("nodeName") or ""),
        generation=int(pool.get("generation", 0)),
        devices=tuple(_device(driver, name, device) for device in spec.get("devices") or ()),
        pool=(driver, name),
    )


def claim_record(body: Json) -> Claim:
    """Read a ResourceClaim: what it was given, and the pods that may use it."""
    metadata, status = body["metadata"], body.get("status") or {}
    results = ((status.get("allocation") or {}).get("devices") or {}).get("results") or ()
    return Claim(
        uid=metadata["uid"],
        name=metadata["name"],
        namespace=sys.intern(metadata["namespace"]),
        devices=tuple(
            DeviceId(sys.intern(r["driver"]), sys.intern(r["pool"]), sys.intern(r["device"]))
            for r in results
            if not r.get("adminAccess")  # monitoring looks at devices, it does not hold them
        ),
        pods=tuple(r["uid"] for r in status.get("reservedFor") or () if r.get("resource") == "pods"),
    )


def _device(driver: str, pool: str, body: Json) -> Device:
    device = body.get("basic") or body  # v1beta1 wraps them
    attributes = dict(_attributes(device.get("attributes") or {}))
    memory = ((device.get("capacity") or {}).get("memory") or {}).get("value")
    size = whole(str(memory)) if memory else 0
    product = str(attributes.get("productName") or attributes.get("model") or "")
    return Device(
        id=DeviceId(driver, pool, sys.intern(body["name"])),
        type=sys.intern(str(attributes.get("type") or "")),
        model=sys.intern(gpu_model(product, memory_mib=str(size >> 20))),
        profile=sys.intern(str(attributes.get("profile") or "")),
        uuid=str(attributes.get("uuid") or ""),
    )


def _attributes(attributes: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    """Values by name without the driver's domain: `gpu.nvidia.com/type` is `type`."""
    for name, value in attributes.items():
        yield name.rpartition("/")[2], next(iter(value.values()), None)
