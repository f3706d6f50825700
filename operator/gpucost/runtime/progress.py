"""What every run has said of itself: taken in, kept in memory and in the ledger, and given to whoever judges the run.

`of(key)` gives the history of a TrainingJob. New words mark its key dirty, though not with every message: a pass over a
run whose loss went on falling decides nothing. A checkpoint counts only when it is in the ledger, because a decision to
stop may rest on it; the rest is written within a second.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace

from gpucost.core.clock import HOUR, SECOND, Instant, Micros
from gpucost.core.model import Job, Key
from gpucost.core.training.curve import with_checkpoint, with_report
from gpucost.core.training.memory import ADOPTED_BY
from gpucost.core.training.observed import less_than_better
from gpucost.core.training.progress import Checkpoint, Progress, Report
from gpucost.core.training.push import Push
from gpucost.core.training.sayings import Speaker, checkpoint_of, report_of
from gpucost.ledger import LedgerError, LedgerFenced
from gpucost.ledger.progress import RunChange
from gpucost.runtime.world import Custom, World
from gpucost.sources.token_reviews import BoundPod
from gpucost.web.progress import Answer, OutOfOrder, TooFast
from gpucost.web.provider import NotReady

log = logging.getLogger(__name__)

_LOOK_AGAIN = 15 * SECOND
_MOST_SPEAKERS = 8192
_TIDY_EVERY = HOUR

Write = Callable[[Mapping[str, RunChange]], Awaitable[None]]


@dataclass
class RunHistories:
    """Histories by UID of the TrainingJob: a namesake that is made later begins anew."""

    world: World
    now: Callable[[], Instant]
    mark: Callable[[Key], None]
    write: Write | None = None
    """Writes changes to the ledger; None while there is none."""
    forget: Callable[[Instant], Awaitable[int]] | None = None
    """Deletes runs from the ledger that do not exist any more and said nothing since an instant."""
    keep: Micros | None = None
    """How long the ledger keeps them; None for ever."""
    interval_of: Callable[[Key], Micros | None] = lambda _key: None
    """Recommended time between two checkpoints of a run."""
    _known: dict[str, Progress] = field(default_factory=dict)
    _changes: dict[str, RunChange] = field(default_factory=dict)
    _asked: dict[str, Instant] = field(default_factory=dict)
    _marked: dict[str, Instant] = field(default_factory=dict)
    _speakers: OrderedDict[str, Speaker] = field(default_factory=OrderedDict)
    _tidied: Instant = 0
    _writing: asyncio.Lock = field(default_factory=asyncio.Lock)

    # --- what others ask ----------------------------------------------------------------------------------------------

    def of(self, key: Key) -> Progress:
        """Everything that the TrainingJob of a name has said; empty for one that does not exist."""
        record = self.world.trainingjobs.get(key)
        return self._known.get(record.uid, Progress()) if record is not None else Progress()

    def ask_checkpoint(self, key: Key) -> None:
        """Ask the run for a checkpoint with the answer to its next message; asking again changes nothing.

        Not kept over a restart: who needs a checkpoint finds that there is none and asks again.
        """
        record = self.world.trainingjobs.get(key)
        if record is not None:
            self._asked.setdefault(record.uid, self.now())

    def is_asked(self, key: Key) -> bool:
        """Whether a checkpoint was asked for that has not come yet."""
        record = self.world.trainingjobs.get(key)
        return record is not None and record.uid in self._asked

    # --- messages -----------------------------------------------------------------------------------------------------

    def run_of(self, pod: BoundPod) -> Key | None:
        """See `web.progress.Desk`."""
        known = self.world.pods.get(pod.uid)
        if known is None:
            raise NotReady(f"pod {pod.name} was not seen yet")
        job = self.world.jobs.get(known.owner.uid) if known.owner is not None and known.owner.kind == "Job" else None
        return _owner_of(job, self.world) if job is not None else None

    async def take(self, key: Key, pod: BoundPod, push: Push) -> Answer:
        """See `web.progress.Desk`."""
        record = self.world.trainingjobs.get(key)
        if record is None:
            raise NotReady(f"TrainingJob {key} is being deleted")
        now, speaker = self.now(), self._speaker(pod.uid)
        if wait := speaker.pace.take(now):
            raise TooFast(wait)
        stale = speaker.repeats(push)
        if stale and push.saved is None:
            if not speaker.is_repetition(push):
                raise OutOfOrder(stale)
            return self._answer(record, accepted=False, reason=stale)
        # A checkpoint has an instant of its own: it may come with words that were said before.
        saved, why = checkpoint_of(push, now, record.created)
        self.tell(record, None if stale else report_of(push, now), saved)
        if saved is not None and not await self.flush():
            raise NotReady("the ledger did not take the checkpoint")
        if not stale:
            speaker.heard(push, now)
        return self._answer(record, reason=stale or why, ignored=push.ignored)

    def hear(self, record: Custom, push: Push, source: str, *, at: Instant | None = None) -> bool:
        """Take in what was seen of a run from outside; whether it was news.

        `at` is when it was said, if the message does not say so itself. A more trustworthy source that has spoken
        lately counts instead, and a pod's clock may not be ahead of ours.
        """
        now, speaker = self.now(), self._speaker(f"{record.uid}/{source}")
        told_at = push.told_at if push.told_at is not None else at
        said = less_than_better(replace(push, told_at=told_at), source, self._known.get(record.uid, Progress()), now)
        if speaker.repeats(said):
            return False
        speaker.heard(said, now)
        saved, _ = checkpoint_of(said, now, record.created)
        report = report_of(said, min(now, told_at if told_at is not None else now), source)
        self.tell(record, report, saved)
        return report is not None or saved is not None

    def _speaker(self, pod_uid: str) -> Speaker:
        speaker = self._speakers.setdefault(pod_uid, Speaker())
        self._speakers.move_to_end(pod_uid)
        while len(self._speakers) > _MOST_SPEAKERS:
            self._speakers.popitem(last=False)
        return speaker

    def _answer(
        self, record: Custom, *, accepted: bool = True, reason: str = "", ignored: tuple[str, ...] = ()
    ) -> Answer:
        asked, interval = record.uid in self._asked, self.interval_of(record.key)
        return Answer(accepted, reason, ignored, checkpoint=asked, checkpoint_interval=interval)

    def tell(self, record: Custom, report: Report | None, saved: Checkpoint | None = None) -> None:
        """Put a report or a checkpoint into a run's history, wherever it comes from."""
        if report is None and saved is None:
            return
        before = after = self._known.get(record.uid, Progress())
        change = self._changes.setdefault(record.uid, RunChange())
        if report is not None:
            after = with_report(after, report)
            change.reports.append(after.reports[-1])
        if saved is not None:
            after = with_checkpoint(after, saved)
            change.checkpoints.append(saved)
            self._asked.pop(record.uid, None)  # whatever its clock says: to ask for ever would stop the training
        self._known[record.uid] = after
        change.dropped_reports |= {one.at for one in before.reports} - {one.at for one in after.reports}
        change.dropped_checkpoints |= {one.at for one in before.checkpoints} - {one.at for one in after.checkpoints}
        self._mark(record, urgent=saved is not None or (report is not None and _is_odd(report)))

    def _mark(self, record: Custom, *, urgent: bool) -> None:
        now = self.now()
        if urgent or now - self._marked.get(record.uid, 0) >= _LOOK_AGAIN:
            self._marked[record.uid] = now
            self.mark(record.key)

    # --- the ledger ---------------------------------------------------------------------------------------------------

    def load(self, known: Mapping[str, Progress]) -> None:
        """Begin with what the ledger knows."""
        self._known.update(known)

    async def flush(self) -> bool:
        """Write what is new; False when the ledger did not take it: it is kept and tried again."""
        async with self._writing:
            changes, self._changes = self._changes, {}
            if not changes or self.write is None:
                self._changes = changes
                return not changes
            try:
                await self.write(changes)
            except BaseException as error:
                self._put_back(changes)
                if isinstance(error, LedgerFenced) or not isinstance(error, LedgerError):
                    raise
                log.warning("what %d runs have said waits for the ledger: %s", len(changes), error)
                return False
            return True

    def _put_back(self, changes: dict[str, RunChange]) -> None:
        """Only what is still kept has to be written: an outage does not pile up more than the histories hold."""
        for uid, change in changes.items():
            newer = self._changes.setdefault(uid, RunChange())
            kept = self._known.get(uid, Progress())
            there = {one.at for one in kept.reports}
            newer.reports[:0] = [one for one in change.reports if one.at in there]
            newer.checkpoints[:0] = [one for one in change.checkpoints if one in kept.checkpoints]
            newer.dropped_reports |= change.dropped_reports
            newer.dropped_checkpoints |= change.dropped_checkpoints

    async def tidy(self) -> None:
        """Forget runs that do not exist any more; the ledger keeps them as long as it keeps pods."""
        self._forget_gone()
        if self.forget is not None and self.keep is not None and self.now() - self._tidied >= _TIDY_EVERY:
            self._tidied = self.now()
            await self.forget(self.now() - self.keep)

    def _forget_gone(self) -> None:
        living = self.world.trainingjob_uids
        for kept in (self._known, self._asked, self._marked):
            for uid in kept.keys() - living - self._changes.keys():
                del kept[uid]


def _owner_of(job: Job, world: World) -> Key | None:
    """The TrainingJob that made a Job or has taken it over."""
    keys = sorted(world.claimants(job))
    for key in keys:
        uid = world.trainingjobs[key].uid
        if (job.owner is not None and job.owner.uid == uid) or job.annotations.get(ADOPTED_BY) == uid:
            return key
    referring = [key for key in keys if world.trainingjobs[key].spec.get("workloadRef")]
    return referring[0] if len(referring) == 1 and ADOPTED_BY not in job.annotations else None


def _is_odd(report: Report) -> bool:
    return not all(map(math.isfinite, report.metrics.values()))
