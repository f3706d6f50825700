"""The writes of a plan: one merge patch each, in which a change of `suspend` and our memory of it go together."""

from __future__ import annotations

from dataclasses import replace

from gpucost.core.actions import PartChange, PatchJob
from gpucost.core.model import Job, Key
from gpucost.core.training import jobset, memory
from gpucost.core.training.case import Case
from gpucost.core.training.manifest import resumed_notes
from gpucost.core.training.memory import Annotations
from gpucost.core.training.placement import Bound, Directives, applied, directives_patch
from gpucost.core.training.stopping import restore
from gpucost.core.training.stopping import stop as stops
from gpucost.core.training.wish import name_of


def patch_of(
    case: Case, notes: Annotations, spec: dict[str, object] | None = None, *, reason: str, message: str
) -> PatchJob:
    """A merge patch of annotations, as far as they change, and of the specification."""
    job = case.state.job
    assert job is not None
    patch: dict[str, object] = {"metadata": {"annotations": memory.only_changes(notes, job.annotations)}}
    if spec:
        patch["spec"] = spec
    key = Key(job.namespace, job.name)
    return PatchJob(case.state.key, key, job.uid, job.resource_version, patch, reason, message, job.kind)


def suspension(case: Case, notes: Annotations, reason: str, message: str) -> PatchJob:
    """Suspend, and note where it ran: once its pods are gone, nothing else tells."""
    if case.memory.bound is None and case.placement is not None:
        notes = {**notes, memory.PLACEMENT: str(case.placement)}
    return patch_of(case, notes, {"suspend": True}, reason=reason, message=message)


def resumption(case: Case, job: Job) -> PatchJob:
    """One patch: new directives, our memory of them, and go."""
    target, mine = case.target, case.memory
    assert target.placement is not None
    stays = mine.bound is not None and bool(case.is_in_place(job))
    template: dict[str, object] = {}
    parts: tuple[PartChange, ...] = ()
    bound = mine.bound
    if job.kind == jobset.KIND:
        bound = bound if stays or target.pool is None else Bound(target.pool)
        parts = () if stays else jobset.part_changes(job, target.pool)
    elif not stays:
        change, bound = _rebound(case, job)
        template |= {"spec": change} if change else {}
    notes = {**memory.unmarked(), **memory.placed(target.placement, bound, case.now)}
    if mine.placement is not None and mine.placement is not target.placement:
        notes |= memory.moved(mine.placement, case.now)
    marks: dict[str, str | None] = {}
    if template and case.spec.template is not None:
        marks |= resumed_notes(case.spec, target.placement, case.interval)
    if (stop := case.remembered.stop) is not None:
        notes |= stops.over(stop, case.now, restarts=case.remembered.restarts)
        if stop.restart and stop.checkpoint_step is not None:
            marks |= restore.template_patch(stop.checkpoint_step, case.now)["metadata"]["annotations"]
    if marks:
        template["metadata"] = {"annotations": marks}
    spec: dict[str, object] = {"suspend": False, **({"template": template} if template else {})}
    message = f"resuming on {name_of(target.placement)} capacity"
    return replace(patch_of(case, notes, spec, reason="Resuming", message=message), parts=parts)


def _rebound(case: Case, job: Job) -> tuple[dict[str, object], Bound | None]:
    """Change of a Job's pod template that binds it to the target, and what is bound then."""
    known = (case.spec.placement.spot, case.spec.placement.on_demand)
    old = Directives(job.node_selector, job.tolerations, job.affinity)
    new, bound = applied(old, case.target.pool, before=case.memory.bound, known=known)
    return directives_patch(old, new), bound
