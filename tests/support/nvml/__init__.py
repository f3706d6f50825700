"""A node's GPUs without a GPU: what the stand-in for libnvidia-ml.so.1 answers, as a test wants it.

The library is C, compiled on the spot, and loaded by the real pynvml as it would load the driver's.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

SOURCE = Path(__file__).with_name("standin.c")
State = dict[str, object]


class NoCompiler(RuntimeError):
    """The stand-in cannot be built here."""


def build(folder: Path) -> Path:
    """Compile the stand-in into a folder and return it, for LD_LIBRARY_PATH. Raises `NoCompiler`."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise NoCompiler("no C compiler (cc, gcc or clang) to build the stand-in for libnvidia-ml.so.1")
    target = folder / "libnvidia-ml.so.1"
    flags = ["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror"]
    subprocess.run([compiler, *flags, "-o", str(target), str(SOURCE), "-lm"], check=True, timeout=60)
    return folder


def uuid(kind: str, number: int) -> str:
    """A UUID as NVML writes it; the same for the same number."""
    return f"{kind}-{number:08x}-1111-2222-3333-{number:012x}"


def gpu(index: int = 0, **changes: object) -> State:
    """State of one H100 that computes 40 % of the time; keys as in the stand-in's comment, with `_` for `.`."""
    values: State = {
        "uuid": uuid("GPU", index),
        "name": "NVIDIA H100 80GB HBM3",
        "minor": index,
        "bus": f"00000000:{index + 7:02X}:00.0",
        "total": 81559,
        "used": 20000,
        "reserved": 500,
        "power": 350_500,
        "energy": 123_456_789,
        "util": 40,
        "mig": 0,
        "gpm": 1,
        "gpm.1": 40,
        "gpm.2": 35,
        "gpm.3": 20,
        "gpm.5": 25,
        "gpm.10": 15,
        **changes,
    }
    return {f"gpu{index}.{name}": value for name, value in values.items() if value is not None}


def t4(index: int = 0, **changes: object) -> State:
    """State of a GPU from before Hopper: no counters of its engines (GPM), and no MIG."""
    older = dict.fromkeys(("gpm", "gpm.1", "gpm.2", "gpm.3", "gpm.5", "gpm.10", "mig"))
    return gpu(index, **{**older, "name": "Tesla T4", "total": 15360, "used": 1000, **changes})


def mig(index: int, slot: int, gi: int, **changes: object) -> State:
    """State of a MIG device `1g.10gb` in a slot of a GPU, as GPU instance `gi`."""
    values: State = {
        "uuid": uuid("MIG", 100 * index + slot),
        "gi": gi,
        "ci": 0,
        "profile": 19,
        "start": slot,
        "slices": 1,
        "memory": 9984,
        "used": 1024,
        **changes,
    }
    return {f"gpu{index}.mig{slot}.{name}": value for name, value in values.items() if value is not None}


class Gpus:
    """The state file that an agent's library reads; it may change while the agent runs."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def show(self, *states: Mapping[str, object], **general: object) -> None:
        """Make these the node's GPUs, at once and completely."""
        merged = {key: value for state in states for key, value in state.items()}
        count = len({key.partition(".")[0] for key in merged})
        lines = {"driver": "570.86.15", "gpus": count, **general, **merged}
        fresh = self.path.with_suffix(".new")
        fresh.write_text("".join(f"{key}={value}\n" for key, value in lines.items()))
        fresh.replace(self.path)

    def environment(self, library: Path) -> dict[str, str]:
        """Variables under which pynvml finds the stand-in."""
        return {**os.environ, "LD_LIBRARY_PATH": str(library), "NVML_STANDIN_STATE": str(self.path)}
