"""From a TrainingJob as it is watched to the run that it stands for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from gpucost.core.clock import SECOND, Instant, format_rfc3339, parse_rfc3339
from gpucost.core.model import Job
from gpucost.core.money import PICO, Pico, parse_amount
from gpucost.core.training.fingerprint import Fingerprint
from gpucost.core.training.progress import Progress
from gpucost.core.training.runs.child import DUE, due_of, parent_of
from gpucost.core.training.runs.run import REUSED, Result, Run, outcome
from gpucost.runtime.world import Custom

_MOST_METRICS = 8


def child_run(record: Custom) -> Run | None:
    """The run of a schedule, from nothing but its TrainingJob; None for any other."""
    parent = parent_of(record.body.get("metadata") or {})
    due = due_of(record.annotations) if DUE in record.annotations else None
    if parent is None or due is None:
        return None
    result, reason, message = outcome(record.status)
    version = str(record.part("dataset").get("version") or "")
    return Run(
        uid=record.uid,
        namespace=record.namespace,
        name=record.name,
        created=record.created,
        parent=parent[1],
        due=due,
        version=version,
        result=result,
        reason=reason,
        message=message[:1024],
    )


def as_seen(record: Custom, known: Run | None) -> Run | None:
    """The run of a schedule as its TrainingJob stands now: nobody may have looked at that since it ended."""
    run = child_run(record)
    if run is None or known is None:
        return run or known
    return replace(known, result=run.result, reason=run.reason, message=run.message)


def refreshed(
    known: Run, record: Custom, job: Job | None, *, now: Instant, cost: Pico | None, progress: Progress
) -> Run:
    """A run with what is known of it now; its end, once known, stays while it is over."""
    result, reason, message = outcome(record.status)
    over = result is not Result.RUNNING
    ended = (job.completed if job is not None else None) or known.ended or _since(record, reason) or now - now % SECOND
    done = job is not None and over
    return replace(
        known,
        result=result,
        reason=reason,
        message=message[:1024],
        ended=ended if over else None,
        cost=(cost if cost is not None else known.cost) if done else _reused_cost(known, reason),
        said=(said(progress) or known.said) if over else known.said,
        checkpoint=(checkpoint(progress) or known.checkpoint) if over else known.checkpoint,
        outputs=known.outputs or tuple(outputs(record.spec)),
    )


def _since(record: Custom, reason: str) -> Instant | None:
    """Since when the status says how a run has ended."""
    conditions = record.status.get("conditions") or ()
    text = next((c.get("lastTransitionTime") for c in conditions if c.get("reason") == reason), None)
    return parse_rfc3339(text) if text else None


def _reused_cost(known: Run, reason: str) -> Pico | None:
    """A run that never began has cost nothing."""
    return 0 if reason == REUSED else known.cost


def begun(record: Custom, job: Job, known: Run | None, print_: Fingerprint | None, version: str) -> Run | None:
    """The run of a Job that exists; what it was made from is taken down once, at its beginning."""
    base = known or child_run(record)
    if print_ is None or (base is not None and base.digest and base.created == job.created):
        return base
    base = base or Run(record.uid, record.namespace, record.name, job.created)
    return replace(base, created=job.created, digest=print_.digest, exact=print_.is_exact, version=version)


def stored_cost(record: Custom | None) -> Pico | None:
    """What the status says that a run has cost; None when it does not."""
    total = (record.status.get("cost") or {}).get("total") if record is not None else None
    try:
        return None if total is None else int(parse_amount(str(total)) * PICO)
    except ValueError:
        return None


# --- words ------------------------------------------------------------------------------------------------------------


def said(progress: Progress) -> str:
    """The last metrics of a run."""
    latest = next((one for one in reversed(progress.reports) if one.metrics), None)
    if latest is None:
        return ""
    named = sorted(latest.metrics.items())[:_MOST_METRICS]
    step = f" at step {latest.step}" if latest.step is not None else ""
    return ", ".join(f"{name}={value:g}" for name, value in named) + step


def checkpoint(progress: Progress) -> str:
    """The last checkpoint of a run."""
    saved = progress.saved
    if saved is None:
        return ""
    step = f" of step {saved.step}" if saved.step is not None else ""
    return f"checkpoint{step} at {format_rfc3339(saved.at - saved.at % SECOND)}"


def outputs(spec: Mapping[str, Any]) -> Iterator[str]:
    """Claims that the first container can write to."""
    pod = (spec.get("template") or {}).get("spec") or {}
    claims = {
        volume.get("name"): (volume.get("persistentVolumeClaim") or {}).get("claimName")
        for volume in pod.get("volumes") or ()
        if not (volume.get("persistentVolumeClaim") or {}).get("readOnly")
    }
    first: Mapping[str, Any] = next(iter(pod.get("containers") or ()), {})
    for mount in first.get("volumeMounts") or ():
        claim = claims.get(mount.get("name"))
        if claim and not mount.get("readOnly"):
            yield f"claim/{claim} at {mount.get('mountPath', '')}"
