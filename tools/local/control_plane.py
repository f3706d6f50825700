"""Start and stop a real control plane on loopback, with kwokctl and without a container engine.

etcd, kube-apiserver, kube-controller-manager and kube-scheduler are the real programs; kwok simulates the kubelet of
every node, with the stages beside this module.
"""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import Any

import yaml

from local import front_proxy, guardian
from local.helpers import Helper, answers
from local.processes import Identity, terminate
from local.programs import CONTROL_PLANE, program, require
from local.run_folder import RunFolder, reap
from local.waiting import TimedOut, wait_for
from local.workbench import Workbench

STAGES = Path(__file__).with_name("stages.yaml")
AUDIT_POLICY = {"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": [{"level": "Metadata"}]}
KUBELET = {
    "apiVersion": "config.kwok.x-k8s.io/v1alpha1",
    "kind": "KwokConfiguration",
    # Thousands of pods start at once. What is not named here would be zero, not kwok's default.
    "options": {
        "cidr": "10.0.0.1/12",
        "podPlayStageParallelism": 16,
        "nodePlayStageParallelism": 16,
        "nodeLeaseParallelism": 16,
        "podsOnNodeSyncParallelism": 4,
        "enablePodsOnNodeSyncListPager": True,
        "enableDebuggingHandlers": True,  # logs, by objects of kind Logs
    },
}
START_TIMEOUT = 120
PORTS = (
    "etcdPort",
    "etcdPeerPort",
    "kubeApiserverPort",
    "kubeControllerManagerPort",
    "kubeSchedulerPort",
    "kwokControllerPort",
)
BINARIES = {
    "etcdBinary": "etcd",
    "kubeApiserverBinary": "kube-apiserver",
    "kubeControllerManagerBinary": "kube-controller-manager",
    "kubeSchedulerBinary": "kube-scheduler",
    "kwokControllerBinary": "kwok",
    "kubectlBinary": "kubectl",
}


class StartError(RuntimeError):
    """The control plane did not come up; the message carries the ends of its logs."""


class LocalCluster(Workbench):
    """A control plane of one's own; a context manager, which stops it and removes all its files.

    `owner` is the process whose end removes the cluster (default: this one); `detached=True` means no owner, so
    that it stays until `stop`. `audit` writes every request to `audit_log`; `api_server_flags` are further
    kube-apiserver flags; `disable` names components that are left out.
    """

    def __init__(
        self,
        name: str = "gpucost",
        *,
        owner: Identity | None = None,
        detached: bool = False,
        with_prometheus: bool = False,
        audit: bool = False,
        node_lease_seconds: int = 40,
        base: Path | None = None,
        api_server_flags: dict[str, str] | None = None,
        disable: tuple[str, ...] = (),
    ) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9-]{0,30}", name):
            raise ValueError(f"a cluster's name is lower case letters, digits and dashes, not {name!r}")
        self.name = name
        self._owner, self._detached = owner or Identity.of(os.getpid()), detached
        self._base, self._audit, self._with_prometheus = base, audit, with_prometheus
        self._lease, self._flags, self._disable = node_lease_seconds, dict(api_server_flags or {}), disable

    @classmethod
    def attach(cls, path: Path) -> LocalCluster:
        """The cluster of a run folder that another process started; raises LookupError when it is not there."""
        folder = RunFolder(path)
        state = folder.read_state()
        if not state.get("ready"):
            raise LookupError(f"no running cluster in {path}")
        cluster = cls(str(state["name"]))
        cluster._adopt(folder)
        return cluster

    def _adopt(self, folder: RunFolder) -> None:
        self._folder = folder
        super().__init__(folder.path / "kubeconfig", folder)

    @property
    def folder(self) -> RunFolder:
        """The run folder; raises StartError before the start."""
        if self._folder is None:
            raise StartError("the cluster was not started")
        return self._folder

    def __enter__(self) -> LocalCluster:
        return self if self._folder is not None else self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    # --- life cycle

    def start(self) -> LocalCluster:
        """Start everything; returns when the API server answers. Leaves nothing behind when it fails."""
        require(*CONTROL_PLANE, *(("prometheus",) if self._with_prometheus else ()))
        reap(self._base)
        self._adopt(RunFolder.create(self.name, self._owner, self._base))
        try:
            guardian.watch(self.folder)
            self._create()
            if self._with_prometheus:
                self.start_prometheus()
            self.folder.write_state({**self.folder.read_state(), "ready": True})
            if self._detached:
                guardian.release(self.folder)
        except BaseException:
            self.stop()
            raise
        return self

    def _create(self) -> None:
        config = self.folder.path / "kwokctl.yaml"
        documents = [self._configuration(), KUBELET, *yaml.safe_load_all(STAGES.read_text())]
        config.write_text(yaml.safe_dump_all(documents))
        arguments = ["create", "cluster", "--name", "local", "--config", str(config), "--wait", "60s"]
        arguments += ["--kubeconfig", str(self.kubeconfig)]
        arguments += [f"--disable={name}" for name in self._disable]
        if self._audit:
            policy = self.folder.path / "audit-policy.yaml"
            policy.write_text(yaml.safe_dump(AUDIT_POLICY))
            arguments += ["--kube-audit-policy", str(policy)]
        self._kwokctl(*arguments)
        wait_for(lambda: self.api.get("/api/v1/namespaces/default/serviceaccounts/default"), 60, "controllers work")
        if "kwok-controller" not in self._disable:
            wait_for(self._kubelet_lives, 30, lambda: f"simulated kubelet\n{self.component_log('kwok-controller')}")

    def _kubelet_lives(self) -> bool:
        port = self.folder.read_state()["ports"]["kwokControllerPort"]
        return answers(f"http://127.0.0.1:{port}/healthz")

    def _configuration(self) -> dict[str, Any]:
        flags = {**front_proxy.write(self.folder.path / "front-proxy"), **self._flags}
        ports = {name: self.folder.port() for name in PORTS}
        self.folder.write_state({**self.folder.read_state(), "ports": ports})
        options = {
            "runtime": "binary",
            "bindAddress": "127.0.0.1",
            "disableQPSLimits": True,
            "nodeLeaseDurationSeconds": self._lease,
            "enableCRDs": ["Logs"],
            **ports,
            **{option: str(program(name)) for option, name in BINARIES.items()},
        }
        return {
            "apiVersion": "config.kwok.x-k8s.io/v1alpha1",
            "kind": "KwokctlConfiguration",
            "options": options,
            "componentsPatches": [
                # A test cluster need not survive a power cut; waiting for the disk would cost it half its speed.
                _patch("etcd", {"unsafe-no-fsync": "true"}),
                _patch("kube-apiserver", flags),
                # One of each runs: without an election they survive an outage of the API server and start at once.
                _patch("kube-controller-manager", {"leader-elect": "false"}),
                _patch("kube-scheduler", {"leader-elect": "false"}),
            ],
        }

    def _kwokctl(self, *arguments: str) -> None:
        helper = Helper(self.folder, "kwokctl", [program("kwokctl"), *arguments], self._kwok_env()).start()

        def ended() -> bool:
            if dead := self._dead_components():  # kwokctl itself would wait for them until its time is up
                helper.kill()
                raise StartError(f"{', '.join(dead)} ended:\n{self.component_logs()}")
            return not helper.running()

        try:
            wait_for(ended, START_TIMEOUT, f"kwokctl {arguments[0]}")
        except TimedOut as late:
            helper.kill()
            raise StartError(f"{late}\n{helper.log_tail()}\n{self.component_logs()}") from None
        if code := helper.exit_code():
            raise StartError(f"kwokctl {arguments[0]} failed ({code}):\n{helper.log_tail()}\n{self.component_logs()}")

    def _pid_files(self) -> list[Path]:
        return sorted((self._control_plane_folder() / "pids").glob("*.pid"))

    def _dead_components(self) -> list[str]:
        """Components that were started and have ended."""
        return [file.stem for file in self._pid_files() if (pid := _pid(file)) and Identity.of(pid) is None]

    def _kwok_env(self) -> dict[str, str]:
        # kwokctl reads and writes below these two; neither may be the user's.
        return {**self.env(), "KWOK_WORKDIR": str(self.folder.path / "kwok"), "HOME": str(self.folder.path)}

    def stop(self) -> None:
        """Stop every process and remove every file; safe to call twice."""
        if self._folder is not None:
            self._folder.remove()

    # --- components

    @property
    def server(self) -> str:
        """Address of the API server."""
        return self.api.server

    @property
    def kubelet_port(self) -> int | None:
        """See `Cluster`; logs are those that `Logs` objects of kwok name."""
        ports = self.folder.read_state().get("ports") or {}
        return ports.get("kwokControllerPort")

    @property
    def audit_log(self) -> Path:
        """One JSON document per request, if the cluster was started with `audit`."""
        return self._control_plane_folder() / "logs" / "audit.log"

    def component_log(self, name: str) -> str:
        """Log of one component, such as "kube-scheduler"."""
        path = self._control_plane_folder() / "logs" / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def component_logs(self, lines: int = 8) -> str:
        """The last lines of all components' logs, for messages."""
        logs = sorted((self._control_plane_folder() / "logs").glob("*.log"))
        return "\n".join(
            f"--- {p.name}\n" + "\n".join(p.read_text(errors="replace").splitlines()[-lines:]) for p in logs
        )

    def _control_plane_folder(self) -> Path:
        return self.folder.path / "kwok" / "clusters" / "local"

    def component(self, name: str) -> Identity:
        """The process of a component; raises LookupError when it does not run."""
        pid = _pid(self._control_plane_folder() / "pids" / f"{name}.pid")
        identity = Identity.of(pid) if pid else None
        if identity is None:
            raise LookupError(f"{name} does not run")
        return identity

    def stop_component(self, name: str, grace: float = 2.0) -> None:
        """Stop one component, gracefully unless `grace` is 0; `start_components` brings it back."""
        terminate([self.component(name)], grace)

    def start_components(self) -> None:
        """Start the components that do not run, and wait until the API server is ready again."""
        for name in self._dead_components():
            (self._control_plane_folder() / "pids" / f"{name}.pid").unlink()  # kwokctl takes a zombie for a process
        self._kwokctl("start", "cluster", "--name", "local")
        self.wait_ready()

    def restart_apiserver(self, down_for: float = 0.0) -> None:
        """Stop the API server, leave it down for some seconds, and start it again on the same port."""
        self.stop_component("kube-apiserver")
        if down_for:
            time.sleep(down_for)  # the outage itself is what is asked for
        self.start_components()

    def wait_ready(self, timeout: float = 60.0) -> None:
        """Wait until the API server says that it is ready."""

        def ready() -> bool:
            try:
                return self.api.get("/readyz").get("text") == "ok"
            except (OSError, RuntimeError):
                return False

        wait_for(ready, timeout, "API server ready")


def _pid(file: Path) -> int:
    """The number in a pid file; 0 while it is being written or when it is not there."""
    try:
        return int(file.read_text() or 0)
    except FileNotFoundError:
        return 0


def _patch(component: str, flags: dict[str, str]) -> dict[str, Any]:
    return {"name": component, "extraArgs": [{"key": key, "value": value} for key, value in flags.items()]}
