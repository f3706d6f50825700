"""From findings to what is done about them: recommend, or warn, ask for a last checkpoint, then suspend.

How far a rule has come stands in `status.earlyStopping` as stored, so a restart of the operator repeats no step and
skips none. What the status forgets costs time, never a run: the warning begins anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from gpucost.core.clock import Instant, format_duration, parse_rfc3339
from gpucost.core.training.memory import moment
from gpucost.core.training.progress import Checkpoint, Progress
from gpucost.core.training.stopping import budget as budgets
from gpucost.core.training.stopping.budget import Spending
from gpucost.core.training.stopping.judge import Judged, remaining_cost
from gpucost.core.training.stopping.restore import last_good
from gpucost.core.training.stopping.spec import BUDGET, Mode, RunBudget, Stopping
from gpucost.core.training.stopping.stop import Remembered, Stop

WATCHING, UNKNOWN, RECOMMENDED = "Watching", "Unknown", "Recommended"
WARNED, CHECKPOINT, SKIPPED, STOPPED = "Warned", "Checkpoint", "Skipped", "Stopped"
_UNDER_WAY = frozenset({WARNED, CHECKPOINT, SKIPPED, RECOMMENDED})


@dataclass(frozen=True, slots=True)
class Standing:
    """How far one rule has come; the fields are those of `status.earlyStopping.rules`."""

    name: str
    mode: Mode
    state: str = WATCHING
    reason: str = ""
    message: str = ""
    since: Instant | None = None
    """Since when the rule has held."""
    asked: Instant | None = None
    """Since when a last checkpoint has been asked for."""


@dataclass(frozen=True, slots=True)
class Course:
    """What follows for a run."""

    standings: tuple[Standing, ...] = ()
    stop: Stop | None = None
    """Suspend it now."""
    ask: bool = False
    """Ask it for a checkpoint."""
    wake_at: Instant | None = None
    over_budget: str = ""
    """A limit is crossed already."""


@dataclass(frozen=True, slots=True)
class Situation:
    """What a course is decided on."""

    what: Stopping
    now: Instant
    progress: Progress
    spending: Spending | None
    remembered: Remembered
    stored: Mapping[str, Standing]
    held_by: str = ""
    """Who else decides when the Job runs, so that we do not suspend it."""


@dataclass(frozen=True, slots=True)
class _Step:
    standing: Standing
    stop: Stop | None = None
    wake_at: Instant | None = None


def decide(situation: Situation, judged: Sequence[Judged]) -> Course:
    """The course of a run that is meant to run; the budget comes first."""
    steps = [*_budget(situation), *(_rule(situation, one) for one in judged)]
    moments = [step.wake_at for step in steps if step.wake_at is not None and step.wake_at > situation.now]
    return Course(
        standings=tuple(step.standing for step in steps),
        stop=next((step.stop for step in steps if step.stop is not None), None),
        ask=any(step.standing.asked is not None for step in steps),
        wake_at=min(moments, default=None),
        over_budget=_over(situation),
    )


# --- rules ------------------------------------------------------------------------------------------------------------


def _rule(situation: Situation, one: Judged) -> _Step:
    finding, before = one.finding, situation.stored.get(one.name)
    if not finding.holds:
        state = WATCHING if finding.holds is False or not finding.loud else UNKNOWN
        return _Step(Standing(one.name, one.mode, state, finding.reason, finding.evidence))
    same = before is not None and before.state in _UNDER_WAY and before.reason == finding.reason
    since = before.since if same and before is not None and before.since is not None else situation.now
    evidence = before.message if same and before is not None and before.message else finding.evidence
    standing = Standing(one.name, one.mode, RECOMMENDED, finding.reason, evidence, since)
    if one.mode is Mode.RECOMMEND:
        return _Step(standing)
    if situation.held_by:
        return _Step(replace(standing, state=SKIPPED))
    if situation.now < since + one.warning:
        return _Step(replace(standing, state=WARNED), wake_at=since + one.warning)
    if finding.bad_since is not None:
        return _Step(standing=replace(standing, state=WARNED), stop=_diverged(situation, one, evidence))
    return _last_checkpoint(situation, one, replace(standing, asked=_asked(situation, before)))


def _asked(situation: Situation, before: Standing | None) -> Instant:
    return before.asked if before is not None and before.asked is not None else situation.now


def _last_checkpoint(situation: Situation, one: Judged, standing: Standing) -> _Step:
    """Wait for the checkpoint that was asked for, for a bounded time; then the newest one has to do."""
    saved, asked = situation.progress.saved, standing.asked or situation.now
    until = asked + situation.what.checkpoint_timeout
    if (saved is not None and saved.at >= asked) or (
        situation.now >= until and (saved is not None or not one.needs_checkpoint)
    ):
        stop = _stop(situation, one.name, standing.reason, standing.message, saved)
        return _Step(replace(standing, state=CHECKPOINT), stop)
    if situation.now < until:
        return _Step(replace(standing, state=CHECKPOINT), wake_at=until)
    return _Step(replace(standing, state=SKIPPED))


def _diverged(situation: Situation, one: Judged, evidence: str) -> Stop:
    """Once more from the last good checkpoint; when that was tried, or cannot be said to the pods, stop."""
    good = last_good(situation.progress, one.finding.bad_since or situation.now)
    stop = _stop(situation, one.name, one.finding.reason, evidence, good)
    again = situation.remembered.restorable and good is not None and situation.remembered.restarts < one.restarts
    return replace(stop, restart=again)


# --- budget -----------------------------------------------------------------------------------------------------------


def _budget(situation: Situation) -> Iterator[_Step]:
    kind = situation.what.budget
    if kind is None:
        return
    verdict = budgets.judge(situation.what, kind, situation.spending, situation.now)
    before = situation.stored.get(BUDGET)
    standing = Standing(BUDGET, kind.mode)
    outlook = verdict.stop or verdict.ask or verdict.warn
    if situation.remembered.waived and situation.remembered.waived == situation.what.digest_of(BUDGET):
        words = (
            "somebody resumed the Job itself after the budget had stopped it; edit spec.budget to have it kept again"
        )
        yield _Step(replace(standing, state=SKIPPED, reason="Overridden", message=words))
    elif outlook is None:
        state = UNKNOWN if verdict.unknown else WATCHING
        reason = "NotYet" if verdict.unknown == budgets.NOT_YET else "CostUnknown" if verdict.unknown else ""
        yield _Step(replace(standing, state=state, reason=reason, message=verdict.unknown), wake_at=verdict.next_at)
    else:
        yield _limited(situation, kind, verdict, standing, before)


def _limited(
    situation: Situation, kind: RunBudget, verdict: budgets.Verdict, standing: Standing, before: Standing | None
) -> _Step:
    """A threshold is reached: warn; then a last checkpoint; then stop, whether it has come or not."""
    ahead = budgets.lead(situation.what, kind)[0]
    pressing = verdict.stop or verdict.ask
    if pressing is None:
        assert verdict.warn is not None
        words = f"{kind.warn_at_percent} % of {verdict.warn.text(verdict.warn.limit)} is spent"
        since = before.since if before is not None and before.state == WARNED else situation.now
        shown = replace(standing, state=WARNED, reason="ThresholdReached", message=words, since=since)
        return _Step(shown, wake_at=verdict.next_at)
    reached = replace(standing, reason="LimitReached", message=budgets.evidence(pressing, ahead), since=situation.now)
    if before is not None and before.reason == "LimitReached":
        reached = replace(reached, message=before.message or reached.message, since=before.since or situation.now)
    if kind.mode is Mode.RECOMMEND:
        return _Step(replace(reached, state=RECOMMENDED), wake_at=verdict.next_at)
    if situation.held_by:
        return _Step(replace(reached, state=SKIPPED))
    asked, saved = _asked(situation, before), situation.progress.saved
    waited = situation.now >= asked + situation.what.checkpoint_timeout
    shown = replace(reached, state=CHECKPOINT, asked=asked)
    if verdict.stop is None and not waited and not (saved is not None and saved.at >= asked):
        wake = min(at for at in (asked + situation.what.checkpoint_timeout, verdict.next_at) if at is not None)
        return _Step(shown, wake_at=wake)
    return _Step(shown, _stop(situation, BUDGET, "LimitReached", reached.message, saved))


def _over(situation: Situation) -> str:
    kind, spending = situation.what.budget, situation.spending
    if kind is None or spending is None:
        return ""
    crossed = (one for one in budgets.outlooks(kind, spending, situation.now) if one.spent > one.limit)
    one = next(crossed, None)
    return f"more than the limit of {one.text(one.limit)} is spent" if one is not None else ""


# --- the record of a stop ---------------------------------------------------------------------------------------------


def _stop(situation: Situation, rule: str, reason: str, evidence: str, kept: Checkpoint | None) -> Stop:
    spending = situation.spending
    hourly = spending.hourly if spending is not None and spending.hourly else None
    return Stop(
        id=moment(situation.now),
        rule=rule,
        reason=reason,
        evidence=evidence,
        digest=situation.what.digest_of(rule),
        saved="; ".join(_saved(situation, kept)),
        hourly=f"{hourly:.6f}" if hourly is not None else "",
        currency=spending.currency if spending is not None and hourly is not None else "",
        checkpoint_at=moment(kept.at) if kept is not None else "",
        checkpoint_step=kept.step if kept is not None else None,
    )


def _saved(situation: Situation, kept: Checkpoint | None) -> Iterator[str]:
    spending = situation.spending
    if spending is not None and spending.hourly:
        cost = remaining_cost(situation.progress, spending)
        rest = f", {cost:.2f} until its end by its own estimate" if cost is not None else ""
        yield f"saves {spending.hourly:.2f} {spending.currency} an hour{rest}"
    else:
        yield "what it saves is not known: the run has no price"
    if kept is None:
        yield "no checkpoint is known of"
    else:
        step = f" of step {kept.step}" if kept.step is not None else ""
        age = format_duration(max(0, situation.now - kept.at))
        yield f"checkpoint{step} at {moment(kept.at)} ({age} old)"


# --- what is stored ---------------------------------------------------------------------------------------------------


def standings_of(status: Mapping[str, Any]) -> dict[str, Standing]:
    """Standings as stored; what cannot be read was never written."""
    found = {}
    for raw in (status.get("earlyStopping") or {}).get("rules") or ():
        try:
            one = Standing(
                name=str(raw["name"]),
                mode=Mode(raw["mode"]),
                state=str(raw["state"]),
                reason=str(raw.get("reason") or ""),
                message=str(raw.get("message") or ""),
                since=parse_rfc3339(raw["since"]) if raw.get("since") else None,
                asked=parse_rfc3339(raw["checkpointAskedAt"]) if raw.get("checkpointAskedAt") else None,
            )
        except (KeyError, ValueError, TypeError, AttributeError):
            continue
        found[one.name] = one
    return found


def stored(standing: Standing) -> dict[str, Any]:
    """For the status."""
    shown = {
        "name": standing.name,
        "mode": str(standing.mode),
        "state": standing.state,
        "reason": standing.reason,
        "message": standing.message,
        "since": moment(standing.since) if standing.since is not None else "",
        "checkpointAskedAt": moment(standing.asked) if standing.asked is not None else "",
    }
    return {key: value for key, value in shown.items() if value}
