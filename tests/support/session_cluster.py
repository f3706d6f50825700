"""Clusters for a whole test session, shared by all pytest-xdist workers.

Whoever needs one first starts it, under a lock. It belongs to the controlling pytest process: that one stops it at the
end of the session, and the cluster's guardian does when pytest is killed.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from local import LocalCluster, OperatorProcess, dcgm_exporter, queues
from local.karpenter import Karpenter
from local.operator_process import CRDS
from local.processes import Identity
from local.run_folder import RunFolder, base_folder

SESSION = "GPUCOST_TEST_SESSION"


def open_session() -> None:
    """Name the session in the environment, which the workers inherit; called in the controlling process."""
    for leftover in base_folder().glob("session-*"):
        if Identity.of(int(leftover.name.split("-")[1])) is None:
            shutil.rmtree(leftover, ignore_errors=True)
    os.environ[SESSION] = f"{os.getpid()}-{secrets.token_hex(3)}"


def close_session() -> None:
    """Stop what the session started; called in the controlling process."""
    folder = _folder()
    for entry in folder.glob("*.cluster"):
        RunFolder(Path(entry.read_text())).remove()
    shutil.rmtree(folder, ignore_errors=True)


def plain() -> LocalCluster:
    """The API server, scheduler, controllers, Prometheus and the exporter, with our custom resources."""
    return _shared("tests", _prepare)


def with_karpenter() -> LocalCluster:
    """A second cluster, in which Karpenter makes and removes the nodes."""
    return _shared("nodepools", _prepare_with_karpenter)


def operator_settings(cluster: LocalCluster) -> dict[str, str]:
    """Settings of the one operator of the second cluster, started at the first call."""
    folder = _folder()
    with _locked(folder / "operator.lock"):
        known = folder / "operator.environment"
        if not known.exists():
            process = OperatorProcess(cluster).start()
            known.write_text("\n".join(f"{key}={value}" for key, value in process.env.items()))
        return dict(line.split("=", 1) for line in known.read_text().splitlines())


def with_controller(name: str) -> LocalCluster:
    """The second cluster with a controller that only some tests need, such as `queues.JOBSET`."""
    if name == queues.KUEUE:
        with_controller(queues.JOBSET)  # it has queued JobSets, too
    cluster, folder = with_karpenter(), _folder()
    with _locked(folder / f"{name}.lock"):
        started = folder / f"{name}.started"
        if not started.exists():
            _CONTROLLERS[name](cluster)
            started.touch()
    return cluster


_CONTROLLERS = {queues.JOBSET: queues.start_jobset, queues.KUEUE: queues.start_kueue, queues.LWS: queues.start_lws}


def _prepare(cluster: LocalCluster) -> None:
    cluster.install_crds(CRDS)
    dcgm_exporter.start(cluster)


def _prepare_with_karpenter(cluster: LocalCluster) -> None:
    _prepare(cluster)
    Karpenter(cluster).start(boot_seconds=1)


def _shared(name: str, prepare: Callable[[LocalCluster], None]) -> LocalCluster:
    folder = _folder()
    folder.mkdir(exist_ok=True)
    with _locked(folder / f"{name}.lock"):
        known = folder / f"{name}.cluster"
        if known.exists():
            return LocalCluster.attach(Path(known.read_text()))
        cluster = LocalCluster(name, owner=_controller(), with_prometheus=True, audit=True).start()
        try:
            prepare(cluster)
        except BaseException:
            cluster.stop()
            raise
        known.write_text(str(cluster.folder.path))
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
