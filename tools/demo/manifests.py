"""What the two teams of the demo apply: what you would write yourself, plus annotations that steer the simulation."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from local.karpenter import H100, L4, InstanceType

Manifest = dict[str, Any]
RESEARCH, VISION = "research", "vision"

PRICES: Manifest = {
    "apiVersion": "gpucost.dev/v1alpha1",
    "kind": "PriceBook",
    "metadata": {"name": "aws-us-east-1"},
    "spec": {
        "currency": "USD",
        "prices": [
            {"instanceType": kind.name, "region": "us-east-1", "capacityType": capacity, "hourly": price}
            for kind in (H100, L4)
            for capacity, price in (("onDemand", kind.on_demand), ("spot", kind.spot))
        ],
    },
}


VOLUME = "corpus-demo"


def corpus() -> list[Manifest]:
    """Two TiB of training data: a volume costs as long as it is there, whether anything reads it or not."""
    shared: Manifest = {"accessModes": ["ReadWriteMany"], "storageClassName": "gp3"}
    volume = {
        **shared,
        "capacity": {"storage": "2Ti"},
        "persistentVolumeReclaimPolicy": "Retain",
        "csi": {"driver": "simulated.gpucost.dev", "volumeHandle": VOLUME},
    }
    claim = {**shared, "volumeName": VOLUME, "resources": {"requests": {"storage": "2Ti"}}}
    return [
        {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": VOLUME}, "spec": volume},
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "corpus", "namespace": RESEARCH},
            "spec": claim,
        },
    ]


def window_start(now: datetime, lead: timedelta) -> datetime:
    """The first full minute that is at least `lead` away: cron knows no seconds."""
    return (now + lead + timedelta(minutes=1)).replace(second=0, microsecond=0)


def template(kind: InstanceType, *, utilization: str, **simulated: str) -> Manifest:
    """A pod template that wants a whole node of a machine type."""
    return {
        "metadata": {
            "annotations": {
                "gpucost.dev/simulated-utilization": utilization,
                "gpucost.dev/simulated-shutdown": "2s",
                **simulated,
            }
        },
        "spec": {
            "nodeSelector": {"node.kubernetes.io/instance-type": kind.name},
            "terminationGracePeriodSeconds": 30,
            "containers": [
                {
                    "name": "train",
                    "image": "registry.example.com/train:1",
                    "command": ["python", "train.py"],
                    "resources": {"limits": {"nvidia.com/gpu": str(kind.gpus)}},
                }
            ],
        },
    }


def trainingjob(namespace: str, name: str, spec: Manifest) -> Manifest:
    """A TrainingJob."""
    return {
        "apiVersion": "gpucost.dev/v1alpha1",
        "kind": "TrainingJob",
        "metadata": {"name": name, "namespace": namespace, "labels": {"gpucost.dev/team": namespace}},
        "spec": spec,
    }


def moves_to_spot(opens: datetime) -> Manifest:
    """Eight H100, on-demand until a window opens, on spot nodes while it is open."""
    window = {"start": f"{opens.minute} {opens.hour} * * *", "duration": "2h", "placement": "Spot"}
    return trainingjob(
        RESEARCH,
        "bert",
        {
            "schedule": {"timeZone": "UTC", "windows": [window], "outside": "OnDemand"},
            "placement": {"schedulingTimeout": "90s"},
            "template": template(H100, utilization="0.91"),
        },
    )


def loses_its_node() -> Manifest:
    """One L4, always on spot."""
    return trainingjob(
        RESEARCH,
        "llama-lora",
        {
            "placement": {"policy": "Spot", "schedulingTimeout": "90s"},
            "template": template(L4, utilization="0.72"),
        },
    )


def ends(after: str) -> Manifest:
    """One L4 on demand; its program ends by itself."""
    return trainingjob(
        VISION,
        "resnet",
        {"template": template(L4, utilization="0.64", **{"pod-complete.stage.kwok.x-k8s.io/delay": after})},
    )


def existing_job() -> Manifest:
    """A plain Job that somebody runs already, with GPUs that hardly compute."""
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "notebook", "namespace": VISION},
        "spec": {"template": _never_restarted(template(L4, utilization="0.04"))},
    }


def _never_restarted(pod: Manifest) -> Manifest:
    pod["spec"]["restartPolicy"] = "Never"
    return pod


def takes_over() -> Manifest:
    """The TrainingJob that takes over the plain Job."""
    return trainingjob(VISION, "notebook", {"workloadRef": {"kind": "Job", "name": "notebook"}})


def now() -> datetime:
    """The present, UTC."""
    return datetime.now(UTC)
