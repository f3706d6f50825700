"""The log of a container of the local cluster, as a container runtime writes it: a file that the kubelet serves.

The simulated kubelet reads the file with the code that a real one has (time stamps, partial lines, `sinceTime`).
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from local import Cluster

_PART = 16 * 1024  # a runtime cuts longer lines


class ContainerLog:
    """A log that grows; `rotate` begins a new file under the same name, and `restart` makes it the one before."""

    def __init__(self, cluster: Cluster, namespace: str, pod: str, container: str = "train") -> None:
        name = f"{namespace}-{pod}-{container}"
        self.file = cluster.work_folder / f"{name}.log"
        self.earlier = cluster.work_folder / f"{name}.previous.log"
        self.file.touch()
        logs = {"containers": [container], "logsFile": str(self.file), "previousLogsFile": str(self.earlier)}
        body = {
            "apiVersion": "kwok.x-k8s.io/v1alpha1",
            "kind": "Logs",
            "metadata": {"name": pod, "namespace": namespace},
            "spec": {"logs": [logs]},
        }
        cluster.api.create(f"/apis/kwok.x-k8s.io/v1alpha1/namespaces/{namespace}/logs", body)

    def write(self, text: str | bytes) -> None:
        """One line."""
        data = text.encode() if isinstance(text, str) else text
        with self.file.open("ab") as file:
            for start in range(0, max(1, len(data)), _PART):
                tag = b"F" if start + _PART >= len(data) else b"P"
                file.write(_now() + b" stdout " + tag + b" " + data[start : start + _PART] + b"\n")

    def rotate(self) -> None:
        """What was written is in another file, which nobody serves."""
        _begin_anew(self.file, self.file.with_suffix(".1"))

    def restart(self) -> None:
        """The container's next life."""
        _begin_anew(self.file, self.earlier)


def _begin_anew(file: Path, old: Path) -> None:
    file.replace(old)
    file.touch()


def _now() -> bytes:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000Z").encode()
