"""Whether a GPU does nothing, as sure as a decision to stop a run has to be.

For the split of costs two agreeing signals suffice (`core.signals`). Here every kind has to say so: the engine, the
driver's utilisation and the power drawn. One that is missing leaves the GPU unknown, one that is not low leaves it
busy or unknown. A MIG slice has neither utilisation nor power of its own; there, engine and a part of it have to agree,
and the run's silence is the other witness.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from gpucost.core.signals import (
    DRAM_ACTIVE,
    ENGINE_ACTIVE,
    GPU_UTIL,
    NOTHING,
    SCALE,
    SM_ACTIVE,
    TENSOR_ACTIVE,
    Device,
    power_share,
)

LOW_POWER = 0.45
"""Share of the board's limit: small boards with a process on them draw two fifths of it without computing."""
_PARTS = (SM_ACTIVE, TENSOR_ACTIVE, DRAM_ACTIVE)


def quiet(signals: Mapping[str, float], device: Device) -> bool | None:
    """True: nothing ran. False: something ran. None: nobody can tell. Signals are sound ones, by metric."""
    shares = {name: value for name, value in signals.items() if name in SCALE and not (device.mig and name == GPU_UTIL)}
    if any(value >= NOTHING for value in shares.values()):
        return False
    if ENGINE_ACTIVE not in shares:
        return None
    if device.mig:
        return True if any(part in shares for part in _PARTS) else None
    power = power_share(signals, device)
    if GPU_UTIL not in shares or power is None or power >= LOW_POWER:
        return None
    return True


def all_quiet(each: Iterable[bool | None]) -> bool | None:
    """Of several GPUs: one that works is enough for False, one that is unknown for None."""
    found = list(each)
    if any(one is False for one in found):
        return False
    return True if found and all(found) else None
