"""The course of the demo: apply, wait for what happens by itself, interrupt a node, wait again."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from demo import manifests
from demo.manifests import RESEARCH, VISION
from local import Cluster, namespace, wait_for
from local.karpenter import Karpenter

WORDS = {"Spot": "spot", "OnDemand": "on-demand"}
_LEAD = timedelta(seconds=20)
_STEP_SECONDS = 120.0
_ON_SPOT = 0.12  # dollars: about twenty seconds of eight H100, so that its activity is measured too


@dataclass
class Story:
    """Tells what happens, with the seconds since the beginning."""

    cluster: Cluster
    karpenter: Karpenter
    begun: float = field(default_factory=time.monotonic)

    def say(self, text: str) -> None:
        """One line of progress."""
        print(f"{time.monotonic() - self.begun:4.0f} s  {text}", flush=True)

    def run(self) -> None:
        """The whole story; raises `TimedOut` where it does not go on."""
        opens = manifests.window_start(manifests.now(), _LEAD)
        self.cluster.apply([namespace(RESEARCH), namespace(VISION), manifests.PRICES, *manifests.corpus()])
        self.cluster.apply([manifests.existing_job()])
        jobs = [manifests.moves_to_spot(opens), manifests.loses_its_node(), manifests.ends("40s")]
        self.cluster.apply([*jobs, manifests.takes_over()])
        self.say(f"two teams applied 4 TrainingJobs; the spot window of research/bert opens at {opens:%H:%M} UTC")
        self._running(RESEARCH, "bert", "OnDemand")
        lost = self._running(RESEARCH, "llama-lora", "Spot")
        self._running(VISION, "resnet", "OnDemand")
        self.say(f"the spot node of research/llama-lora is taken away ({short(lost)})")
        self.karpenter.interrupt(lost)
        self._wait(lambda: self._interruptions("llama-lora"), "gpucost sees the interruption of research/llama-lora")
        self._wait(lambda: self._node(RESEARCH, "llama-lora") not in {"", lost}, "research/llama-lora has a new node")
        self._running(RESEARCH, "llama-lora", "Spot")
        self._wait(lambda: self._condition(RESEARCH, "bert", "Migrating"), "research/bert moves: its window has opened")
        self._running(RESEARCH, "bert", "Spot")
        self._wait(lambda: self._condition(VISION, "resnet", "Complete"), "vision/resnet has ended")
        self._wait(self._accounted, "every cost is up to date")

    def _wait(self, condition: Callable[[], Any], what: str) -> None:
        wait_for(condition, _STEP_SECONDS, what, interval=0.25)
        self.say(what)

    def _running(self, team: str, name: str, placement: str) -> str:
        """Wait until a job runs on a capacity type; the name of its node."""

        def settled() -> str:
            status = self._status(team, name)
            ready = _condition(status, "Ready") and status.get("placement", {}).get("current") == placement
            return self._node(team, name) if ready else ""

        node = wait_for(settled, _STEP_SECONDS, f"{team}/{name} running on {placement}", interval=0.25)
        self.say(f"{team}/{name} runs on {WORDS[placement]} capacity ({short(node)})")
        return node

    def _status(self, team: str, name: str) -> dict[str, Any]:
        found = self.cluster.api.get(f"/apis/gpucost.dev/v1alpha1/namespaces/{team}/trainingjobs/{name}")
        status: dict[str, Any] = found.get("status", {})
        return status

    def _condition(self, team: str, name: str, kind: str) -> bool:
        return _condition(self._status(team, name), kind)

    def _interruptions(self, name: str) -> bool:
        return bool(self._status(RESEARCH, name).get("interruptions", {}).get("count", 0))

    def _node(self, team: str, name: str) -> str:
        pods = self.cluster.api.list(
            f"/api/v1/namespaces/{team}/pods?labelSelector=batch.kubernetes.io/job-name={name}"
        )
        running = [
            p for p in pods if p["status"].get("phase") == "Running" and "deletionTimestamp" not in p["metadata"]
        ]
        return str(running[0]["spec"]["nodeName"]) if running else ""

    def _accounted(self) -> bool:
        """What runs costs something now, what has ended does not, and the move shows in the money."""
        jobs = self.cluster.api.list("/apis/gpucost.dev/v1alpha1/trainingjobs")
        costs = {job["metadata"]["name"]: job.get("status", {}).get("cost", {}) for job in jobs}
        running = all(cost.get("hourly", "0.00") != "0.00" for name, cost in costs.items() if name != "resnet")
        return running and costs["resnet"].get("hourly") == "0.00" and float(costs["bert"].get("spot", "0")) > _ON_SPOT


def _condition(status: dict[str, Any], kind: str) -> bool:
    return any(c["type"] == kind and c["status"] == "True" for c in status.get("conditions", ()))


def short(node: str) -> str:
    """Karpenter's kwok provider makes long names; pool and number tell them apart."""
    return "-".join(node.removeprefix("kwok-").split("-")[:-4]) or node
