"""From the series of GPU exporters to one activity per pod, with everything doubtful left unknown.

Two signals say whether a GPU computed: the engine's active time (`DCGM_FI_PROF_GR_ENGINE_ACTIVE`, 0..1), which is
preferred and all that MIG slices have, and the older utilisation (`DCGM_FI_DEV_GPU_UTIL`, 0..100: some kernel ran).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from gpucost.core.model import Unknown

ENGINE_ACTIVE = "DCGM_FI_PROF_GR_ENGINE_ACTIVE"
GPU_UTIL = "DCGM_FI_DEV_GPU_UTIL"
SCALE: Mapping[str, float] = {ENGINE_ACTIVE: 1.0, GPU_UTIL: 100.0}
"""Metrics in order of preference, with their value at full activity."""

_SLACK = 1.0001  # averages of exact ones may come out a little above one
PodName = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Sample:
    """One series of one metric, averaged over the sampling window."""

    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True, slots=True)
class Held:
    """What a pod holds: its UID and how many GPUs."""

    uid: str
    gpus: int


@dataclass(frozen=True, slots=True)
class Activity:
    """Activity by pod UID, and what was dropped on the way, by reason."""

    by_pod: Mapping[str, float | Unknown]
    dropped: Mapping[str, int] = field(default_factory=dict)


def pod_of(labels: Mapping[str, str]) -> PodName | None:
    """Namespace and name of the pod that uses the GPU.

    Without `honor_labels`, Prometheus keeps the exporter's own pod under `pod` and renames ours to `exported_pod`.
    """
    prefix = "exported_" if labels.get("exported_pod") else ""
    namespace, pod = labels.get(f"{prefix}namespace", ""), labels.get(f"{prefix}pod", "")
    return (namespace, pod) if namespace and pod else None


def device_of(labels: Mapping[str, str]) -> str:
    """Identity of the GPU or MIG slice, in either spelling of the labels."""
    device = labels.get("UUID") or labels.get("uuid")
    if not device:
        host = labels.get("Hostname") or labels.get("hostname") or ""
        device = f"{host}/{labels.get('gpu', '')}"
    return f"{device}/{labels['GPU_I_ID']}" if labels.get("GPU_I_ID") else device


def activity(samples: Mapping[str, Iterable[Sample]], held: Mapping[PodName, Held]) -> Activity:
    """Mean activity (0..1) of each pod over the GPUs that it holds.

    `samples` maps a metric of `SCALE` to its series. A pod of which not every GPU reports is unknown, not idle; so is
    one without any series. A GPU seen twice (two exporters) counts once.
    """
    dropped: Counter[str] = Counter()
    devices: dict[PodName, dict[str, float]] = {}
    for metric, scale in SCALE.items():
        for sample in samples.get(metric, ()):
            pod = pod_of(sample.labels)
            if pod is None or pod not in held:
                continue
            value = _share(sample.value, scale, dropped)
            if value is not None:
                devices.setdefault(pod, {}).setdefault(device_of(sample.labels), value)
    by_pod = {holder.uid: _mean(devices.get(pod, {}), holder.gpus) for pod, holder in held.items()}
    return Activity(by_pod, dict(dropped))


def _share(value: float, scale: float, dropped: Counter[str]) -> float | None:
    share = value / scale
    if not math.isfinite(share):
        dropped["not a number"] += 1
    elif share < 0 or share > _SLACK:
        dropped["out of range"] += 1
    else:
        return min(share, 1.0)
    return None


def _mean(devices: Mapping[str, float], gpus: int) -> float | Unknown:
    if not devices:
        return Unknown("no series")
    if len(devices) < gpus:
        return Unknown(f"{len(devices)} of {gpus} GPUs report")
    if len(devices) > gpus:
        return Unknown(f"{len(devices)} GPUs report for {gpus} held")
    return sum(devices.values()) / len(devices)
