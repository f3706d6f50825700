"""The real Karpenter with its kwok provider: node pools that come and go as pods ask for them.

Its nodes are simulated; its decisions are not. How fast things happen here:
- a pod that fits nowhere gets a node after the batch window (1 to 2 s) and the boot time given (2 s);
- an empty node is noticed by a loop of ten seconds and leaves at the next pass, so within about 15 s;
- deleting a NodeClaim drains the node as a cloud's interruption notice does: pods end within their grace period.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.helpers import Helper
from local.objects import Manifest
from local.programs import program
from local.waiting import wait_for
from local.workbench import Workbench

REGION, ZONES = "us-east-1", ("us-east-1a", "us-east-1b")
CLAIMS, POOLS = "/apis/karpenter.sh/v1/nodeclaims", "/apis/karpenter.sh/v1/nodepools"
CAPACITY_TYPE, INSTANCE_TYPE = "karpenter.sh/capacity-type", "node.kubernetes.io/instance-type"


@dataclass(frozen=True, kw_only=True)
class InstanceType:
    """A machine type with its prices in dollars an hour (US east, list and typical spot)."""

    pool: str
    name: str
    cpu: int
    memory_gib: int
    on_demand: str
    spot: str
    gpus: int = 0
    gpu_product: str = ""
    gpu_memory_mib: int = 0


H100 = InstanceType(
    pool="h100",
    name="p5.48xlarge",
    cpu=192,
    memory_gib=2048,
    on_demand="55.04",
    spot="20.10",
    gpus=8,
    gpu_product="NVIDIA-H100-80GB-HBM3",
    gpu_memory_mib=81559,
)
L4 = InstanceType(
    pool="l4",
    name="g6.2xlarge",
    cpu=8,
    memory_gib=32,
    on_demand="0.978",
    spot="0.50",
    gpus=1,
    gpu_product="NVIDIA-L4",
    gpu_memory_mib=23034,
)
CPU = InstanceType(pool="cpu", name="m6i.2xlarge", cpu=8, memory_gib=32, on_demand="0.384", spot="0.15")
CATALOGUE = (H100, L4, CPU)


class Karpenter:
    """Karpenter beside a local cluster; it stops with the cluster."""

    def __init__(self, cluster: Workbench, catalogue: tuple[InstanceType, ...] = CATALOGUE) -> None:
        self.cluster = cluster
        self.catalogue = catalogue
        self._helper: Helper | None = None

    def start(self, boot_seconds: int = 2) -> Karpenter:
        """Install the definitions and the node pools, and start the controller."""
        path = program("karpenter")
        self.cluster.install_crds(_definitions(path))
        self.cluster.apply([node_class(boot_seconds), *self.pools()])
        metrics, probe = self.cluster.port(), self.cluster.port()
        types = self.cluster.work_folder / "instance-types.json"
        types.write_text(json.dumps([instance_type(entry) for entry in self.catalogue]))
        env = {
            **self.cluster.env(),
            "SYSTEM_NAMESPACE": "kube-system",
            "DISABLE_LEADER_ELECTION": "true",
            "METRICS_PORT": str(metrics),
            "HEALTH_PROBE_PORT": str(probe),
            "BATCH_IDLE_DURATION": "1s",
            "BATCH_MAX_DURATION": "2s",
            "INSTANCE_TYPES_FILE_PATH": str(types),
        }
        self._helper = self.cluster.helper("karpenter", [path], env).start()
        self._helper.wait_until_answers(f"http://127.0.0.1:{probe}/readyz", 60)
        wait_for(self._pools_ready, 30, "node pools ready")
        return self

    def pools(self) -> list[Manifest]:
        """One pool per instance type and capacity type; a pod that does not choose gets on-demand."""
        return [node_pool(entry, kind) for entry in self.catalogue for kind in ("on-demand", "spot")]

    def _pools_ready(self) -> bool:
        pools = self.cluster.api.list(POOLS)
        return bool(pools) and all(
            any(c["type"] == "Ready" and c["status"] == "True" for c in pool.get("status", {}).get("conditions", ()))
            for pool in pools
        )

    def nodes(self, **labels: str) -> list[Manifest]:
        """Nodes that Karpenter launched; `capacity_type` and `pool` narrow them down."""
        wanted = {"capacity_type": CAPACITY_TYPE, "pool": "karpenter.sh/nodepool"}
        selector = ",".join(["karpenter.sh/nodepool", *(f"{wanted[k]}={v}" for k, v in labels.items())])
        return self.cluster.api.list(f"/api/v1/nodes?labelSelector={selector}")

    def claim_of(self, node: str) -> str:
        """Name of a node's NodeClaim; raises LookupError when there is none."""
        for claim in self.cluster.api.list(CLAIMS):
            if claim.get("status", {}).get("nodeName") == node:
                return str(claim["metadata"]["name"])
        raise LookupError(f"no NodeClaim of node {node}")

    def interrupt(self, node: str) -> None:
        """Take a node away with notice, as a spot interruption does: its pods are evicted, then it goes."""
        self.cluster.api.delete(f"{CLAIMS}/{self.claim_of(node)}")

    def lose(self, node: str) -> None:
        """Take a node away without notice: Node and NodeClaim vanish at once, the pods are left without a kubelet."""
        claim = self.claim_of(node)
        for path in (f"{CLAIMS}/{claim}", f"/api/v1/nodes/{node}"):
            self.cluster.api.delete(path)
            if self.cluster.api.find(path):
                self.cluster.api.merge(path, {"metadata": {"finalizers": None}})

    def stop(self) -> None:
        """Stop the controller; its nodes stay until the cluster ends."""
        if self._helper:
            self._helper.stop()


def _definitions(executable: Path) -> Path:
    """Folder with Karpenter's custom resource definitions, which the build puts beside the program."""
    folder = executable.resolve().parent / "data"
    if not folder.is_dir():
        raise LookupError(f"no custom resource definitions in {folder}: run `make tools`")
    return folder


def instance_type(entry: InstanceType) -> dict[str, Any]:
    """An entry of the kwok provider's file of instance types."""
    resources = {"cpu": str(entry.cpu), "memory": f"{entry.memory_gib}Gi", "ephemeral-storage": "1000Gi", "pods": "110"}
    if entry.gpus:
        resources["nvidia.com/gpu"] = str(entry.gpus)
    prices = {"on-demand": entry.on_demand, "spot": entry.spot}
    return {
        "name": entry.name,
        "architecture": "amd64",
        "operatingSystems": ["linux"],
        "resources": resources,
        "offerings": [_offering(kind, zone, price) for kind, price in prices.items() for zone in ZONES],
    }


def _offering(capacity_type: str, zone: str, price: str) -> dict[str, Any]:
    requirements = {CAPACITY_TYPE: capacity_type, "topology.kubernetes.io/zone": zone}
    return {
        "Price": float(price),
        "Available": True,
        "Requirements": [{"key": k, "operator": "In", "values": [v]} for k, v in requirements.items()],
    }


def node_class(boot_seconds: int) -> Manifest:
    """How the kwok provider makes nodes."""
    return {
        "apiVersion": "karpenter.kwok.sh/v1alpha1",
        "kind": "KWOKNodeClass",
        "metadata": {"name": "default"},
        "spec": {"nodeRegistrationDelay": f"{boot_seconds}s"},
    }


def node_pool(entry: InstanceType, capacity_type: str) -> Manifest:
    """A pool of one instance type and one capacity type."""
    labels = {"topology.kubernetes.io/region": REGION}
    if entry.gpus:
        labels |= {
            "nvidia.com/gpu.present": "true",
            "nvidia.com/gpu.product": entry.gpu_product,
            "nvidia.com/gpu.count": str(entry.gpus),
            "nvidia.com/gpu.memory": str(entry.gpu_memory_mib),
        }
    requirements = {INSTANCE_TYPE: entry.name, CAPACITY_TYPE: capacity_type}
    template = {
        "metadata": {"labels": labels},
        "spec": {
            "nodeClassRef": {"group": "karpenter.kwok.sh", "kind": "KWOKNodeClass", "name": "default"},
            "requirements": [{"key": k, "operator": "In", "values": [v]} for k, v in requirements.items()],
            "expireAfter": "Never",
        },
    }
    disruption = {"consolidationPolicy": "WhenEmpty", "consolidateAfter": "1s", "budgets": [{"nodes": "100%"}]}
    weight = 10 if capacity_type == "on-demand" else 1
    return {
        "apiVersion": "karpenter.sh/v1",
        "kind": "NodePool",
        "metadata": {"name": f"{entry.pool}-{capacity_type}"},
        "spec": {"template": template, "disruption": disruption, "weight": weight},
    }
