"""What one look at every run under a deadline costs: 2,000 of them at rest, as a full pass does it.

Two thirds work on spot; the others are on on-demand capacity since a try of spot has failed, some minutes ago.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from typing import Any

from bench.figures import Figure
from bench.ledger import T0
from bench.scene import say
from gpucost.core.capacity import Provider
from gpucost.core.clock import DAY, HOUR, MINUTE, SECOND, format_rfc3339
from gpucost.core.model import CapacityType, Job, Node, Owner, Pod, Resources
from gpucost.core.training import memory
from gpucost.core.training.auto.stays import Cause, Stay
from gpucost.core.training.placement import Bound, Pool, to_json
from gpucost.core.training.progress import Checkpoint, Progress, Report
from gpucost.kube.client import KubeClient
from gpucost.runtime.accounting import Totals
from gpucost.runtime.assets import Assets
from gpucost.runtime.going import NodesGoing
from gpucost.runtime.metrics import Figures
from gpucost.runtime.prices import Prices
from gpucost.runtime.progress import RunHistories
from gpucost.runtime.queue import DirtyKeys
from gpucost.runtime.recorder import Recorder
from gpucost.runtime.surroundings import surroundings_of
from gpucost.runtime.training import TrainingController
from gpucost.runtime.world import World, custom_record
from gpucost.sources.reflector import Change

NAME = "runs under a deadline"
RUNS = 2000
PASSES = 5
_NOW = T0 + 10 * DAY
_KARPENTER = "karpenter.sh/capacity-type"


def measure() -> Iterator[Figure]:
    """CPU seconds of one pass over all of them."""
    say(f"{RUNS:,} runs under a deadline")
    controller = _controller()
    records = list(controller.world.trainingjobs.values())
    samples = []
    for number in range(PASSES + 1):
        begun = time.process_time()
        for record in records:
            controller.decide(record)
        if number:  # the first pass imports the policy and fills what is shared
            samples.append(time.process_time() - begun)
    name = f"a pass over {RUNS:,} runs with policy Auto"
    yield Figure(bench=NAME, name=name, unit="s CPU", samples=tuple(samples), promise=1.0)


def _controller() -> TrainingController:
    chance = random.Random(7)
    world = World()
    recorder = Recorder(world, lambda: _NOW, lambda _fact, _node: [])
    prices = Prices(world, "USD")
    histories = RunHistories(world, lambda: _NOW, lambda _key: None)
    surroundings = surroundings_of(
        recorder,
        Assets(recorder, lambda: _NOW, lambda _fact: []),
        prices,
        going=NodesGoing(lambda: _NOW, recorder.nodes),
        progress=histories,
        totals=Totals,
    )
    for number in range(RUNS):
        _add(world, histories, surroundings.stays, number, chance)
    return TrainingController(
        world=world,
        client=KubeClient(),
        queue=DirtyKeys(lambda: _NOW),
        figures=Figures(),
        now=lambda: _NOW,
        provider=lambda: Provider.KARPENTER,
        cost_of=lambda _record: None,
        interruptions_of=lambda _namespace, _workload: (),
        progress_of=histories.of,
        surroundings=surroundings,
    )


def _add(world: World, histories: RunHistories, stays: Any, number: int, chance: random.Random) -> None:
    name, kind = f"run-{number:04}", "spot" if number % 3 else "on-demand"
    begun = _NOW - chance.randrange(4, 30) * HOUR
    spec = {
        "template": {"spec": {"containers": [{"name": "train", "image": "bert"}]}},
        "placement": {"policy": "Auto"},
        "completeBy": format_rfc3339(_NOW + chance.randrange(5, 40) * HOUR),
        "expectedDuration": f"{chance.randrange(8, 40)}h",
    }
    metadata = {"name": name, "namespace": "bench", "uid": f"t{number}", "creationTimestamp": format_rfc3339(begun)}
    record = custom_record({"kind": "TrainingJob", "metadata": metadata, "spec": spec})
    world.trainingjob_changed(record)
    node = Node(f"n{number}", f"node-{number}", begun, Resources(64_000, 2**39, 8), {_KARPENTER: kind})
    pod = Pod(
        f"p{number}", name, "bench", begun, Resources(8000, 2**36, 8), Owner("Job", name, f"j{number}"),
        node_name=node.name, phase="Running", bound=begun + MINUTE, running=begun + 2 * MINUTE,
    )  # fmt: skip
    job = _job(name, number, begun, kind)
    world.nodes[node.uid], world.pods[pod.uid], world.jobs[job.uid] = node, pod, job
    world.node_changed(Change(None, node))
    world.job_changed(Change(None, job))
    world.pod_changed(Change(None, pod))
    histories.load({record.uid: _progress(begun)})
    stays.load({record.uid: _stays(begun, pod, chance)})


def _job(name: str, number: int, begun: int, kind: str) -> Job:
    selector = {_KARPENTER: kind}
    placement = {"spot": "spot", "on-demand": "onDemand"}[kind]
    notes = {
        memory.PLACEMENT: placement,
        memory.POOL: to_json(Bound(Pool(selector))),
        memory.RESUMED_AT: memory.moment(begun),
        memory.SPOT_REFUSED_AT: memory.moment(_NOW - 5 * MINUTE),
        memory.SPOT_REFUSALS: "2",
    }
    return Job(
        f"j{number}", name, "bench", begun, "1", Owner("TrainingJob", name, f"t{number}"), annotations=notes,
        active=1, ready=1, node_selector=selector,
    )  # fmt: skip


def _progress(begun: int) -> Progress:
    """As many reports as are kept, and a day of checkpoints."""
    span = _NOW - begun
    reports = tuple(
        Report(begun + span * i // 400, step=i, progress=i / 800, metrics={"loss": 1.0}) for i in range(401)
    )
    return Progress(reports, tuple(Checkpoint(begun + span * i // 48, i, 20 * SECOND) for i in range(48)))


def _stays(begun: int, pod: Pod, chance: random.Random) -> tuple[Stay, ...]:
    earlier = tuple(
        Stay(
            at,
            CapacityType.SPOT,
            "a",
            at + MINUTE,
            at + 2 * MINUTE,
            at + 3 * MINUTE,
            at + 2 * HOUR,
            Cause.SPOT,
            "gpus=8",
        )
        for at in (begun - hours * HOUR for hours in range(chance.randrange(3, 30), 2, -3))
    )
    return (*earlier, Stay(begun, CapacityType.SPOT, "a", pod.bound, pod.running, begun + 3 * MINUTE, wants="gpus=8"))
