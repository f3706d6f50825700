"""Replicas follow the requests that are really served, and stay where they are while nobody knows how many come."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

import pytest

from local import wait_for
from servers import serving
from servers.load import Load
from servers.serving import FAULT
from support.operator_world import Team
from support.served import Served

pytestmark = pytest.mark.cluster


@contextmanager
def under(load: Load, seconds: float) -> Iterator[Load]:
    """Send requests meanwhile; at the end the last ones are answered."""
    thread = Thread(target=lambda: asyncio.run(load.run(seconds)), daemon=True)
    thread.start()
    try:
        yield load
    finally:
        load.stop()
        thread.join(60)


@pytest.fixture
def served(team: Team) -> Served:
    team.add_node(gpus=8)
    return Served(team)


def silence(served: Served, fault: str | None) -> None:
    for pod in served.pods():
        path = served.team.path("pods", pod["metadata"]["name"])
        served.team.cluster.api.merge(path, {"metadata": {"annotations": {FAULT: fault}}})


def test_replicas_follow_the_load_and_freeze_while_it_is_unknown(served: Served) -> None:
    served.deploy(1)
    served.until_replicas(1)
    # a replica gives 8 x 40 tokens in 0.64 s at most, 12.5 requests a second; within the objective it is less
    address = serving.start(served.team.cluster, served.team.namespace, f"app={served.name}")
    served.serve(
        runtime="vllm",
        metrics={},
        maxReplicas=4,
        slo={"ttftP95": "1s"},
        capacity={"requestsPerSecond": "8"},
        behavior={"scaleDown": {"stabilizationWindowSeconds": 0, "tolerance": "0"}},
    )
    with under(Load(f"http://{address}", rate=18, late_after=1.0), 150) as load:
        wait_for(lambda: served.replicas() >= 3, 90, lambda: f"{served.replicas()}: {served.status()}"[:1500])
        served.until_replicas(served.replicas())
        wait_for(lambda: load.open < 30, 60, lambda: f"the queue is gone: {load.open} open")
        late, sent, grown = load.tally.late, load.tally.sent, served.replicas()

        silence(served, "silent")
        told = served.until("MetricsAvailable", "MetricsMissing", 60)
        assert "no series" in told["message"]
        assert load.tally.failed == 0
        assert load.tally.late - late <= 0.05 * (load.tally.sent - sent), "as many replicas as there are keep up"
    served.until("Ready", "MetricsMissing", 30)
    assert served.replicas() == grown, "without requests, and without anybody who says so"
    assert any("requests/s arrive" in note for note in served.events("ReplicasRightSized"))
