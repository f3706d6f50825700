"""One pass over one TrainingJob, with everything worked out that its steps ask about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from gpucost.core.actions import stored_condition
from gpucost.core.capacity import Provider, provider_of
from gpucost.core.clock import HOUR, Instant, Micros
from gpucost.core.model import CapacityType, Job, Pod
from gpucost.core.training import gang, jobset, memory, observe, queueing
from gpucost.core.training.auto.view import View, view_of
from gpucost.core.training.manifest import Identity
from gpucost.core.training.memory import Memory
from gpucost.core.training.placement import Pool, overrides, pool_for
from gpucost.core.training.reporting import Reporting
from gpucost.core.training.spec import PlacementPolicy, TrainingSpec
from gpucost.core.training.state import TrainingContext, TrainingState
from gpucost.core.training.stopping import stop as stops
from gpucost.core.training.stopping.course import Course
from gpucost.core.training.stopping.look import course_of, in_force
from gpucost.core.training.wish import Wish, may_fall_back, wanted

RETRY_AFTER: Micros = 6 * HOUR
"""How long a refused move that no window asked for is left alone."""

_JOB_CONTROLLER = "kubernetes.io/job-controller"


@dataclass(frozen=True)
class Target:
    """What a wish comes to in this world."""

    placement: CapacityType | None
    """None: it must not run."""
    pool: Pool | None = None
    """None with a placement: nothing is known that would select it, so the job runs wherever it fits."""
    pool_missing: bool = False
    """The wish cannot be met, because nobody knows how its nodes are selected."""
    obstacle: str = ""
    """Why a workload of this kind cannot be placed there, with the remedy."""

    @property
    def holds(self) -> bool:
        """Nothing can be done but to leave things as they are."""
        return self.pool_missing and self.placement is None


@dataclass(frozen=True)
class Case:
    """State and context, and what follows from them. Only for specifications without problems."""

    state: TrainingState
    context: TrainingContext
    spec: TrainingSpec

    @property
    def now(self) -> Instant:
        """The instant of the pass."""
        return self.context.now

    @property
    def owner(self) -> Identity:
        """The TrainingJob, as what it creates refers to it."""
        return Identity(self.state.key, self.state.uid, self.state.labels)

    @cached_property
    def switch(self) -> Job | None:
        """The Job as far as we turn it on and off: one that a queue starts and stops is turned off in the queue."""
        job, entry = self.state.job, self.state.entry
        return queueing.as_switch(job, entry) if job is not None and job.queue and entry is not None else job

    @cached_property
    def memory(self) -> Memory:
        """What the Job's annotations say; those of its place in a queue when it is turned off there."""
        return memory.recall(self.switch) if self.switch else Memory()

    @cached_property
    def wish(self) -> Wish:
        """What the specification asks for now."""
        if self.is_auto and not self.spec.suspend:
            placement = self.view.placement
            return Wish(placement, f"auto/{placement}/g{self.state.generation}", "Deadline")
        return wanted(self.spec, now=self.now, generation=self.state.generation)

    @property
    def interval(self) -> Micros:
        """Time between two checkpoints: what the specification says, else what is advised."""
        return self.spec.checkpoint_interval or self.view.advice.interval

    @property
    def reporting(self) -> Reporting | None:
        """Where the run reports, with the interval that is advised now."""
        known = self.context.reporting
        return None if known is None else replace(known, interval=self.interval)

    @property
    def is_auto(self) -> bool:
        """Whether the deadline decides where it runs."""
        return self.spec.placement.policy is PlacementPolicy.AUTO

    @cached_property
    def view(self) -> View:
        """Work left, changeover, checkpoints, and what follows for the deadline."""
        return view_of(self.state, self.context, self.spec, self.memory)

    @cached_property
    def remembered(self) -> stops.Remembered:
        """What the Job's annotations say about stops."""
        return stops.recall(self.switch)

    @cached_property
    def stop(self) -> stops.Stop | None:
        """The stop that keeps the Job suspended, until its user takes it back."""
        state = self.state if self.switch is self.state.job else replace(self.state, job=self.switch)
        return in_force(state, self.spec.stopping, self.memory, self.remembered)

    @cached_property
    def course(self) -> Course:
        """What the rules of early stopping and the budget come to."""
        held_by = "a queue or another controller" if self.is_hands_off and self.switch is self.state.job else ""
        return course_of(self.state, self.context, self.spec.stopping, self.remembered, held_by=held_by)

    @cached_property
    def target(self) -> Target:
        """What should be done about the wish."""
        return Target(None) if self.stop is not None else self.unstopped

    @cached_property
    def unstopped(self) -> Target:
        """What should be done if nothing had stopped the run."""
        if self.memory.suspended and self.memory.reason == memory.EXIT_CAP:
            return Target(None)
        if self.wish.placement is None or gang.is_held(self.memory, self.wish.placement, self.now):
            return Target(None)
        refused = self.is_refused and self.memory.fallback is not None
        placement = self.memory.fallback if refused else self.wish.placement
        return self._selected(placement or self.wish.placement)

    def _selected(self, placement: CapacityType) -> Target:
        pool = pool_for(placement, self.spec.placement, self.provider)
        if (obstacle := self.obstacle(placement)) is not None:
            if self.placement is placement or (self.placement is None and placement is CapacityType.ON_DEMAND):
                return Target(placement)  # it is there, without anything of ours
            return Target(None, pool_missing=True, obstacle=obstacle)
        if pool is not None or placement is CapacityType.ON_DEMAND:
            return Target(placement, pool)
        if may_fall_back(self.spec):
            instead = CapacityType.ON_DEMAND
            return Target(instead, pool_for(instead, self.spec.placement, self.provider), pool_missing=True)
        return Target(None, pool_missing=True)

    def obstacle(self, placement: CapacityType) -> str | None:
        """Why the rules of a JobSet keep it from being placed there; a Job has no such rules."""
        job = self.state.job
        if job is None or job.kind != jobset.KIND:
            return None
        return jobset.obstacle(job, self.spec.placement, self.provider, self.memory.bound, placement)

    @cached_property
    def placed_pods(self) -> tuple[Pod, ...]:
        """The pods that follow the placement: all, unless parts of the workload stay where they are."""
        job = self.state.job
        if job is None or all(part.moves for part in job.parts):
            return tuple(self.state.pods)
        movers = {uid for part in job.parts if part.moves for uid in part.jobs}
        return tuple(pod for pod in self.state.pods if pod.owner is not None and pod.owner.uid in movers)

    @property
    def provider(self) -> Provider | None:
        """Who makes the nodes; a cluster that has scaled to zero shows nobody, but the Job remembers."""
        bound = self.memory.bound
        remembered = {**bound.pool.node_selector, **bound.pool.excluded} if bound else {}
        return self.context.provider or provider_of(remembered)

    @property
    def is_refused(self) -> bool:
        """Whether this very wish was tried and could not be met, not too long ago."""
        if self.memory.refused != self.wish.key:
            return False
        expires = self.refusal_expires
        return expires is None or self.now < expires

    @property
    def refusal_expires(self) -> Instant | None:
        """When a refused wish is tried again though it is still the same; a window's is not."""
        if self.wish.reason != "Policy" or self.memory.refused != self.wish.key:
            return None
        return (self.memory.refused_at or 0) + RETRY_AFTER

    @property
    def is_hands_off(self) -> bool:
        """Whether somebody else decides when the Job runs: a queue, or an external controller."""
        job = self.state.job
        return job is not None and (bool(job.queue) or job.managed_by not in {None, _JOB_CONTROLLER})

    @property
    def is_queued(self) -> bool:
        """Whether the Job is made for a queue of Kueue."""
        metadata = (self.spec.template or {}).get("metadata") or {}
        labels = metadata.get("labels") or {} if isinstance(metadata, Mapping) else {}
        return queueing.names_a_queue(self.state.labels) or queueing.names_a_queue(labels)

    @property
    def is_overridden(self) -> bool:
        """Whether somebody resumed the Job against this very wish."""
        return self.memory.overridden == self.wish.key

    def is_in_place(self, job: Job) -> bool | None:
        """Whether the Job carries the directives of the target, or runs there without; None is unknown."""
        target, mine = self.target, self.memory
        assert target.placement is not None
        if mine.bound is None:
            if target.pool is None:
                return True
            return observe.fits(job, self.placed_pods, self.context.nodes, self.overrides, target.placement)
        if mine.placement is not target.placement:
            return False
        return not self._is_given(target.placement) or mine.bound.pool == target.pool

    def _is_given(self, placement: CapacityType) -> bool:
        """A selector that the user edits is followed; a provider detected anew is no reason to restart a run."""
        given = {CapacityType.SPOT: self.spec.placement.spot, CapacityType.ON_DEMAND: self.spec.placement.on_demand}
        return given.get(placement) is not None

    @property
    def overrides(self) -> tuple[tuple[dict[str, str], CapacityType], ...]:
        """The user's selectors, to read node labels with."""
        return tuple((dict(selector), kind) for selector, kind in overrides(self.spec.placement))

    @cached_property
    def placement(self) -> CapacityType | None:
        """Where the Job is placed: where we put it, else where it is seen; None is unknown."""
        job, mine = self.state.job, self.memory
        if job is None:
            return None
        if mine.bound is not None:
            return mine.placement
        seen = observe.current_placement(job, self.placed_pods, self.context.nodes, self.overrides)
        return seen or mine.placement

    @property
    def is_migrating(self) -> bool:
        """From the suspension for a move until every worker has a node in the new place."""
        job, mine = self.state.job, self.memory
        if job is None or job.completed is not None:
            return False
        if mine.suspended:
            return mine.reason == memory.MOVE and self.target.placement is not None
        under_way = self.stored("Migrating").get("status") == "True" and mine.previous is not None
        return under_way and not job.suspend and not observe.is_settled(job, self.state.pods)

    def stored(self, kind: str) -> Mapping[str, Any]:
        """A condition of the status as stored; empty when there is none."""
        return stored_condition(self.state.status, kind)

    @property
    def unscheduled_since(self) -> Instant | None:
        """Since when a worker has waited for a node in this placement."""
        return observe.unscheduled_since(self.placed_pods)

    @property
    def fallback(self) -> CapacityType | None:
        """Where to go when the wish cannot be met in time; None: stay and wait.

        From spot capacity back to where the job came from, or to on-demand where the specification says so. On-demand
        capacity is left again only while the move to it has not succeeded yet.
        """
        wish, mine = self.wish, self.memory
        if self.is_auto or self.is_refused or self.target.placement is not wish.placement or wish.placement is None:
            return None
        if wish.placement is not CapacityType.SPOT and not self.is_migrating:
            return None
        if mine.previous is not None and mine.previous is not wish.placement:
            back: CapacityType | None = mine.previous
        else:
            allowed = wish.placement is CapacityType.SPOT and may_fall_back(self.spec)
            back = CapacityType.ON_DEMAND if allowed else None
        return back if back is not None and self.obstacle(back) is None else None
