"""A program: fill the operator's caches from the API server of KUBECONFIG, and print what that took as JSON.

Run by the start-up bench, because only a fresh process shows the memory and the time that the caches alone need.
"""

from __future__ import annotations

import asyncio
import json
import time

from bench.process import status_mib
from gpucost.kube.client import KubeClient
from gpucost.runtime.assets import Assets
from gpucost.runtime.caches import Caches
from gpucost.runtime.going import NodesGoing
from gpucost.runtime.recorder import Recorder
from gpucost.runtime.world import World


def _now() -> int:
    return time.time_ns() // 1000


async def fill() -> dict[str, float]:
    """Start every mirror and wait until all are complete; seconds, processor seconds and MiB."""
    began, cpu, empty = time.perf_counter(), time.process_time(), status_mib("self", "VmRSS")
    client, world = KubeClient(), World()
    recorder = Recorder(world, _now, lambda _fact, _node: [])
    caches = Caches.build(
        client, world, recorder, Assets(recorder, _now, lambda _fact: []), NodesGoing(_now, recorder.nodes)
    )
    mirrors = [asyncio.create_task(mirror.run()) for mirror in caches.all]
    await caches.synced()
    taken = {
        "seconds": time.perf_counter() - began,
        "cpu": time.process_time() - cpu,
        "mib": status_mib("self", "VmRSS") - empty,
        "objects": float(sum(len(mirror.items) for mirror in caches.all)),
    }
    for mirror in mirrors:
        mirror.cancel()
    await asyncio.gather(*mirrors, return_exceptions=True)
    await client.close()
    return taken


if __name__ == "__main__":
    print(json.dumps(asyncio.run(fill())))
