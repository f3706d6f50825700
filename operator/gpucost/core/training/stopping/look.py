"""One pass's look at a run: the stop that is in force, and what its rules come to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from gpucost.core.model import Job, Pod
from gpucost.core.training import observe
from gpucost.core.training.memory import Memory
from gpucost.core.training.progress import Progress
from gpucost.core.training.state import TrainingContext, TrainingState
from gpucost.core.training.stopping.course import STOPPED, Course, Situation, Standing, decide, standings_of
from gpucost.core.training.stopping.idle import Worker, running_since
from gpucost.core.training.stopping.judge import Evidence, judge
from gpucost.core.training.stopping.spec import BUDGET, IDLE, Stopping
from gpucost.core.training.stopping.stop import RESUME, STOP, Remembered, Stop, is_taken_back


def in_force(state: TrainingState, what: Stopping, mine: Memory, remembered: Remembered) -> Stop | None:
    """The stop that keeps the Job suspended; None when there is none, or its user has taken it back."""
    job, stop = state.job, remembered.stop
    if job is None or stop is None or not (job.suspend and mine.suspended and mine.reason == STOP):
        return None
    return None if is_taken_back(stop, what, state.annotations.get(RESUME, "")) else stop


def course_of(
    state: TrainingState, context: TrainingContext, what: Stopping, remembered: Remembered, *, held_by: str
) -> Course:
    """The course of a run; one that does not run keeps its standing, and nothing is judged meanwhile."""
    stored = standings_of(state.status)
    job = state.job
    if not what or job is None or job.suspend or job.condition("Complete") or job.condition("Failed"):
        return Course(_kept(what, stored, remembered.stop)) if what else Course()
    told = state.progress.since(job.created)  # another run of the same TrainingJob is no evidence
    seen = _evidence(state, context, job, told)
    judged = judge(what, seen, since=remembered.since, now=context.now)
    situation = Situation(what, context.now, told, state.spending, remembered, stored, held_by)
    return decide(situation, judged)


def _kept(what: Stopping, stored: Mapping[str, Standing], stop: Stop | None) -> tuple[Standing, ...]:
    names = {rule.name for rule in what.rules} | {IDLE, BUDGET}
    known = (one for name, one in stored.items() if name in names)
    return tuple(
        replace(one, state=STOPPED, asked=None) if stop is not None and one.name == stop.rule else one for one in known
    )


def _evidence(state: TrainingState, context: TrainingContext, job: Job, told: Progress) -> Evidence:
    pods = list(observe.alive(state.pods))
    workers = {pod.uid: _worker(state, pod) for pod in pods}
    needed = min(job.parallelism, job.completions - job.succeeded)
    return Evidence(
        progress=told,
        groups=state.groups,
        workers=tuple(_with_gpus(workers.values())) if len(workers) >= needed else (),
        running_since=running_since(workers) if len(workers) >= needed else None,
        spending=state.spending,
        measured_since=context.measured_since,
    )


def _with_gpus(workers: Iterable[Worker]) -> Iterable[Worker]:
    return (worker for worker in workers if worker.gpus)


def _worker(state: TrainingState, pod: Pod) -> Worker:
    started = pod.started if pod.deleting is None else None
    return Worker(pod.name, float(pod.requests.gpus), started, state.quiet.get(pod.uid, ()))
