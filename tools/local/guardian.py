"""Remove a cluster the moment its owner is gone, however it went.

No handler runs in a process that was killed, so a second process waits for its end. It sits in a session of its own:
Ctrl-C in a terminal does not reach it.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
from pathlib import Path

from local.processes import Identity, terminate
from local.run_folder import RunFolder

NAME = "guardian"


def watch(folder: RunFolder) -> None:
    """Start the guardian of a folder, which waits for the end of the folder's owner."""
    owner = folder.owner()
    if owner is None:
        return
    process = subprocess.Popen(
        [sys.executable, "-m", "local.guardian", str(folder.path), str(owner.pid), str(owner.start)],
        cwd=Path(__file__).resolve().parents[1],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    identity = Identity.of(process.pid)
    if identity:
        folder.record(NAME, identity)


def release(folder: RunFolder) -> None:
    """Let a folder outlive the process that made it."""
    folder.write_state({**folder.read_state(), "owner": None})
    guardian = folder.recorded().get(NAME)
    if guardian:
        terminate([guardian], 0.0)


def guard(folder: RunFolder, owner: Identity) -> None:
    """Block until the owner has ended, then remove the folder."""
    try:
        handle = os.pidfd_open(owner.pid)
    except ProcessLookupError:
        handle = -1
    if handle >= 0 and owner.alive():
        select.select([handle], [], [])
    folder.remove(spare=NAME)


if __name__ == "__main__":
    guard(RunFolder(Path(sys.argv[1])), Identity(int(sys.argv[2]), int(sys.argv[3])))
