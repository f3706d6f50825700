"""A JobSet seen as one Job, and the rules by which its Jobs may move.

The plan knows one face of a workload: suspended or not, how many pods, which conditions, which directives. `face` shows
a JobSet and its Jobs as that. What is different is how directives reach the pods: when a JobSet is resumed its
controller *merges* the templates' node selectors and tolerations into the Jobs that exist. A key that is taken away
stays in them, and two keys that choose a capacity type then select nothing for ever (jobset issue 1294). So a JobSet
moves by the value of selectors whose keys are the same in every place it may go, or not at all: see `obstacle`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

from gpucost.core.actions import PartChange
from gpucost.core.capacity import CAPACITY_LABELS, Provider
from gpucost.core.clock import Instant
from gpucost.core.model import CapacityType, Job, JobCondition, Owner, Part
from gpucost.core.training.placement import Bound, Pool, pool_for
from gpucost.core.training.spec import PlacementSpec

KIND = "JobSet"
API_VERSION = "jobset.x-k8s.io/v1alpha2"
CONTROLLER = "jobset.sigs.k8s.io/jobset-controller"
NAME_LABEL = "jobset.sigs.k8s.io/jobset-name"
PART_LABEL = "jobset.sigs.k8s.io/replicatedjob-name"

_CONDITIONS = {"Completed": "Complete", "Failed": "Failed"}


@dataclass(frozen=True, slots=True)
class Template:
    """A replicated Job of a JobSet as its specification has it."""

    name: str
    pods: int
    """Pods of all its replicas together."""
    holds_gpus: bool = False
    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: tuple[Mapping[str, object], ...] = ()


@dataclass(frozen=True, slots=True)
class JobSet:
    """A jobset.x-k8s.io JobSet, reduced to what decisions need."""

    uid: str
    name: str
    namespace: str
    created: Instant
    resource_version: str
    owner: Owner | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    suspend: bool = False
    templates: tuple[Template, ...] = ()
    conditions: tuple[JobCondition, ...] = ()
    active_jobs: int = 0
    """Jobs that its controller says have pods."""
    managed_by: str | None = None
    queue: str | None = None
    suspend_manager: str | None = None

    def condition(self, kind: str) -> JobCondition | None:
        """The condition of a type when it is true."""
        return next((c for c in self.conditions if c.type == kind and c.status), None)


def face(jobset: JobSet, jobs: Sequence[Job]) -> Job:
    """A JobSet as the plan looks at a workload, with the Jobs that it controls."""
    living = [job for job in jobs if _lives(job)]
    parts = _parts(jobset.templates, jobs)
    end = jobset.condition("Completed") or jobset.condition("Failed")
    pods = sum(job.parallelism for job in jobs) or sum(one.pods for one in jobset.templates)
    movers = {uid for part in parts if part.moves for uid in part.jobs}
    return Job(
        uid=jobset.uid,
        name=jobset.name,
        namespace=jobset.namespace,
        created=jobset.created,
        resource_version=jobset.resource_version,
        owner=jobset.owner,
        labels=jobset.labels,
        annotations=jobset.annotations,
        suspend=jobset.suspend,
        completions=sum(job.completions for job in jobs) or pods,
        parallelism=pods,
        active=sum(job.active for job in jobs) or jobset.active_jobs,
        ready=sum(job.ready for job in jobs),
        terminating=sum(job.terminating for job in jobs),
        succeeded=sum(job.succeeded for job in jobs),
        failed=sum(job.failed for job in jobs),
        started=min((job.started for job in jobs if job.started is not None), default=None),
        completed=end.since if end is not None else None,
        conditions=_conditions(jobset, living),
        node_selector=_common([part.node_selector for part in parts if part.moves]),
        managed_by=jobset.managed_by if jobset.managed_by != CONTROLLER else None,
        queue=jobset.queue,
        suspend_manager=jobset.suspend_manager,
        kind=KIND,
        parts=parts,
        stuck={k: v for job in living if job.uid in movers for k, v in job.node_selector.items()},
    )


def _lives(job: Job) -> bool:
    return job.condition("Complete") is None and job.condition("Failed") is None


def _parts(templates: Sequence[Template], jobs: Sequence[Job]) -> tuple[Part, ...]:
    """The templates with their Jobs; where some hold GPUs, only those follow the placement."""
    some_hold_gpus = any(one.holds_gpus for one in templates)
    return tuple(
        Part(
            index=index,
            name=one.name,
            node_selector=one.node_selector,
            tolerations=one.tolerations,
            moves=one.holds_gpus or not some_hold_gpus,
            jobs=frozenset(job.uid for job in jobs if job.labels.get(PART_LABEL) == one.name),
        )
        for index, one in enumerate(templates)
    )


def _common(selectors: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """What all of them say."""
    first = selectors[0] if selectors else {}
    return {k: v for k, v in first.items() if all(one.get(k) == v for one in selectors)}


def _conditions(jobset: JobSet, living: Iterable[Job]) -> tuple[JobCondition, ...]:
    """Suspended only when every Job is: the controller says so as soon as it has asked them to."""
    result = []
    for one in jobset.conditions:
        if one.type == "Suspended":
            whole = all(job.suspend and job.condition("Suspended") is not None for job in living)
            result.append(JobCondition("Suspended", one.status and whole, one.reason, one.message, one.since))
        else:
            kind = _CONDITIONS.get(one.type, one.type)
            result.append(JobCondition(kind, one.status, one.reason, one.message, one.since))
    return tuple(result)


# --- moving -----------------------------------------------------------------------------------------------------------


def obstacle(
    job: Job, spec: PlacementSpec, provider: Provider | None, bound: Bound | None, to: CapacityType
) -> str | None:
    """Why a JobSet cannot be placed there and brought back, with the remedy; None when it can."""
    always = spec.policy.always
    places = {to, always} if always is not None else {to, CapacityType.SPOT, CapacityType.ON_DEMAND}
    pools = {place: pool_for(place, spec, provider) for place in places}
    if pools[to] is None and to is CapacityType.ON_DEMAND and len(places) == 1:
        return None if bound is None else _kept_by_jobs(bound.pool.node_selector)
    for place, pool in sorted(pools.items()):
        if pool is None or pool.excluded or not pool.node_selector:
            return f"{place} nodes are not told by a label that they have; {_REMEDY}"
    keys = {place: set(pool.node_selector) for place, pool in pools.items() if pool is not None}
    if any(one != keys[to] for one in keys.values()):
        return f"spot and on-demand nodes are selected by different keys; {_REMEDY}"
    capacity = {*CAPACITY_LABELS, *chain(*spec.selectors), *(bound.pool.node_selector if bound else ())}
    written = {k: v for part in job.parts if part.moves for k, v in part.node_selector.items()}
    kept = {k: v for k, v in {**job.stuck, **written}.items() if k in capacity - keys[to]}
    return _kept_by_jobs(kept) if kept else None


_REMEDY = (
    "a JobSet moves only by the value of a node selector: give spec.placement.spot.nodeSelector and "
    "spec.placement.onDemand.nodeSelector the same keys, such as {cloud.google.com/gke-provisioning: spot} and "
    "{cloud.google.com/gke-provisioning: standard}"
)


def _kept_by_jobs(selector: Mapping[str, str]) -> str:
    shown = ", ".join(f"{key}: {value}" for key, value in sorted(selector.items()))
    return f"its Jobs keep the node selector {{{shown}}}, which JobSet never takes away; {_REMEDY}"


def part_changes(job: Job, pool: Pool | None) -> tuple[PartChange, ...]:
    """The templates that have to change for a pool. Tolerations are only added: the Jobs keep the old ones anyway."""
    if pool is None:
        return ()
    changes = []
    for part in job.parts:
        selector = {**part.node_selector, **pool.node_selector}
        tolerations = (*part.tolerations, *(one for one in pool.tolerations if one not in part.tolerations))
        if part.moves and (selector, tolerations) != (dict(part.node_selector), part.tolerations):
            changes.append(PartChange(part.index, part.name, selector, tolerations))
    return tuple(changes)
