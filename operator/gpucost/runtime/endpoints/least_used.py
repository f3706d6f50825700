"""Marks the pods that shall go, just before replicas are taken away (`spec.podDeletionCost`).

What the pods are marked with is read anew from the API server each time: it is seldom, and the caches are too slim to
know annotations. When a mark cannot be written the number is not lowered, because whoever asked for this would rather
pay for a replica than cut off an answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gpucost.core.clock import MINUTE, Instant, Micros
from gpucost.core.model import Pod
from gpucost.core.serving.least_used import COST, DELETION_COST, MARK, Candidate, choose
from gpucost.core.serving.signals.model import Signals, value_of
from gpucost.core.serving.spec import EndpointSpec
from gpucost.core.serving.state import ScaleTarget
from gpucost.kube import paths
from gpucost.kube.client import KubeClient
from gpucost.kube.errors import ApiError, Unreachable
from gpucost.runtime.endpoints.registry import Endpoints
from gpucost.runtime.world import Custom

Notes = Mapping[str, Mapping[str, str]]
"""Annotations by the UID of the pod."""

_KNOWN_FOR: Micros = 5 * MINUTE
PODS_MANAGER = "gpucost-pods"
NO_RIGHT = "set endpoints.podDeletionCost in the operator's chart, or leave spec.podDeletionCost out"


class Postponed(Exception):
    """A change must not be made now; the message says why."""


@dataclass
class LeastUsed:
    """Asks the signals who is in use, and writes marks."""

    client: KubeClient
    endpoints: Endpoints
    signals_of: Callable[[str], Signals | None] = lambda _uid: None
    now: Callable[[], Instant] = lambda: 0
    _notes: dict[str, tuple[Instant, Notes]] = field(default_factory=dict)
    """Annotations of an endpoint's pods as they were read last, by its UID: who is spoken for, nobody else tells."""

    def free(self, record: Custom, spec: EndpointSpec, pods: Sequence[Pod]) -> int | None:
        """How many of the pods may go now; None where nobody asked for it, or who goes cannot be chosen."""
        if not spec.least_used_first or not _is_one_set(pods):
            return None
        signals, (at, notes) = self.signals_of(record.uid), self._notes.get(record.uid, (0, {}))
        if self.now() - at > _KNOWN_FOR:
            notes = {}
        living = [_candidate(pod, signals, notes.get(pod.uid)) for pod in pods if pod.deleting is None]
        return choose(living, len(living)).going

    async def prepare(self, record: Custom, action: ScaleTarget) -> None:
        """Mark those that shall go; `Postponed` when fewer are free than shall go, or they cannot be marked."""
        spec = self.endpoints.spec_of(record.key)
        if spec is None or not spec.least_used_first or not action.is_down or action.replicas == 0:
            return
        pods = [one for one in self.endpoints.pods_of(record.namespace, spec.target) if one.deleting is None]
        if not _is_one_set(pods):
            return
        try:
            notes = await self._annotations(record)
            signals = self.signals_of(record.uid)
            count = len(pods) - action.replicas
            choice = choose((_candidate(pod, signals, notes.get(pod.uid, {})) for pod in pods), count)
            if choice.going < count:
                raise Postponed(f"{choice.going} of {count} replicas that shall go answer nobody")
            await asyncio.gather(
                *(self._write(record.namespace, pod, {DELETION_COST: str(COST), MARK: "true"}) for pod in choice.mark),
                *(self._write(record.namespace, pod, {DELETION_COST: None, MARK: None}) for pod in choice.unmark),
            )
        except ApiError as error:
            what = f"the operator may not mark pods: {NO_RIGHT}" if error.status == 403 else f"not marked: {error}"
            raise Postponed(what) from None
        except Unreachable as error:
            raise Postponed(f"the API server does not answer: {error}") from None

    async def _annotations(self, record: Custom) -> Notes:
        """Annotations of the pods of the workload, by UID."""
        selector = str(record.status.get("selector") or "")
        if not selector:
            raise Postponed("the selector of the workload is not known yet")
        listing = await self.client.get(paths.pods(record.namespace), {"labelSelector": selector})
        metas: list[dict[str, Any]] = [item["metadata"] for item in listing.get("items") or ()]
        at, found = self.now(), {meta["uid"]: meta.get("annotations") or {} for meta in metas}
        self._notes = {uid: one for uid, one in self._notes.items() if at - one[0] <= _KNOWN_FOR}
        self._notes[record.uid] = at, found
        return found

    async def _write(self, namespace: str, pod: Candidate, notes: Mapping[str, str | None]) -> None:
        """Under its UID, so that a new pod of the name is not meant; one that is gone needs no mark."""
        body = {"metadata": {"uid": pod.uid, "annotations": dict(notes)}}
        try:
            await self.client.merge(f"{paths.pods(namespace)}/{pod.name}", body, manager=PODS_MANAGER)
        except ApiError as error:
            if error.status not in {404, 409}:
                raise


def _is_one_set(pods: Sequence[Pod]) -> bool:
    """Whether all belong to one ReplicaSet: of several (a rollout goes on) each chooses among its own."""
    owners = {(pod.owner.kind, pod.owner.uid) if pod.owner is not None else ("", "") for pod in pods}
    return len(owners) == 1 and next(iter(owners))[0] == "ReplicaSet"


def _candidate(pod: Pod, signals: Signals | None, notes: Mapping[str, str] | None = None) -> Candidate:
    notes = notes or {}
    said = signals.pods.get(pod.uid) if signals is not None else None
    return Candidate(
        uid=pod.uid,
        name=pod.name,
        ready=pod.ready_since is not None,
        running=value_of(said.running) if said is not None else None,
        waiting=value_of(said.waiting) if said is not None else None,
        used=value_of(said.kv_cache) if said is not None else None,
        own_cost=notes.get(DELETION_COST),
        ours=MARK in notes,
    )
