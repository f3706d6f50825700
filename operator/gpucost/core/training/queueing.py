"""A training run in a queue of Kueue: the queue decides when and where, we only say whether it should at all.

Kueue owns `suspend` and the node selectors of a Job that names a queue, and undoes whoever else writes them. What it
leaves to others is `spec.active` of the Workload that it keeps for the Job: false takes the run out, with its pods, and
true puts it back at the end of the queue. The memory of who did that is in annotations of the Workload, in the same
write, exactly as it is on a Job (`memory`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from gpucost.core.actions import PatchJob
from gpucost.core.model import Job, JobCondition, Key
from gpucost.core.training import memory
from gpucost.core.training.stopping import stop as stops

if TYPE_CHECKING:
    from gpucost.core.training.case import Case

KIND = "Workload"
LABEL_PREFIX = "kueue.x-k8s.io/"
QUEUE_LABEL = LABEL_PREFIX + "queue-name"

Words = tuple[bool, str, str]


@dataclass(frozen=True, slots=True)
class Entry:
    """A Workload of Kueue, reduced to what decisions need; `annotations` holds only those under `gpucost.dev/`."""

    uid: str
    name: str
    namespace: str
    resource_version: str
    api_version: str
    owner_uid: str
    active: bool = True
    annotations: Mapping[str, str] = field(default_factory=dict)
    conditions: tuple[JobCondition, ...] = ()
    cluster_queue: str = ""
    flavors: tuple[str, ...] = ()
    """ResourceFlavors that it was admitted with: they say which nodes."""
    active_manager: str | None = None
    """Field manager that set `spec.active` last; None when unknown."""

    def condition(self, kind: str) -> JobCondition | None:
        """The condition of a type, whatever its status."""
        return next((c for c in self.conditions if c.type == kind), None)

    def is_(self, kind: str) -> bool:
        """Whether a condition is true."""
        found = self.condition(kind)
        return found is not None and found.status


def as_switch(job: Job, entry: Entry) -> Job:
    """A queued Job as if it were turned on and off by itself: what is remembered of that is kept at its entry."""
    return replace(
        job,
        suspend=not entry.active,
        suspend_manager=entry.active_manager,
        annotations={**job.annotations, **entry.annotations},
    )


def names_a_queue(labels: Mapping[str, str]) -> bool:
    """Whether labels put a Job into a queue."""
    return any(key.startswith(QUEUE_LABEL) for key in labels)


def change(case: Case, reason: str) -> PatchJob | None:
    """Take the run out of its queue or put it back, whatever the specification says; None when nothing is to be done.

    Who puts it back against us wins until the specification asks for something else; who takes it out is left alone.
    """
    entry = case.state.entry
    if entry is None or entry.is_("Finished"):
        return None
    return _while_active(case, reason) if entry.active else _while_out(case)


def _while_active(case: Case, reason: str) -> PatchJob | None:
    mine, stop = case.memory, case.course.stop
    unwanted = case.target.placement is None and not case.target.holds
    if mine.suspended:
        notes = {**memory.unmarked(), **({memory.OVERRIDDEN: case.wish.key} if unwanted else {})}
        if case.remembered.stop is not None:
            notes = {**memory.unmarked(), **stops.overridden(case.remembered.stop, case.now)}
        return _patch(case, notes, reason="Overridden", message="somebody else activated the Workload")
    if stop is not None and case.unstopped.placement is not None:
        # The pods of a queued Job cannot be told which checkpoint to go on from, so it does not restart by itself.
        notes = {**memory.suspending(stops.STOP, case.now), **stops.remembered(replace(stop, restart=False))}
        return _patch(case, notes, active=False, reason="EarlyStopped", message=f"{stop.rule}: {stop.evidence}")
    if unwanted and not case.is_overridden:
        message = f"taking it out of {_queue(case)}"
        return _patch(case, memory.suspending(reason, case.now), active=False, reason=case.wish.reason, message=message)
    return None


def _while_out(case: Case) -> PatchJob | None:
    if not case.memory.suspended:
        return None
    if case.stop is not None and case.spec.suspend:  # from now on it is the user's suspension, and ends with it
        notes = {**stops.over(case.stop, case.now), memory.SUSPEND_REASON: memory.USER_SPEC}
        return _patch(case, notes, reason="Suspended", message="the specification says suspend")
    if case.target.placement is None and not case.target.holds:
        return None
    notes = memory.unmarked()
    if case.remembered.stop is not None:
        notes |= stops.over(case.remembered.stop, case.now)
    return _patch(case, notes, active=True, reason="Resuming", message=f"putting it back into {_queue(case)}")


def _queue(case: Case) -> str:
    return f"queue {case.state.job.queue}" if case.state.job is not None else "its queue"


def _patch(case: Case, notes: memory.Annotations, *, active: bool | None = None, reason: str, message: str) -> PatchJob:
    entry = case.state.entry
    assert entry is not None
    patch: dict[str, object] = {"metadata": {"annotations": memory.only_changes(notes, entry.annotations)}}
    if active is not None:
        patch["spec"] = {"active": active}
    key = Key(entry.namespace, entry.name)
    return PatchJob(
        case.state.key, key, entry.uid, entry.resource_version, patch, reason, message, KIND, (), entry.api_version
    )


def waiting(entry: Entry | None, queue: str) -> Words:
    """Why a Job that its queue holds back does not run, in Kueue's own words."""
    holder = f"queue {queue} (Kueue)"
    if entry is None:
        return False, "Queued", f"{holder} decides when it runs"
    if not entry.active:
        return False, "Deactivated", _deactivated(entry)
    if entry.is_("Admitted"):
        return False, "Starting", f"{holder} has admitted it{_with(entry)}"
    reserved = entry.condition("QuotaReserved")
    evicted = entry.condition("Evicted")
    if entry.is_("QuotaReserved"):
        return False, "Queued", f"{holder} has reserved quota for it{_with(entry)}; admission checks are under way"
    said = reserved or (evicted if evicted is not None and evicted.status else None)
    if said is None or not said.message:
        return False, "Queued", f"waits in {holder}"
    return False, "Queued", f"waits in {holder}: {said.message}"[:2048]


def _with(entry: Entry) -> str:
    return f" with {', '.join(entry.flavors)}" if entry.flavors else ""


def _deactivated(entry: Entry) -> str:
    evicted = entry.condition("Evicted")
    why = f" ({evicted.reason}: {evicted.message})" if evicted is not None and evicted.status else ""
    command = f"""kubectl patch workload {entry.name} --type=merge -p '{{"spec":{{"active":true}}}}'"""
    return f"somebody else, or Kueue, took it out of its queue{why[:1024]}; to put it back: {command}"


def placed_by(entry: Entry | None, queue: str) -> str:
    """Who has chosen the nodes of a run that its queue has admitted."""
    flavors = f" ({', '.join(entry.flavors)})" if entry is not None and entry.flavors else ""
    return f"queue {queue} chose where it runs{flavors}; spec.placement is not followed"
