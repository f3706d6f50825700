"""What the units of GPU resources are worth: whole GPUs, MIG instances, shared replicas, fractional instances."""

from __future__ import annotations

from fractions import Fraction

import pytest

from gpucost.core.gpus import held, is_gpu, layout
from gpucost.core.mig import card_of
from gpucost.core.model import NodeFact, NodeKind, Resources
from gpucost.core.shares import DOMINANT, PRESETS, Split, SplitKind

F = Fraction
GIB = 1 << 30

SEVEN = [F(1, 7), F(1, 4), F(2, 7), F(1, 2), F(4, 7), F(1)]
"""The larger of compute and memory of 1g (one slice of memory), 1g (two), 2g, 3g, 4g and 7g."""

CARDS = [
    ("NVIDIA-A30", None, "1g.6gb 2g.12gb 4g.24gb", [F(1, 4), F(1, 2), F(1)]),
    ("A100", 40, "1g.5gb 1g.10gb 2g.10gb 3g.20gb 4g.20gb 7g.40gb", SEVEN),
    ("NVIDIA-A100-SXM4-40GB", None, "1g.5gb 1g.10gb 2g.10gb 3g.20gb 4g.20gb 7g.40gb", SEVEN),
    ("NVIDIA-A100-SXM4-80GB", None, "1g.10gb 1g.20gb 2g.20gb 3g.40gb 4g.40gb 7g.80gb", SEVEN),
    ("H100", 79.6, "1g.10gb 1g.20gb 2g.20gb 3g.40gb 4g.40gb 7g.80gb", SEVEN),
    ("NVIDIA H100 NVL", 93.6, "1g.12gb 1g.24gb 2g.24gb 3g.47gb 4g.47gb 7g.94gb", SEVEN),
    ("NVIDIA-GH200-480GB", 95.6, "1g.12gb 1g.24gb 2g.24gb 3g.48gb 4g.48gb 7g.96gb", SEVEN),
    ("H200", 141, "1g.18gb 1g.35gb 2g.35gb 3g.71gb 4g.71gb 7g.141gb", SEVEN),
    ("NVIDIA-B200", 179, "1g.23gb 1g.45gb 2g.45gb 3g.90gb 4g.90gb 7g.180gb", SEVEN),
]


@pytest.mark.parametrize(("model", "memory", "profiles", "parts"), CARDS)
def test_each_profile_is_the_larger_of_its_compute_and_memory(model, memory, profiles, parts):
    for profile, part in zip(profiles.split(), parts, strict=True):
        found = layout({f"nvidia.com/mig-{profile}": 1}, model=model, physical=1, memory_gib=memory)
        assert (found.problem, found.parts) == ("", {f"nvidia.com/mig-{profile}": part})


@pytest.mark.parametrize("suffix", [".me", ".me.all", ".gfx", "+me", "-me"])
def test_engines_that_come_along_change_nothing(suffix):
    assert card_of("H100", 80, frozenset()).part(f"1g.10gb{suffix}") == F(1, 7)


@pytest.mark.parametrize(
    ("devices", "gpus", "stranded", "capacity"),
    [
        ({"3g.40gb": 2}, 1, F(1, 7), 1),
        ({"3g.40gb": 4}, 2, F(2, 7), 2),
        ({"1g.10gb": 7}, 1, 0, 1),
        ({"1g.20gb": 4}, 1, F(3, 7), 1),
        ({"7g.80gb": 1}, 1, 0, 1),
        ({"2g.20gb": 3}, 1, 0, 1),  # a 1g still fits
        ({"3g.40gb": 1, "1g.20gb": 1}, 1, F(1, 7), 1),  # a 2g fits and leaves one
        ({"1g.10gb": 2, "2g.20gb": 1, "3g.40gb": 1}, 1, 0, F(15, 14)),
        ({"4g.40gb": 3}, 3, 0, 3),
    ],
)
def test_what_no_profile_fits_any_more_is_stranded(devices, gpus, stranded, capacity):
    named = {f"nvidia.com/mig-{name}": count for name, count in devices.items()}
    found = layout(named, model="H100", physical=gpus, memory_gib=80)
    assert (found.problem, found.stranded, found.capacity) == ("", stranded, capacity)


def test_mixed_strategy_has_whole_gpus_beside_the_cut_ones():
    devices = {"nvidia.com/gpu": 6, "nvidia.com/mig-3g.40gb": 4}
    found = layout(devices, model="H100", physical=8, memory_gib=80)
    assert (found.physical, found.capacity, found.stranded) == (8, 8, F(2, 7))
    assert held({"nvidia.com/gpu": 2, "nvidia.com/mig-3g.40gb": 1}, found) == F(5, 2)


def test_replicas_of_mig_instances_divide_the_instance():
    found = layout({"nvidia.com/mig-1g.10gb.shared": 28}, model="H100", physical=1, memory_gib=80, replicas=4)
    assert (found.parts["nvidia.com/mig-1g.10gb.shared"], found.capacity) == (F(1, 28), 1)


def test_where_shared_resources_are_renamed_the_others_are_whole():
    found = layout({"nvidia.com/gpu": 2, "nvidia.com/gpu.shared": 8}, physical=4, replicas=4)
    assert found.parts == {"nvidia.com/gpu": 1, "nvidia.com/gpu.shared": F(1, 4)}
    assert (found.capacity, found.stranded) == (4, 0)


@pytest.mark.parametrize(
    ("devices", "known", "words"),
    [
        ({"nvidia.com/mig-1g.10gb": 1}, {"model": "A100", "physical": 1}, "give its memory"),
        ({"nvidia.com/mig-1g.10gb": 1}, {"model": "H100"}, "number of GPUs in the machine"),
        ({"nvidia.com/mig-1g.10gb": 1}, {"model": "L4", "physical": 1}, "'L4' are not known"),
        ({"nvidia.com/mig-1g.10gb": 1}, {"physical": 1}, "(none given)"),
        ({"nvidia.com/mig-1g.99gb": 1}, {"model": "H200", "physical": 1}, "H200 141GB has no MIG profile '1g.99gb'"),
        ({"nvidia.com/mig-3g.40gb": 3}, {"model": "H100", "physical": 1}, "do not fit on 1 H100"),
        ({"nvidia.com/mig-3g.40gb": 1}, {"model": "H100", "physical": 1, "memory_gib": 64}, "no H100 has 64 GiB"),
        ({"nvidia.com/gpu": 1, "nvidia.com/mig-3g.40gb": 1}, {"model": "H100", "physical": 1}, "whole GPUs to be on"),
        ({"nvidia.com/gpu.shared": 4}, {}, "of replicas per GPU"),
        ({"nvidia.com/gpu": 9}, {"physical": 2, "replicas": 4}, "more than 4 on each of 2 GPUs"),
        ({"nvidia.com/gpu": 1}, {"physical": 0}, "a machine that has none"),
    ],
)
def test_what_cannot_be_known_is_a_problem_and_not_a_guess(devices, known, words):
    found = layout(devices, **known)
    assert words in found.problem
    assert found.parts == {}


def test_holding_what_a_node_has_not_is_an_error():
    with pytest.raises(ValueError, match=r"the node has no nvidia\.com/gpu"):
        held({"nvidia.com/gpu": 1}, layout({}))


def test_gpu_resources_are_told_by_their_names():
    assert is_gpu("nvidia.com/mig-1g.10gb.shared")
    assert not is_gpu("nvidia.com/hostdev")
    assert is_gpu("gpu.intel.com/i915", ["gpu.intel.com/*"])


def test_a_share_never_exceeds_the_node_and_takes_the_largest_part():
    node = NodeFact("n", "n", 0, None, Resources(4000, 4 * GIB, F(3, 2)))
    scale = DOMINANT.scale(node, 2)
    assert F(scale.units(1000, 3 * GIB, 1), scale.unit) == F(3, 4)  # 1/2 of 3/2 GPUs is a third
    assert scale.units(9000, 0, 0) == scale.units(0, 0, 100) == scale.unit


def test_gpu_only_charges_a_lost_replica_to_nobody():
    node = NodeFact("n", "n", 0, None, Resources(1000, GIB, F(3, 4)), physical_gpus=1, stranded_gpus=F(1, 4))
    scale = Split(SplitKind.GPU_ONLY).scale(node, 4)
    assert F(scale.units(0, 0, 1), scale.unit) == F(1, 4)
    assert F(scale.stranded, scale.unit) == F(1, 4)


def test_weights_add_up_over_the_node():
    node = NodeFact("n", "n", 0, None, Resources(64_000, 488 * GIB, 8), physical_gpus=8)
    scale = Split(SplitKind.WEIGHTED, PRESETS["aws"]).scale(node, 1)
    assert F(scale.units(0, 0, 1), scale.unit) == F(90, 1784)
    assert scale.units(64_000, 488 * GIB, 8) == scale.unit


@pytest.mark.parametrize("kind", SplitKind)
def test_a_volume_is_held_whole(kind):
    volume = NodeFact("v", "v", 0, None, Resources(storage=GIB), kind=NodeKind.VOLUME)
    scale = Split(kind).scale(volume, 1)
    assert (scale.units(0, 0, 0), scale.unit, scale.stranded) == (1, 1, 0)
