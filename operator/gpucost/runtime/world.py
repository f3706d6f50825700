"""What the operator knows of the cluster: the caches, and the indexes over them.

Handlers of watches only update records here and mark keys dirty; nothing is decided on the way in. Everything is a
plain dictionary, touched by one event loop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gpucost.core.model import Job, Key, Node, Owner, Pod, Workload
from gpucost.core.training.runs.child import parent_of
from gpucost.sources.reflector import Change

TRAINING_JOB = "TrainingJob"


@dataclass(frozen=True, slots=True)
class Custom:
    """One of our custom resources as last watched: its metadata in short, spec and status as JSON."""

    kind: str
    uid: str
    name: str
    namespace: str
    generation: int
    spec: Mapping[str, Any]
    status: Mapping[str, Any] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    deleting: bool = False
    body: Mapping[str, Any] = field(default_factory=dict)
    """The whole object without managedFields, for the API's own model to read."""

    @property
    def key(self) -> Key:
        """Namespace and name."""
        return Key(self.namespace, self.name)


def custom_record(body: Mapping[str, Any]) -> Custom:
    """Read a custom resource."""
    metadata = body["metadata"]
    slim = {k: v for k, v in metadata.items() if k != "managedFields"}
    return Custom(
        kind=body["kind"],
        uid=metadata["uid"],
        name=metadata["name"],
        namespace=metadata.get("namespace", ""),
        generation=metadata.get("generation", 0),
        spec=body.get("spec") or {},
        status=body.get("status") or {},
        labels=metadata.get("labels") or {},
        annotations=metadata.get("annotations") or {},
        deleting=bool(metadata.get("deletionTimestamp")),
        body={**body, "metadata": slim},
    )


@dataclass
class World:
    """Caches and indexes."""

    nodes: dict[str, Node] = field(default_factory=dict)
    pods: dict[str, Pod] = field(default_factory=dict)
    jobs: dict[str, Job] = field(default_factory=dict)
    trainingjobs: dict[Key, Custom] = field(default_factory=dict)
    pricebooks: dict[str, Custom] = field(default_factory=dict)
    job_by_key: dict[Key, str] = field(default_factory=dict)
    node_by_name: dict[str, Node] = field(default_factory=dict)
    trainingjob_uids: frozenset[str] = frozenset()
    pods_by_job: dict[str, set[str]] = field(default_factory=dict)
    claims: dict[Key, set[Key]] = field(default_factory=dict)
    """TrainingJobs that speak of a Job: by name of the Job."""
    runs_of: dict[str, set[Key]] = field(default_factory=dict)
    """TrainingJobs that a schedule has made: by UID of the TrainingJob whose it is."""
    on_dirty: Callable[[Key], None] = lambda _key: None
    on_claimed: Callable[[Iterable[str]], None] = lambda _uids: None
    """Told the UIDs of pods whose Job a TrainingJob has taken over."""

    # --- changes ------------------------------------------------------------------------------------------------------

    def node_changed(self, change: Change[Node]) -> None:
        """A node appeared, changed or went."""
        if change.old is not None:
            known = self.node_by_name.get(change.old.name)
            if known is not None and known.uid == change.old.uid:
                del self.node_by_name[change.old.name]
        if change.new is not None:
            self.node_by_name[change.new.name] = change.new

    def job_changed(self, change: Change[Job]) -> None:
        """A Job appeared, changed or went: whoever speaks of it looks again."""
        record = change.new or change.old
        assert record is not None
        key = Key(record.namespace, record.name)
        if change.new is not None:
            self.job_by_key[key] = record.uid
        elif self.job_by_key.get(key) == record.uid:
            del self.job_by_key[key]
        self._dirty(self.claimants(record))

    def pod_changed(self, change: Change[Pod]) -> None:
        """A pod appeared, changed or went: the TrainingJob behind its Job looks again."""
        record = change.new or change.old
        assert record is not None
        if record.owner is None or record.owner.kind != "Job":
            return
        members = self.pods_by_job.setdefault(record.owner.uid, set())
        if change.new is not None:
            members.add(record.uid)
        else:
            members.discard(record.uid)
            if not members:
                del self.pods_by_job[record.owner.uid]
        job = self.jobs.get(record.owner.uid)
        if job is not None:
            self._dirty(self.claimants(job))

    def trainingjob_changed(self, record: Custom) -> None:
        """A TrainingJob appeared or changed."""
        old = self.trainingjobs.get(record.key)
        if old is not None:
            self._unclaim(old)
        self.trainingjobs[record.key] = record
        if old is None or old.uid != record.uid:
            self._trainingjobs_listed()
        self.claims.setdefault(self.job_key(record), set()).add(record.key)
        if record.spec.get("workloadRef") and (old is None or self.job_key(old) != self.job_key(record)):
            self.on_claimed(self.pods_by_job.get(self.job_by_key.get(self.job_key(record), ""), ()))
        if old is None or old != record:
            self.on_dirty(record.key)
            self._schedule_changed(record)

    def trainingjob_gone(self, key: Key) -> None:
        """A TrainingJob was deleted: who works on it forgets it; another that waited for the same Job looks again."""
        record = self.trainingjobs.pop(key, None)
        if record is not None:
            self._unclaim(record)
            self._trainingjobs_listed()
            self._schedule_changed(record, gone=True)
            self._dirty({key, *self.claims.get(self.job_key(record), ())})

    def _schedule_changed(self, run: Custom, *, gone: bool = False) -> None:
        """A run appeared, changed or went: the schedule that has made it looks again."""
        parent = parent_of(run.body.get("metadata") or {})
        if parent is None:
            return
        name, uid = parent
        members = self.runs_of.setdefault(uid, set())
        (members.discard if gone else members.add)(run.key)
        if not members:
            del self.runs_of[uid]
        self._dirty({Key(run.namespace, name)} & self.trainingjobs.keys())

    def _trainingjobs_listed(self) -> None:
        self.trainingjob_uids = frozenset(record.uid for record in self.trainingjobs.values())

    def _unclaim(self, record: Custom) -> None:
        claimants = self.claims.get(self.job_key(record))
        if claimants is not None:
            claimants.discard(record.key)
            if not claimants:
                del self.claims[self.job_key(record)]

    def _dirty(self, keys: Iterable[Key]) -> None:
        for key in tuple(keys):
            self.on_dirty(key)

    # --- look-ups -----------------------------------------------------------------------------------------------------

    @staticmethod
    def job_key(record: Custom) -> Key:
        """Name of the Job that a TrainingJob speaks of: the one it refers to, else its own namesake."""
        reference = record.spec.get("workloadRef") or {}
        return Key(record.namespace, str(reference.get("name") or record.name))

    def claimants(self, job: Job) -> set[Key]:
        """TrainingJobs that own or refer to a Job."""
        keys = set(self.claims.get(Key(job.namespace, job.name), ()))
        if job.owner is not None and job.owner.kind == TRAINING_JOB:
            key = Key(job.namespace, job.owner.name)
            if key in self.trainingjobs:
                keys.add(key)
        return keys

    def children_of(self, uid: str) -> tuple[Custom, ...]:
        """TrainingJobs that the schedule of a TrainingJob has made."""
        found = (self.trainingjobs.get(key) for key in sorted(self.runs_of.get(uid, ())))
        return tuple(record for record in found if record is not None)

    def job_of(self, record: Custom) -> Job | None:
        """The Job that a TrainingJob owns or refers to, whoever else owns it."""
        uid = self.job_by_key.get(self.job_key(record))
        return self.jobs.get(uid) if uid else None

    def pods_of(self, job: Job) -> tuple[Pod, ...]:
        """Pods controlled by a Job that still exist."""
        return tuple(self.pods[uid] for uid in sorted(self.pods_by_job.get(job.uid, ())) if uid in self.pods)

    def workload_of(self, pod: Pod) -> Workload:
        """Topmost known owner of a pod; a bare pod is its own."""
        owner = pod.owner
        if owner is None:
            return Workload("Pod", pod.name)
        if owner.kind == "Job":
            return self._workload_of_job(owner)
        if owner.kind == "ReplicaSet":
            suffix = "-" + pod.labels.get("pod-template-hash", "")
            if len(suffix) > 1 and owner.name.endswith(suffix):
                return Workload("Deployment", owner.name.removesuffix(suffix))
        return Workload(owner.kind, owner.name)

    def _workload_of_job(self, owner: Owner) -> Workload:
        job = self.jobs.get(owner.uid)
        return self.workload_of_job(job) if job is not None else Workload("Job", owner.name)

    def workload_of_job(self, job: Job) -> Workload:
        """Whom the cost of a Job is shown for: its owner, the TrainingJob that took it over, or itself."""
        if job.owner is not None:
            return Workload(job.owner.kind, job.owner.name)
        for key in sorted(self.claims.get(Key(job.namespace, job.name), ())):
            if self.trainingjobs[key].spec.get("workloadRef"):
                return Workload(TRAINING_JOB, key.name)
        return Workload("Job", job.name)

    def is_resolved(self, pod: Pod) -> bool:
        """Whether the pod's workload is final: its Job, if it has one, has been seen."""
        return pod.owner is None or pod.owner.kind != "Job" or pod.owner.uid in self.jobs
