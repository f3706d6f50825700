"""A cluster with a run folder of ours: room for the programs that run beside it, wherever the cluster itself runs."""

from __future__ import annotations

from pathlib import Path

from local import prometheus
from local.cluster import Cluster
from local.helpers import Helper
from local.run_folder import RunFolder


class Workbench(Cluster):
    """Access to a cluster, and helper programs that end with their run folder."""

    _folder: RunFolder | None = None

    def __init__(self, kubeconfig: Path, folder: RunFolder) -> None:
        super().__init__(kubeconfig, folder.path)
        self._folder = folder

    @property
    def folder(self) -> RunFolder:
        """Files and processes beside the cluster."""
        assert self._folder is not None
        return self._folder

    def stop(self) -> None:
        """Stop every process of the run folder and remove its files; safe to call twice."""
        if self._folder is not None:
            self._folder.remove()

    def helper(self, name: str, command: list[str | Path], env: dict[str, str] | None = None) -> Helper:
        """A program that lives at most as long as the run folder; not yet started."""
        return Helper(self.folder, name, command, env or self.env())

    def port(self) -> int:
        """Reserve a loopback port for the life of the run folder."""
        return self.folder.port()

    def start_prometheus(self) -> str:
        """Start the real Prometheus; it scrapes what `add_scrape_target` names. Returns its address."""
        url = prometheus.start(self.folder, self.env())
        self.folder.write_state({**self.folder.read_state(), "prometheus": url})
        return url

    @property
    def prometheus_url(self) -> str:
        """Address of Prometheus; raises LookupError when it was not started."""
        url = self.folder.read_state().get("prometheus")
        if not isinstance(url, str):
            raise LookupError("this cluster runs without Prometheus")
        return url

    def add_scrape_target(self, job: str, address: str) -> None:
        """Let Prometheus scrape `http://ADDRESS/metrics` every five seconds."""
        prometheus.add_target(self.folder, job, address)
