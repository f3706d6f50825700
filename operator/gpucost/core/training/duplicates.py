"""The guard against running twice: what an earlier run of the same fingerprint means for one that has not started.

Reuse ends a run before it begins, so it needs certainty: both fingerprints exact, the same namespace, and a result that
is there. Everything else is told and nothing more. What was ended so stays ended while the specification says Reuse,
also when the record of the earlier run is gone; with another mode the run starts.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gpucost.core.actions import Condition, EventNote, stored_condition
from gpucost.core.clock import Instant, format_duration, format_rfc3339
from gpucost.core.money import format_pico
from gpucost.core.training.runs.run import FAILED_TWICE, REUSED, Run, Saving
from gpucost.core.training.runs.spec import Deduplication
from gpucost.core.training.runs.twins import matters
from gpucost.core.training.state import TrainingState

AVOIDED = frozenset({REUSED, FAILED_TWICE})
"""Reasons with which a run ends that never began."""

Ended = tuple[bool, str, str]
"""Whether it ended well, reason and message: the arguments of a verdict."""


def is_reusing(state: TrainingState) -> bool:
    """Whether the specification asks for earlier results."""
    return state.spec is not None and state.spec.deduplication is Deduplication.REUSE


def avoided(state: TrainingState) -> Ended | None:
    """How a run without a Job has ended before it began; None when it may begin."""
    if state.spec is not None and not is_reusing(state):
        return None
    stored = stored_condition(state.status, "Complete"), stored_condition(state.status, "Failed")
    for good, one in zip((True, False), stored, strict=True):
        if one.get("status") == "True" and one.get("reason") in AVOIDED:
            return good, str(one["reason"]), str(one.get("message") or "")
    has_run = any(one.get("status") == "True" for one in stored)
    if has_run or not is_reusing(state):
        return None
    twins = state.twins
    if (run := twins.complete) is not None:
        return True, REUSED, f"the result of {_described(run)} stands for this run"
    if twins.failed:
        text = f"{_failures(state)}; change what is run, or set spec.deduplication to Warn to try it once more"
        return False, FAILED_TWICE, text
    return None


def awaited(state: TrainingState) -> Run | None:
    """The same run that goes on right now: with Reuse its result is waited for."""
    return state.twins.running if is_reusing(state) and state.job is None else None


def bookings(state: TrainingState, now: Instant) -> tuple[Saving, ...]:
    """What not starting has saved, to be booked once."""
    ended, run = avoided(state), state.twins.complete
    if state.job is not None or ended is None or ended[1] != REUSED or run is None:
        return ()
    if stored_condition(state.status, "Complete").get("reason") == REUSED:
        return ()
    return (Saving(state.uid, state.key.namespace, now, REUSED, ended[2][:1024], saved=run.cost),)


def conditions(state: TrainingState) -> Iterator[Condition]:
    """The condition Duplicate, for whoever says what is trained on or asks for earlier results."""
    spec, twins = state.spec, state.twins
    if spec is None or twins.print is None or spec.deduplication is Deduplication.OFF:
        return
    if spec.dataset is None and not is_reusing(state):
        return
    run = matters(spec.deduplication, twins)
    if not twins.print.is_exact:
        yield Condition("Duplicate", None, "NotComparable", "; ".join(twins.print.missing)[:8192])
    elif run is None:
        yield Condition("Duplicate", False, "NoEarlierRun")
    else:
        yield Condition("Duplicate", True, *_finding(state, run))


def _finding(state: TrainingState, run: Run) -> tuple[str, str]:
    if run is state.twins.complete:
        return "SameRunComplete", f"the same run was made before: {_described(run)}"
    if state.twins.failed:
        return FAILED_TWICE, _failures(state)
    return "SameRunGoesOn", f"the same run goes on: {run.name}, since {format_rfc3339(run.created)}"


def news(state: TrainingState) -> Iterator[EventNote]:
    """The Event DuplicateRun, once for a run and what was found about it."""
    before = stored_condition(state.status, "Duplicate")
    for one in conditions(state):
        if one.status and (before.get("status"), before.get("reason")) != ("True", one.reason):
            yield EventNote("DuplicateRun", one.message, f"{state.uid}/{one.reason}", warning=True)


def status(state: TrainingState) -> dict[str, Any]:
    """`status.fingerprint` and `status.reused`; what is stored when nothing better is known."""
    stored = {key: state.status[key] for key in ("fingerprint", "reused") if key in state.status}
    found, ended = state.twins.print, avoided(state)
    if found is not None:
        shown = {"digest": found.digest, "datasetVersion": state.twins.version, "exact": found.is_exact}
        stored["fingerprint"] = {key: value for key, value in shown.items() if value}
    if state.job is not None or ended is None or ended[1] != REUSED:
        stored.pop("reused", None)
    elif (run := state.twins.complete) is not None:
        stored["reused"] = _reused(run)
    return stored


def _reused(run: Run) -> dict[str, Any]:
    shown = {
        "name": run.name,
        "uid": run.uid,
        "ended": format_rfc3339(run.ended) if run.ended is not None else None,
        "cost": format_pico(run.cost) if run.cost is not None else None,
        "result": run.said[:1024],
        "checkpoint": run.checkpoint[:256],
        "outputs": list(run.outputs)[:16],
    }
    return {key: value for key, value in shown.items() if value}


# --- words ------------------------------------------------------------------------------------------------------------


def _described(run: Run) -> str:
    """Name, cost and result of an earlier run."""
    parts = [
        f"ended {format_rfc3339(run.ended)}" if run.ended is not None else "",
        f"took {format_duration(run.ended - run.created)}" if run.ended is not None else "",
        f"cost {format_pico(run.cost)}" if run.cost is not None else "cost unknown",
        run.said,
        run.checkpoint,
        ", ".join(run.outputs),
    ]
    return f"{run.name} ({'; '.join(part for part in parts if part)})"


def _failures(state: TrainingState) -> str:
    each = "; ".join(f"{run.name}: {run.reason} {run.message}".strip()[:512] for run in state.twins.failed)
    return f"this exact run has failed twice ({each})"
