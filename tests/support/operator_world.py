"""One team on the real control plane: its nodes, its TrainingJobs, and what the API server shows of them.

Nodes carry a mark of their own, so that teams share a cluster without meeting; prices stand on the nodes, so that a
test knows them without asking the operator.
"""

from __future__ import annotations

import json
import secrets
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.error import URLError

from local import GpuNode, LocalCluster, OperatorProcess, wait_for
from local.objects import namespace as namespace_manifest
from support.independent_count import IndependentCount

Json = dict[str, Any]
GROUP = "/apis/gpucost.dev/v1alpha1"
COSTS = "/apis/cost.gpucost.dev/v1alpha1"
ON_DEMAND_PRICE, SPOT_PRICE = "55.04", "20.10"
MILLION = 10**6
GC_SECONDS = 75  # the garbage collector learns of new definitions every thirty seconds only


@dataclass(frozen=True)
class Team:
    """A namespace and a mark for nodes."""

    cluster: LocalCluster
    namespace: str
    mark: str = field(default_factory=lambda: secrets.token_hex(4))

    # --- what the team has ---

    def add_node(
        self, kind: str = "on-demand", *, name: str = "", gpus: int = 8, hourly: str | None = "", **more: Any
    ) -> str:
        """A node of a capacity type that only this team's pods can use; `hourly` None leaves it to the price lists."""
        price = hourly if hourly is None else hourly or {"spot": SPOT_PRICE}.get(kind, ON_DEMAND_PRICE)
        annotations = {} if price is None else {"gpucost.dev/hourly-price": price}
        name = f"{name or kind}-{self.mark}"
        given = {
            "instance_type": f"test.{self.mark}",
            "annotations": annotations,
            "labels": {"mark": self.mark},
            **more,
        }
        self.cluster.add_nodes([GpuNode(name=name, gpus=gpus, capacity_type=kind, **given)])
        return name

    def remove_node(self, name: str) -> None:
        """Take a node away without notice."""
        self.cluster.api.delete(f"/api/v1/nodes/{name}", gracePeriodSeconds=0)

    def remove_nodes(self) -> None:
        """Remove every node of the team."""
        for node in self.cluster.api.list(f"/api/v1/nodes?labelSelector=mark%3D{self.mark}"):
            self.remove_node(node["metadata"]["name"])

    def template(self, *, gpus: int = 4, grace: int = 30, **annotations: str) -> Json:
        """A pod template; annotation names are written with underscores and get the prefix of the simulation."""
        notes = {f"gpucost.dev/simulated-{key.replace('_', '-')}": value for key, value in annotations.items()}
        resources = {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"nvidia.com/gpu": str(gpus)}}
        container = {"name": "train", "image": "example.com/train:1", "resources": resources}
        pod = {"nodeSelector": {"mark": self.mark}, "terminationGracePeriodSeconds": grace, "containers": [container]}
        return {"metadata": {"annotations": notes}, "spec": pod}

    def train(self, name: str = "bert", **spec: Any) -> Json:
        """Create a TrainingJob with a template of four GPUs, unless told otherwise."""
        if "workloadRef" not in spec:
            spec.setdefault("template", self.template())
        body = {
            "apiVersion": "gpucost.dev/v1alpha1",
            "kind": "TrainingJob",
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": spec,
        }
        return self.cluster.api.create(f"{GROUP}/namespaces/{self.namespace}/trainingjobs", body)

    def change(self, name: str = "bert", **spec: Any) -> Json:
        """Merge-patch the specification of a TrainingJob."""
        return self.cluster.api.merge(self.path("trainingjobs", name), {"spec": spec})

    # --- what the API server shows ---

    def path(self, kind: str, name: str = "") -> str:
        """Path of a collection, or of an object of the team's namespace."""
        group = {"jobs": "/apis/batch/v1", "trainingjobs": GROUP, "events": "/apis/events.k8s.io/v1"}.get(
            kind, "/api/v1"
        )
        return f"{group}/namespaces/{self.namespace}/{kind}" + (f"/{name}" if name else "")

    def find(self, kind: str, name: str) -> Json | None:
        """An object, or None."""
        return self.cluster.api.find(self.path(kind, name))

    def job(self, name: str = "bert") -> Json:
        """A Job; raises LookupError while it is not there."""
        return self.cluster.api.get(self.path("jobs", name))

    def notes(self, name: str = "bert") -> dict[str, str]:
        """Annotations of a Job with our prefix."""
        found = self.job(name)["metadata"].get("annotations", {})
        return {
            key.removeprefix("gpucost.dev/"): value for key, value in found.items() if key.startswith("gpucost.dev/")
        }

    def status(self, name: str = "bert") -> Json:
        """Status of a TrainingJob."""
        found: Json = self.cluster.api.get(self.path("trainingjobs", name)).get("status", {})
        return found

    def condition(self, kind: str, name: str = "bert") -> Json:
        """A condition; empty when it is not there."""
        return next((c for c in self.status(name).get("conditions", ()) if c["type"] == kind), {})

    def pods(self, name: str = "bert") -> list[Json]:
        """Pods of a Job."""
        return self.cluster.api.list(self.path("pods") + f"?labelSelector=batch.kubernetes.io/job-name%3D{name}")

    def running(self, name: str = "bert") -> list[Json]:
        """Pods of a Job that run and are not being deleted."""
        return [
            p
            for p in self.pods(name)
            if p["status"].get("phase") == "Running" and not p["metadata"].get("deletionTimestamp")
        ]

    def events(self, reason: str = "", name: str = "bert") -> list[Json]:
        """Events about a TrainingJob, those of one reason when it is given."""
        found = [e for e in self.cluster.api.list(self.path("events")) if e["regarding"].get("name") == name]
        own = [e for e in found if e["regarding"].get("kind") == "TrainingJob"]
        return [e for e in own if reason in {"", e["reason"]}]

    # --- waiting ---

    def until_runs_on(self, node: str, name: str = "bert", *, workers: int = 1, timeout: float = 45) -> None:
        """Wait until every worker runs on one node and the TrainingJob says that it runs."""

        def there() -> bool:
            nodes = [p["spec"]["nodeName"] for p in self.running(name)]
            return nodes == [node] * workers and self.condition("Ready", name).get("reason") == "Running"

        wait_for(there, timeout, lambda: f"{name} runs on {node}: {json.dumps(self.status(name))[:1500]}")

    def until(self, kind: str, reason: str, name: str = "bert", *, timeout: float = 30) -> Json:
        """Wait until a condition has a reason; returns it."""
        return wait_for(
            lambda: (found := self.condition(kind, name)).get("reason") == reason and found,
            timeout,
            lambda: f"{name} {kind}={reason}: {json.dumps(self.status(name))[:1500]}",
        )


@contextmanager
def team_in(cluster: LocalCluster) -> Iterator[Team]:
    """A team with a fresh namespace; both go afterwards."""
    name = f"t-{secrets.token_hex(5)}"
    cluster.api.create("/api/v1/namespaces", namespace_manifest(name))
    team = Team(cluster, name)
    yield team
    cluster.api.delete(f"/api/v1/namespaces/{name}", gracePeriodSeconds=0)
    team.remove_nodes()


# --- schedules and the cost API -------------------------------------------------------------------------------------


def opened_ago(ago: timedelta, duration: str, **more: Any) -> Json:
    """A daily window that opened some time ago; a negative time opens in the future."""
    start = datetime.now(UTC) - ago
    return {"start": f"{start.minute} {start.hour} * * *", "duration": duration, **more}


def closed() -> Json:
    """A window that is over, and far from opening again."""
    return opened_ago(timedelta(hours=12), "1h")


def open_now(**more: Any) -> Json:
    """A window that is open for hours yet."""
    return opened_ago(timedelta(hours=1), "6h", **more)


def fetch(url: str) -> Json:
    """JSON of a URL."""
    with urllib.request.urlopen(url, timeout=10) as answer:
        found: Json = json.loads(answer.read())
    return found


def costs(api_url: str, namespace: str, by: str, window: str) -> Json:
    """What the cost API says of one namespace; an operator that has just become ready may not listen yet."""
    url = f"{api_url}{COSTS}/namespaces/{namespace}/allocations?by={by}&window={window}"

    def answer() -> Json:
        try:
            return fetch(url)
        except URLError as refused:
            raise LookupError(str(refused)) from None

    return wait_for(answer, 10, url)


def micro(amount: str) -> int:
    """A decimal string with six places as an integer."""
    return int(amount.replace(".", ""))


def last_hour(now: datetime | None = None) -> tuple[datetime, str]:
    """The present in whole seconds, and the window that ends there as the cost API takes it."""
    end = (now or datetime.now(UTC)).replace(microsecond=0)
    return end, f"{end - timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ},{end:%Y-%m-%dT%H:%M:%SZ}"


def assert_paid_exactly(api_url: str, team: Team, count: IndependentCount) -> Json:
    """Each pod and the sum agree with the second count to the micro-dollar; returns what the cost API says."""
    end, window = last_hour()
    found = costs(api_url, team.namespace, "pod", window)
    assert found["difference"] == "0.000000"
    expected = count.cost_by_pod(end)
    booked = {item["metadata"]["name"]: micro(item["cost"]) for item in found["items"]}
    assert booked.keys() == expected.keys()
    pairs = {name: (booked[name], amount * MILLION) for name, amount in expected.items()}
    wrong = {name: (got, float(due)) for name, (got, due) in pairs.items() if abs(got - due) > 1}
    assert not wrong, f"booked and due, in micro-units: {wrong}"
    assert abs(micro(found["total"]["cost"]) - sum(expected.values()) * MILLION) <= 1
    return found


def revive(operator: OperatorProcess) -> None:
    """Start an operator that has ended, as a kubelet would."""
    if not operator.running():
        operator.start(wait=False)


def own_writes(operator: OperatorProcess) -> dict[str, float]:
    """Writes that an operator has sent to the API server since its start, by verb."""
    return figures(operator.metrics(), "gpucost_api_writes_total")


def figures(exposition: str, metric: str) -> dict[str, float]:
    """Values of a metric in the text format, by the text of their labels; a single label by its value alone."""
    found = {}
    for line in exposition.splitlines():
        name, _, value = line.rpartition(" ")
        if name.partition("{")[0] == metric and not line.startswith("#"):
            labels = name.partition("{")[2].rstrip("}")
            found[labels.split('"')[1] if labels.count("=") == 1 else labels] = float(value)
    return found
