"""Where the figures come from: without the machine beside them they mean nothing."""

from __future__ import annotations

import os
import platform
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


def describe() -> dict[str, Any]:
    """The machine and how busy it was with other things when the bench began."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cores": len(os.sched_getaffinity(0)),
        "processor": _processor(),
        "python": platform.python_version(),
        "kernel": platform.release(),
        "load": round(os.getloadavg()[0], 2),
    }


def sentence(machine: dict[str, Any]) -> str:
    """One line about it."""
    text = f"{machine['cores']} cores ({machine['processor']}), Python {machine['python']}, {machine['at']}"
    busy = machine["load"] > 0.5
    return text + (f"; NOISY: load {machine['load']} when the bench began" if busy else "; quiet when the bench began")


def _processor() -> str:
    found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found.group(1) if found else platform.machine()
