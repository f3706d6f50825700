"""What one look at every run under a deadline costs: 2,000 of them at rest, as a full pass does it.

Two thirds work on spot; the others are on on-demand capacity since a try of spot has failed, some minutes ago.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from bench.figures import Figure
from bench.ledger import T0
from bench.scene import say
from gpucost.core.capacity import Provider
from gpucost.core.clock import DAY, HOUR, MINUTE, SECOND, Instant, Micros, format_rfc3339
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
from gpucost.runtime.stays import RunStays
from gpucost.runtime.surroundings import surroundings_of
from gpucost.runtime.training import TrainingController
from gpucost.runtime.world import World, custom_record
from gpucost.sources.reflector import Change

NAME = "runs under a deadline"
RUNS = 2000
PASSES = 5
NOW = T0 + 10 * DAY
_KARPENTER = "karpenter.sh/capacity-type"


@dataclass
class Clock:
    """Time that passes when it is told to."""

    at: Instant

    def __call__(self) -> Instant:
        """The instant that it is."""
        return self.at


@dataclass(frozen=True)
class Run:
    """What a run of the scene is."""

    number: int
    begun: Instant
    deadline: Instant
    work: Micros
    placed: str | None
    """Capacity type of the nodes that it has; None: it has none, and no Job."""
    stays: tuple[Stay, ...]
    wants: dict[str, str] = field(default_factory=dict)
    refused: Instant | None = None
    """When its last try of spot failed."""


def measure() -> Iterator[Figure]:
    """CPU seconds of one pass over all of them."""
    say(f"{RUNS:,} runs under a deadline")
    chance = random.Random(7)
    controller = controller_of(Clock(NOW), [_at_rest(number, chance) for number in range(RUNS)])
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


def controller_of(now: Clock, runs: Iterable[Run]) -> TrainingController:
    """A controller that knows some runs."""
    world = World()
    recorder = Recorder(world, now, lambda _fact, _node: [])
    prices = Prices(world, "USD")
    histories = RunHistories(world, now, lambda _key: None)
    surroundings = surroundings_of(
        recorder,
        Assets(recorder, now, lambda _fact: []),
        prices,
        going=NodesGoing(now, recorder.nodes),
        progress=histories,
        totals=Totals,
    )
    for run in runs:
        _add(world, histories, surroundings.stays, run)
    return TrainingController(
        world=world,
        client=KubeClient(),
        queue=DirtyKeys(now),
        figures=Figures(),
        now=now,
        provider=lambda: Provider.KARPENTER,
        cost_of=lambda _record: None,
        interruptions_of=lambda _namespace, _workload: (),
        progress_of=histories.of,
        surroundings=surroundings,
    )


def _at_rest(number: int, chance: random.Random) -> Run:
    begun = NOW - chance.randrange(4, 30) * HOUR
    deadline, work = NOW + chance.randrange(5, 40) * HOUR, chance.randrange(8, 40) * HOUR
    stays = _stays(begun, chance)
    placed = "spot" if number % 3 else "on-demand"
    return Run(number, begun, deadline, work, placed, stays, refused=NOW - 5 * MINUTE)


def _add(world: World, histories: RunHistories, stays: RunStays, run: Run) -> None:
    name, number, begun = f"run-{run.number:04}", run.number, run.begun
    container = {"name": "train", "image": "bert", "resources": {"limits": {"nvidia.com/gpu": 8}}}
    spec = {
        "template": {"spec": {"nodeSelector": run.wants, "containers": [container]}},
        "placement": {"policy": "Auto"},
        "completeBy": format_rfc3339(run.deadline),
        "expectedDuration": f"{run.work // MINUTE}m",
    }
    metadata = {"name": name, "namespace": "bench", "uid": f"t{number}", "creationTimestamp": format_rfc3339(begun)}
    record = custom_record({"kind": "TrainingJob", "metadata": metadata, "spec": spec})
    world.trainingjob_changed(record)
    stays.load({record.uid: run.stays})
    if run.placed is None:
        return
    node = Node(f"n{number}", f"node-{number}", begun, Resources(64_000, 2**39, 8), {_KARPENTER: run.placed})
    pod = Pod(
        f"p{number}", name, "bench", begun, Resources(8000, 2**36, 8), Owner("Job", name, f"j{number}"),
        node_name=node.name, phase="Running", bound=begun + MINUTE, running=begun + 2 * MINUTE,
    )  # fmt: skip
    job = _job(name, run, run.placed)
    world.nodes[node.uid], world.pods[pod.uid], world.jobs[job.uid] = node, pod, job
    world.node_changed(Change(None, node))
    world.job_changed(Change(None, job))
    world.pod_changed(Change(None, pod))
    histories.load({record.uid: _progress(begun)})


def _job(name: str, run: Run, kind: str) -> Job:
    selector = {_KARPENTER: kind}
    placement = {"spot": "spot", "on-demand": "onDemand"}[kind]
    notes = {
        memory.PLACEMENT: placement,
        memory.POOL: to_json(Bound(Pool(selector))),
        memory.RESUMED_AT: memory.moment(run.begun),
    }
    if run.refused is not None:
        notes |= {memory.SPOT_REFUSED_AT: memory.moment(run.refused), memory.SPOT_REFUSALS: "2"}
    return Job(
        f"j{run.number}", name, "bench", run.begun, "1", Owner("TrainingJob", name, f"t{run.number}"),
        annotations=notes, active=1, ready=1, node_selector={**selector, **run.wants},
    )  # fmt: skip


def _progress(begun: int) -> Progress:
    """As many reports as are kept, and a day of checkpoints."""
    span = NOW - begun
    reports = tuple(
        Report(begun + span * i // 400, step=i, progress=i / 800, metrics={"loss": 1.0}) for i in range(401)
    )
    return Progress(reports, tuple(Checkpoint(begun + span * i // 48, i, 20 * SECOND) for i in range(48)))


def _stays(begun: Instant, chance: random.Random) -> tuple[Stay, ...]:
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
    return (
        *earlier,
        Stay(begun, CapacityType.SPOT, "a", begun + MINUTE, begun + 2 * MINUTE, begun + 3 * MINUTE, wants="gpus=8"),
    )
