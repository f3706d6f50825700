"""What a rule has found: it holds, it does not hold, or nobody can tell, and on what evidence."""

from __future__ import annotations

from dataclasses import dataclass

from gpucost.core.clock import Instant


@dataclass(frozen=True, slots=True)
class Finding:
    """Result of one rule."""

    holds: bool | None
    reason: str = ""
    """One word for programs: why it holds, or why nobody can tell."""
    evidence: str = ""
    """The figures that it rests on, for people."""
    loud: bool = False
    """Nobody can tell, and that will not change by itself: the user has to know."""
    bad_since: Instant | None = None
    """From when on the run is spoilt: a checkpoint from then on is no good one."""


FINE = Finding(False)


def unknown(reason: str, evidence: str, *, loud: bool = False) -> Finding:
    """Nobody can tell."""
    return Finding(None, reason, evidence, loud)
