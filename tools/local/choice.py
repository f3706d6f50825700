"""The cluster that CLUSTER asks for: local (default), kind, or existing (the current context)."""

from __future__ import annotations

import os

from local.control_plane import LocalCluster, StartError
from local.outside import OutsideCluster, start_kind

KINDS = ("local", "kind", "existing")


def kind() -> str:
    """The kind of cluster that CLUSTER asks for; raises StartError for an unknown one."""
    chosen = os.environ.get("CLUSTER") or "local"
    if chosen not in KINDS:
        raise StartError(f"CLUSTER={chosen} is not one of {', '.join(KINDS)}")
    return chosen


def open_cluster(name: str, *, detached: bool = False) -> LocalCluster | OutsideCluster:
    """Start or attach to the cluster that CLUSTER asks for; a context manager that ends what it started."""
    chosen = kind()
    if chosen == "kind":
        return start_kind(detached=detached)
    if chosen == "existing":
        return OutsideCluster.current(name, detached=detached)
    return LocalCluster(name, detached=detached, with_prometheus=True).start()
