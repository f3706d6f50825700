"""The commands that carry out what is recommended about an endpoint, as they work on this cluster.

What is in the way is what a command takes away: the mode, a dry run, an autoscaler. Where nothing is in the way, the
recommendation has been followed already, and there is none.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any

from gpucost.core.serving.advice import Advice
from gpucost.core.serving.pausing import DRY_RUN, pause_of
from gpucost.core.serving.spec import EndpointSpec, Mode
from gpucost.core.serving.state import Rival

_AUTOSCALERS = frozenset({"HorizontalPodAutoscaler", "ScaledObject"})
"""Who may be deleted without anything else going with them."""
_RESIZED = frozenset({"Deployment", "StatefulSet", "ReplicaSet", "DaemonSet"})
"""Kinds that `kubectl set resources` knows."""


class HeldBack(StrEnum):
    """Why an endpoint only recommends its replicas."""

    MODE = "mode"
    """`spec.mode`."""
    DRY_RUN = "dryRun"
    """The annotation, in mode Auto."""
    RIVALS = "rivals"
    """Autoscalers set them, in mode Auto."""
    NOTHING = "nothing"
    """It sets them already, or no command of ours lets it."""


def held_back(spec: EndpointSpec, annotations: Mapping[str, str], rivals: Iterable[Rival]) -> HeldBack:
    """What keeps the operator from setting the replicas of an endpoint."""
    if spec.mode is not Mode.AUTO:
        return HeldBack.MODE if spec.mode is Mode.RECOMMEND else HeldBack.NOTHING
    others = list(rivals)
    if others:
        return HeldBack.RIVALS if all(map(_may_go, others)) else HeldBack.NOTHING
    return HeldBack.DRY_RUN if pause_of(annotations).dry_run else HeldBack.NOTHING


def _may_go(rival: Rival) -> bool:
    return rival.kind in _AUTOSCALERS and not rival.made


def letting(namespace: str, name: str, rivals: Sequence[Rival], why: HeldBack) -> tuple[str, str, tuple[str, ...]]:
    """What has to be changed for the operator to set the replicas, the command, and what to mind."""
    if why is HeldBack.RIVALS:
        listed = " ".join(f"{one.kind.lower()}/{one.name}" for one in rivals)
        command = f"kubectl delete {listed} -n {namespace}"
        return "set the replicas alone", command, ("this endpoint takes over at once",)
    notes = tuple(in_the_way(one) for one in rivals)
    if why is HeldBack.DRY_RUN:
        return "no dry run", f"kubectl annotate inferenceendpoint {name} -n {namespace} {DRY_RUN}-", notes
    return "mode Auto", patch("inferenceendpoint", name, namespace, {"spec": {"mode": "Auto"}}), notes


def in_the_way(rival: Rival) -> str:
    """What has to be done about somebody else who sets the replicas."""
    if rival.made:
        return f"{rival} has made the workload and may set them: set the number there"
    return f"{rival} sets them now: delete it first"


def moving(
    namespace: str, target: tuple[str, str], advice: Advice, nodes: Mapping[str, str | None]
) -> tuple[str, list[str]]:
    """The command for another GPU, and what is to be done besides."""
    (kind, name), best = target, advice.best
    assert best is not None
    lower, count = kind.lower(), advice.replicas * best.for_one
    more = f"{count} replicas in place of {advice.replicas}: maxReplicas has to allow them"
    notes = [more] if best.for_one > 1 else []
    if best.resource.startswith("nvidia.com/mig-"):
        if kind not in _RESIZED:
            asked = f"its pods have to ask for {best.resource}: 1 in place of nvidia.com/gpu"
            return f"kubectl edit {lower}/{name} -n {namespace}", [*notes, asked]
        held = f"nvidia.com/gpu=0,{best.resource}=1"
        command = f"kubectl set resources {lower}/{name} -n {namespace} --limits={held} --requests={held}"
        scale = [f"before it: kubectl scale {lower}/{name} -n {namespace} --replicas={count}"] if notes else []
        return command, [*notes, *scale, "it sets every container: add -c NAME where there are sidecars"]
    selected: dict[str, Any] = {"spec": {"nodeSelector": dict(nodes)}}
    body: dict[str, Any] = {"template": selected}
    if kind == "LeaderWorkerSet":
        body = {"leaderWorkerTemplate": {"workerTemplate": selected}}
        notes.append("a leaderTemplate, where there is one, needs the same nodeSelector")
    if best.for_one > 1:
        body = {"replicas": count, **body}
    return patch(lower, name, namespace, {"spec": body}), notes


def patch(kind: str, name: str, namespace: str, body: Mapping[str, Any]) -> str:
    """A merge patch by kubectl."""
    text = json.dumps(body, separators=(",", ":"))
    return f"kubectl patch {kind} {name} -n {namespace} --type merge -p {shlex.quote(text)}"
