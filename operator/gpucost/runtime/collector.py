"""Python's garbage collector, kept out of the way of the start and of the passes.

While the caches fill, hundreds of thousands of objects are made that all stay, and the collector walks over them again
and again for nothing: measured, a fifth of the processor time until the first pass. So it is off until then, and what
is there by then is set aside from later collections. A pass makes as many objects anew and lets go of the last one's,
all without cycles: with Python's own thresholds the collector took a quarter of each, so it comes more seldom.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_THRESHOLDS = (50_000, 10, 10)
"""Objects made before the young are looked at (Python's default: 700), and how much more seldom the older ones are."""


@contextmanager
def held_back() -> Iterator[None]:
    """No automatic collection inside; what is left of it afterwards is never looked at again."""
    gc.disable()
    try:
        yield
        gc.collect()
        gc.freeze()
        gc.set_threshold(*_THRESHOLDS)
    finally:
        gc.enable()
