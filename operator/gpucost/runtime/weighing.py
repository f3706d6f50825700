"""How much of the processor choices may take: a little at once, then a share of it, and the oldest question first.

Most choices are remembered (`core.training.deadline.remembered`). One that has to be weighed takes milliseconds, and
after a start, or when spot comes or goes, hundreds of runs ask at once. So that reactions to everything else stay
quick, what does not fit into the allowance gets a turn of its own, in the order in which it was asked. The clock is one
that never jumps; where a deadline is near nobody waits for a turn.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from gpucost.core.clock import SECOND, Instant
from gpucost.core.training.deadline import Choice, Outlook

AT_ONCE = 1.2
"""Seconds of processor time that may be used at once."""
SHARE = 0.2
"""Part of a processor that may be used all the time."""
LONGEST = 120.0
"""Seconds after which a question is answered whatever the allowance says."""
_LOOK_EVERY = 20.0
_FORGOTTEN = 60.0
"""Seconds after its turn when a question has been given up: its runs ask another one by now."""
_FIRST_GUESS = 0.01


@dataclass
class _Waiting:
    since: float
    turn: float


@dataclass
class Weighing:
    """Chooses for all runs of an operator."""

    now: Callable[[], Instant]
    limited: bool = True
    clock: Callable[[], float] = time.monotonic
    meter: Callable[[], float] = time.thread_time
    _memory: Any = None
    _used_until: float = float("-inf")
    """When all that was used so far would have been given, at the share that may be used all the time."""
    _usual: float = _FIRST_GUESS
    """What one question takes."""
    _line: dict[Hashable, _Waiting] = field(default_factory=dict)
    """Questions that wait for their turn, oldest first."""

    def choose(self, outlook: Outlook) -> Choice:
        """Where a run should be now; raises `PutOff` with the instant of its turn."""
        if self._memory is None:  # numpy is imported at the first question
            remembered = import_module("gpucost.core.training.deadline.remembered")
            self._memory = remembered.Remembered(turn=self.turn)
        weighed, begun = self._memory.weighed, self.meter()
        choice: Choice = self._memory.choose(outlook)
        if self._memory.weighed != weighed:
            self.spent(self.meter() - begun)
        return choice

    @property
    def waiting(self) -> int:
        """Questions that wait for their turn."""
        return len(self._line)

    def spent(self, seconds: float) -> None:
        """Take down what a question took."""
        self._used_until = max(self._used_until, self.clock()) + seconds / SHARE
        self._usual += (seconds - self._usual) / 8

    def turn(self, question: Hashable) -> Instant | None:
        """When a question may be weighed; None: now."""
        if not self.limited:
            return None
        at = self.clock()
        self._forget(at)
        mine = self._line.get(question)
        if mine is None:
            if not self._line and self._is_free(at):
                return None
            mine = self._line[question] = _Waiting(at, self._next(at))
        elif at >= mine.turn and (self._is_free(at) or at - mine.since >= LONGEST):
            del self._line[question]
            return None
        elif at >= mine.turn:
            mine.turn = min(at + self._until_free(at), mine.since + LONGEST)
        return self.now() + round(min(max(mine.turn - at, 0.1), _LOOK_EVERY) * SECOND)

    def _next(self, at: float) -> float:
        """The turn after all that were given."""
        last = max((one.turn for one in self._line.values()), default=at)
        return min(max(last + self._usual / SHARE, at + self._until_free(at)), at + LONGEST)

    def _is_free(self, at: float) -> bool:
        return self._until_free(at) <= 0

    def _until_free(self, at: float) -> float:
        return self._used_until - AT_ONCE / SHARE - at

    def _forget(self, at: float) -> None:
        gone = [one for one, waiting in self._line.items() if waiting.turn + _FORGOTTEN < at]
        for one in gone:
            del self._line[one]
