"""How a node's GPUs are offered, from the units that it advertises and its labels, whoever recorded these."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from gpucost.core.capacity import gpu_fraction, traits
from gpucost.core.gpus import DEFAULT_RESOURCES, Layout, is_gpu, layout
from gpucost.core.mig import profile_in

_PRODUCT, _COUNT = "nvidia.com/gpu.product", "nvidia.com/gpu.count"
_REPLICAS, _MEMORY = "nvidia.com/gpu.replicas", "nvidia.com/gpu.memory"


def offer(
    devices: Mapping[str, int], labels: Mapping[str, str], resources: Iterable[str] = DEFAULT_RESOURCES
) -> Layout | None:
    """The layout of a node's GPUs; None when no device plugin offers any.

    Under MIG's single strategy GPU feature discovery counts and measures the slices, under the labels' usual names.
    """
    patterns = tuple(resources)
    units = {name: count for name, count in devices.items() if is_gpu(name, patterns)}
    if not units:
        return None
    product, found = labels.get(_PRODUCT, ""), traits(labels)
    single = bool(profile_in(product))
    return layout(
        units,
        model=product or found.gpu_model,
        physical=gpu_fraction(found.instance_type) or (None if single else _count(labels.get(_COUNT))),
        memory_gib=None if single else _gib(labels.get(_MEMORY)),
        replicas=_count(labels.get(_REPLICAS)),
    )


def _count(text: str | None) -> int | None:
    return int(text) if text and text.isdigit() and int(text) > 0 else None


def _gib(text: str | None) -> float | None:
    """`nvidia.com/gpu.memory` is in MiB."""
    return int(text) / 1024 if text and text.isdigit() and int(text) else None
