"""Names of devices, profiles and messages, each against what others write."""

from __future__ import annotations

import ctypes
from pathlib import Path

import pynvml
import pytest

from gpucost.agent.devices import Gpu, Instance, profile_name
from gpucost.agent.holders import holders
from gpucost.agent.messages import Response
from gpucost.agent.plausible import GPU_UTIL, plausible
from gpucost.agent.podresources import Claim, Container, containers_of
from gpucost.agent.poduid import pod_uids

FIRST = "GPU-0a1b2c3d-1111-2222-3333-444455556666"
SECOND = "GPU-ffffffff-1111-2222-3333-444455556666"
PART = "MIG-12345678-aaaa-bbbb-cccc-000000000001"

WHOLE = Gpu(0, FIRST, "H100", "00000000:07:00.0", 4, mig=False, gpm=True, handle=None)
SPLIT = Gpu(1, SECOND, "H100", "00000000:08:00.0", 5, mig=True, gpm=True, handle=None)
SLICE = Instance(SPLIT, 7, "1g.10gb", (PART,), (19, 2), handle=None)
NODE = [WHOLE, SPLIT, SLICE]


@pytest.mark.parametrize(
    ("name", "device"),
    [
        (FIRST, WHOLE),
        (f"{FIRST}::3", WHOLE),
        (f"{FIRST}-2", WHOLE),  # HAMi's replicas
        (PART, SLICE),
        (f"{PART}::0", SLICE),
        (f"MIG-{SECOND}/7/0", SLICE),  # drivers before 470
        ("nvidia4", WHOLE),  # the minor number, not the index
        ("nvidia4/vgpu1", WHOLE),
        ("nvidia5/gi7", SLICE),
        ("nvidia5/gi7/vgpu0", SLICE),
        ("nvidia0", None),
        ("nvidia5/gi1", None),
        ("GPU-99999999-1111-2222-3333-444455556666", None),
        (f"MIG-{FIRST}/7/0", None),
        ("0000:3b:00.0", None),
        ("", None),
    ],
)
def test_every_way_to_name_a_device_is_understood(name, device):
    held = holders([Container("ns", "pod", "main", (("nvidia.com/gpu", name),))], NODE)
    assert list(held.holders) == ([] if device is None else [device])
    assert held.unmatched == ({} if device is not None else {"nvidia.com/gpu": 1})


@pytest.mark.parametrize(
    ("name", "cdi", "device"),
    [
        ("gpu-4", (), WHOLE),
        ("gpu-5-mig-19-2-1", (), SLICE),
        ("gpu-5-mig-1g10gb-19-2", (), SLICE),
        ("gpu-5-mig-1g10gb-me-19-2", (), SLICE),
        ("gpu-5-mig-19-3-1", (), None),
        ("gpu-0", (), None),
        ("anything", (f"nvidia.com/gpu={PART}",), SLICE),
        ("gpu-4", ("k8s.gpu.nvidia.com/claim=1a2b-gpu-4",), WHOLE),
    ],
)
def test_a_device_of_a_claim_is_found_by_uuid_or_by_nvidias_name(name, cdi, device):
    claim = Claim("c", "ns", "gpu.nvidia.com", "node-1", name, cdi)
    held = holders([Container("ns", "pod", "main", claims=(claim,))], NODE)
    assert list(held.holders) == ([] if device is None else [device])
    assert held.unmatched == ({} if device is not None else {"gpu.nvidia.com": 1})


def test_another_drivers_devices_are_not_taken_for_gpus():
    claim = Claim("c", "ns", "nic.example.com", "node-1", "gpu-4")
    held = holders([Container("ns", "pod", "main", (("example.com/nic", "eth0"),), (claim,))], NODE)
    assert (held.holders, held.unmatched) == ({}, {})


@pytest.mark.parametrize(
    ("total_mib", "slices", "memory_mib", "name"),
    [
        (24258, 1, 5952, "1g.6gb"),  # A30
        (24258, 2, 12032, "2g.12gb"),
        (40536, 1, 4864, "1g.5gb"),  # A100 40 GB
        (40536, 3, 19968, "3g.20gb"),
        (81920, 7, 81050, "7g.80gb"),  # A100 80 GB
        (81559, 1, 9984, "1g.10gb"),  # H100
        (81559, 1, 20096, "1g.20gb"),
        (81559, 3, 40448, "3g.40gb"),
        (143771, 1, 16384, "1g.18gb"),  # H200
        (143771, 3, 71424, "3g.71gb"),
        (183359, 1, 21632, "1g.23gb"),  # B200
        (183359, 2, 44544, "2g.45gb"),
    ],
)
def test_a_profile_is_named_by_its_slices_and_nominal_memory(total_mib, slices, memory_mib, name):
    assert profile_name(slices, memory_mib, total_mib << 20) == name


@pytest.mark.parametrize(
    ("metric", "value", "result"),
    [
        (GPU_UTIL, 100, 100),
        (GPU_UTIL, 100.5, 100),
        (GPU_UTIL, 102, "out of range"),
        ("DCGM_FI_PROF_SM_ACTIVE", 1.004, 1.0),
        ("DCGM_FI_PROF_SM_ACTIVE", float("inf"), "not a number"),
        ("DCGM_FI_DEV_POWER_USAGE", 1400, 1400),
        ("DCGM_FI_DEV_POWER_USAGE", 4294967.295, "out of range"),
        ("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", float(2**64 - 1), "out of range"),
    ],
)
def test_only_what_can_be_true_is_taken(metric, value, result):
    assert plausible(metric, value) == result


# ListPodResourcesResponse as Kubernetes 1.37's own Go code writes it (k8s.io/kubelet v0.37.2, proto.Marshal).
WRITTEN_BY_KUBERNETES = (
    "0aa2010a06626572742d30120872657365617263681a89010a05747261696e126a0a0e6e76696469612e636f6d2f67707512"
    "284750552d30613162326333642d313131312d323232322d333333332d34343434353535353636363612284750552d666666"
    "66666666662d313131312d323232322d333333332d3434343435353535363636361a040a0208011a040001ac02220e0a066d"
    "656d6f7279108080808020220201020a170a03776562120773657276696e671a070a056e67696e780a6c0a09636861742d37"
    "663963120773657276696e671a560a067365727665722a4c12036f6e651a0773657276696e67223c0a160a146e7669646961"
    "2e636f6d2f6770753d6770752d34120e6770752e6e76696469612e636f6d1a066e6f64652d3122056770752d342a03732d31"
)


def test_an_answer_written_by_kubernetes_is_read():
    answer = Response.FromString(bytes.fromhex(WRITTEN_BY_KUBERNETES))
    assert list(containers_of(answer)) == [
        Container("research", "bert-0", "train", (("nvidia.com/gpu", FIRST), ("nvidia.com/gpu", SECOND))),
        Container(
            "serving",
            "chat-7f9c",
            "server",
            claims=(Claim("one", "serving", "gpu.nvidia.com", "node-1", "gpu-4", ("nvidia.com/gpu=gpu-4",)),),
        ),
    ]


def test_the_stand_in_has_the_layouts_of_pynvml(library: Path):
    found = ctypes.CDLL(str(library / "libnvidia-ml.so.1"))
    found.standin_size.restype = found.standin_offset.restype = ctypes.c_long
    found.standin_field.restype = ctypes.c_char_p
    fields = []
    while name := found.standin_field(len(fields)):
        fields.append(name.decode())
    structures = {name.partition(".")[0] for name in fields}
    assert len(structures) >= 12
    for place, name in enumerate(fields):
        structure, _, field = name.partition(".")
        assert found.standin_offset(place) == getattr(getattr(pynvml, structure), field).offset, name
    for structure in structures - {"c_nvmlGpmMetricsGet_t"}:  # whose array is as long as pynvml's version knows metrics
        assert found.standin_size(structure.encode()) == ctypes.sizeof(getattr(pynvml, structure)), structure


def test_uids_come_from_the_names_of_log_folders(tmp_path):
    for name in ("ns_pod-a_uid-1", "ns_pod-b_uid-2", "ns_pod-b_uid-3", "something-else"):
        (tmp_path / name).mkdir()
    assert pod_uids(str(tmp_path)) == {("ns", "pod-a"): "uid-1"}  # two fit pod-b: which one it is nobody knows
    assert pod_uids(str(tmp_path / "missing")) == pod_uids("") == {}
