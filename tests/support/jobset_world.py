"""A JobSet in place of the Job in the simulated surroundings: its controller, and the Jobs that it makes.

The rules are those of jobset v0.11: templates change only while the JobSet is suspended, and of a pod's specification
only node selector and tolerations; a resumed JobSet merges them into the Jobs that exist and takes nothing away; the
condition Suspended comes as soon as the Jobs have been asked to stop.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from gpucost.core.actions import PatchJob
from gpucost.core.capacity import CAPACITY_LABELS, KARPENTER
from gpucost.core.model import Job, JobCondition, Key, Node, Owner, Pod, Resources
from gpucost.core.training.jobset import KIND, PART_LABEL, JobSet, Template, face
from support.training_world import GRACE, Json, Refused, World

WORKERS, DRIVER = "workers", "driver"


@dataclass
class JobSetWorld(World):
    """One TrainingJob that has taken over a JobSet: workers with GPUs, and perhaps a driver without."""

    key: Key = field(default_factory=lambda: Key("research", "bert"))
    jobs: dict[str, Json] = field(default_factory=dict)

    # --- the JobSet and what the operator sees of it --------------------------------------------------------------

    def adopt_existing(
        self, *, selector: Mapping[str, str], workers: int = 1, suspend: bool = False, driver: bool = False
    ) -> None:
        parts = [{"name": DRIVER, "workers": 1, "gpus": False, "nodeSelector": {"pool": "cpu"}}] if driver else []
        parts.append({"name": WORKERS, "workers": workers, "gpus": True, "nodeSelector": dict(selector)})
        self.job = {
            "uid": f"jobset-{next(self._serial)}",
            "version": next(self._serial),
            "created": self.now,
            "annotations": {},
            "suspend": suspend,
            "manager": "kubectl-create",
            "workers": workers,
            "parts": parts,
            "Suspended": False,
            "Complete": False,
        }
        self.held_by_user = suspend

    def job_record(self) -> Job | None:
        jobset = self.jobset_record()
        return None if jobset is None else face(jobset, [self._child_record(name) for name in sorted(self.jobs)])

    def jobset_record(self) -> JobSet | None:
        jobset = self.job
        if jobset is None:
            return None
        kinds = {"Suspended": jobset["Suspended"], "Completed": jobset["Complete"]}
        return JobSet(
            uid=jobset["uid"],
            name=self.key.name,
            namespace=self.key.namespace,
            created=jobset["created"],
            resource_version=str(jobset["version"]),
            annotations=jobset["annotations"],
            suspend=jobset["suspend"],
            templates=tuple(
                Template(
                    part["name"],
                    part["workers"],
                    part["gpus"],
                    part["nodeSelector"],
                    tuple(part.get("tolerations", ())),
                )
                for part in jobset["parts"]
            ),
            conditions=tuple(JobCondition(kind, status, since=self.now) for kind, status in kinds.items()),
            suspend_manager=jobset["manager"],
        )

    def _child_record(self, name: str) -> Job:
        job = self.jobs[name]
        assert self.job is not None
        pods = [pod for pod in self.pods.values() if pod.owner is not None and pod.owner.uid == job["uid"]]
        active = [pod for pod in pods if pod.deleting is None]
        suspended = JobCondition("Suspended", job["suspend"] and job["seen"], since=self.now)
        complete = JobCondition("Complete", job["succeeded"] >= job["workers"], since=self.now)
        return Job(
            uid=job["uid"],
            name=f"bert-{name}-0",
            namespace=self.key.namespace,
            created=self.now,
            resource_version="1",
            owner=Owner(KIND, self.key.name, self.job["uid"]),
            labels={PART_LABEL: name},
            suspend=job["suspend"],
            completions=job["workers"],
            parallelism=job["workers"],
            active=len(active),
            ready=sum(pod.phase == "Running" for pod in active),
            terminating=len(pods) - len(active),
            succeeded=job["succeeded"],
            conditions=(suspended, complete),
            node_selector=job["nodeSelector"],
        )

    # --- writes ---------------------------------------------------------------------------------------------------

    def _patch_by_operator(self, change: PatchJob) -> None:
        jobset = self.job
        if change.kind != KIND:
            raise Refused(f"a {change.kind} in place of the JobSet")
        if jobset is None or jobset["uid"] != change.uid or str(jobset["version"]) != change.resource_version:
            return
        spec: Any = change.patch.get("spec") or {}
        if set(spec) - {"suspend"}:
            raise Refused("replicatedJobs is one list: a merge patch would replace it")
        if spec.get("suspend") is False and self.held_by_user:
            raise Refused("resumed what somebody else suspended")
        if change.parts and not jobset["suspend"]:
            raise Refused("spec.replicatedJobs: field is immutable")
        if spec.get("suspend") is False and any(self._child_record(name).terminating for name in self.jobs):
            raise Refused("resumed while pods of the place before are still ending")
        for part in change.parts:
            template = jobset["parts"][part.index]
            assert template["name"] == part.name
            template["nodeSelector"], template["tolerations"] = dict(part.node_selector), list(part.tolerations)
        if change.reason == "MoveReverted":
            metadata: Any = change.patch["metadata"]
            self.reverts.append(metadata["annotations"]["gpucost.dev/move-refused"])
        self._merge(change.patch, manager="gpucost")

    def _merge(self, patch: Mapping[str, Any], *, manager: str) -> None:
        jobset = self.job
        assert jobset is not None
        notes = (patch.get("metadata") or {}).get("annotations") or {}
        kept = {**jobset["annotations"], **notes}
        jobset["annotations"] = {key: value for key, value in kept.items() if value is not None}
        suspend = (patch.get("spec") or {}).get("suspend", jobset["suspend"])
        if suspend != jobset["suspend"]:
            jobset["suspend"], jobset["manager"] = suspend, manager
        jobset["version"] = next(self._serial)

    # --- controllers ----------------------------------------------------------------------------------------------

    def controller(self) -> None:
        self.jobset_controller()
        self.job_controller()

    def jobset_controller(self) -> None:
        """Make Jobs, suspend them, or resume them with what the templates say now."""
        jobset = self.job
        if jobset is None or jobset["Complete"]:
            return
        for part in jobset["parts"]:
            self.jobs.setdefault(part["name"], self._new_job(part))
            job = self.jobs[part["name"]]
            if job["suspend"] and not jobset["suspend"]:
                job["nodeSelector"] = {**job["nodeSelector"], **part["nodeSelector"]}
                job["seen"] = False
            job["suspend"] = jobset["suspend"]
        before = (jobset["Suspended"], jobset["Complete"])
        jobset["Suspended"] = jobset["suspend"]
        jobset["Complete"] = all(job["succeeded"] >= job["workers"] for job in self.jobs.values())
        if before != (jobset["Suspended"], jobset["Complete"]):
            jobset["version"] = next(self._serial)

    def _new_job(self, part: Mapping[str, Any]) -> Json:
        assert self.job is not None
        return {
            "uid": f"job-{next(self._serial)}",
            "workers": part["workers"],
            "nodeSelector": dict(part["nodeSelector"]),
            "suspend": self.job["suspend"],
            "seen": False,
            "succeeded": 0,
        }

    def job_controller(self) -> None:
        """The Job controller, once for each Job."""
        for job in self.jobs.values():
            mine = [pod for pod in self.pods.values() if pod.owner is not None and pod.owner.uid == job["uid"]]
            for pod in mine:
                if pod.phase in {"Failed", "Succeeded"}:
                    job["succeeded"] += pod.phase == "Succeeded"
                    self._remove(pod.uid)
                elif job["suspend"] and pod.deleting is None:
                    self.pods[pod.uid] = replace(pod, deleting=self.now + GRACE)
            job["seen"] = job["suspend"]
            left = [pod for pod in mine if pod.uid in self.pods]
            if not job["suspend"]:
                self._start(job, job["workers"] - job["succeeded"] - len(left))

    def _start(self, job: Json, count: int) -> None:
        keys = [key for key in job["nodeSelector"] if key in CAPACITY_LABELS]
        wanted = str(job["nodeSelector"].get(KARPENTER, "")) if len(keys) < 2 else "nothing"
        for _ in range(count):
            uid = f"pod-{next(self._serial)}"
            owner = Owner("Job", "bert", job["uid"])
            self.pods[uid] = Pod(uid, uid, self.key.namespace, self.now, owner=owner)
            self.placed[uid] = "cpu" if job["nodeSelector"].get("pool") == "cpu" else wanted

    def schedule(self) -> None:
        for pod in self._active():
            if pod.node_name is None and self.placed[pod.uid] == "cpu":
                node = Node(f"n-{pod.uid}", f"n-{pod.uid}", self.now, Resources(cpu_milli=8000), {"pool": "cpu"})
                self.nodes[node.name] = node
                self.pods[pod.uid] = replace(pod, node_name=node.name, phase="Running", bound=self.now)
        super().schedule()

    # --- for tests ------------------------------------------------------------------------------------------------

    def lose_spot(self) -> None:
        self._without_cpu(super().lose_spot)

    def lose_on_demand(self) -> None:
        self._without_cpu(super().lose_on_demand)

    def _without_cpu(self, lose: Any) -> None:
        hidden = {name: node for name, node in self.nodes.items() if KARPENTER not in node.labels}
        self.nodes = {name: node for name, node in self.nodes.items() if name not in hidden}
        lose()
        self.nodes |= hidden

    def placements(self) -> set[str]:
        return super().placements() - {"cpu"}

    def running_on(self) -> Any:
        drivers = {uid: pod for uid, pod in self.pods.items() if self.placed[uid] == "cpu"}
        for uid in drivers:
            del self.pods[uid]
        try:
            return super().running_on()
        finally:
            self.pods |= drivers


def two_keys_would_select_nothing(world: JobSetWorld) -> bool:
    """Whether a Job of the JobSet has been given selectors that no node can satisfy."""
    return any(len({*CAPACITY_LABELS} & {*job["nodeSelector"]}) > 1 for job in world.jobs.values())
