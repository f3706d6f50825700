"""A small model of what surrounds a TrainingJob: API server, Job controller, scheduler, kubelet, nodes, people.

It keeps the rules that a move depends on (Kubernetes 1.37, `podReplacementPolicy: Failed`): a suspended Job's pods are
deleted and end within their grace period; directives of the template change only while the Job has really stopped;
replacements come after the old pods have ended; a write for an old resourceVersion is a conflict.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from gpucost.core.actions import Action, CreateJob, CreateService, Decision, PatchJob
from gpucost.core.capacity import KARPENTER, Provider
from gpucost.core.clock import SECOND, Instant, format_rfc3339
from gpucost.core.model import CapacityType, Job, JobCondition, Key, Node, Owner, Pod, Resources, Waiting
from gpucost.core.training.curve import with_checkpoint, with_report
from gpucost.core.training.plan import Interruption, TrainingContext, TrainingState, plan
from gpucost.core.training.progress import Checkpoint, Progress, Report
from gpucost.core.training.spec import TrainingSpec
from gpucost.core.training.stopping.budget import Spending
from gpucost.core.training.stopping.idle import Span

Json = dict[str, Any]
SPOT, ON_DEMAND = "spot", "on-demand"
GRACE = 30 * SECOND
_WORDS = {True: "True", False: "False", None: "Unknown"}


class Refused(AssertionError):
    """A write that the API server would refuse: the plan must never ask for it."""


@dataclass
class World:
    """One TrainingJob and its surroundings at an instant."""

    spec: TrainingSpec
    now: Instant
    key: Key = field(default_factory=lambda: Key("research", "bert"))
    generation: int = 1
    job: Json | None = None
    pods: dict[str, Pod] = field(default_factory=dict)
    placed: dict[str, str] = field(default_factory=dict)
    """Capacity that each pod asks for, by its UID; empty for any."""
    nodes: dict[str, Node] = field(default_factory=dict)
    capacity: dict[str, bool] = field(default_factory=lambda: {SPOT: True, ON_DEMAND: True})
    status: Json = field(default_factory=dict)
    interruptions: list[Interruption] = field(default_factory=list)
    events: set[tuple[str, str]] = field(default_factory=set)
    service: bool = False
    held_by_user: bool = False
    """A person has suspended the Job and not resumed it."""
    reverts: list[str] = field(default_factory=list)
    writes: int = 0
    progress: Progress = field(default_factory=Progress)
    annotations: Json = field(default_factory=dict)
    """Those of the TrainingJob."""
    groups: Mapping[str, Any] = field(default_factory=dict)
    spending: Spending | None = None
    quiet: bool = False
    """The GPUs of all pods have done nothing since they started."""
    asked: Instant | None = None
    """Since when the run has been asked for a checkpoint."""
    saves: bool = True
    """The run writes a checkpoint when it is asked for one."""
    _serial: Any = field(default_factory=lambda: itertools.count(1))

    # --- what the operator sees and does --------------------------------------------------------------------------

    def state(self) -> TrainingState:
        return TrainingState(
            key=self.key,
            uid="tj-1",
            generation=self.generation,
            labels={},
            spec=self.spec,
            job=self.job_record(),
            pods=tuple(self.pods.values()),
            service_exists=self.service,
            status=self.status,
            interruptions=tuple(self.interruptions),
            progress=self.progress,
            annotations=self.annotations,
            groups=self.groups,
            spending=self.spending,
            quiet={uid: self._spans(pod) for uid, pod in self.pods.items()},
        )

    def _spans(self, pod: Pod) -> tuple[Span, ...]:
        return (Span(pod.started, self.now, quiet=True),) if self.quiet and pod.started is not None else ()

    def context(self) -> TrainingContext:
        return TrainingContext(now=self.now, provider=Provider.KARPENTER, nodes=dict(self.nodes))

    def decide(self) -> Decision:
        return plan(self.state(), self.context())

    def operate(self, *, survive: int | None = None) -> Decision:
        """One pass; with `survive` the operator dies after so many writes, the status being the last one."""
        decision = self.decide()
        if decision.ask_checkpoint:
            self.asked = self.asked if self.asked is not None else self.now
        for done, action in enumerate(decision.actions):
            if survive is not None and done >= survive:
                return decision
            self.write(action)
        if survive is not None and len(decision.actions) >= survive:
            return decision
        self.events |= {(note.reason, note.dedupe) for note in decision.events}
        self.status = {**decision.status, "conditions": self._conditions(decision)}
        return decision

    def _conditions(self, decision: Decision) -> list[Json]:
        return [
            {"type": c.type, "status": _WORDS[c.status], "reason": c.reason, "message": c.message}
            for c in decision.conditions
        ]

    def condition(self, kind: str) -> Json:
        return next(one for one in self.status["conditions"] if one["type"] == kind)

    def write(self, action: Action) -> None:
        """What the API server makes of an action."""
        self.writes += 1
        match action:
            case CreateService():
                self.service = True
            case CreateJob(manifest=manifest):
                self._create(manifest)
            case PatchJob() as change:
                self._patch_by_operator(change)

    def _create(self, manifest: Mapping[str, Any]) -> None:
        if self.job is not None:
            return
        pod = manifest["spec"]["template"]["spec"]
        self.job = {
            "uid": f"job-{next(self._serial)}",
            "version": next(self._serial),
            "created": self.now,
            "owned": True,
            "annotations": dict(manifest["metadata"]["annotations"]),
            "suspend": manifest["spec"]["suspend"],
            "manager": "gpucost",
            "workers": manifest["spec"]["completions"],
            "template": {key: pod.get(key) for key in ("nodeSelector", "tolerations", "affinity")},
            "notes": {},
            "Suspended": False,
            "Complete": False,
            "active": 0,
            "terminating": 0,
            "succeeded": 0,
            "ready": 0,
            "failed": 0,
        }

    def adopt_existing(self, *, selector: Mapping[str, str], workers: int = 1, suspend: bool = False) -> None:
        """A Job that somebody has made themselves."""
        pod = {"nodeSelector": dict(selector)}
        spec = {"suspend": suspend, "completions": workers, "template": {"spec": pod}}
        self._create({"metadata": {"annotations": {}}, "spec": spec})
        assert self.job is not None
        self.job["owned"], self.job["manager"] = False, "kubectl-create"
        self.held_by_user = suspend

    def _patch_by_operator(self, change: PatchJob) -> None:
        job = self.job
        if job is None or job["uid"] != change.uid or str(job["version"]) != change.resource_version:
            return
        spec: Any = change.patch.get("spec") or {}
        if spec.get("suspend") is False and self.held_by_user:
            raise Refused("resumed what somebody else suspended")
        if "template" in spec and not (job["suspend"] and job["Suspended"] and job["active"] == 0):
            raise Refused("spec.template: field is immutable")
        if change.reason == "MoveReverted":
            metadata: Any = change.patch["metadata"]
            self.reverts.append(metadata["annotations"]["gpucost.dev/move-refused"])
        self._merge(change.patch, manager="gpucost")

    def _merge(self, patch: Mapping[str, Any], *, manager: str) -> None:
        assert self.job is not None
        if (patch.get("spec") or {}).get("suspend", self.job["suspend"]) != self.job["suspend"]:
            self.job["manager"] = manager
        body = {
            "metadata": {"annotations": self.job["annotations"]},
            "spec": {
                "suspend": self.job["suspend"],
                "template": {"spec": self.job["template"], "metadata": {"annotations": self.job["notes"]}},
            },
        }
        merged = merge(body, patch)
        self.job["annotations"] = merged["metadata"]["annotations"]
        self.job["suspend"] = merged["spec"]["suspend"]
        self.job["template"] = merged["spec"]["template"]["spec"]
        self.job["notes"] = merged["spec"]["template"]["metadata"]["annotations"]
        self.job["version"] = next(self._serial)

    def job_record(self) -> Job | None:
        job = self.job
        if job is None:
            return None
        kinds = [JobCondition(kind, job[kind], since=self.now) for kind in ("Suspended", "Complete")]
        return Job(
            uid=job["uid"],
            name=self.key.name,
            namespace=self.key.namespace,
            created=job["created"],
            resource_version=str(job["version"]),
            owner=Owner("TrainingJob", self.key.name, "tj-1") if job["owned"] else None,
            annotations=job["annotations"],
            suspend=job["suspend"],
            suspend_manager=job["manager"],
            completions=job["workers"],
            parallelism=job["workers"],
            active=job["active"],
            ready=job["ready"],
            terminating=job["terminating"],
            succeeded=job["succeeded"],
            failed=job["failed"],
            conditions=tuple(kinds),
            node_selector=job["template"].get("nodeSelector") or {},
            tolerations=tuple(job["template"].get("tolerations") or ()),
            affinity=job["template"].get("affinity"),
        )

    # --- Kubernetes -------------------------------------------------------------------------------------------------

    def kubernetes(self) -> None:
        """Kubelet, Job controller and scheduler once each."""
        self.kubelet()
        self.controller()
        self.schedule()
        self.program()

    def kubelet(self) -> None:
        """Pods that were told to end do so within their grace period."""
        for pod in list(self.pods.values()):
            if pod.deleting is not None and (pod.node_name is None or pod.deleting <= self.now):
                self._remove(pod.uid)

    def program(self) -> None:
        """The training program writes the checkpoint that it was asked for."""
        if self.asked is not None and self.saves and any(pod.phase == "Running" for pod in self._active()):
            latest = self.progress.latest
            saved = Checkpoint(self.now, latest.step if latest is not None else None)
            self.progress, self.asked = with_checkpoint(self.progress, saved), None

    def reports(self, step: int, **metrics: float) -> None:
        """The program says how far it is."""
        self.progress = with_report(self.progress, Report(self.now, step, metrics=metrics))

    def _remove(self, uid: str) -> None:
        pod = self.pods.pop(uid)
        if pod.node_name is not None:
            self.nodes.pop(pod.node_name, None)

    def controller(self) -> None:
        job = self.job
        if job is None or job["Complete"]:
            return
        before = dict(job)
        done = [uid for uid, pod in self.pods.items() if pod.phase in {"Failed", "Succeeded"}]
        job["succeeded"] += sum(self.pods[uid].phase == "Succeeded" for uid in done)
        for uid in done:
            self._remove(uid)
        job["Complete"] = job["succeeded"] >= job["workers"]
        if job["suspend"]:
            for pod in self._active():
                self.pods[pod.uid] = replace(pod, deleting=self.now + GRACE)
        elif not job["Complete"]:
            self._fill(job)
        job["Suspended"] = job["suspend"] and not job["Complete"]
        job["active"] = len(self._active())
        job["terminating"] = len(self.pods) - job["active"]
        job["ready"] = sum(pod.phase == "Running" for pod in self._active())
        if {**job, "version": 0} != {**before, "version": 0}:
            job["version"] = next(self._serial)

    def _active(self) -> list[Pod]:
        return [pod for pod in self.pods.values() if pod.deleting is None]

    def _fill(self, job: Json) -> None:
        wanted = str((job["template"].get("nodeSelector") or {}).get(KARPENTER, ""))
        for _ in range(job["workers"] - job["succeeded"] - len(self.pods)):
            uid = f"pod-{next(self._serial)}"
            owner, gpus = Owner("Job", "bert", job["uid"]), Resources(gpus=8)
            self.pods[uid] = Pod(uid, uid, self.key.namespace, self.now, gpus, owner=owner)
            self.placed[uid] = wanted

    def schedule(self) -> None:
        """A node is bought for every pod that waits, where there is one to buy."""
        for pod in self._active():
            if pod.node_name is not None:
                continue
            kind = self.placed[pod.uid] or next((kind for kind, there in self.capacity.items() if there), "")
            if not self.capacity.get(kind):
                words = Waiting("Unschedulable", f"no {kind} node", pod.created)
                self.pods[pod.uid] = replace(pod, waiting=words)
                continue
            node = Node(f"n-{pod.uid}", f"n-{pod.uid}", self.now, Resources(gpus=8), {KARPENTER: kind})
            self.nodes[node.name] = node
            self.pods[pod.uid] = replace(
                pod, node_name=node.name, phase="Running", waiting=None, bound=self.now, started=self.now
            )

    # --- fate and people --------------------------------------------------------------------------------------------

    def lose_spot(self) -> None:
        """Every spot node is taken away, with its pods."""
        for pod in list(self.pods.values()):
            node = self.nodes.get(pod.node_name or "")
            if node is not None and node.labels[KARPENTER] == SPOT:
                self.interruptions.append(Interruption(pod.uid, self.now, node.name, "SpotInterruption"))
                self._remove(pod.uid)

    def lose_on_demand(self) -> None:
        """Every on-demand node fails, with its pods."""
        for pod in list(self.pods.values()):
            node = self.nodes.get(pod.node_name or "")
            if node is not None and node.labels[KARPENTER] == ON_DEMAND:
                self._remove(pod.uid)

    def user_suspends(self) -> None:
        if self.job is not None and not self.job["Complete"] and not self.job["suspend"]:
            self._merge({"spec": {"suspend": True}}, manager="kubectl-patch")
            self.held_by_user = True

    def user_resumes(self) -> None:
        if self.job is not None and self.job["suspend"]:
            self._merge({"spec": {"suspend": False}}, manager="kubectl-patch")
            self.held_by_user = False

    def user_edits(self, spec: TrainingSpec) -> None:
        if spec != self.spec:
            self.spec, self.generation = spec, self.generation + 1

    def finish(self) -> None:
        """The program ends well on every worker that runs."""
        for pod in self._active():
            if pod.phase == "Running":
                self.pods[pod.uid] = replace(pod, phase="Succeeded", ended=self.now)

    # --- for tests --------------------------------------------------------------------------------------------------

    def settle(self, rounds: int = 60, step: int = 5 * SECOND) -> None:
        """Let everybody work for a while."""
        for _ in range(rounds):
            self.kubernetes()
            self.operate()
            self.now += step

    def placements(self) -> set[str]:
        """Capacity types that living pods of the run hold or ask for."""
        return {self.placed[uid] for uid, pod in self.pods.items() if pod.phase not in {"Failed", "Succeeded"}}

    def running_on(self) -> CapacityType | None:
        """Where every worker runs; None when one does not."""
        kinds = {self.nodes[pod.node_name].labels[KARPENTER] for pod in self._active() if pod.node_name}
        whole = self.job is not None and len(self._active()) == self.job["workers"]
        running = whole and all(pod.phase == "Running" for pod in self._active())
        names = {SPOT: CapacityType.SPOT, ON_DEMAND: CapacityType.ON_DEMAND}
        return names[kinds.pop()] if running and len(kinds) == 1 else None

    def __str__(self) -> str:
        return f"{format_rfc3339(self.now)} job={self.job} pods={list(self.pods.values())}"


def merge(target: Any, patch: Any) -> Any:
    """JSON merge patch (RFC 7386)."""
    if not isinstance(patch, Mapping):
        return patch
    result = dict(target) if isinstance(target, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge(result.get(key), value)
    return result
