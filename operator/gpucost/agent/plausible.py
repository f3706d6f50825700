"""Which values can be true. Drivers answer 4294967295, NaN or 104 % at times; none of that may reach a bill."""

from __future__ import annotations

import math
from collections.abc import Mapping

GPU_UTIL = "DCGM_FI_DEV_GPU_UTIL"
FB_USED = "DCGM_FI_DEV_FB_USED"
FB_FREE = "DCGM_FI_DEV_FB_FREE"
FB_RESERVED = "DCGM_FI_DEV_FB_RESERVED"
POWER = "DCGM_FI_DEV_POWER_USAGE"
ENERGY = "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION"
XID = "DCGM_FI_DEV_XID_ERRORS"
_SHARE = "DCGM_FI_PROF_"

_ROUNDING = 1.01
"""A share a little above the whole comes from counters that are not read at one instant: it is the whole."""
_MOST: Mapping[str, float] = {
    GPU_UTIL: 100,
    FB_USED: 1 << 24,  # 16 TiB in MiB
    FB_FREE: 1 << 24,
    FB_RESERVED: 1 << 24,
    POWER: 20_000,
    ENERGY: 1e17,  # a kilowatt for three thousand years, in mJ
    XID: 100_000,
}


def plausible(metric: str, value: float) -> float | str:
    """The value, or why it cannot be one; shares of time up to 1 % above the whole become the whole."""
    if not math.isfinite(value):
        return "not a number"
    if value < 0:
        return "negative"
    share = metric.startswith(_SHARE) or metric == GPU_UTIL
    most = _MOST.get(metric, 1.0)
    if value > (most * _ROUNDING if share else most):
        return "out of range"
    return min(value, most)
