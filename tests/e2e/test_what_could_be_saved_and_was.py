"""What could be saved and what was, over a restart of the operator: in one ranking, with commands that do it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from threading import Thread

import pytest

from gpucost.core.clock import DAY, HOUR
from gpucost.core.model import Workload
from gpucost.core.serving.footprint import restored, stored
from gpucost.ledger import Ledger
from gpucost.ledger.replicas import Note
from gpucost.runtime.endpoints.footprints import FOOTPRINT
from local import LocalCluster, OperatorProcess, dcgm_exporter, wait_for
from servers import serving
from servers.load import Load
from servers.serving import FAULT
from support.ledger_world import T0, busy, node, pod, price
from support.operator_world import Json, Team, figures, team_in
from support.plugin import commands_in, document, kubectl_cost, paste
from support.served import Served, load

pytestmark = pytest.mark.cluster

H100, L4, PRODUCT = "NVIDIA-H100-80GB-HBM3", "NVIDIA-L4", "nvidia.com/gpu.product"
ON_H100 = {PRODUCT: H100, "karpenter.sh/capacity-type": "on-demand"}
AT_ONCE = {"scaleDown": {"stabilizationWindowSeconds": 0, "tolerance": "0"}}
PER_HOUR, MONTH = Decimal("6.88"), 730
"""Of an H100 on demand; hours of a month."""
LLAMA = ("InferenceEndpoint/llama", "gpu")
CHEAPER = "CheaperAlternative"


@dataclass(frozen=True)
class Serving:
    """Two models, a notebook that computes nothing, and a training run on demand."""

    team: Team
    operator: OperatorProcess

    @property
    def llama(self) -> Served:
        """Served by a simulated vLLM under a load, in mode Auto."""
        return Served(self.team)

    @property
    def mistral(self) -> Served:
        """Hardly asked for anything, with little in its memory, in mode Recommend."""
        return Served(self.team, "mistral")

    def begin(self) -> str:
        """Make everything; returns the address of the server."""
        team = self.team
        team.add_node(gpus=16, hourly=str(16 * PER_HOUR))
        team.add_node("spot", gpus=8, hourly="20.00")
        team.add_node(name="l4", gpus=8, hourly="6.40", gpu_model=L4, gpu_memory_mib=23034, instance_type="test.l4")
        self.operator.start()
        address = serving.start(team.cluster, team.namespace, "app=llama")
        self.llama.deploy(4, on=ON_H100, utilization="0.20")
        self.mistral.deploy(3, on=ON_H100, utilization="0.05")
        Served(team, "notebook").deploy(1, on=ON_H100, utilization="0.00")
        template = team.template(gpus=4)
        template["spec"]["nodeSelector"]["node.kubernetes.io/instance-type"] = f"test.{team.mark}"
        team.train(template=template, expectedDuration="10h")
        self.llama.until_replicas(4)
        [first, *_] = self.llama.pods()
        # of the four the one that says nothing is the first to go, or nobody would know the load any more
        silent = {"metadata": {"annotations": {FAULT: "silent", "controller.kubernetes.io/pod-deletion-cost": "-1"}}}
        team.cluster.api.merge(team.path("pods", first["metadata"]["name"]), silent)
        given = {"maxReplicas": 6, "capacity": {"requestsPerSecond": "8"}, "behavior": AT_ONCE}
        self.llama.serve(runtime="vllm", metrics={}, slo={"ttftP95": "1s"}, **given)
        self.llama.annotate(gpu_memory="30Gi")
        self.mistral.serve(mode="Recommend", metrics=load(1), **given)
        return address

    def savings(self) -> Json:
        """What `kubectl cost savings` tells programs."""
        return document(self.team, "savings", "--window", "7d")

    def saved(self) -> Decimal:
        """By replicas that were right-sized."""
        found = [one["saved"] for one in self.savings()["items"] if one["policy"] == "right-sized replicas"]
        return Decimal(found[0]) if found else Decimal(0)

    def let_days_go_by(self) -> None:
        """Write into the ledger of a stopped operator what eight days like the present minute would have left there."""
        hours = Fraction(time.time_ns() // 1000 - T0, HOUR)
        past = [
            node("earlier", hours - 72, hours - 24, gpus=1),
            price(str(PER_HOUR), hours - 72, "earlier"),
            replace(
                pod("notebook-1", hours - 72, hours - 24, gpus=1, node_uid="earlier", namespace=self.team.namespace),
                workload=Workload("Deployment", "notebook"),
            ),
            busy("notebook-1", 0.0, hours - 72),
        ]
        with Ledger(f"sqlite:///{self.operator.ledger}", cluster="local") as ledger:
            ledger.record(past)
            notes = ledger.replicas.notes(FOOTPRINT)
            assert len(notes) == 2, "both models were measured"
            ledger.replicas.record((), [Note(uid, FOOTPRINT, _aged(text)) for uid, text in notes.items()])


def _aged(text: str) -> str:
    """Seven days more, each as what was measured."""
    seen = restored(json.loads(text))
    [today] = seen.days
    assert today.memory_time > 0
    most = max(place for place, length in enumerate(today.busy) if length)
    whole = tuple(DAY if place == most else 0 for place in range(len(today.busy)))
    days = [replace(today, start=today.start - back * DAY, memory_time=DAY, busy=whole) for back in range(7, 0, -1)]
    return json.dumps(stored(replace(seen, days=(*days, today))))


@pytest.fixture
def world(
    own_cluster: Callable[..., LocalCluster], operator_factory: Callable[..., OperatorProcess]
) -> Iterator[Serving]:
    cluster = own_cluster("saves", with_prometheus=True)
    dcgm_exporter.start(cluster)
    with team_in(cluster) as team:
        yield Serving(team, operator_factory(cluster, {"GPUCOST_TICK_SECONDS": "1"}))


@contextmanager
def asked(address: str) -> Iterator[None]:
    """Two requests a second, for as long as it is needed."""
    asking = Load(f"http://{address}", rate=2, late_after=1.0)
    thread = Thread(target=lambda: asyncio.run(asking.run(300)), daemon=True)
    thread.start()
    try:
        yield
    finally:
        asking.stop()
        thread.join(60)


def test_what_could_be_saved_is_ranked_and_done_by_its_commands_and_what_was_saved_outlives_a_restart(
    world: Serving,
) -> None:
    team, operator = world.team, world.operator
    with asked(world.begin()):
        world.llama.until_replicas(1, timeout=90)  # though one of the four is silent
        wait_for(
            lambda: world.mistral.status().get("recommendation", {}).get("replicas") == 1,
            60,
            lambda: f"one would do: {world.mistral.status()}",
        )
        wait_for(lambda: team.status().get("estimate", {}).get("cheaper"), 30, "spot capacity would be cheaper")
        before = wait_for(world.saved, 20, "right-sizing has saved something")
        request = document(team, "endpoint", "mistral")["average"]["perRequest"]
        assert float(request) == pytest.approx(float(3 * PER_HOUR) / 3600, rel=0.05)  # one a second, on three
        operator.stop()
        world.let_days_go_by()
        operator.start()

        first = wait_for(world.saved, 30, "the API server finds the cost API again")
        assert first >= before
        wait_for(lambda: world.saved() > before, 30, "it goes on")
        found = wait_for(lambda: (one := world.savings()) and _kinds(one) >= EXPECTED and one, 30, world.savings)
        _is_ranked(found, team)
        advice = wait_for(lambda: world.mistral.status().get("advice"), 20, "the status has the advice, too")
        assert (advice["gpu"], advice["savesPerMonth"]) == ("L4", "13315.20")
        assert any(note.startswith("on L4: 13315.20 USD a month less") for note in world.mistral.events(CHEAPER))
        _is_done_by_its_commands(world)
    assert figures(operator.metrics(), "gpucost_saved")["replicas"] > float(before)


EXPECTED = {
    ("InferenceEndpoint/mistral", "gpu"),
    ("InferenceEndpoint/mistral", "replicas"),
    LLAMA,
    ("Deployment/notebook", "idle"),
    ("TrainingJob/bert", "spot"),
}


def _kinds(found: Json) -> set[tuple[str, str]]:
    return {(one["subject"], one["action"]) for one in found["recommendations"]}


def _is_ranked(found: Json, team: Team) -> None:
    """By amount, each by hand: 6.88 for an H100, 0.80 for an L4, and 730 hours."""
    assert _kinds(found) == EXPECTED
    saves = [Decimal(one["saves"]) for one in found["recommendations"]]
    assert saves == sorted(saves, reverse=True)
    by_kind = {(one["subject"].partition("/")[2], one["action"]): one for one in found["recommendations"]}
    assert Decimal(by_kind["mistral", "gpu"]["saves"]) == 3 * (PER_HOUR - Decimal("0.80")) * MONTH
    assert by_kind["mistral", "gpu"]["confidence"] == "Medium"  # eight days, but an L4 is much slower
    assert Decimal(by_kind["notebook", "idle"]["saves"]) == PER_HOUR * MONTH
    assert 0 < Decimal(by_kind["mistral", "replicas"]["saves"]) <= 2 * PER_HOUR * MONTH
    assert 160 < Decimal(by_kind["bert", "spot"]["saves"]) < Decimal("166.00")  # of 275.20, less interruptions
    assert world_is_untouched(team)


def world_is_untouched(team: Team) -> bool:
    """Nothing of it is done by itself."""
    mistral = Served(team, "mistral")
    selector = mistral.workload()["spec"]["template"]["spec"]["nodeSelector"]
    return mistral.replicas() == 3 and selector[PRODUCT] == H100 and Served(team, "notebook").replicas() == 1


def _is_done_by_its_commands(world: Serving) -> None:
    """Each is copied from the terminal and run in a shell."""
    team = world.team
    printed = kubectl_cost(team, "savings", "--window", "7d")
    assert printed.returncode == 0, printed.stderr
    commands = commands_in(printed.stdout)
    assert len(commands) == len(EXPECTED), printed.stdout
    for command in commands:
        paste(team, f"{command} --dry-run=server" if " llama " in command or "/llama " in command else command)
    mistral = world.mistral
    assert mistral.workload()["spec"]["template"]["spec"]["nodeSelector"][PRODUCT] == L4
    assert Served(team, "notebook").replicas() == 0
    assert team.cluster.api.get(team.path("trainingjobs", "bert"))["spec"]["placement"]["policy"] == "Spot"
    mistral.until_replicas(1, timeout=60)
    left = wait_for(lambda: not (_kinds(one := world.savings()) - {LLAMA}) and one, 30, world.savings)
    assert _kinds(left) <= {LLAMA}
