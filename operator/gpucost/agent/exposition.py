"""The series: dcgm-exporter's names and labels, and what the agent says about itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gpucost.agent.devices import Device, Gpu
from gpucost.agent.holders import Holder
from gpucost.agent.poduid import PodName
from gpucost.agent.reading import Measured

HELP: Mapping[str, str] = {
    "DCGM_FI_DEV_GPU_UTIL": "GPU utilization, mean over the period (in %).",
    "DCGM_FI_PROF_GR_ENGINE_ACTIVE": "Share of time in which the graphics or compute engine was active (0..1).",
    "DCGM_FI_PROF_SM_ACTIVE": "Share of time in which a multiprocessor had work (0..1).",
    "DCGM_FI_PROF_SM_OCCUPANCY": "Warps resident on a multiprocessor, of the most there can be (0..1).",
    "DCGM_FI_PROF_PIPE_TENSOR_ACTIVE": "Share of time in which the tensor pipe was active (0..1).",
    "DCGM_FI_PROF_DRAM_ACTIVE": "Share of the memory bandwidth that was used (0..1).",
    "DCGM_FI_DEV_FB_USED": "Framebuffer memory used (in MiB).",
    "DCGM_FI_DEV_FB_FREE": "Framebuffer memory free (in MiB).",
    "DCGM_FI_DEV_FB_RESERVED": "Framebuffer memory reserved by the driver (in MiB).",
    "DCGM_FI_DEV_POWER_USAGE": "Power draw (in W).",
    "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION": "Energy since the driver was loaded (in mJ).",
    "DCGM_FI_DEV_XID_ERRORS": "Number of the last XID error since the agent began, 0 for none.",
}
"""Metrics in the order in which they are written."""


@dataclass(frozen=True, slots=True)
class Node:
    """What all series of a node share."""

    name: str
    driver: str


def series(
    measured: Iterable[Measured],
    holders: Mapping[Device, tuple[Holder, ...]],
    uids: Mapping[PodName, str],
    node: Node,
) -> list[Metric]:
    """All device series; a device that several containers share has one for each of them, with the same value."""
    families = {name: GaugeMetricFamily(name, text) for name, text in HELP.items()}
    for each in measured:
        for labels in _labels(each.device, holders.get(each.device, ()), uids, node):
            for metric, value in each.values.items():
                families[metric].add_sample(metric, labels, value)
    return [family for family in families.values() if family.samples]


def _labels(
    device: Device, holders: tuple[Holder, ...], uids: Mapping[PodName, str], node: Node
) -> Iterator[dict[str, str]]:
    own = device_labels(device, node)
    if not holders:
        yield own
    for holder in holders:
        yield own | _holder_labels(holder, uids)


def device_labels(device: Device, node: Node) -> dict[str, str]:
    """Labels of a device; a MIG instance has its GPU's, and its own profile and number."""
    gpu = device if isinstance(device, Gpu) else device.gpu
    labels = {
        "gpu": str(gpu.index),
        "UUID": gpu.uuid,
        "pci_bus_id": gpu.bus_id,
        "device": f"nvidia{gpu.minor}",
        "modelName": gpu.name,
    }
    if not isinstance(device, Gpu):
        labels |= {"GPU_I_PROFILE": device.profile, "GPU_I_ID": str(device.id)}
    return labels | {"Hostname": node.name, "DCGM_FI_DRIVER_VERSION": node.driver}


def _holder_labels(holder: Holder, uids: Mapping[PodName, str]) -> dict[str, str]:
    labels = {"container": holder.container, "namespace": holder.namespace, "pod": holder.pod}
    if uid := uids.get((holder.namespace, holder.pod)):
        labels["pod_uid"] = uid
    if claim := holder.claim:
        labels |= {
            "dra_claim_name": claim.name,
            "dra_claim_namespace": claim.namespace,
            "dra_driver_name": claim.driver,
            "dra_pool_name": claim.pool,
            "dra_device_name": claim.device,
        }
    return labels


@dataclass
class Figures:
    """What the agent says about itself; the loop fills it in."""

    nvml_up: bool = False
    kubelet_up: bool = False
    reads: int = 0
    seconds: float = 0.0
    """Duration of the last reading."""
    last_read: float = 0.0
    """When it ended, seconds since the epoch; 0 before the first."""
    calls: int = 0
    gpus: int = 0
    instances: int = 0
    failures: Mapping[tuple[str, str, str], int] = field(default_factory=dict)
    dropped: Mapping[tuple[str, str], int] = field(default_factory=dict)
    kubelet_errors: Mapping[str, int] = field(default_factory=dict)
    unmatched: Mapping[str, int] = field(default_factory=dict)


class FiguresCollector(Collector):
    """Renders `Figures` at scrape time."""

    def __init__(self, figures: Figures) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        """All families."""
        yield from self._now()
        yield from self._so_far()

    def _now(self) -> Iterator[Metric]:
        own = self._figures
        yield _gauge("nvml_up", "1 while the driver answers.", own.nvml_up)
        yield _gauge("kubelet_up", "1 while the kubelet tells which pods hold GPUs.", own.kubelet_up)
        yield _gauge("gpus", "GPUs that answer.", own.gpus)
        yield _gauge("mig_instances", "MIG instances that answer.", own.instances)
        yield _gauge("read_duration_seconds", "Duration of the last reading.", own.seconds)
        if own.last_read:
            yield _gauge("last_read_timestamp_seconds", "When the last reading ended.", own.last_read)
        unmatched = GaugeMetricFamily(
            "gpucost_agent_devices_unmatched",
            "Devices that the kubelet names and NVML does not know.",
            labels=["resource"],
        )
        for resource, count in own.unmatched.items():
            unmatched.add_metric([resource], count)
        yield unmatched

    def _so_far(self) -> Iterator[Metric]:
        own = self._figures
        yield _counter("reads", "Readings.", (), [((), own.reads)])
        yield _counter("nvml_calls", "Calls of NVML.", (), [((), own.calls)])
        yield _counter("nvml_errors", "Calls of NVML that failed.", ("gpu", "call", "error"), own.failures.items())
        yield _counter("values_dropped", "Values that cannot be true.", ("metric", "reason"), own.dropped.items())
        errors = (((code,), count) for code, count in own.kubelet_errors.items())
        yield _counter("kubelet_errors", "Questions that the kubelet did not answer.", ("error",), errors)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"gpucost_agent_{name}", text, value=float(value))


def _counter(name: str, text: str, labels: tuple[str, ...], values: Iterable[tuple[tuple[str, ...], int]]) -> Metric:
    family = CounterMetricFamily(f"gpucost_agent_{name}", text, labels=labels)
    for key, value in values:
        family.add_metric(key, value)
    return family


class _Fixed(Collector):
    """Families that are there already."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def render(families: list[Metric]) -> bytes:
    """The text of families, made once per reading however often it is asked for."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Fixed(families))
    return generate_latest(registry)


def own_registry(figures: Figures) -> CollectorRegistry:
    """The agent's own metrics, its processor time and memory among them."""
    registry = CollectorRegistry()
    registry.register(FiguresCollector(figures))
    ProcessCollector(namespace="gpucost_agent", registry=registry)
    return registry
