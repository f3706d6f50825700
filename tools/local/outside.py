"""Clusters that we do not run ourselves: kind, and whatever the current context names.

Only the simulated kubelet, Prometheus and the other helpers run beside them, for nodes with kwok's annotation; nodes of
somebody else are left alone. A cluster that looks like production is refused.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from local import guardian
from local.control_plane import KUBELET, StartError
from local.objects import FAKE
from local.processes import Identity
from local.programs import program
from local.run_folder import RunFolder
from local.workbench import Workbench

ALLOW = "GPUCOST_ALLOW_PRODUCTION"
KIND_CONFIG = Path(__file__).with_name("kind.yaml")
KIND_NAME = "gpucost"
STAGES = Path(__file__).with_name("stages.yaml")
PRODUCTION = re.compile(r"(?:^|[^a-z])(?:production|prod|prd|live)(?:$|[^a-z])")
LOCAL_CONTEXT = re.compile(
    r"^(?:kind|k3d|minikube|colima|docker-desktop|rancher-desktop|orbstack|microk8s|kwok)(?:$|-)"
)
MAX_NODES = 50


class RefusedCluster(RuntimeError):
    """The cluster looks like production; the message says why, and how to insist."""


def suspicions(context: str, server: str, nodes: int) -> list[str]:
    """Why a cluster might be a production cluster; empty when it plainly is not one."""
    found = []
    host = urlsplit(server).hostname or ""
    if match := PRODUCTION.search(f"{context} {host}".lower()):
        found.append(f"its name contains {match[0].strip(' -_./:@')!r}")
    if nodes > MAX_NODES:
        found.append(f"it has {nodes} nodes")
    if not LOCAL_CONTEXT.search(context) and not _loopback(host):
        found.append(f"its server {host} is not on this machine")
    return found


def _loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def check_not_production(context: str, server: str, nodes: int) -> None:
    """Raise RefusedCluster when a cluster looks like production and nobody insists."""
    found = suspicions(context, server, nodes)
    if found and os.environ.get(ALLOW) != "1":
        raise RefusedCluster(f"context {context} looks like production: {'; '.join(found)} (set {ALLOW}=1 to go on)")


class OutsideCluster(Workbench):
    """An existing cluster, with our helpers beside it; a context manager, which stops the helpers only."""

    def __enter__(self) -> OutsideCluster:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @classmethod
    def current(cls, name: str = "existing", *, detached: bool = False, base: Path | None = None) -> OutsideCluster:
        """The cluster of the current context, if it does not look like production."""
        config = json.loads(_kubectl("config", "view", "--minify", "--flatten", "-o", "json"))
        folder = RunFolder.create(name, Identity.of(os.getpid()), base)
        kubeconfig = folder.path / "kubeconfig"
        kubeconfig.touch(mode=0o600)
        kubeconfig.write_text(json.dumps(config))
        cluster = cls(kubeconfig, folder)
        try:
            guardian.watch(folder)
            nodes = len(json.loads(cluster.kubectl("get", "nodes", "-o", "json"))["items"])
            check_not_production(config["current-context"], config["clusters"][0]["cluster"]["server"], nodes)
            cluster._start_kubelet()
            if detached:
                guardian.release(folder)
        except BaseException:
            cluster.stop()
            raise
        return cluster

    def _start_kubelet(self) -> None:
        config = self.folder.path / "kwok.yaml"
        config.write_text(f"{json.dumps(KUBELET)}\n---\n{STAGES.read_text()}")
        address = f"127.0.0.1:{self.port()}"
        command: list[str | Path] = [program("kwok"), f"--kubeconfig={self.kubeconfig}", f"--config={config}"]
        command += ["--manage-all-nodes=false", f"--manage-nodes-with-annotation-selector={FAKE}=fake"]
        command += [f"--server-address={address}", "--node-lease-duration-seconds=200"]
        self.helper("kwok", command).start().wait_until_answers(f"http://{address}/healthz")
        self.folder.write_state({**self.folder.read_state(), "ready": True, "outside": True})


def start_kind(*, detached: bool = False) -> OutsideCluster:
    """Create the kind cluster where it is not there yet, and attach to it; raises StartError without kind or Docker."""
    for tool, remedy in (("kind", "https://kind.sigs.k8s.io"), ("docker", "https://docs.docker.com/engine/install")):
        if shutil.which(tool) is None:
            raise StartError(f"CLUSTER=kind needs {tool} on PATH ({remedy}); CLUSTER=local needs neither")
    present = subprocess.run(["kind", "get", "clusters"], capture_output=True, text=True, check=True).stdout.split()
    if KIND_NAME not in present:
        subprocess.run(["kind", "create", "cluster", "--config", KIND_CONFIG, "--wait", "120s"], check=True)
    subprocess.run(["kind", "export", "kubeconfig", "--name", KIND_NAME], check=True)
    return OutsideCluster.current("kind", detached=detached)


def delete_kind() -> None:
    """Delete the kind cluster if it is there."""
    if shutil.which("kind"):
        subprocess.run(["kind", "delete", "cluster", "--name", KIND_NAME], check=True)


def _kubectl(*arguments: str) -> str:
    done = subprocess.run([program("kubectl"), *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise StartError(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout
