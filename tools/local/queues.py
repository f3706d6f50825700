"""The real JobSet, Kueue and LeaderWorkerSet controllers beside a local cluster, each started when a test needs it.

They see the whole cluster but touch only their own kinds, and Jobs that name a queue. Their webhooks serve the
namespaces that carry the label `local.webhooks.JOINED`.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from local import webhooks
from local.objects import Manifest
from local.programs import program
from local.waiting import wait_for
from local.workbench import Workbench

JOBSET, KUEUE, LWS = "jobset", "kueue", "lws"
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
READY_SECONDS = 30


def start_jobset(cluster: Workbench) -> None:
    """Install JobSet and run its controller until the cluster ends."""
    settings = {"apiVersion": "config.jobset.x-k8s.io/v1alpha1", "kind": "Configuration"}
    _start(cluster, JOBSET, settings, groups=("jobset.x-k8s.io", ""))


def start_kueue(cluster: Workbench) -> None:
    """Install Kueue for Jobs and JobSets and run its controller until the cluster ends."""
    settings = {
        "apiVersion": "config.kueue.x-k8s.io/v1beta2",
        "kind": "Configuration",
        "integrations": {"frameworks": ["batch/job", "jobset.x-k8s.io/jobset"]},
    }
    groups = ("kueue.x-k8s.io", "batch", "jobset.x-k8s.io")
    _start(cluster, KUEUE, settings, "--feature-gates=VisibilityOnDemand=false", groups=groups)


def start_lws(cluster: Workbench) -> None:
    """Install LeaderWorkerSet and run its controller until the cluster ends."""
    settings = {"apiVersion": "config.lws.x-k8s.io/v1alpha1", "kind": "Configuration"}
    _start(cluster, LWS, settings, groups=("leaderworkerset.x-k8s.io", ""))


def _start(cluster: Workbench, name: str, settings: dict[str, Any], *arguments: str, groups: tuple[str, ...]) -> None:
    crds = webhooks.definitions(name)
    cluster.apply(crds)
    wait_for(lambda: all(_established(cluster, crd) for crd in crds), READY_SECONDS, f"definitions of {name} served")
    port, probe = cluster.port(), cluster.port()
    folder = cluster.work_folder / name
    trusted = webhooks.certificate(folder)
    config = folder / "config.yaml"
    config.write_text(yaml.safe_dump({**settings, **_common(folder, port, probe)}))
    command: list[str | Path] = [program(name), f"--config={config}", *arguments]
    helper = cluster.helper(name, command).start()
    helper.wait_until_answers(f"http://127.0.0.1:{probe}/readyz", READY_SECONDS)
    # Not all of them wait with being ready until their webhooks listen.
    wait_for(lambda: _listens(port), READY_SECONDS, f"webhooks of {name}")
    cluster.apply(webhooks.configurations(name, port, trusted, groups))


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection((webhooks.HOST, port), timeout=1):
        return True
    return False


def _common(folder: Path, port: int, probe: int) -> dict[str, Any]:
    """What all are told: everything on loopback, one of each, certificates from us."""
    return {
        "health": {"healthProbeBindAddress": f"127.0.0.1:{probe}"},
        "metrics": {"bindAddress": "0"},
        "webhook": {"port": port, "host": webhooks.HOST, "certDir": str(folder)},
        "leaderElection": {"leaderElect": False},
        "internalCertManagement": {"enable": False},
        "clientConnection": {"qps": 500, "burst": 500},
    }


def _established(cluster: Workbench, crd: Manifest) -> bool:
    path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{crd['metadata']['name']}"
    conditions = cluster.api.get(path).get("status", {}).get("conditions") or ()
    return any(one["type"] == "Established" and one["status"] == "True" for one in conditions)


def queue(name: str, namespace: str, flavors: dict[str, dict[str, str]], gpus: int) -> list[Manifest]:
    """A LocalQueue with a ClusterQueue of its own; `flavors` are names with the node labels they select, in order.

    Each flavor has the same quota of GPUs, and more of everything else than anybody asks for.
    """
    amounts = {"cpu": "1000", "memory": "1000Gi", "nvidia.com/gpu": str(gpus)}
    resources = [{"name": resource, "nominalQuota": amount} for resource, amount in amounts.items()]
    quotas = [{"name": f"{name}-{flavor}", "resources": resources} for flavor in flavors]
    return [
        *(_kueue("ResourceFlavor", f"{name}-{flavor}", {"nodeLabels": labels}) for flavor, labels in flavors.items()),
        _kueue(
            "ClusterQueue",
            name,
            {
                "namespaceSelector": {},
                "resourceGroups": [{"coveredResources": list(amounts), "flavors": quotas}],
            },
        ),
        _kueue("LocalQueue", name, {"clusterQueue": name}, namespace),
    ]


def _kueue(kind: str, name: str, spec: dict[str, Any], namespace: str = "") -> Manifest:
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": "kueue.x-k8s.io/v1beta2", "kind": kind, "metadata": metadata, "spec": spec}
