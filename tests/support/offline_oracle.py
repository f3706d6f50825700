"""The rules of `gpucost allocate` once more, as slow and plain as possible, to compare the fast way with.

Every moment at which anything changes cuts time; in each piece every share is worked out anew, as a fraction. Nothing
is taken from the code under test. Nodes have whole GPUs, or replicas of them; quantities are plain numbers and `Gi`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction
from itertools import pairwise
from typing import Any

Json = dict[str, Any]
_AWS = {"nvidia.com/gpu": Fraction(9), "cpu": Fraction(9, 10), "memory": Fraction(1, 10)}
_EVER = 10**12


@dataclass
class Sums:
    """Money in currency units and GPU-hours, exact."""

    cost: dict[str, Fraction] = field(default_factory=dict)
    active: dict[str, Fraction] = field(default_factory=dict)
    unknown: dict[str, Fraction] = field(default_factory=dict)
    non_gpu: dict[str, Fraction] = field(default_factory=dict)
    gpu_hours: dict[str, Fraction] = field(default_factory=dict)
    idle: Fraction = Fraction(0)
    stranded: Fraction = Fraction(0)
    total: Fraction = Fraction(0)
    total_gpu: Fraction = Fraction(0)


def seconds(text: str | None) -> int:
    """Seconds since the epoch; no time at all is for ever."""
    return _EVER if text is None else int(datetime.fromisoformat(text).timestamp())


def amount(text: str | int) -> Fraction:
    """A quantity in cores, GiB or GPUs."""
    return Fraction(str(text).removesuffix("Gi").removesuffix("m")) / (1000 if str(text).endswith("m") else 1)


def oracle(document: Json, split: str, span: tuple[int, int]) -> Sums:
    """Work out a scenario by pod UID over a window in seconds."""
    sums = Sums()
    for node in document["nodes"]:
        pods = [pod for pod in document["pods"] if pod["node"] == node["uid"]]
        for start, end in _pieces(node, pods, span):
            _piece(sums, node, pods, split, start, Fraction(end - start, 3600))
    return sums


def _pieces(node: Json, pods: list[Json], span: tuple[int, int]) -> Iterator[tuple[int, int]]:
    first, last = max(span[0], seconds(node["start"])), min(span[1], seconds(node["end"]))
    cuts = {first, last, *(seconds(price["from"]) for price in node["prices"])}
    for pod in pods:
        cuts |= {seconds(i[side]) for i in pod["intervals"] for side in ("start", "end")}
        for series in pod.get("usage", {}).values():
            cuts |= {seconds(step["from"]) for step in series} if isinstance(series, list) else set()
    ordered = sorted(cut for cut in cuts if first <= cut <= last)
    yield from pairwise(ordered)


def _piece(sums: Sums, node: Json, pods: list[Json], split: str, at: int, hours: Fraction) -> None:
    price = _price(node, at)
    physical = Fraction(str(node["gpu"]["count"]))
    replicas = node["gpu"].get("replicasPerGpu", 1)
    sums.total += price * hours
    sums.total_gpu += physical * hours
    here = [pod for pod in pods if any(seconds(i["start"]) <= at < seconds(i["end"]) for i in pod["intervals"])]
    shares = {pod["uid"]: _share(node, pod, at, split, physical, replicas) for pod in here}
    lost = physical - amount(node["capacity"].get("nvidia.com/gpu", 0)) / replicas
    stranded = lost / physical if split == "gpuOnly" and physical and replicas > 1 else Fraction(0)
    asked = sum(shares.values())
    scale = min(Fraction(1), (1 - stranded) / asked) if asked else Fraction(1)
    sums.stranded += stranded * price * hours
    sums.idle += (1 - stranded - asked * scale) * price * hours
    for pod in here:
        _charge(sums, pod, shares[pod["uid"]] * scale * price * hours, at)
        gpus = amount(pod["requests"].get("nvidia.com/gpu", 0)) / replicas
        _add(sums.gpu_hours, pod["uid"], gpus * hours)


def _charge(sums: Sums, pod: Json, cost: Fraction, at: int) -> None:
    uid = pod["uid"]
    _add(sums.cost, uid, cost)
    active = _value(pod.get("usage", {}).get("gpuActive"), at)
    if not amount(pod["requests"].get("nvidia.com/gpu", 0)):
        _add(sums.non_gpu, uid, cost)
    elif active is None:
        _add(sums.unknown, uid, cost)
    else:
        _add(sums.active, uid, cost * Fraction(str(active)))


def _add(sums: dict[str, Fraction], uid: str, value: Fraction) -> None:
    sums[uid] = sums.get(uid, Fraction(0)) + value


def _price(node: Json, at: int) -> Fraction:
    known = [(seconds(price["from"]), Fraction(price["hourly"])) for price in node["prices"]]
    return max((step for step in known if step[0] <= at), default=(0, Fraction(0)))[1]


def _value(series: Any, at: int) -> Any:
    if not isinstance(series, list):
        return series
    known = [step for step in series if seconds(step["from"]) <= at]
    return max(known, key=lambda step: seconds(step["from"]))["value"] if known else None


def _share(node: Json, pod: Json, at: int, split: str, physical: Fraction, replicas: int) -> Fraction:
    has = {name: amount(text) for name, text in node["capacity"].items() if amount(text)}
    need = {name: amount(text) for name, text in pod["requests"].items()}
    for name in ("cpu", "memory"):
        used = _value(pod.get("usage", {}).get(name), at)
        if used is not None:
            need[name] = max(need.get(name, Fraction(0)), amount(used))
    need = {name: min(value, has[name]) for name, value in need.items() if name in has}
    if split == "gpuOnly" and physical:
        return need.get("nvidia.com/gpu", Fraction(0)) / replicas / physical
    if split == "weighted":
        factor = {"nvidia.com/gpu": Fraction(1, replicas)}
        weigh = {name: _AWS[name] * factor.get(name, 1) for name in has}
        whole = sum(weigh[name] * has[name] for name in has)
        return sum((weigh[name] * need[name] for name in need), Fraction(0)) / whole if whole else Fraction(0)
    return max((need[name] / has[name] for name in need), default=Fraction(0))
