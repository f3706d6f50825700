"""What tests, the demo and benches need from any cluster, whoever started it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import yaml

from local.api_client import ApiClient
from local.objects import GpuNode, Manifest, gpu_node
from local.programs import program, tools_folder
from local.waiting import wait_for

T = TypeVar("T")
ONE_DAY = 86400


class KubectlError(RuntimeError):
    """kubectl ended with an error; the message is what it said."""


class Cluster:
    """Access to a cluster as the user of a kubeconfig."""

    def __init__(self, kubeconfig: Path, work_folder: Path) -> None:
        self.kubeconfig = kubeconfig
        self.work_folder = work_folder

    @cached_property
    def api(self) -> ApiClient:
        """A client for many or frequent requests."""
        return ApiClient(self.kubeconfig)

    def env(self) -> dict[str, str]:
        """This process's environment with the cluster's KUBECONFIG, and the tools first on PATH."""
        path = f"{tools_folder()}{os.pathsep}{os.environ.get('PATH', '')}"
        return {**os.environ, "PATH": path, "KUBECONFIG": str(self.kubeconfig)}

    def kubectl(self, *arguments: str, input: str | None = None, check: bool = True) -> str:  # noqa: A002
        """Run kubectl and return its standard output; raises KubectlError when it fails and `check` is set."""
        done = subprocess.run(
            [program("kubectl"), *arguments],
            input=input or "",
            env=self.env(),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if check and done.returncode:
            raise KubectlError(f"kubectl {' '.join(arguments)}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def apply(self, objects: Manifest | Iterable[Manifest], *arguments: str) -> None:
        """Server-side apply of one manifest or of several."""
        several = [objects] if isinstance(objects, dict) else list(objects)
        text = "---\n".join(json.dumps(manifest) + "\n" for manifest in several)
        self.kubectl("apply", "--server-side", "--field-manager=test", "-f", "-", *arguments, input=text)

    def apply_files(self, *paths: Path) -> None:
        """Server-side apply of manifest files."""
        for path in paths:
            self.kubectl("apply", "--server-side", "--field-manager=test", "-f", str(path))

    def install_crds(self, folder: Path) -> list[str]:
        """Apply all custom resource definitions of a folder and wait until they are served; returns their names."""
        names = [d["metadata"]["name"] for path in sorted(folder.glob("*.yaml")) for d in _documents(path)]
        if names:
            self.apply_files(folder)
            self.kubectl("wait", "--for=condition=Established", "--timeout=30s", *(f"crd/{name}" for name in names))
        return names

    def add_nodes(self, nodes: Iterable[GpuNode]) -> None:
        """Create simulated nodes, many at a time, and wait until all are Ready and have their kubelet."""
        manifests = [gpu_node(spec, kubelet_port=self.kubelet_port) for spec in nodes]
        self.api.many(("POST", "/api/v1/nodes", manifest) for manifest in manifests)
        wanted = {manifest["metadata"]["name"] for manifest in manifests}
        wait_for(lambda: wanted <= self.ready_nodes(), 60, f"{len(wanted)} nodes Ready", interval=0.2)
        wait_for(lambda: wanted <= self._leased(), 60, f"{len(wanted)} nodes have a kubelet", interval=0.2)

    @property
    def kubelet_port(self) -> int | None:
        """Port of the simulated kubelet of every node, where it has one that serves logs."""
        return None

    def ready_nodes(self) -> set[str]:
        """Names of the nodes that are Ready and no longer tainted as not being so."""
        return {node["metadata"]["name"] for node in self.api.list("/api/v1/nodes") if _ready(node)}

    def _leased(self) -> set[str]:
        # The simulated kubelet takes a node's pods when it has its lease, with a costly list for those already there.
        leases = self.api.list("/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases")
        return {lease["metadata"]["name"] for lease in leases if lease["spec"].get("holderIdentity")}

    def add_pods(self, pods: Iterable[Manifest]) -> int:
        """Create pods, many at a time; a pod with `nodeName` is bound without the scheduler."""
        return self.api.many(("POST", f"/api/v1/namespaces/{p['metadata']['namespace']}/pods", p) for p in pods)

    def wait_for(self, condition: Callable[[], T], timeout: float = 30.0, message: str = "") -> T:
        """Wait until a condition is truthy and return its result; see `local.waiting.wait_for`."""
        return wait_for(condition, timeout, message)

    def service_account_kubeconfig(self, namespace: str, name: str) -> Path:
        """A kubeconfig with a fresh token of a ServiceAccount, for running a program under its RBAC."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
        request = {"spec": {"expirationSeconds": ONE_DAY}}
        token = self.api.create(path, request)["status"]["token"]
        config = yaml.safe_load(self.kubeconfig.read_text())
        target = self.work_folder / f"{namespace}-{name}.kubeconfig"
        target.touch(mode=0o600)
        target.write_text(yaml.safe_dump(_with_token(config, token, namespace)))
        return target


def _documents(path: Path) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


def _ready(node: Manifest) -> bool:
    tainted = any(taint["key"] == "node.kubernetes.io/not-ready" for taint in node["spec"].get("taints", ()))
    conditions = node["status"].get("conditions", ())
    return not tainted and any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def _with_token(config: dict[str, Any], token: str, namespace: str) -> dict[str, Any]:
    current = config["current-context"]
    context = next(c["context"] for c in config["contexts"] if c["name"] == current)
    cluster = next(c for c in config["clusters"] if c["name"] == context["cluster"])
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [cluster],
        "users": [{"name": "service-account", "user": {"token": token}}],
        "contexts": [
            {
                "name": "service-account",
                "context": {"cluster": cluster["name"], "user": "service-account", "namespace": namespace},
            }
        ],
        "current-context": "service-account",
    }
