"""How a node's GPUs are offered, from the units that it advertises and its labels, whoever recorded these."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from gpucost.core.capacity import traits
from gpucost.core.gpus import DEFAULT_RESOURCES, Layout, is_gpu, layout

_PRODUCT, _COUNT = "nvidia.com/gpu.product", "nvidia.com/gpu.count"
_REPLICAS, _MEMORY = "nvidia.com/gpu.replicas", "nvidia.com/gpu.memory"


def offer(
    devices: Mapping[str, int], labels: Mapping[str, str], resources: Iterable[str] = DEFAULT_RESOURCES
) -> Layout | None:
    """The layout of a node's GPUs; None when no device plugin offers any."""
    patterns = tuple(resources)
    units = {name: count for name, count in devices.items() if is_gpu(name, patterns)}
    if not units:
        return None
    return layout(
        units,
        model=labels.get(_PRODUCT, "") or traits(labels).gpu_model,
        physical=_count(labels.get(_COUNT)),
        memory_gib=_gib(labels.get(_MEMORY)),
        replicas=_count(labels.get(_REPLICAS)),
    )


def _count(text: str | None) -> int | None:
    return int(text) if text and text.isdigit() and int(text) > 0 else None


def _gib(text: str | None) -> float | None:
    """`nvidia.com/gpu.memory` is in MiB; MIG's single strategy makes it that of a slice, so small ones say nothing."""
    return int(text) / 1024 if text and text.isdigit() and int(text) >= 20 * 1024 else None
