"""A simulated cluster in which a run does work that can be lost: it trains while all of its workers run, saves now and
then, reports, and goes on from its last checkpoint when its nodes were taken from it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from gpucost.core.actions import Decision, PatchJob
from gpucost.core.capacity import KARPENTER, Provider
from gpucost.core.clock import MINUTE, SECOND, Instant, Micros
from gpucost.core.model import CapacityType, Job, Pod, Resources
from gpucost.core.training import memory
from gpucost.core.training.auto.sightings import Market, rooms_of, wants_of
from gpucost.core.training.auto.stays import Cause, PodSeen, Stay, cause_of, with_pod, with_report
from gpucost.core.training.plan import TrainingContext, TrainingState
from gpucost.core.training.progress import Checkpoint, Progress, Report
from support.training_world import SPOT, World

KINDS = {"spot": CapacityType.SPOT, "on-demand": CapacityType.ON_DEMAND}
REQUESTS = Resources(gpus=8)


@dataclass
class AutoWorld(World):
    """`World` with work in it."""

    work: Micros = 0
    """Training time that the whole run takes."""
    start_up: Micros = MINUTE
    """From the start of the containers to the first step."""
    saves_every: Micros | None = 10 * MINUTE
    speaks: bool = True
    """Whether it reports, and saves when it is asked to."""
    boot: Micros = 60 * SECOND
    """From the purchase of a node to its being there."""
    done: Micros = 0
    saved: Micros = 0
    best: Micros = 0
    """The most that was ever done at once."""
    lost: Micros = 0
    finished: Instant | None = None
    save_wanted: bool = False
    stays: tuple[Stay, ...] = ()
    progress: Progress = field(default_factory=Progress)
    moves: list[tuple[Instant, str]] = field(default_factory=list)
    _trained_until: Instant = 0
    _saved_at: Instant = 0
    _why: str = "Deleted"
    _ordered: dict[str, Instant] = field(default_factory=dict)
    _generation: frozenset[str] = frozenset()

    # --- what the operator sees ---------------------------------------------------------------------------------------

    def state(self) -> TrainingState:
        rates = (Decimal("0.35"), Decimal(1))
        return replace(super().state(), stays=self.stays, progress=self.progress, requests=REQUESTS, rates=rates)

    def context(self) -> TrainingContext:
        wants = self._wants()
        rooms = rooms_of(
            self.nodes.values(), self.pods.values(), {n.name: KINDS[n.labels[KARPENTER]] for n in self.nodes.values()}
        )
        living = {pod.node_name for pod in self.pods.values()}
        there = tuple(room for room in rooms if room.node.name in living)
        return TrainingContext(
            now=self.now, provider=Provider.KARPENTER, nodes=dict(self.nodes), market=Market(there, {wants: self.stays})
        )

    def _wants(self) -> str:
        job = self.job_record()
        return wants_of(job.node_selector if job is not None else {}, REQUESTS)

    def operate(self, *, survive: int | None = None) -> Decision:
        decision = super().operate(survive=survive)
        self.save_wanted |= bool(decision.ask_checkpoint) and self.speaks
        return decision

    def write(self, action: Any) -> None:
        if isinstance(action, PatchJob) and (action.patch.get("spec") or {}).get("suspend") is True:  # type: ignore[attr-defined]
            self.moves.append((self.now, action.reason))
            notes: Any = action.patch["metadata"]
            if memory.SPOT_REFUSED_AT in notes["annotations"]:
                pending = [pod.created for pod in self.pods.values() if pod.node_name is None]
                if pending and min(pending) < self.now:
                    self.stays = (
                        *self.stays,
                        Stay(
                            min(pending),
                            CapacityType.SPOT,
                            ended=self.now,
                            cause=Cause.UNAVAILABLE,
                            wants=self._wants(),
                        ),
                    )
        super().write(action)

    # --- the run ------------------------------------------------------------------------------------------------------

    def schedule(self) -> None:
        """A node takes some time to be there."""
        for pod in self._active():
            kind = self.placed[pod.uid]
            if pod.node_name is None and self.capacity.get(kind):
                self._ordered.setdefault(pod.uid, self.now)
        waiting = {pod.uid for pod in self._active() if pod.node_name is None}
        early = {uid for uid in waiting if self.now < self._ordered.get(uid, self.now) + self.boot}
        held = {uid: self.pods.pop(uid) for uid in early}
        super().schedule()
        self.pods |= held
        for uid, pod in self.pods.items():
            if pod.node_name is not None and pod.running is None and pod.phase == "Running":
                self.pods[uid] = replace(pod, running=self.now)
        self._observe()

    def _observe(self) -> None:
        for pod in self.pods.values():
            self._see(pod)

    def _see(self, pod: Pod, ended: Instant | None = None, reason: str = "") -> None:
        if pod.bound is None or pod.node_name is None:
            return
        end = ended if ended is not None else pod.ended
        capacity = KINDS[self.nodes[pod.node_name].labels[KARPENTER]]
        suspended = Cause.MOVE if self.job is not None and self.job["suspend"] else None
        cause = cause_of(reason or pod.phase, capacity=capacity, suspended=suspended) if end is not None else None
        seen = PodSeen(pod.created, pod.bound, capacity, "z1", pod.running, end, cause)
        self.stays = with_pod(self.stays, seen, self._wants())

    def _remove(self, uid: str) -> None:
        pod = self.pods[uid]
        self._see(pod, pod.ended or self.now, pod.phase if pod.ended is not None else self._why)
        super()._remove(uid)

    def train(self) -> None:
        """Do the work of the time since the last call."""
        there = [pod for pod in self._active() if pod.phase == "Running" and pod.running is not None]
        whole = self.job is not None and len(there) >= self.job["workers"] > 0
        group = frozenset(pod.uid for pod in there) if whole else frozenset()
        if group != self._generation:
            if self.speaks and any(uid in self.pods and self.pods[uid].deleting for uid in self._generation):
                self._save()  # on SIGTERM
            if self._generation:
                self.lost += self.done - self.saved
            self.done, self._generation = self.saved, group
            started = max((pod.running or 0 for pod in there), default=self.now)
            self._trained_until = self._saved_at = started + self.start_up
        if not group or self.now <= self._trained_until:
            return
        self.done = min(self.work, self.done + self.now - self._trained_until)
        self.best, self._trained_until = max(self.best, self.done), self.now
        if self.save_wanted or (self.saves_every is not None and self.now - self._saved_at >= self.saves_every):
            self._save()
        if self.speaks:
            self.stays = with_report(self.stays, self.now)
            self._tell(report=Report(self.now, progress=self.done / self.work))
        if self.done >= self.work:
            self.finish()

    def _save(self) -> None:
        self.saved, self._saved_at, self.save_wanted = self.done, self.now, False
        if self.speaks:
            self._tell(saved=Checkpoint(self.now, duration=20 * SECOND))

    def _tell(self, report: Report | None = None, saved: Checkpoint | None = None) -> None:
        reports = (*self.progress.reports, report) if report else self.progress.reports
        checkpoints = (*self.progress.checkpoints, saved) if saved else self.progress.checkpoints
        self.progress = Progress(reports[-400:], checkpoints[-200:])

    def job_record(self) -> Job | None:
        job = super().job_record()
        return replace(job, completed=self.finished) if job is not None and self.is_complete else job

    def finish(self) -> None:
        self.finished = self.now
        super().finish()
        self._observe()

    @property
    def is_complete(self) -> bool:
        return self.job is not None and bool(self.job["Complete"])

    def live(self, span: Micros, step: Micros = 30 * SECOND) -> None:
        """Let time pass, with everybody at work."""
        end = self.now + span
        while self.now < end and not self.is_complete:
            self.now += step
            self.train()
            self.kubernetes()
            self.operate()

    def lose_spot(self) -> None:
        self.train()
        self._why = "DeletionByTaintManager"
        super().lose_spot()
        self._why = "Deleted"


__all__ = ["SPOT", "AutoWorld"]
