"""What ties a run to one zone: the volumes that its template mounts, and spot prices of its machine in other zones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from gpucost.core.capacity import traits
from gpucost.core.model import CapacityType, Job, Node
from gpucost.core.training.pins import Pin, pin_of, priced
from gpucost.runtime.assets import Assets
from gpucost.runtime.prices import Prices
from gpucost.runtime.world import Custom

_INSTANCE = "node.kubernetes.io/instance-type"


@dataclass
class Zones:
    """Answers for one run at a time."""

    assets: Assets
    prices: Prices

    def pin(self, record: Custom, job: Job | None, nodes: list[Node]) -> Pin | None:
        """The zone that a run is tied to, with what that costs."""
        pod = record.part("template", "spec")
        selector = job.node_selector if job is not None else pod.get("nodeSelector") or {}
        affinity = job.affinity if job is not None else pod.get("affinity")
        found = pin_of(selector, affinity, self._volumes(record.namespace, pod))
        if found is None:
            return None
        instance = next((traits(node.labels).instance_type for node in nodes), "") or selector.get(_INSTANCE, "")
        return priced(found, self._by_zone(instance))

    def _volumes(self, namespace: str, pod: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Claims of a pod template, each with the zone of its volume."""
        volumes = pod.get("volumes") or ()
        names = {(one.get("persistentVolumeClaim") or {}).get("claimName") for one in volumes if isinstance(one, dict)}
        if not names - {None}:
            return []
        uids = {c.uid: c.name for c in self.assets.claims.values() if c.namespace == namespace and c.name in names}
        return [
            (f"PersistentVolumeClaim {uids[volume.claim]} (volume {volume.name})", volume.zone)
            for volume in self.assets.volumes.values()
            if volume.claim in uids
        ]

    def _by_zone(self, instance: str) -> dict[str, Decimal]:
        """Spot prices of a machine type, by zone, as Karpenter exports them."""
        return {
            offering.zone: steps[-1][1]
            for offering, steps in self.prices.memory.karpenter.items()
            if instance and offering.instance_type == instance and offering.capacity_type is CapacityType.SPOT
            if offering.zone and steps
        }
