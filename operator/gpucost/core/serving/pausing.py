"""Annotations by which a person stops the scaling for a while, named as those of KEDA are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

PREFIX = "gpucost.dev/"
PAUSED = PREFIX + "paused"
"""`true`: the replicas stay as they are."""
PAUSED_REPLICAS = PREFIX + "paused-replicas"
"""A number: they are set to it and stay there."""
PAUSED_SCALE_IN = PREFIX + "paused-scale-in"
"""`true`: they may become more, not fewer."""
PAUSED_SCALE_OUT = PREFIX + "paused-scale-out"
"""`true`: they may become fewer, not more."""
_DIGITS = 9
DRY_RUN = PREFIX + "dry-run"
"""`true`: what would be done is told, nothing is changed."""


@dataclass(frozen=True, slots=True)
class Pause:
    """What may not be done now."""

    all: bool = False
    at: int | None = None
    down: bool = False
    up: bool = False
    dry_run: bool = False

    @property
    def annotation(self) -> str:
        """The annotation that holds the endpoint; empty when none does."""
        if self.at is not None:
            return PAUSED_REPLICAS
        return PAUSED if self.all else ""


def pause_of(annotations: Mapping[str, str]) -> Pause:
    """Read the annotations; a malformed number is a problem of `validate`, and nothing is done then."""
    number = annotations.get(PAUSED_REPLICAS, "")
    return Pause(
        all=_is_true(annotations, PAUSED),
        at=int(number) if is_number(number) else None,
        down=_is_true(annotations, PAUSED_SCALE_IN),
        up=_is_true(annotations, PAUSED_SCALE_OUT),
        dry_run=_is_true(annotations, DRY_RUN),
    )


def is_number(text: str) -> bool:
    """Whether it is a whole number that could be one of replicas."""
    return text.isascii() and text.isdigit() and len(text) <= _DIGITS


def _is_true(annotations: Mapping[str, str], name: str) -> bool:
    return annotations.get(name, "").strip().lower() == "true"
