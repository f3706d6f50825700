"""A Job in a queue of Kueue in the simulated surroundings: the queue starts and stops it, and chooses its nodes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from gpucost.core.actions import Action, CreateJob, PatchJob
from gpucost.core.capacity import KARPENTER
from gpucost.core.model import Job, JobCondition
from gpucost.core.training import memory
from gpucost.core.training.plan import TrainingState
from gpucost.core.training.queueing import KIND, Entry
from support.training_world import ON_DEMAND, Json, Refused, World

LABELS = {"kueue.x-k8s.io/queue-name": "gpus"}


@dataclass
class QueuedWorld(World):
    """One TrainingJob whose Job names a queue."""

    entry: Json | None = None
    quota: bool = True
    flavor: str = ON_DEMAND
    out_by_user: bool = False
    """A person has taken it out of the queue and not put it back."""
    labels: Mapping[str, str] = field(default_factory=lambda: LABELS)

    def state(self) -> TrainingState:
        return replace(super().state(), labels=self.labels, entry=self.entry_record())

    def job_record(self) -> Job | None:
        job = super().job_record()
        return job and replace(job, queue="gpus")

    def entry_record(self) -> Entry | None:
        entry = self.entry
        if entry is None:
            return None
        admitted = JobCondition("Admitted", entry["admitted"])
        return Entry(
            uid="w1",
            name="job-bert-1",
            namespace=self.key.namespace,
            resource_version=str(entry["version"]),
            api_version="kueue.x-k8s.io/v1beta2",
            owner_uid=str(self.job and self.job["uid"]),
            active=entry["active"],
            annotations=entry["annotations"],
            conditions=(admitted,),
            flavors=(self.flavor,) if entry["admitted"] else (),
            active_manager=entry["manager"],
        )

    # --- writes ---------------------------------------------------------------------------------------------------

    def write(self, action: Action) -> None:
        if isinstance(action, CreateJob) and not action.manifest["spec"]["suspend"]:  # type: ignore[index]
            raise Refused("a queued Job was made running")
        super().write(action)

    def _patch_by_operator(self, change: PatchJob) -> None:
        if change.kind != KIND:
            raise Refused("touched a Job that its queue starts and stops")
        entry = self.entry
        if entry is None or str(entry["version"]) != change.resource_version:
            return
        spec: Any = change.patch.get("spec") or {}
        if spec.get("active") is True and self.out_by_user:
            raise Refused("put back what somebody else took out")
        metadata: Any = change.patch["metadata"]
        self._change(spec.get("active"), metadata["annotations"], memory.US)

    def _change(self, active: bool | None, notes: Mapping[str, str | None], manager: str) -> None:
        entry = self.entry
        assert entry is not None
        kept = {**entry["annotations"], **notes}
        entry["annotations"] = {key: value for key, value in kept.items() if value is not None}
        if active is not None and active != entry["active"]:
            entry["active"], entry["manager"] = active, manager
        entry["version"] = next(self._serial)

    # --- Kueue, and people ----------------------------------------------------------------------------------------

    def controller(self) -> None:
        self.kueue()
        super().controller()

    def kueue(self) -> None:
        """Admit what is active while there is quota; stop what is not."""
        job = self.job
        if job is None or job["Complete"]:
            return
        if self.entry is None:
            self.entry = {"version": 1, "active": True, "annotations": {}, "manager": "kueue", "admitted": False}
        entry = self.entry
        admitted = entry["active"] and self.quota
        if admitted and job["suspend"] and not (job["Suspended"] and job["active"] == 0):
            return  # the pods of before are still ending
        if admitted != entry["admitted"]:
            entry["admitted"], entry["version"] = admitted, next(self._serial)
        if job["suspend"] == admitted:
            if admitted:
                job["template"]["nodeSelector"] = {KARPENTER: self.flavor}
            job["suspend"], job["manager"], job["version"] = not admitted, "kueue", next(self._serial)

    def user_suspends(self) -> None:
        """Beside a queue people take a run out instead."""
        if self.entry is not None and self.entry["active"]:
            self._change(False, {}, "kubectl-patch")
            self.out_by_user = True

    def user_resumes(self) -> None:
        if self.entry is not None and not self.entry["active"]:
            self._change(True, {}, "kubectl-patch")
            self.out_by_user = False
