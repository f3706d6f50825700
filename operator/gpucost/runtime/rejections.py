"""What the API server refused, and for how long that is believed."""

from __future__ import annotations

from dataclasses import dataclass

from gpucost.core.clock import SECOND, Instant
from gpucost.runtime.world import Custom

_FOR = 60 * SECOND


@dataclass(frozen=True, slots=True)
class Rejection:
    """What the API server refused to one generation of one TrainingJob. What it refuses may change (a quota, a
    webhook, a name that is taken), so it is asked again after a while.
    """

    uid: str
    generation: int
    problems: tuple[str, ...]
    at: Instant

    def concerns(self, record: Custom, now: Instant) -> bool:
        """Whether it still says something about the object as it is now."""
        return (self.uid, self.generation) == (record.uid, record.generation) and now < self.expires

    @property
    def expires(self) -> Instant:
        """When it is asked again."""
        return self.at + _FOR
