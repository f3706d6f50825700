"""Policies by the names that people give them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gpucost.core.training.deadline.auto import Auto
from gpucost.core.training.deadline.published import Greedy, OnDemand, SpotOnly, UniformProgress
from gpucost.core.training.deadline.runs import Policy, Terms

POLICIES: Mapping[str, Callable[[Terms], Policy]] = {
    "auto": Auto,
    "uniformProgress": UniformProgress,
    "greedy": Greedy,
    "onDemand": OnDemand,
    "spotOnly": SpotOnly,
}
"""`omniscient` is none of them: it decides with the future known."""
