"""Policies by the names that people give them, with what may be tuned of each and within what."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from gpucost.core.serving.replicas.own import Own
from gpucost.core.serving.replicas.published import Hpa, Keda, Kpa, Static
from gpucost.core.serving.replicas.seen import Floats, Policy

_TARGETS = (0.2, 0.3, 0.4, 0.46, 0.52, 0.58, 0.64, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0, 1.06)
"""Of the capacity of a replica."""
_DOWN = (1, 4, 10, 20, 40, 80)
"""Steps: none, 1, 2.5, 5 (the default of an HPA), 10, 20 minutes."""
_KEEP = (1e-5, 1e-4, 5e-4, 2e-3, 5e-3, 0.015, 0.05, 0.3)
_ADD = (5e-3, 0.015, 0.04, 0.1, 0.3, 0.7)
_DRAIN = (2.0, 6.0, 30.0)

AXES: Mapping[str, Mapping[str, Sequence[float]]] = {
    "gpucost": {
        "keep": _KEEP,
        "add": _ADD,
        "drain": _DRAIN,
        "busy": (0.93, 1.02),
        "floor": (0.0, 0.35, 0.5, 0.65, 0.8, 0.95),
    },
    "hpa": {"target": _TARGETS, "window": (1, 2, 4), "down": _DOWN, "queue": (1.0,)},
    "kpa": {"target": _TARGETS, "window": (2, 4, 8), "delay": _DOWN},
    "keda": {"target": _TARGETS, "window": (1, 2, 4), "down": _DOWN, "rate": (0, 1)},
    "static": {"replicas": tuple(range(1, 201))},
}
"""What each is tuned over: hundreds of settings for every policy. Windows, delays and `drain` are in steps of 15 s,
targets and `busy` in parts of a replica, chances (`keep`, `add`) in parts of a time, `queue` in steps of work,
`floor` in parts of the highest load of four weeks."""

DEFAULTS: Mapping[str, Mapping[str, float]] = {
    "gpucost": {"keep": 2e-3, "add": 0.04, "drain": 2.0, "busy": 0.93, "floor": 0.0},
    "hpa": {"target": 0.7, "window": 2, "down": 20, "queue": 1.0},
    "kpa": {"target": 0.7, "window": 4, "delay": 1},
    "keda": {"target": 0.7, "window": 2, "down": 20, "rate": 0},
    "static": {"replicas": 1},
}
"""What holds where nothing is given: those of the programs themselves."""

_KINDS: Mapping[str, Callable[..., Policy]] = {"hpa": Hpa, "kpa": Kpa, "keda": Keda, "static": Static}


@dataclass(frozen=True, slots=True)
class Times:
    """In steps."""

    ready: int
    """From the creation of a replica until it serves."""
    age: int
    """Of the metrics: from the beginning of the step that they are of, until now."""


def settings(policy: str) -> list[dict[str, float]]:
    """Every combination of what may be tuned that makes sense."""
    axes = AXES[policy]
    found = (dict(zip(axes, values, strict=True)) for values in product(*axes.values()))
    return [one for one in found if policy != "gpucost" or _of_one_mind(one)]


def _of_one_mind(one: Mapping[str, float]) -> bool:
    """Whether one price of a late request speaks from all parts of a setting.

    Whoever keeps what is seldom needed also adds early and empties queues quickly, and only such ones want a floor.
    Days of tuning without a queue cannot tell these apart, and the cheapest there is then one that bears no queue.
    """
    keep, add, drain = one["keep"], one["add"], one["drain"]
    if one["floor"] and (one["busy"] > 1 or drain > _DRAIN[0]):
        return False
    if (drain > _DRAIN[0] and keep < 2e-3) or (drain > _DRAIN[1] and keep < 0.015):
        return False
    return not (keep <= 5e-4 and add >= 0.1) and not (keep >= 0.05 and add <= 0.015)


def columns(policy: str, chosen: Sequence[Mapping[str, float]], times: Times) -> Policy:
    """The policy with a column for each setting."""
    parts: dict[str, Floats] = {
        name: np.array([float(one[name]) for one in chosen], dtype=np.float64) for name in AXES[policy]
    }
    if policy == "gpucost":
        return Own(lead=times.ready + times.age, age=times.age, **parts)
    return _KINDS[policy](**parts)
