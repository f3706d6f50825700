"""The same run made before: what is known of it, and what follows for one that has not started yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gpucost.core.training.fingerprint import Fingerprint
from gpucost.core.training.runs.run import Result, Run
from gpucost.core.training.runs.spec import Deduplication

_ENOUGH = 2


@dataclass(frozen=True)
class Twins:
    """What tells a run from others, and the earlier runs that are the same; only of its own namespace."""

    print: Fingerprint | None = None
    """None: not told from others."""
    version: str = ""
    """Version of the dataset that the fingerprint was made with."""
    runs: Sequence[Run] = ()
    """Earlier runs with its digest, whatever became of them."""

    @property
    def comparable(self) -> Sequence[Run]:
        """Those that are this very run for certain: both digests say everything."""
        if self.print is None or not self.print.is_exact:
            return ()
        return [run for run in self.runs if run.exact and run.digest == self.print.digest]

    @property
    def complete(self) -> Run | None:
        """The newest that has a result."""
        done = [run for run in self.comparable if run.result is Result.COMPLETE]
        return max(done, key=lambda run: (run.ended or 0, run.uid), default=None)

    @property
    def running(self) -> Run | None:
        """The first of those that have not ended."""
        return min((r for r in self.comparable if not r.is_over), key=lambda run: (run.created, run.uid), default=None)

    @property
    def failed(self) -> Sequence[Run]:
        """The last two when both have failed, the newest first; else nothing."""
        over = [run for run in self.comparable if run.result in {Result.COMPLETE, Result.STOPPED, Result.FAILED}]
        last = sorted(over, key=lambda run: (run.ended or 0, run.uid), reverse=True)[:_ENOUGH]
        return last if len(last) == _ENOUGH and all(run.result is Result.FAILED for run in last) else ()


def matters(mode: Deduplication, twins: Twins) -> Run | None:
    """The earlier run that an earlier result, a run that goes on or two failures are told of."""
    if mode is Deduplication.OFF:
        return None
    failed = twins.failed
    return twins.complete or (failed[0] if failed else None) or twins.running
