"""What could be saved, from every part of the operator that recommends something, in one ranking.

Each part says what it would do, what that saves, how sure it is, and the command that does it. What recurs is told per
month, what a single run would save once; the ranking is by amount, whichever of the two it is. What nobody can put a
figure to comes last, and is no zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from fractions import Fraction
from typing import Any

from gpucost.core.assets import HOURS_PER_MONTH
from gpucost.core.clock import DAY, HOUR, MINUTE, SECOND, Micros, format_duration
from gpucost.core.money import PICO, Pico
from gpucost.core.report import Row
from gpucost.core.serving import cold_start as cold
from gpucost.core.serving.advice import Advice, Confidence
from gpucost.core.serving.applying import HeldBack, in_the_way, letting, moving, patch
from gpucost.core.serving.counterfactual import Compared
from gpucost.core.serving.spec import EndpointSpec, Mode
from gpucost.core.serving.state import Rival

SPOT = "on spot capacity"
"""How the estimate of a run calls it (`training.estimating.alternatives`)."""


class Kind(StrEnum):
    """What would be changed."""

    REPLICAS = "replicas"
    GPU = "gpu"
    COLD_START = "coldStart"
    IDLE = "idle"
    SPOT = "spot"
    DUPLICATE = "duplicate"


class Per(StrEnum):
    """How often it is saved."""

    MONTH = "month"
    RUN = "run"


@dataclass(frozen=True, slots=True)
class Recommendation:
    """One thing to do."""

    namespace: str
    subject: str
    """Such as `InferenceEndpoint/llama`."""
    kind: Kind
    change: str
    """In a few words."""
    saves: Pico | None
    per: Per
    confidence: Confidence
    why: str
    command: str
    """Ready to be run."""
    notes: tuple[str, ...] = ()
    """What to mind."""


def ranked(found: Iterable[Recommendation]) -> tuple[Recommendation, ...]:
    """The most saving first."""
    return tuple(sorted(found, key=lambda one: (one.saves is None, -(one.saves or 0), one.namespace, one.subject)))


def monthly(found: Iterable[Recommendation]) -> Pico:
    """What all that recurs would save; of one subject only the best counts, because two of them exclude each other."""
    best: dict[tuple[str, str], Pico] = {}
    for one in found:
        if one.per is Per.MONTH:
            place = one.namespace, one.subject
            best[place] = max(best.get(place, 0), one.saves or 0)
    return sum(best.values())


# --- endpoints --------------------------------------------------------------------------------------------------------


def of_replicas(
    namespace: str,
    name: str,
    status: Mapping[str, Any],
    seen: Compared | None,
    rivals: Sequence[Rival] = (),
    *,
    why: HeldBack = HeldBack.MODE,
) -> Recommendation | None:
    """Let the operator set the replicas of an endpoint, where following it would have saved something.

    The figure is what it would have saved over the time that was watched, not what the present moment promises; hours
    in which it only recommended stay in the window when it sets them already, and then there is nothing left to do.
    """
    shown = status.get("recommendation") or {}
    current, wanted = status.get("currentReplicas"), shown.get("replicas")
    if seen is None or not seen.possible_time or (seen.possible or 0) <= 0 or why is HeldBack.NOTHING:
        return None
    monthly = Fraction(seen.possible or 0, seen.possible_time) * HOUR * HOURS_PER_MONTH
    now = f", now {current} -> {wanted}" if wanted is not None and wanted != current else ""
    days = Fraction(seen.possible_time, DAY)
    change, command, notes = letting(namespace, name, rivals, why)
    return Recommendation(
        namespace=namespace,
        subject=f"InferenceEndpoint/{name}",
        kind=Kind.REPLICAS,
        change=f"{change}{now}",
        saves=round(monthly),
        per=Per.MONTH,
        confidence=_by_days(days),
        why=f"over {_span(seen.possible_time)} of watching, the recommended replicas would have cost that much less",
        command=command,
        notes=notes,
    )


def of_gpu(
    namespace: str, name: str, target: tuple[str, str], advice: Advice, nodes: Mapping[str, str | None]
) -> Recommendation | None:
    """Serve on a cheaper GPU, or on slices; `target` is the workload, `nodes` selects those with that GPU."""
    best = advice.best
    if best is None:
        return None
    times = f" x {best.for_one}" if best.for_one > 1 else ""
    certain = advice.monthly_certain
    notes = list(best.notes)
    if certain < advice.monthly:
        notes.insert(0, f"for certain {float(certain):,.2f} a month")
    command, said = moving(namespace, target, advice, nodes)
    return Recommendation(
        namespace=namespace,
        subject=f"InferenceEndpoint/{name}",
        kind=Kind.GPU,
        change=f"{best.name}{times}",
        saves=round(advice.monthly * PICO),
        per=Per.MONTH,
        confidence=advice.confidence,
        why=advice.reason,
        command=command,
        notes=(*notes, *said),
    )


def of_last_replica(
    namespace: str, name: str, spec: EndpointSpec, advice: cold.Advice, watched: Micros, *, rivals: Iterable[Rival] = ()
) -> Recommendation | None:
    """Be without a replica, or have it sleep, while nobody asks, where its quiet times have paid for the starts.

    `watched` is the time on which the advice rests. What would break the objective is not recommended.
    """
    late, allowed = advice.late, spec.slo.late_allowed
    if advice.choice is cold.Choice.SLEEP:
        return _asleep(namespace, name, spec, advice, watched)
    if not advice.saving_monthly or advice.saving_monthly <= 0 or advice.idle_after is None:
        return None
    is_done = spec.zero is not None and spec.mode is Mode.AUTO
    if is_done or late is None or late > allowed or (spec.zero is not None and advice.choice is cold.Choice.KEEP):
        return None
    after = format_duration(-(-advice.idle_after // SECOND) * SECOND)
    change: dict[str, Any] = {"mode": "Auto"} if spec.mode is not Mode.AUTO else {}
    notes = [f"{float(late):.2%} of the requests wait for a start; {float(allowed):.2%} may be late"]
    if spec.zero is None:
        change["scaleToZero"] = {"enabled": True, "idleAfter": after, "holder": {"type": "Gateway", "name": "GATEWAY"}}
        notes.append("GATEWAY: the Service that holds requests meanwhile; or a holder of type KedaHttp")
    notes += map(in_the_way, rivals)
    return Recommendation(
        namespace=namespace,
        subject=f"InferenceEndpoint/{name}",
        kind=Kind.COLD_START,
        change=f"no replica after {after} without a request",
        saves=round(advice.saving_monthly),
        per=Per.MONTH,
        confidence=_by_days(Fraction(watched, DAY)),
        why=advice.message,
        command=patch("inferenceendpoint", name, namespace, {"spec": change}),
        notes=tuple(notes),
    )


def _asleep(namespace: str, name: str, spec: EndpointSpec, advice: cold.Advice, watched: Micros) -> Recommendation:
    """What it is worth depends on who uses the memory meanwhile, which nobody knows."""
    target = f"{spec.target.kind.lower()}/{spec.target.name}"
    return Recommendation(
        namespace=namespace,
        subject=f"InferenceEndpoint/{name}",
        kind=Kind.COLD_START,
        change="sleep while nobody asks",
        saves=None,
        per=Per.MONTH,
        confidence=_by_days(Fraction(watched, DAY)),
        why=advice.message,
        command=f"kubectl exec {target} -n {namespace} -- curl -sX POST 'http://localhost:8000/sleep?level=1'",
        notes=("needs vllm serve --enable-sleep-mode with VLLM_SERVER_DEV_MODE=1; POST /wake_up brings it back",),
    )


# --- whatever holds GPUs ----------------------------------------------------------------------------------------------

IDLE_BELOW = Fraction(1, 100)
KNOWN_ABOVE = Fraction(9, 10)
_SCALED = frozenset({"Deployment", "StatefulSet", "ReplicaSet", "Rollout", "LeaderWorkerSet"})


def of_idle(row: Row) -> Recommendation | None:
    """Give back GPUs that computed nothing, where nearly all of the time was measured, a day of a GPU at least."""
    amounts, workload = row.amounts, row.workload
    if workload is None or not row.pods or not row.hourly or amounts.known_gpu_time < DAY:
        return None
    if amounts.known_gpu_time < KNOWN_ABOVE * amounts.gpu_time or (amounts.gpu_utilization or 0) >= IDLE_BELOW:
        return None
    hours = Fraction(amounts.known_gpu_time, HOUR)
    return Recommendation(
        namespace=row.namespace,
        subject=f"{workload.kind}/{workload.name}",
        kind=Kind.IDLE,
        change="give its GPUs back",
        saves=row.hourly * HOURS_PER_MONTH,
        per=Per.MONTH,
        confidence=_by_days(Fraction(amounts.known_gpu_time, DAY)),
        why=f"its GPUs computed for less than 1 % of {float(hours):,.0f} measured GPU-hours",
        command=_stop(row.namespace, workload.kind, workload.name),
    )


def _stop(namespace: str, kind: str, name: str) -> str:
    if kind in _SCALED:
        return f"kubectl scale {kind.lower()}/{name} -n {namespace} --replicas=0"
    if kind in {"TrainingJob", "Job"}:
        return patch(kind.lower(), name, namespace, {"spec": {"suspend": True}})
    if kind == "Pod":
        return f"kubectl delete pod {name} -n {namespace}"
    return f"kubectl cost explain {kind}/{name} -n {namespace}"


# --- training ---------------------------------------------------------------------------------------------------------


def of_training(namespace: str, name: str, spec: Mapping[str, Any], status: Mapping[str, Any]) -> list[Recommendation]:
    """What the estimate of a run and its twin say, while it has not ended."""
    conditions = {one.get("type"): one for one in status.get("conditions") or ()}
    if any(conditions.get(kind, {}).get("status") == "True" for kind in ("Complete", "Failed")) or spec.get("suspend"):
        return []
    found = [
        _duplicate(namespace, name, status, conditions.get("Duplicate") or {}),
        _spot(namespace, name, spec, status),
    ]
    return [one for one in found if one is not None]


def _duplicate(
    namespace: str, name: str, status: Mapping[str, Any], condition: Mapping[str, Any]
) -> Recommendation | None:
    if condition.get("status") != "True" or condition.get("reason") not in {"SameRunComplete", "SameRunGoesOn"}:
        return None
    expected, paid = _expected(status)
    return Recommendation(
        namespace=namespace,
        subject=f"TrainingJob/{name}",
        kind=Kind.DUPLICATE,
        change="stop: it was made before",
        saves=None if expected is None else max(0, expected - paid),
        per=Per.RUN,
        confidence=Confidence.HIGH,
        why=str(condition.get("message") or "the same run was made before"),
        command=patch("trainingjob", name, namespace, {"spec": {"suspend": True}}),
    )


def _spot(namespace: str, name: str, spec: Mapping[str, Any], status: Mapping[str, Any]) -> Recommendation | None:
    """Only what changes where it runs, for the part that is still to be done."""
    cheaper = (status.get("estimate") or {}).get("cheaper") or {}
    saves, (expected, paid) = _money(cheaper.get("saves")), _expected(status)
    if not saves or not expected or cheaper.get("change") != SPOT or paid >= expected:
        return None
    policy = "Auto" if spec.get("completeBy") else "Spot"
    return Recommendation(
        namespace=namespace,
        subject=f"TrainingJob/{name}",
        kind=Kind.SPOT,
        change=SPOT,
        saves=saves * (expected - paid) // expected,
        per=Per.RUN,
        confidence=Confidence.MEDIUM,
        why="by the estimate of the run, for the part that is still to be done",
        command=patch("trainingjob", name, namespace, {"spec": {"placement": {"policy": policy}}}),
        notes=("spot nodes are lost now and then: save checkpoints",),
    )


def _expected(status: Mapping[str, Any]) -> tuple[Pico | None, Pico]:
    """What the whole run was estimated at, and what has been paid."""
    expected, paid = ((status.get(part) or {}).get(name) for part, name in (("estimate", "cost"), ("cost", "total")))
    return _money(expected), _money(paid) or 0


# --- parts ------------------------------------------------------------------------------------------------------------


def _by_days(days: Fraction) -> Confidence:
    return Confidence.HIGH if days >= 7 else Confidence.MEDIUM if days >= 1 else Confidence.LOW


def _span(length: Micros) -> str:
    hours = length / HOUR
    if hours < 2:
        return f"{max(1, round(length / MINUTE))} min"
    return f"{hours / 24:.1f} days" if hours >= 48 else f"{hours:.1f} hours"


def _money(text: object) -> Pico | None:
    try:
        found = Decimal(str(text))
    except InvalidOperation:
        return None
    return int(found * PICO) if found.is_finite() else None
