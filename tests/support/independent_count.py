"""What a team owes, counted a second time from the API server's own event times, without any code of the product.

A thread watches the pods of one namespace from before the first of them exists. A pod holds its share of its node from
the instant at which the scheduler bound it to the instant at which its last container ended; both stand in the pod.
"""

from __future__ import annotations

import json
import subprocess
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

from local import LocalCluster, wait_for
from local.programs import program

Json = dict[str, Any]
_UNITS = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}
_RETRY_SECONDS = 0.2


@dataclass(frozen=True)
class Stay:
    """One pod on one node; times are UTC, an open end is None."""

    uid: str
    name: str
    node: str
    start: datetime
    end: datetime | None
    share: Fraction
    hourly: Fraction

    def cost(self, until: datetime) -> Fraction:
        """Price x share x time, up to an instant."""
        end = min(self.end or until, until)
        return self.hourly * self.share * Fraction(max(0, round((end - self.start).total_seconds())), 3600)


class IndependentCount:
    """Counts from entering the context on; nodes must exist before their pods and carry their price."""

    def __init__(self, cluster: LocalCluster, namespace: str) -> None:
        self.cluster, self.namespace = cluster, namespace
        self.bodies: dict[str, Json] = {}
        self.gone: dict[str, float] = {}
        """When the deletion of a pod was seen, seconds since the epoch, by UID."""
        self._nodes: dict[str, Json] = {}
        self._stopped = False
        self._process: subprocess.Popen[str] | None = None
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> IndependentCount:
        self._thread.start()
        wait_for(lambda: self._process is not None, 10, "the second count watches")
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped = True
        if self._process is not None:
            self._process.kill()
        self._thread.join(10)

    def _watch(self) -> None:
        """Watch with kubectl, again and again: an outage of the API server ends a watch, not the count."""
        command = [program("kubectl"), "get", "pods", "-n", self.namespace, "--watch", "--output-watch-events"]
        while not self._stopped:
            with subprocess.Popen(
                [*command, "-o", "json"],
                env=self.cluster.env(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            ) as self._process:
                self._read(self._process)
            time.sleep(_RETRY_SECONDS)

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("{"):
                self._event(json.loads(line))

    def _event(self, event: Json) -> None:
        uid = event["object"]["metadata"]["uid"]
        self.bodies[uid] = event["object"]
        if event["type"] == "DELETED":
            self.gone[uid] = time.time()

    # --- the count ---

    def stays(self) -> list[Stay]:
        """Every pod that ever had a node, in order of its start."""
        found = [self._stay(body) for body in self.bodies.values() if body["spec"].get("nodeName")]
        return sorted(found, key=lambda stay: (stay.start, stay.name))

    def _stay(self, body: Json) -> Stay:
        node = self._node(body["spec"]["nodeName"])
        bound = next(c for c in body["status"]["conditions"] if c["type"] == "PodScheduled")
        return Stay(
            uid=body["metadata"]["uid"],
            name=body["metadata"]["name"],
            node=node["metadata"]["name"],
            start=moment(bound["lastTransitionTime"]),
            end=self._end(body),
            share=_share(body, node),
            hourly=Fraction(node["metadata"]["annotations"]["gpucost.dev/hourly-price"]),
        )

    def _end(self, body: Json) -> datetime | None:
        states = [s["state"].get("terminated") for s in body["status"].get("containerStatuses", ())]
        if states and all(states):
            return max(moment(state["finishedAt"]) for state in states)
        if body["metadata"]["uid"] in self.gone:
            raise AssertionError(f"pod {body['metadata']['name']} went without saying when its containers ended")
        return None

    def _node(self, name: str) -> Json:
        if name not in self._nodes:
            self._nodes[name] = self.cluster.api.get(f"/api/v1/nodes/{name}")
        return self._nodes[name]

    def settled(self) -> bool:
        """Whether the count has seen everything that the API server shows now."""
        shown = self.cluster.api.list(f"/api/v1/namespaces/{self.namespace}/pods")
        known = {uid: body["metadata"]["resourceVersion"] for uid, body in self.bodies.items() if uid not in self.gone}
        return known == {p["metadata"]["uid"]: p["metadata"]["resourceVersion"] for p in shown}

    def cost_by_pod(self, until: datetime) -> dict[str, Fraction]:
        """Cost by pod name up to an instant; names are unique here."""
        return {stay.name: stay.cost(until) for stay in self.stays()}


def moment(text: str) -> datetime:
    """A time of the API server."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(UTC)


def overlaps(stays: list[Stay]) -> list[tuple[Stay, Stay]]:
    """Pairs of stays on different nodes that share time; one may begin in the second in which another ends."""
    pairs = [(a, b) for i, a in enumerate(stays) for b in stays[i + 1 :] if a.node != b.node]
    return [(a, b) for a, b in pairs if a.end is None or b.start < a.end]


def _share(pod: Json, node: Json) -> Fraction:
    """The largest of the pod's shares of GPU, CPU and memory: what the documentation calls dominantShare."""
    capacity, shares = node["status"]["capacity"], []
    for resource in ("cpu", "memory", "nvidia.com/gpu"):
        asked = sum((_asked(c, resource) for c in pod["spec"]["containers"]), Fraction(0))
        if asked:
            shares.append(asked / _quantity(capacity[resource]))
    return max(shares, default=Fraction(0))


def _asked(container: Json, resource: str) -> Fraction:
    resources = container.get("resources", {})
    text = resources.get("requests", {}).get(resource) or resources.get("limits", {}).get(resource)
    return _quantity(text) if text else Fraction(0)


def _quantity(text: str) -> Fraction:
    if text.endswith("m"):
        return Fraction(text[:-1]) / 1000
    unit = next((unit for unit in _UNITS if text.endswith(unit)), "")
    return Fraction(text.removesuffix(unit)) * _UNITS.get(unit, 1)
