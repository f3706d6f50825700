"""The operator that the tests of a session share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from local import LocalCluster


@dataclass(frozen=True)
class Live:
    """A running operator that several tests share: look, but do not stop it."""

    cluster: LocalCluster
    settings: dict[str, str]

    @property
    def api_url(self) -> str:
        """Address of the plain cost API."""
        return f"http://{self.settings['GPUCOST_LOOPBACK_LISTEN']}"

    @property
    def metrics_url(self) -> str:
        """Address of /metrics and the probes."""
        return f"http://{self.settings['GPUCOST_METRICS_LISTEN']}"

    @property
    def log_path(self) -> Path:
        """The operator's log."""
        return self.cluster.folder.path / "logs" / "operator.log"
