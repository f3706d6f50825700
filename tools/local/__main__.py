"""A local cluster for people: `python -m local up`, then kubectl as usual, then `python -m local down`.

CLUSTER=local (default) starts a control plane on loopback, kind uses Docker, existing takes the current context.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from local import dcgm_exporter
from local.choice import kind, open_cluster
from local.control_plane import LocalCluster, StartError
from local.helpers import HelperFailed
from local.karpenter import Karpenter
from local.operator_process import CRDS
from local.outside import RefusedCluster, delete_kind
from local.programs import MissingProgram, program, tools_folder
from local.run_folder import RunFolder, base_folder, reap
from local.waiting import TimedOut
from local.workbench import Workbench

PLUGINS = Path(sys.executable).parent  # kubectl finds its plugin `cost` there
NAME = "cluster"  # at most one of these per user


def running() -> RunFolder | None:
    """The run folder of the cluster that `up` started and `down` did not stop."""
    for name in (NAME, "kind"):
        for path in base_folder().glob(f"{name}-????????"):
            folder = RunFolder(path)
            state = folder.read_state()
            if state.get("owner") is None and state.get("ready"):
                return folder
    return None


def up(*, bare: bool) -> int:
    """Start a cluster that stays until `down`."""
    reap()
    if folder := running():
        print(f"already up, in {folder.path}")
        return _explain(folder)
    cluster = open_cluster(NAME, detached=True)
    try:
        if not bare:
            _furnish(cluster)
    except BaseException:
        cluster.stop()
        raise
    return _explain(cluster.folder)


def _furnish(cluster: Workbench) -> None:
    print("  custom resources, simulated DCGM exporter", flush=True)
    cluster.install_crds(CRDS)
    if not isinstance(cluster, LocalCluster):
        cluster.start_prometheus()
    dcgm_exporter.start(cluster)
    print("  Karpenter with node pools of H100, L4 and CPU nodes, spot and on-demand", flush=True)
    Karpenter(cluster).start()


def _explain(folder: RunFolder) -> int:
    print(f'\nexport KUBECONFIG="{folder.path}/kubeconfig" PATH="{tools_folder()}:{PLUGINS}:$PATH"')
    if url := folder.read_state().get("prometheus"):
        print(f"# Prometheus: {url}")
    print("# logs: " + str(folder.path / "logs"))
    print("# stop with: make cluster-down")
    return 0


def down() -> int:
    """Stop what `up` started."""
    folder = running()
    if folder is None:
        print("nothing is up")
    else:
        folder.remove()
        print(f"stopped; {folder.path} is gone")
    if kind() == "kind":
        delete_kind()
    return 0


def status() -> int:
    """Say what runs; exit status 0 when a cluster is up, else 1."""
    folder = running()
    if folder is None:
        print("nothing is up")
        return 1
    helpers = [name for name, process in folder.recorded().items() if process.alive()]
    print(f"up, in {folder.path}")
    print(f"{len(folder.components())} parts of the control plane; beside it: {', '.join(helpers) or 'nothing'}")
    return _explain(folder)


def kubectl(arguments: list[str]) -> int:
    """Run kubectl against the cluster that is up."""
    folder = running()
    if folder is None:
        print("nothing is up: run `make cluster-up`", file=sys.stderr)
        return 2
    env = {**os.environ, "KUBECONFIG": str(folder.path / "kubeconfig")}
    return subprocess.run([program("kubectl"), *arguments], env=env, check=False).returncode


def main() -> int:
    """Entry point: 0 fine, 2 with one clear line."""
    if sys.argv[1:2] == ["kubectl"]:
        return kubectl(sys.argv[2:])
    parser = argparse.ArgumentParser(
        prog="python -m local", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    start = commands.add_parser("up", help="start a cluster that stays until down")
    start.add_argument("--bare", action="store_true", help="without custom resources, exporter and Karpenter")
    commands.add_parser("down", help="stop it")
    commands.add_parser("status", help="say what runs")
    commands.add_parser("kubectl", help="run kubectl against it")
    arguments = parser.parse_args()
    if arguments.command == "up":
        return up(bare=arguments.bare)
    return {"down": down, "status": status}[arguments.command]()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (StartError, MissingProgram, RefusedCluster, HelperFailed, TimedOut) as problem:
        print(f"local: {problem}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("\nlocal: interrupted; what was started is gone", file=sys.stderr)
        sys.exit(130)
