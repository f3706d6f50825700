"""Reserve TCP ports, so that two clusters that start at the same moment never take the same one.

Asking the kernel for a free port and handing the number to a program leaves a gap in which somebody else takes it.
Ports are therefore taken from below the ephemeral range and written down in a folder until their owner is gone.
"""

from __future__ import annotations

import random
import socket
from pathlib import Path

FIRST, LAST = 21000, 29999


class NoFreePort(RuntimeError):
    """No port of the range could be reserved."""


def reserve(registry: Path, owner: Path) -> int:
    """Reserve a free loopback port for a run folder; the reservation ends when that folder is gone."""
    registry.mkdir(parents=True, exist_ok=True)
    for port in random.sample(range(FIRST, LAST + 1), 500):
        if _claim(registry / str(port), owner):
            if _free(port):
                return port
            (registry / str(port)).unlink(missing_ok=True)
    raise NoFreePort(f"no free port between {FIRST} and {LAST}: is {registry} full of leftovers?")


def release(registry: Path, owner: Path) -> None:
    """Give back all ports of a run folder, and those of folders that no longer exist."""
    for entry in registry.glob("*"):
        try:
            holder = entry.read_text()
        except FileNotFoundError:
            continue
        if holder == str(owner) or (holder and not Path(holder).exists()):
            entry.unlink(missing_ok=True)


def _claim(entry: Path, owner: Path) -> bool:
    try:
        with entry.open("x") as handle:
            handle.write(str(owner))
    except FileExistsError:
        return False
    return True


def _free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
