"""Writes scenarios for `gpucost allocate`: a day of pods on GPU nodes whose spot price changes every hour."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gpucost.core.clock import DAY, HOUR, SECOND, Instant, format_rfc3339, parse_rfc3339

T0 = parse_rfc3339("2026-11-02T00:00:00Z")
PODS_PER_NODE = 20
GPUS = 8
NAMESPACES = 40


def write(path: Path, pods: int, seed: int = 7) -> int:
    """Write a scenario of so many pod lifetimes on a twentieth as many nodes; returns its size in bytes."""
    chance = random.Random(seed)
    nodes = max(1, pods // PODS_PER_NODE)
    document = {
        "currency": "USD",
        "window": {"start": format_rfc3339(T0), "end": format_rfc3339(T0 + DAY)},
        "nodes": [_node(number, chance) for number in range(nodes)],
        "pods": [pod for number in range(nodes) for pod in _pods(number, chance)],
    }
    return path.write_text(json.dumps(document))


def _node(number: int, chance: random.Random) -> dict[str, Any]:
    hourly = chance.uniform(18, 26)
    prices = []
    for hour in range(24):
        hourly = min(40.0, max(10.0, hourly * chance.uniform(0.95, 1.05)))
        start = format_rfc3339(T0 + hour * HOUR)
        prices.append({"from": start, "hourly": f"{hourly:.4f}", "capacityType": "spot", "source": "bench"})
    return {
        "uid": f"node-{number:06}",
        "name": f"gpu-{number:06}",
        "start": format_rfc3339(T0),
        "end": None,
        "labels": {"node.kubernetes.io/instance-type": "p5.48xlarge", "karpenter.sh/capacity-type": "spot"},
        "capacity": {"cpu": "192", "memory": f"{2048 - number % 7}Gi", "nvidia.com/gpu": str(GPUS)},
        "gpu": {"model": "H100", "count": GPUS, "memoryGiB": 80, "replicasPerGpu": 1},
        "prices": prices,
    }


def _pods(node: int, chance: random.Random) -> Iterator[dict[str, Any]]:
    """Each GPU runs pods one after the other."""
    free: list[Instant] = [T0] * GPUS
    for number in range(PODS_PER_NODE):
        gpu = min(range(GPUS), key=free.__getitem__)
        start = free[gpu] + chance.randrange(0, 1800) * SECOND
        end = start + chance.randrange(600, 8 * 3600) * SECOND
        free[gpu] = end
        name = f"train-{node:06}-{number:02}"
        yield {
            "uid": f"uid-{name}",
            "name": name,
            "namespace": f"team-{chance.randrange(NAMESPACES):02}",
            "node": f"node-{node:06}",
            "workload": f"TrainingJob/train-{node:06}",
            "labels": {"team": f"t{number % 5}"},
            "intervals": [{"start": format_rfc3339(start), "end": format_rfc3339(end)}],
            "requests": {
                "cpu": str(chance.randrange(4, 24)),
                "memory": f"{chance.randrange(32, 200)}Gi",
                "nvidia.com/gpu": "1",
            },
            "usage": {
                "cpu": f"{chance.randrange(1000, 30000)}m",
                "memory": f"{chance.randrange(16, 256)}Gi",
                "gpuActive": round(chance.random(), 3),
            },
        }
