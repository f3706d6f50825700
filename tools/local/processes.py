"""Identify processes beyond doubt before stopping them.

A process id alone is not an identity: the kernel reuses it. Together with the start time it is one, and both are
written down, so that a later run can stop what a killed one left behind without hitting a stranger.
"""

from __future__ import annotations

import os
import signal
import time
from dataclasses import asdict, dataclass
from pathlib import Path

PROC = Path("/proc")
CLOCK_FIELD, STATE_FIELD = 19, 0  # in /proc/PID/stat, counted after the name's closing parenthesis


@dataclass(frozen=True)
class Identity:
    """A process: its id and its start time in clock ticks since boot."""

    pid: int
    start: int

    @classmethod
    def of(cls, pid: int) -> Identity | None:
        """Identity of a living process; None for a dead one and for a zombie."""
        fields = _stat(pid)
        if fields is None or fields[STATE_FIELD] in ("Z", "X"):
            return None
        return cls(pid, int(fields[CLOCK_FIELD]))

    def alive(self) -> bool:
        """Whether exactly this process still runs."""
        return Identity.of(self.pid) == self

    def signal(self, number: int) -> None:
        """Send a signal to this process if it is still there."""
        if self.alive():
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                return

    @staticmethod
    def cpu_seconds(pid: int) -> float:
        """User and system time of a process in seconds; raises LookupError when it is gone."""
        fields = _stat(pid)
        if fields is None:
            raise LookupError(f"no process {pid}")
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def as_json(self) -> dict[str, int]:
        """Form for a state file."""
        return asdict(self)


def _stat(pid: int) -> list[str] | None:
    try:
        text = (PROC / str(pid) / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None
    return text.rpartition(")")[2].split()


def command_line(pid: int) -> list[str]:
    """Arguments of a process; empty when it is gone or not ours to see."""
    try:
        raw = (PROC / str(pid) / "cmdline").read_bytes()
    except OSError:
        return []
    return [part.decode(errors="replace") for part in raw.split(b"\0") if part]


def find(names: frozenset[str], fragment: str) -> list[Identity]:
    """Processes of one of the given program names with a fragment in an argument."""
    found = []
    for entry in PROC.iterdir():
        if not entry.name.isdigit():
            continue
        arguments = command_line(int(entry.name))
        if arguments and Path(arguments[0]).name in names and any(fragment in a for a in arguments):
            identity = Identity.of(int(entry.name))
            if identity:
                found.append(identity)
    return found


def terminate(processes: list[Identity], grace: float) -> None:
    """Ask processes to end, wait up to `grace` seconds, then kill those that remain and wait for their end."""
    for process in processes:
        process.signal(signal.SIGTERM if grace else signal.SIGKILL)
    if not _gone(processes, grace):
        for process in processes:
            process.signal(signal.SIGKILL)
        _gone(processes, 10.0)


def _gone(processes: list[Identity], timeout: float) -> bool:
    deadline = time.monotonic() + timeout
    while any(process.alive() for process in processes):
        _reap(processes)
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.02)
    _reap(processes)
    return True


def _reap(processes: list[Identity]) -> None:
    """Collect those that are our own children, so that no zombie stays."""
    for process in processes:
        try:
            os.waitpid(process.pid, os.WNOHANG)
        except (ChildProcessError, ProcessLookupError):
            continue
