"""What the C library keeps for itself, measured in processes of their own: its settings hold for a whole process."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from textwrap import dedent

import pytest

from gpucost.runtime import allocator

GLIBC = hasattr(ctypes.CDLL(None), "gnu_get_libc_version")

_HOLES = """
    import sys, threading
    from gpucost.runtime import allocator

    def resident():
        with open("/proc/self/statm") as text:
            return int(text.read().split()[1]) * 4096 / 2**20

    assert allocator.lean()
    kept = []

    def work():
        buffers = [bytearray(100_000) for _ in range(400)]
        kept.append(bytearray(1000))
        large = [bytearray(3_000_000) for _ in range(10)]
        del large, buffers

    before = resident()
    for _ in range(4):
        threads = [threading.Thread(target=work) for _ in range(4)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
    allocator.give_back()
    grown = resident() - before
    assert grown < 12, f"{grown:.0f} MiB stay of what was freed"
"""


@pytest.mark.skipif(not GLIBC, reason="needs glibc")
def test_what_threads_have_freed_goes_back_to_the_system() -> None:
    subprocess.run([sys.executable, "-c", dedent(_HOLES)], check=True, timeout=60)


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _name: object())
    allocator._glibc.cache_clear()
    try:
        assert not allocator.lean()
        assert not allocator.give_back()
    finally:
        monkeypatch.undo()
        allocator._glibc.cache_clear()
