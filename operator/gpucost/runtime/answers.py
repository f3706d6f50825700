"""Answers that are asked for again and again: a dashboard's panels ask the same within the same second.

The present of the cost API advances in steps of a few seconds. Whatever is asked within one step is computed once, and
whoever asks while it is being computed waits for the same result.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from gpucost.core.clock import SECOND, Instant, floor_to

T = TypeVar("T")

STEP = 5 * SECOND
_KEPT = 64  # answers, the largest of some megabytes


def step(now: Instant) -> Instant:
    """The present, as the cost API sees it."""
    return floor_to(now, STEP)


@dataclass
class Answers:
    """Answers of the present step, by question."""

    _moment: Instant = 0
    _found: dict[Hashable, asyncio.Future[Any]] = field(default_factory=dict)

    async def get(self, moment: Instant, question: Hashable, ask: Callable[[], Awaitable[T]]) -> T:
        """The answer to a question at a moment; one that failed is asked again."""
        if moment != self._moment or len(self._found) >= _KEPT:
            self._moment, self._found = moment, {}
        known = self._found.get(question)
        if known is None or (known.done() and (known.cancelled() or known.exception() is not None)):
            known = self._found[question] = asyncio.ensure_future(ask())
        return cast(T, await asyncio.shield(known))
