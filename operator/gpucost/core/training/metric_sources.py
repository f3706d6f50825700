"""Where a run's metrics come from, beside what it pushes itself; converted from the API object by `gpucost.api`."""

from __future__ import annotations

from dataclasses import dataclass

PATTERN_MEMORY = 1 << 20
"""Bytes that one compiled expression may take: every run may bring another one."""


@dataclass(frozen=True, slots=True)
class MetricQuery:
    """A PromQL query whose value is a metric."""

    name: str
    query: str


@dataclass(frozen=True, slots=True)
class LogPattern:
    """A regular expression (RE2 syntax) over the lines of rank 0; its named groups are metrics."""

    pattern: str
    container: str = ""


@dataclass(frozen=True, slots=True)
class MetricSources:
    """All of them."""

    push: bool = True
    """Whether the pods are given what they need to report."""
    prometheus: tuple[MetricQuery, ...] = ()
    log: LogPattern | None = None
    termination_message: bool = False

    @property
    def asks(self) -> bool:
        """Whether there is any that the operator has to ask itself."""
        return bool(self.prometheus) or self.log is not None or self.termination_message
