"""Install the chart and run the operator beside a local cluster, under exactly the chart's ServiceAccount and RBAC.

The pod is the only thing left out (`replicaCount: 0`): the operator runs as a process on loopback, where the API server
reaches it through the chart's Service of type ExternalName. A verb that the chart forgets therefore fails here.
"""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.cluster import Cluster
from local.helpers import Helper
from local.processes import Identity
from local.programs import REPOSITORY, program
from local.waiting import wait_for
from local.workbench import Workbench

CHART = REPOSITORY / "charts" / "gpucost"
CRDS = REPOSITORY / "crds"
NAMESPACE = "gpucost-system"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


class HelmError(RuntimeError):
    """helm ended with an error; the message is what it said."""


@dataclass(frozen=True)
class Release:
    """An installed chart."""

    name: str
    namespace: str
    service_account: str
    kubeconfig: Path
    values: dict[str, Any]


def helm(cluster: Cluster, *arguments: str) -> str:
    """Run helm against a cluster and return its standard output; raises HelmError."""
    home = cluster.work_folder / "helm"
    env = {**cluster.env(), **{f"HELM_{kind}_HOME": str(home / kind) for kind in ("CACHE", "CONFIG", "DATA")}}
    done = subprocess.run(
        [program("helm"), *arguments],
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    if done.returncode:
        raise HelmError(f"helm {' '.join(arguments)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def install_chart(
    cluster: Cluster,
    values: dict[str, Any] | None = None,
    *,
    release: str = "gpucost",
    namespace: str = NAMESPACE,
    chart: Path = CHART,
) -> Release:
    """Install or upgrade the chart with the real helm; definitions that are already there are left alone."""
    present = any(d["spec"]["group"] == "gpucost.dev" for d in cluster.api.list(DEFINITIONS))
    owned = any(d["metadata"].get("labels", {}).get("helm.sh/chart") for d in cluster.api.list(DEFINITIONS))
    wanted: dict[str, Any] = {"crds": {"enabled": not present or owned}, **(values or {})}
    file = cluster.work_folder / f"values-{release}.json"
    file.write_text(json.dumps(wanted))
    helm(cluster, "upgrade", "--install", release, str(chart), "-n", namespace, "--create-namespace", "-f", str(file))
    account = release if "gpucost" in release else f"{release}-gpucost"
    return Release(release, namespace, account, cluster.service_account_kubeconfig(namespace, account), wanted)


class OperatorProcess:
    """`gpucost operator` as a process of its own; its ledger and log survive a restart, even a kill.

    `env` adds to or overrides its GPUCOST_* settings. Several may run against one cluster (`name` tells them apart);
    they contend for the Lease as replicas do.
    """

    def __init__(
        self,
        cluster: Workbench,
        env: dict[str, str] | None = None,
        *,
        name: str = "operator",
        values: dict[str, Any] | None = None,
        arguments: tuple[str, ...] = (),
    ) -> None:
        self.cluster, self.name, self._arguments = cluster, name, arguments
        self.api_port, self.loopback_port, self.metrics_port = (cluster.port() for _ in range(3))
        service = {"externalName": "localhost", "port": self.api_port}
        self.release = install_chart(cluster, {"replicaCount": 0, "service": service, **(values or {})})
        self.ledger = cluster.work_folder / f"{name}.db"
        self.env = {**self._settings(), **(env or {})}
        self._helper: Helper | None = None

    def _settings(self) -> dict[str, str]:
        try:
            prometheus = self.cluster.prometheus_url
        except LookupError:
            prometheus = ""
        settings = {
            "NAMESPACE": self.release.namespace,
            "SERVICE_NAME": self.release.service_account,
            "CLUSTER_NAME": "local",
            "IDENTITY": self.name,
            "LEDGER_URL": f"sqlite:///{self.ledger}",
            "PROMETHEUS_URL": prometheus,
            "API_LISTEN": f"127.0.0.1:{self.api_port}",
            "PROGRESS_URL": f"https://localhost:{self.api_port}",
            "LOOPBACK_LISTEN": f"127.0.0.1:{self.loopback_port}",
            "METRICS_LISTEN": f"127.0.0.1:{self.metrics_port}",
            "TICK_SECONDS": "2",
            "METRICS_SECONDS": "2",
            "REPORT_SECONDS": "5",
            "PROMETHEUS_WINDOW_SECONDS": "15",
            "WRITES_PER_SECOND": "10",
        }
        return {f"GPUCOST_{key}": value for key, value in settings.items()}

    @property
    def api_url(self) -> str:
        """Address of the plain cost API on loopback, for `kubectl cost --api-url`."""
        return f"http://127.0.0.1:{self.loopback_port}"

    @property
    def metrics_url(self) -> str:
        """Base address of /metrics, /healthz and /readyz."""
        return f"http://127.0.0.1:{self.metrics_port}"

    @property
    def log_path(self) -> Path:
        """The operator's log, over all its restarts."""
        return self.cluster.folder.path / "logs" / f"{self.name}.log"

    @property
    def pid(self) -> int:
        """Process id of the running operator."""
        return self._running().pid

    def _running(self) -> Helper:
        if self._helper is None:
            raise RuntimeError(f"{self.name} was not started")
        return self._helper

    def start(self, *, wait: bool = True) -> OperatorProcess:
        """Start the operator and, unless `wait` is False, wait until it says that it is ready."""
        command: list[str | Path] = [Path(sys.executable).with_name("gpucost"), "operator", *self._arguments]
        env = {**self.cluster.env(), "KUBECONFIG": str(self.release.kubeconfig), **self.env}
        self._helper = self.cluster.helper(self.name, command, env).start()
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self, timeout: float = 45.0) -> None:
        """Wait until /readyz answers 200; raises HelperFailed with the log when the operator ends instead."""
        self._running().wait_until_answers(f"{self.metrics_url}/readyz", timeout)

    def running(self) -> bool:
        """Whether the process lives."""
        return self._helper is not None and self._helper.running()

    def stop(self, grace: float = 15.0) -> int | None:
        """SIGTERM, then SIGKILL after `grace` seconds; returns the exit code."""
        return self._helper.stop(grace) if self._helper else None

    def kill9(self) -> None:
        """SIGKILL: what a node's failure does."""
        self._running().kill()

    def restart(self) -> OperatorProcess:
        """Stop in order and start again."""
        self.stop()
        return self.start()

    def wait_exit(self, timeout: float = 30.0) -> int:
        """Wait for the process to end by itself and return its exit code."""
        return self._running().exit_code(timeout)

    def log(self) -> str:
        """Everything it logged so far."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def wait_log(self, text: str, timeout: float = 30.0) -> None:
        """Wait until the log contains a text."""
        wait_for(
            lambda: text in self.log(), timeout, lambda: f"{text!r} in the log of {self.name}:\n{self.log()[-3000:]}"
        )

    def metrics(self) -> str:
        """The exposition of /metrics."""
        with urllib.request.urlopen(f"{self.metrics_url}/metrics", timeout=10) as answer:
            return str(answer.read().decode())

    def resident_mib(self) -> float:
        """Resident memory of the process in MiB."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        raise LookupError(f"no memory figure for process {self.pid}")

    def cpu_seconds(self) -> float:
        """Processor time used so far, in seconds."""
        return Identity.cpu_seconds(self.pid)
