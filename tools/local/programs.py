"""Find the Go programs, so that a missing one is named together with its remedy."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
CONTROL_PLANE = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok", "kwokctl", "kubectl")


class MissingProgram(RuntimeError):
    """A program is neither in the tools folder nor on PATH."""


def tools_folder() -> Path:
    """Folder of the linked programs: GPUCOST_TOOLS, else .tools/bin of this clone."""
    return Path(os.environ.get("GPUCOST_TOOLS") or REPOSITORY / ".tools" / "bin")


def program(name: str) -> Path:
    """Path of an executable; raises MissingProgram with the remedy."""
    path = tools_folder() / name
    if os.access(path, os.X_OK):
        return path
    found = shutil.which(name)
    if found is None:
        raise MissingProgram(f"{name} is missing: run `make tools` (looked in {tools_folder()} and on PATH)")
    return Path(found)


def require(*names: str) -> None:
    """Raise one MissingProgram that names everything that is missing."""
    missing = [name for name in names if not _present(name)]
    if missing:
        raise MissingProgram(f"{', '.join(missing)} missing: run `make tools` (looked in {tools_folder()} and on PATH)")


def _present(name: str) -> bool:
    return os.access(tools_folder() / name, os.X_OK) or shutil.which(name) is not None
