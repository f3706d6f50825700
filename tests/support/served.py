"""A served model on the real control plane: a Deployment, an InferenceEndpoint over it, and what both show."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from local import wait_for
from support.operator_world import GROUP, Json, Team

DEPLOYMENT = "apps/v1"
ABSENT: Any = object()


def load(requests_per_second: float) -> Json:
    """Metrics of an endpoint with a load that stays as it is: literals that the real Prometheus answers."""
    rate = f"vector({requests_per_second})"
    return {"queries": {"requestsPerSecond": rate, "servedPerSecond": rate, "waiting": "vector(0)"}}


@dataclass(frozen=True)
class Served:
    """One model of a team."""

    team: Team
    name: str = "llama"

    # --- what is made ---

    def deploy(
        self, replicas: int, kind: str = "Deployment", *, on: Mapping[str, str] | None = None, **simulated: str
    ) -> None:
        """The workload, one GPU for each replica; `on` are further labels of its nodes."""
        template = self.team.template(gpus=1, **simulated)
        template["metadata"]["labels"] = {"app": self.name}
        template["spec"]["nodeSelector"] |= on or {}
        spec = {"replicas": replicas, "selector": {"matchLabels": {"app": self.name}}, "template": template}
        if kind == "StatefulSet":
            spec |= {"serviceName": self.name, "podManagementPolicy": "Parallel"}
        body = {"apiVersion": DEPLOYMENT, "kind": kind, "metadata": self._metadata(), "spec": spec}
        self.team.cluster.api.create(self._workloads(kind), body)

    def remove(self) -> None:
        """Delete the workload, with its pods."""
        self.team.cluster.api.delete(f"{self._workloads('Deployment')}/{self.name}")

    def serve(self, **spec: Any) -> Json:
        """The InferenceEndpoint, in mode Auto unless told otherwise."""
        given = {"scaleTargetRef": {"name": self.name}, "runtime": "custom", "mode": "Auto", "metrics": load(1), **spec}
        body = {
            "apiVersion": "gpucost.dev/v1alpha1",
            "kind": "InferenceEndpoint",
            "metadata": self._metadata(),
            "spec": {name: value for name, value in given.items() if value is not ABSENT},
        }
        return self.team.cluster.api.create(self._endpoints(), body)

    def change(self, **spec: Any) -> Json:
        """Merge-patch the specification."""
        return self.team.cluster.api.merge(f"{self._endpoints()}/{self.name}", {"spec": spec})

    def annotate(self, **notes: str | None) -> Json:
        """Set or take away annotations of ours; names are written with underscores."""
        found = {f"gpucost.dev/{name.replace('_', '-')}": value for name, value in notes.items()}
        return self.team.cluster.api.merge(f"{self._endpoints()}/{self.name}", {"metadata": {"annotations": found}})

    def autoscale(self, name: str = "their-hpa") -> None:
        """Somebody's HorizontalPodAutoscaler over the same Deployment."""
        reference = {"apiVersion": DEPLOYMENT, "kind": "Deployment", "name": self.name}
        body = {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": name, "namespace": self.team.namespace},
            "spec": {"scaleTargetRef": reference, "minReplicas": 1, "maxReplicas": 3},
        }
        self.team.cluster.api.create(self.autoscalers(), body)

    # --- what the API server shows ---

    def workload(self, kind: str = "Deployment") -> Json:
        """The workload itself."""
        return self.team.cluster.api.get(f"{self._workloads(kind)}/{self.name}")

    def replicas(self, kind: str = "Deployment") -> int:
        """Replicas that the workload is set to."""
        return int(self.workload(kind)["spec"]["replicas"])

    def pods(self) -> list[Json]:
        """Pods that are ready and not being deleted."""
        found = self.team.cluster.api.list(self.team.path("pods") + f"?labelSelector=app%3D{self.name}")
        return [pod for pod in found if _is_ready(pod) and not pod["metadata"].get("deletionTimestamp")]

    def status(self) -> Json:
        """Status of the InferenceEndpoint."""
        found: Json = self.team.cluster.api.get(f"{self._endpoints()}/{self.name}").get("status", {})
        return found

    def condition(self, kind: str) -> Json:
        """A condition; empty when it is not there."""
        return next((one for one in self.status().get("conditions", ()) if one["type"] == kind), {})

    def events(self, reason: str) -> list[str]:
        """What Events of one reason say about the endpoint."""
        found = [e for e in self.team.cluster.api.list(self.team.path("events")) if e["reason"] == reason]
        return [
            e["note"]
            for e in found
            if (e["regarding"]["kind"], e["regarding"]["name"]) == ("InferenceEndpoint", self.name)
        ]

    # --- waiting ---

    def until(self, kind: str, reason: str, timeout: float = 30) -> Json:
        """Wait until a condition has a reason; returns it."""
        return wait_for(
            lambda: (found := self.condition(kind)).get("reason") == reason and found,
            timeout,
            lambda: f"{self.name} {kind}={reason}: {json.dumps(self.status())[:1500]}",
        )

    def until_replicas(self, number: int, kind: str = "Deployment", timeout: float = 45) -> None:
        """Wait until the workload is set to a number of replicas and all of them are ready."""
        wait_for(
            lambda: self.replicas(kind) == number and len(self.pods()) == number,
            timeout,
            lambda: f"{number} replicas: {self.replicas(kind)} set, {len(self.pods())} ready: {self.status()}"[:1500],
        )

    def autoscalers(self) -> str:
        """Path of the team's HorizontalPodAutoscalers."""
        return f"/apis/autoscaling/v2/namespaces/{self.team.namespace}/horizontalpodautoscalers"

    def _metadata(self) -> Json:
        return {"name": self.name, "namespace": self.team.namespace}

    def _workloads(self, kind: str) -> str:
        return f"/apis/apps/v1/namespaces/{self.team.namespace}/{kind.lower()}s"

    def _endpoints(self) -> str:
        return f"{GROUP}/namespaces/{self.team.namespace}/inferenceendpoints"


def _is_ready(pod: Json) -> bool:
    conditions = pod.get("status", {}).get("conditions", ())
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
