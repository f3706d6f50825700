"""Python's garbage collector, kept out of the way of the start.

While the caches fill, hundreds of thousands of objects are made that all stay, and the collector walks over them again
and again for nothing: measured, a fifth of the processor time until the first pass. So it is off until then, and what
is there by then is set aside from later collections.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def held_back() -> Iterator[None]:
    """No automatic collection inside; what is left of it afterwards is never looked at again."""
    gc.disable()
    try:
        yield
        gc.collect()
        gc.freeze()
    finally:
        gc.enable()
