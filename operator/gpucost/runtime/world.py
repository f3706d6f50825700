"""What the operator knows of the cluster: the caches, and the indexes over them.

Handlers of watches only update records here and mark keys dirty; nothing is decided on the way in. Everything is a
plain dictionary, touched by one event loop.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gpucost.core.clock import Instant, parse_rfc3339
from gpucost.core.model import Job, Key, Node, Owner, Pod, Workload
from gpucost.core.owners import above
from gpucost.core.training import jobset
from gpucost.core.training.jobset import JobSet
from gpucost.core.training.queueing import Entry
from gpucost.core.training.runs.child import parent_of
from gpucost.sources.reflector import Change

TRAINING_JOB = "TrainingJob"
Named = tuple[str, Key]
"""A workload by kind and name, such as ("Job", research/bert)."""
_SHORT = 40
"""Characters up to which a text is likely to repeat: kinds, reasons, times."""


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

    @property
    def created(self) -> Instant:
        """When it was created; 0 where it does not say."""
        text = self.body.get("metadata", {}).get("creationTimestamp")
        return parse_rfc3339(text) if text else 0

    def part(self, *path: str) -> Mapping[str, Any]:
        """An object within the specification; empty where there is none, or where something else stands: an object may
        be older than the rules for it.
        """
        found: Any = self.spec
        for name in path:
            found = found.get(name) if isinstance(found, Mapping) else None
        return found if isinstance(found, Mapping) else {}


def custom_record(body: Mapping[str, Any]) -> Custom:
    """Read a custom resource."""
    slim = {k: v for k, v in body["metadata"].items() if k != "managedFields"}
    body = _interned({**body, "metadata": slim})
    metadata = body["metadata"]
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
        body=body,
    )


def _interned(value: Any) -> Any:
    """The same JSON, with what repeats from object to object kept once: each object is decoded by itself."""
    if isinstance(value, dict):
        return {sys.intern(name): _interned(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_interned(part) for part in value]
    return sys.intern(value) if type(value) is str and len(value) <= _SHORT else value


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
    jobsets: dict[str, JobSet] = field(default_factory=dict)
    jobset_by_key: dict[Key, str] = field(default_factory=dict)
    jobs_by_owner: dict[str, set[str]] = field(default_factory=dict)
    """UIDs of Jobs that a workload of several Jobs has made: by its UID."""
    entries: dict[str, Entry] = field(default_factory=dict)
    """Places in queues of Kueue, by UID."""
    entry_by_owner: dict[str, str] = field(default_factory=dict)
    """The place of a workload, by its UID."""
    absent_kinds: frozenset[str] = frozenset({jobset.KIND})
    """Kinds of workloads that the cluster does not have."""
    claims: dict[Named, set[Key]] = field(default_factory=dict)
    """TrainingJobs that speak of a workload: by kind and name."""
    runs_of: dict[str, set[Key]] = field(default_factory=dict)
    """TrainingJobs that a schedule has made: by UID of the TrainingJob whose it is."""
    adopted: dict[str, Workload] = field(default_factory=dict)
    """Workloads of pods that their owners do not lead to: by UID of the pod."""
    on_dirty: Callable[[Key], None] = lambda _key: None
    on_claimed: Callable[[Iterable[str]], None] = lambda _uids: None
    """Told the UIDs of pods that are somebody else's now, such as of a Job that a TrainingJob has taken over."""

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
        if record.owner is not None and record.owner.kind == jobset.KIND:
            members = self.jobs_by_owner.setdefault(record.owner.uid, set())
            _keep(members, record.uid, there=change.new is not None)
            if not members:
                del self.jobs_by_owner[record.owner.uid]
        self._dirty(self.claimants(record))

    def jobset_changed(self, change: Change[JobSet]) -> None:
        """A JobSet appeared, changed or went: whoever refers to it looks again."""
        record = change.new or change.old
        assert record is not None
        key = Key(record.namespace, record.name)
        if change.new is not None:
            self.jobset_by_key[key] = record.uid
        elif self.jobset_by_key.get(key) == record.uid:
            del self.jobset_by_key[key]
        self._dirty(self.claims.get((jobset.KIND, key), ()))

    def entry_changed(self, change: Change[Entry]) -> None:
        """A place in a queue appeared, changed or went: the TrainingJob behind its workload looks again."""
        record = change.new or change.old
        assert record is not None
        if change.new is not None:
            self.entry_by_owner[record.owner_uid] = record.uid
        elif self.entry_by_owner.get(record.owner_uid) == record.uid:
            del self.entry_by_owner[record.owner_uid]
        job, several = self.jobs.get(record.owner_uid), self.jobsets.get(record.owner_uid)
        if job is not None:
            self._dirty(self.claimants(job))
        if several is not None:
            self._dirty(self.claims.get((jobset.KIND, Key(several.namespace, several.name)), ()))

    def kind_served(self, kind: str) -> None:
        """The cluster has got a kind of workload: whoever waited for it looks again."""
        self.absent_kinds -= {kind}
        self._dirty_of(kind)

    def kind_gone(self, kind: str) -> None:
        """The cluster has lost a kind of workload."""
        self.absent_kinds |= {kind}
        self._dirty_of(kind)

    def _dirty_of(self, kind: str) -> None:
        self._dirty({key for (claimed, _), keys in self.claims.items() if claimed == kind for key in keys})

    def pod_changed(self, change: Change[Pod]) -> None:
        """A pod appeared, changed or went: the TrainingJob behind its Job looks again."""
        record = change.new or change.old
        assert record is not None
        if record.owner is None or record.owner.kind != "Job":
            return
        members = self.pods_by_job.setdefault(record.owner.uid, set())
        _keep(members, record.uid, there=change.new is not None)
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
        named = self.named(record)
        self.claims.setdefault(named, set()).add(record.key)
        if record.spec.get("workloadRef") and (old is None or self.named(old) != named):
            for job in self._jobs_named(named):
                self.on_claimed(self.pods_by_job.get(job, ()))
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
            self._dirty({key, *self.claims.get(self.named(record), ())})

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
        claimants = self.claims.get(self.named(record))
        if claimants is not None:
            claimants.discard(record.key)
            if not claimants:
                del self.claims[self.named(record)]

    def _dirty(self, keys: Iterable[Key]) -> None:
        for key in tuple(keys):
            self.on_dirty(key)

    # --- look-ups -----------------------------------------------------------------------------------------------------

    @staticmethod
    def named(record: Custom) -> Named:
        """The workload that a TrainingJob speaks of: the one it refers to, else the Job that is its own namesake."""
        reference = record.part("workloadRef")
        key = Key(record.namespace, str(reference.get("name") or record.name))
        return str(reference.get("kind") or "Job"), key

    def _jobs_named(self, named: Named) -> Iterable[str]:
        """UIDs of the Jobs behind a workload."""
        kind, key = named
        if kind == jobset.KIND:
            return [job.uid for job in self.jobs.values() if _made_by(job) == named]
        return [uid] if (uid := self.job_by_key.get(key)) else []

    def claimants(self, job: Job) -> set[Key]:
        """TrainingJobs that own or refer to a Job, or to the workload that has made it."""
        keys = set(self.claims.get((job.kind, Key(job.namespace, job.name)), ()))
        if (maker := _made_by(job)) is not None:
            keys |= self.claims.get(maker, set())
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
        """The workload that a TrainingJob owns or refers to, whoever else owns it, as one Job."""
        kind, key = self.named(record)
        if kind != jobset.KIND:
            return self.jobs.get(self.job_by_key.get(key, ""))
        found = self.jobsets.get(self.jobset_by_key.get(key, ""))
        if found is None:
            return None
        made = (self.jobs.get(uid) for uid in sorted(self.jobs_by_owner.get(found.uid, ())))
        return jobset.face(found, [job for job in made if job is not None])

    def entry_of(self, job: Job) -> Entry | None:
        """The place of a workload in a queue."""
        return self.entries.get(self.entry_by_owner.get(job.uid, ""))

    def shown_workloads(self) -> Iterable[Job]:
        """What people know as one workload: Jobs, and in place of the Jobs of a JobSet that JobSet."""
        yield from (job for job in self.jobs.values() if job.owner is None or job.owner.uid not in self.jobsets)
        yield from (jobset.face(one, ()) for one in self.jobsets.values())

    def pods_of(self, job: Job) -> tuple[Pod, ...]:
        """Pods controlled by a Job, or by the Jobs of a workload, that still exist."""
        makers = (job.uid, *self.jobs_by_owner.get(job.uid, ()))
        uids = sorted(uid for maker in makers for uid in self.pods_by_job.get(maker, ()))
        return tuple(self.pods[uid] for uid in uids if uid in self.pods)

    def workload_of(self, pod: Pod) -> Workload:
        """Topmost known owner of a pod; a bare pod is its own."""
        owner = pod.owner
        if owner is None:
            return Workload("Pod", pod.name)
        if owner.kind == "Job":
            return self._workload_of_job(owner)
        return self.adopted.get(pod.uid) or above(owner.kind, owner.name, pod.labels)

    def _workload_of_job(self, owner: Owner) -> Workload:
        job = self.jobs.get(owner.uid)
        return self.workload_of_job(job) if job is not None else Workload("Job", owner.name)

    def workload_of_job(self, job: Job) -> Workload:
        """Whom the cost of a Job is shown for: its owner, the TrainingJob that took it over, or itself."""
        maker = _made_by(job)
        if job.owner is not None and maker is None:
            return Workload(job.owner.kind, job.owner.name)
        kind, named = maker or (job.kind, Key(job.namespace, job.name))
        for key in sorted(self.claims.get((kind, named), ())):
            if self.trainingjobs[key].spec.get("workloadRef"):
                return Workload(TRAINING_JOB, key.name)
        return Workload(kind, named.name)

    def is_resolved(self, pod: Pod) -> bool:
        """Whether the pod's workload is final: its Job, if it has one, has been seen."""
        return pod.owner is None or pod.owner.kind != "Job" or pod.owner.uid in self.jobs


def _made_by(job: Job) -> Named | None:
    """The workload of several Jobs that has made a Job."""
    if job.owner is None or job.owner.kind != jobset.KIND:
        return None
    return jobset.KIND, Key(job.namespace, job.owner.name)


def _keep(members: set[str], uid: str, *, there: bool) -> None:
    if there:
        members.add(uid)
    else:
        members.discard(uid)
