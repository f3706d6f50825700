"""What the GPUs of endpoints need, gathered from every sample, and the advice that follows from it.

How busy is best told by the load: what arrives in relation to what the replicas serve at most, where a limit has been
met. The activity of a GPU, which is high as soon as anybody asks anything, is what is left where that is not known.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from gpucost.core.actions import EventNote
from gpucost.core.capacity import traits
from gpucost.core.clock import HOUR, MINUTE, Instant, Micros
from gpucost.core.model import CapacityType, Node, NodeFact, Pod, Unknown
from gpucost.core.owners import replicas_among
from gpucost.core.quantity import parse_quantity
from gpucost.core.sampling import Window
from gpucost.core.serving.advice import Advice, Case, advise
from gpucost.core.serving.footprint import Footprint, Seen, add, restored, stored
from gpucost.core.serving.selecting import selecting
from gpucost.core.serving.signals.model import Evidence, Signals, value_of
from gpucost.core.serving.spec import EndpointSpec
from gpucost.core.serving.speeds import speed_of
from gpucost.core.signals import MEMORY_USED, checked
from gpucost.core.training.estimating.market import choose
from gpucost.core.training.estimating.telling import decimal
from gpucost.core.usage import Held, PodName, Sample, pod_of
from gpucost.ledger.replicas import Note
from gpucost.runtime.endpoints.registry import Endpoints
from gpucost.runtime.market import MarketView
from gpucost.runtime.world import Custom

MEMORY_ANNOTATION = "gpucost.dev/gpu-memory"
"""On an InferenceEndpoint: the memory that one GPU of a replica needs, such as `20Gi`."""
FOOTPRINT = "footprint"
_GIB = 1 << 30
_SHOWN_FOR: Micros = 10 * MINUTE
_MIG = "nvidia.com/mig-"
_WHOLE = "nvidia.com/gpu"


@dataclass(frozen=True, slots=True)
class _Held:
    """What the replicas of an endpoint hold, where all hold the same."""

    model: str
    capacity_type: CapacityType
    devices: int
    profile: str


@dataclass
class Footprints:
    """By UID of the endpoint."""

    endpoints: Endpoints
    nodes: Callable[[], Mapping[str, NodeFact]]
    """By UID."""
    market: Callable[[], MarketView]
    now: Callable[[], Instant]
    signals_of: Callable[[str], Signals | None] = lambda _uid: None
    known: dict[str, Footprint] = field(default_factory=dict)
    _noted: Instant = 0
    _advised: dict[str, tuple[Instant, Mapping[str, Any]]] = field(default_factory=dict)

    def load(self, notes: Mapping[str, str]) -> None:
        """Begin with what the ledger knows; what cannot be read is measured anew."""
        for uid, text in notes.items():
            try:
                self.known[uid] = restored(json.loads(text))
            except ValueError:
                continue

    def notes(self, *, at_once: bool = False) -> list[Note]:
        """What is to be written: once an hour, and at the end, because days of measuring have to outlive restarts."""
        now = self.now()
        if now - self._noted < HOUR and not at_once:
            return []
        self._noted = now if self.known else self._noted
        alive = self.endpoints.keys
        self.known = {uid: one for uid, one in self.known.items() if uid in alive}
        self._advised = {uid: one for uid, one in self._advised.items() if uid in alive}
        return [Note(uid, FOOTPRINT, json.dumps(stored(one))) for uid, one in self.known.items()]

    # --- measuring ----------------------------------------------------------------------------------------------------

    def take(
        self,
        series: Mapping[str, Iterable[Sample]],
        held: Mapping[PodName, Held],
        active: Mapping[str, float | Unknown],
        span: Window,
    ) -> None:
        """What a pass over all exporters has brought."""
        wanted = {record.uid: self._pods(record) for record in self.endpoints.records.values()}
        names = {(pod.namespace, pod.name): pod.uid for pods in wanted.values() for pod in pods}
        memory = _memory(series.get(MEMORY_USED, ()), names, held)
        for uid, pods in wanted.items():
            have = self._held(pods)
            if have is not None:
                seen = Seen(_most(memory.get(pod.uid) for pod in pods), self._busy(uid, pods, active))
                self.known[uid] = add(self.known.get(uid, Footprint()), have.model, seen, span.since, span.until)

    def _pods(self, record: Custom) -> tuple[Pod, ...]:
        """Replicas that serve: one that starts has not filled its memory yet."""
        spec = self.endpoints.spec_of(record.key)
        if spec is None:
            return ()
        pods = self.endpoints.pods_of(record.namespace, spec.target)
        return tuple(pod for pod in pods if pod.serving_since is not None)

    def _busy(self, uid: str, pods: Sequence[Pod], active: Mapping[str, float | Unknown]) -> float | None:
        signals = self.signals_of(uid)
        if signals is not None and signals.capacity.evidence in {Evidence.GIVEN, Evidence.SATURATED}:
            arrived, each = value_of(signals.arrived), signals.capacity.requests_per_second
            if arrived is not None and each:
                return min(1.0, arrived / (each * max(1, len(replicas_among(pods)))))
        found = [active.get(pod.uid) for pod in pods]
        return _most(value if isinstance(value, float) else None for value in found)

    def _held(self, pods: Sequence[Pod]) -> _Held | None:
        """None where there are none, or they are not alike, or they share GPUs."""
        kinds = {self._kind(pod) for pod in pods}
        return next(iter(kinds)) if len(kinds) == 1 else None

    def _kind(self, pod: Pod) -> _Held | None:
        there = self.endpoints.world.node_by_name.get(pod.node_name or "")
        node = self.nodes().get(there.uid) if there is not None else None
        units = {name: count for name, count in pod.devices.items() if count}
        if node is None or len(units) != 1:
            return None
        ((name, count),) = units.items()
        if name.startswith(_MIG) and not name.endswith(".shared"):
            return _Held(node.gpu_model, node.capacity_type, count, name.removeprefix(_MIG))
        whole = name == _WHOLE and pod.requests.gpus == count
        return _Held(node.gpu_model, node.capacity_type, count, "") if whole else None

    # --- advice -------------------------------------------------------------------------------------------------------

    def shown(self, record: Custom) -> Mapping[str, Any]:
        """`status.advice`: worked out now and then, because what it rests on is days of measuring."""
        now, spec = self.now(), self.endpoints.spec_of(record.key)
        if spec is None:
            return {}
        known = self._advised.get(record.uid)
        if known is None or now - known[0] >= _SHOWN_FOR:
            known = self._advised[record.uid] = now, _as_status(self.advice(record, spec))
        return known[1]

    def news(self, record: Custom) -> Iterable[EventNote]:
        """The Event CheaperAlternative, where another GPU is advised than the status shows."""
        shown, stored = (one.get("advice") or {} for one in (self.shown(record), record.status))
        if shown and shown["gpu"] != stored.get("gpu"):
            saves = f"{shown['savesPerMonth']} {self.market().currency} a month less"
            message = f"on {shown['gpu']}: {saves} (confidence {shown['confidence']}): {shown['message']}"
            yield EventNote("CheaperAlternative", message[:1024], str(shown["gpu"]))

    def advice(self, record: Custom, spec: EndpointSpec) -> Advice:
        """Which GPU would do for less; the reason where there is no answer."""
        pods, quotes = self._pods(record), self.market().quotes or ()
        have = self._held(pods)
        if have is None:
            return Advice(reason="its replicas hold no GPUs, shared ones, or not all the same")
        own = choose(quotes, have.model, have.capacity_type)
        declared = declared_gib(record)
        if isinstance(declared, str):
            return Advice(reason=declared)
        case = Case(
            runtime=spec.runtime,
            replicas=len(pods),
            devices=have.devices,
            model=have.model,
            capacity_type=have.capacity_type,
            hourly=own.hourly.typical if own is not None else Fraction(0),
            quotes=quotes,
            footprint=self.known.get(record.uid, Footprint()),
            profile=have.profile,
            declared_gib=declared,
            has_slo=spec.slo.ttft_p95 is not None or spec.slo.itl_p95 is not None,
        )
        return advise(case)

    def selecting(self, record: Custom, spec: EndpointSpec, name: str) -> Mapping[str, str | None]:
        """How the pods of an endpoint come to nodes with another GPU."""
        nodes = self.endpoints.world.nodes.values()
        there = next((node.labels for node in nodes if _has(name, node)), None)
        names = {pod.node_name or "" for pod in self.endpoints.pods_of(record.namespace, spec.target)}
        own = [found.labels for found in map(self.endpoints.world.node_by_name.get, sorted(names)) if found is not None]
        return selecting(name, own[0] if own else {}, there)


def _as_status(advice: Advice) -> Mapping[str, Any]:
    best = advice.best
    if best is None:
        return {}
    times = f" x {best.for_one}" if best.for_one > 1 else ""
    shown = {
        "gpu": f"{best.name}{times}",
        "savesPerMonth": decimal(advice.monthly, 2),
        "confidence": advice.confidence.value,
        "message": "; ".join((advice.reason, *best.notes))[:1024],
    }
    return {"advice": shown}


def declared_gib(record: Custom) -> Fraction | str | None:
    """What the user says that one GPU needs; a text where it is no amount of memory."""
    text = record.annotations.get(MEMORY_ANNOTATION)
    if text is None:
        return None
    try:
        amount = parse_quantity(text)
    except ValueError:
        amount = Fraction(0)
    if amount <= 0:
        return f"annotation {MEMORY_ANNOTATION}: {text!r} is no amount of memory such as 20Gi"
    return amount / _GIB


def _has(name: str, node: Node) -> bool:
    found = speed_of(traits(node.labels).gpu_model)
    return found is not None and found.name == name


def _most(values: Iterable[float | None]) -> float | None:
    """The largest; None when there is none, or any of them is not known."""
    found = list(values)
    return max((one for one in found if one is not None), default=None) if None not in found else None


def _memory(samples: Iterable[Sample], names: Mapping[PodName, str], held: Mapping[PodName, Held]) -> dict[str, float]:
    """The most memory in use of any device of a pod, in MiB, by its UID, where a sample is sound and about that pod."""
    found: dict[str, float] = {}
    for labels, value in samples:
        name = pod_of(labels)
        uid = names.get(name) if name is not None else None
        told = labels.get("exported_pod_uid") or labels.get("pod_uid")
        if uid is None or name not in held or (told and told != uid):
            continue
        sound = checked(MEMORY_USED, value)
        if not isinstance(sound, str):
            found[uid] = max(found.get(uid, 0.0), sound)
    return found
