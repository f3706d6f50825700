"""The real TLS door for training runs on loopback, in a thread, for training processes that run beside the test."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Thread

from gpucost.core.clock import SECOND
from gpucost.core.training.progress import Progress
from gpucost.core.training.reporting import path_of
from gpucost.core.training.sayings import Bucket, Speaker
from gpucost.runtime.world import custom_record
from gpucost.web.server import CostServer
from gpucost.web.tls import Authority
from support.progress_world import BERT, ProgressWorld
from unit.web.cost_example import ExampleProvider

_STOP_SECONDS = 10


@dataclass
class Door:
    """One TrainingJob, `bert`, and what its pod is given; `world` is read from the test's own thread."""

    folder: Path
    world: ProgressWorld = field(default_factory=ProgressWorld)
    port: int = 0

    @property
    def environment(self) -> dict[str, str]:
        """What the operator puts into the pod, with the projected volume's files in a folder."""
        return {
            "KUBEFLOW_TRAINER_SERVER_URL": f"https://localhost:{self.port}{path_of(BERT)}",
            "KUBEFLOW_TRAINER_SERVER_CA_CERT": str(self.folder / "ca.crt"),
            "KUBEFLOW_TRAINER_SERVER_TOKEN": str(self.folder / "token"),
        }

    @property
    def said(self) -> Progress:
        """Everything that the run has said so far."""
        return self.world.histories.of(BERT)

    @property
    def step(self) -> int:
        """The last step that was reported."""
        return max((one.step or 0 for one in self.said.reports), default=0)

    def values(self, metric: str) -> list[float]:
        """Values of a metric, in the order in which they came."""
        return [one.metrics[metric] for one in self.said.reports if metric in one.metrics]


@contextmanager
def open_door(folder: Path) -> Iterator[Door]:
    """Open the door, and close it afterwards."""
    door, ready, loop = Door(folder), Event(), asyncio.new_event_loop()
    authority = Authority.create("gpucost", datetime.now(UTC))
    (folder / "ca.crt").write_bytes(authority.pem)
    (folder / "token").write_text("research/bert-0")
    _live_now(door.world)
    stop = asyncio.Event()

    async def serve() -> None:
        api = CostServer(
            ExampleProvider(),
            api=("127.0.0.1", 0),
            hosts=("localhost",),
            progress=door.world.api,
            authority=authority,
        )
        await api.start()
        door.port = api.api_port
        ready.set()
        await stop.wait()
        await api.stop()

    thread = Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    assert ready.wait(_STOP_SECONDS)
    try:
        yield door
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(_STOP_SECONDS)


async def _keep_nothing(_changes: object) -> None:
    """A ledger that takes everything."""


def _live_now(world: ProgressWorld) -> None:
    """The TrainingJob was created this minute, and the clock goes."""
    created = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    metadata = {"uid": f"tj-{BERT.name}", "name": BERT.name, "namespace": BERT.namespace, "creationTimestamp": created}
    world.world.trainingjob_changed(custom_record({"kind": "TrainingJob", "metadata": metadata, "spec": {}}))
    world.histories.now = lambda: time.time_ns() // 1000
    world.histories.write = _keep_nothing
    # A training of some seconds reports more often than one of some days may.
    world.histories._speakers["uid-bert-0"] = Speaker(Bucket(burst=1000, period=SECOND // 100))
