"""One cluster for a whole test session, shared by all pytest-xdist workers.

Whoever needs it first starts it, under a lock. It belongs to the controlling pytest process: that one stops it at the
end of the session, and the cluster's guardian does when pytest is killed.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local import LocalCluster
from local.processes import Identity
from local.programs import REPOSITORY
from local.run_folder import RunFolder, base_folder

SESSION = "GPUCOST_TEST_SESSION"
CRDS = REPOSITORY / "crds"


def open_session() -> None:
    """Name the session in the environment, which the workers inherit; called in the controlling process."""
    os.environ[SESSION] = f"{os.getpid()}-{secrets.token_hex(4)}"


def close_session() -> None:
    """Stop what the session started; called in the controlling process."""
    folder = _folder()
    for entry in folder.glob("*.cluster"):
        RunFolder(Path(entry.read_text())).remove()
    shutil.rmtree(folder, ignore_errors=True)


def shared(name: str) -> LocalCluster:
    """The session's cluster of that name, started at the first call."""
    folder = _folder()
    folder.mkdir(exist_ok=True)
    with _locked(folder / f"{name}.lock"):
        known = folder / f"{name}.cluster"
        if known.exists():
            return LocalCluster.attach(Path(known.read_text()))
        cluster = LocalCluster(name, owner=_controller(), with_prometheus=True, audit=True).start()
        known.write_text(str(cluster.folder.path))
        cluster.install_crds(CRDS)
        return cluster


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _folder() -> Path:
    return base_folder() / f"session-{os.environ[SESSION]}"


def _controller() -> Identity:
    """The pytest process that the user started: the parent of an xdist worker."""
    pid = os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid()
    identity = Identity.of(pid)
    if identity is None:
        raise RuntimeError("the controlling pytest process is gone")
    return identity
