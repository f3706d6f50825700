"""The load of every endpoint and the replicas that it calls for: what the controller asks before it plans.

Looks come from the feed, in its own rhythm; each look at an endpoint puts one question to the policy, whose state is
kept here. The controller only reads what is there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gpucost.core.clock import Instant, Micros
from gpucost.core.model import Pod
from gpucost.core.serving import replicas as policy
from gpucost.core.serving.replicas.outlook import STEP
from gpucost.core.serving.shown import shown
from gpucost.core.serving.signals.model import Asked, PodRef, Signals
from gpucost.core.serving.spec import Mode
from gpucost.core.serving.state import Measured, Wish
from gpucost.core.serving.wanting import READY_TIME, Replicas, measured, renewed, want
from gpucost.runtime.endpoints.controller import UNMEASURED
from gpucost.runtime.endpoints.registry import Endpoints
from gpucost.runtime.metrics import Figures
from gpucost.runtime.serving_feed import ServingFeed
from gpucost.runtime.world import Custom


class Loads:
    """By UID of the endpoint; `feed.engine` is set when it is known."""

    def __init__(
        self,
        endpoints: Endpoints,
        figures: Figures,
        now: Callable[[], Instant],
        *,
        allowed: bool = True,
        every: Micros = STEP,
    ) -> None:
        """`allowed`: whether users' own queries are asked."""
        self.endpoints, self.now = endpoints, now
        self.feed = ServingFeed(self.asked, None, figures, now, every, allowed, self._heard)
        self.ready_time_of: Callable[[str], Micros | None] = lambda _uid: None
        self.listeners: list[Callable[[Asked, Signals], None]] = []
        """Who is told of every look."""
        self._pods: dict[str, tuple[Pod, ...]] = {}
        self._states: dict[str, Any] = {}
        self._wishes: dict[str, Wish | None] = {}
        self._decided: dict[str, Instant] = {}

    def of(self, uid: str) -> tuple[Measured, Wish | None]:
        """Whether the load is known, and how many replicas are asked for."""
        signals = self.feed.of(uid)
        return (measured(signals), self._wishes.get(uid)) if signals is not None else (UNMEASURED, None)

    def shown(self, record: Custom) -> Mapping[str, Any]:
        """Fields of the status."""
        signals, spec = self.feed.of(record.uid), self.endpoints.specs[record.key].value
        return shown(signals, spec) if signals is not None and spec is not None else {}

    def saw(self, uid: str, pods: tuple[Pod, ...]) -> None:
        """The pods of the workload, as the controller found them."""
        self._pods[uid] = pods

    # --- what is looked at --------------------------------------------------------------------------------------------

    def asked(self) -> Sequence[Asked]:
        """Endpoints that are looked at, with the pods of their workloads."""
        found = []
        for key, record in self.endpoints.records.items():
            spec = self.endpoints.specs[key].value
            if spec is None or spec.mode is Mode.OFF or record.deleting:
                continue
            pods = self.endpoints.pods_of(key.namespace, spec.target) or self._living(record.uid)
            found.append(Asked(record.uid, key.namespace, spec, tuple(_ref(pod) for pod in pods)))
            self._pods[record.uid] = pods
        self._forget({one.uid for one in found})
        return found

    def _living(self, uid: str) -> tuple[Pod, ...]:
        """Pods of a kind that are known by its selector only, as they are now."""
        known = (self.endpoints.world.pods.get(pod.uid) for pod in self._pods.get(uid, ()))
        return tuple(pod for pod in known if pod is not None and pod.ended is None)

    def _forget(self, living: set[str]) -> None:
        for kept in (self._pods, self._states, self._wishes, self._decided):
            for uid in kept.keys() - living:
                del kept[uid]

    def _heard(self, asked: Asked, signals: Signals) -> None:
        now = self.now()
        pods = [pod for pod in self._pods.get(asked.uid, ()) if pod.deleting is None]
        ready = sum(pod.ready_since is not None for pod in pods)
        pending = tuple(max(0, now - pod.created) for pod in pods if pod.ready_since is None)
        replicas = Replicas(ready, pending, self.ready_time_of(asked.uid) or READY_TIME)
        if self._is_due(asked.uid, now, known=signals.availability.available):
            self._states[asked.uid], wish = want(self._states.get(asked.uid), asked, signals, replicas, now)
            self._wishes[asked.uid] = renewed(self._wishes.get(asked.uid), wish, known=signals.availability.available)
        for hear in self.listeners:
            hear(asked, signals)
        key = self.endpoints.keys.get(asked.uid)
        if key is not None:
            self.endpoints.on_dirty(key)

    def _is_due(self, uid: str, now: Instant, *, known: bool) -> bool:
        """A policy counts its steps: looks that come quicker than those ask it nothing."""
        if known and now - self._decided.get(uid, 0) < STEP * 9 // 10:
            return False
        self._decided[uid] = now
        return True

    # --- over a restart -----------------------------------------------------------------------------------------------

    def learned(self) -> dict[str, dict[str, Any]]:
        """What was learned of replicas and of traffic, as plain values by UID."""
        found: dict[str, dict[str, Any]] = {uid: {"capacity": one} for uid, one in self.feed.learned().items()}
        for uid, state in self._states.items():
            if state is not None:
                found.setdefault(uid, {})["policy"] = policy.stored(state)
        return found

    def load(self, documents: Mapping[str, Mapping[str, Any]]) -> None:
        """Begin with what was learned before."""
        self.feed.load({uid: one["capacity"] for uid, one in documents.items() if "capacity" in one})
        for uid, one in documents.items():
            if "policy" in one and (state := policy.restored(one["policy"])) is not None:
                self._states[uid] = state


def _ref(pod: Pod) -> PodRef:
    ready = pod.ready_since if pod.deleting is None else None
    return PodRef(pod.uid, pod.name, ready, pod.running)
