"""`make demo`: the whole thing in a few minutes, on real controllers, with nothing left behind.

Real: API server, scheduler, controllers, Karpenter, Prometheus, Helm, the operator under the chart's RBAC, kubectl and
its plugin. Simulated, because they cannot be had here: the nodes, the kubelet and the GPUs' utilisation.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from decimal import Decimal
from pathlib import Path

from demo.manifests import RESEARCH, VISION, VOLUME
from demo.operator import run_operator
from demo.story import Story
from local import KubectlError, LocalCluster, MissingProgram, StartError, TimedOut
from local.choice import open_cluster
from local.dcgm_exporter import start as start_exporter
from local.karpenter import Karpenter
from local.operator_process import NAMESPACE, HelmError, OperatorProcess, helm
from local.workbench import Workbench
from screenshot import run_in_terminal, to_svg

TEAMS = (RESEARCH, VISION)
EXPLAINED = ["kubectl", "cost", "explain", "trainingjob/bert", "-n", RESEARCH]
TABLES = (
    ["kubectl", "get", "tj", "-A"],
    ["kubectl", "cost", "--window", "today"],
    [*EXPLAINED, "--window", "today"],
    ["kubectl", "cost", "idle", "--window", "today"],
    ["kubectl", "cost", "category", "--window", "today"],
)
PICTURED = TABLES[:3]


def main() -> int:
    """Entry point; exit status 0 when everything happened and every sum is exact."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__.splitlines()[0])
    parser.add_argument("--keep", action="store_true", help="keep the cluster until Ctrl-C")
    parser.add_argument("--picture", type=Path, metavar="SVG", help="draw the tables as they look in a terminal")
    arguments = parser.parse_args()
    try:
        return demonstrate(keep=arguments.keep, picture=arguments.picture)
    except KeyboardInterrupt:
        print("\ninterrupted; everything is stopped", file=sys.stderr)
        return 130
    except (TimedOut, StartError, MissingProgram, KubectlError, LookupError, RuntimeError) as problem:
        print(f"demo: {problem}", file=sys.stderr)
        return 1


def demonstrate(*, keep: bool, picture: Path | None) -> int:
    """Start, tell the story, show the tables, check the sums, stop."""
    begun = time.monotonic()
    print("Starting a real control plane on loopback; nodes and GPU utilisation are simulated.", flush=True)
    with open_cluster("demo") as cluster:
        refuse_to_mix(cluster)
        try:
            exact = perform(cluster, Story(cluster, Karpenter(cluster), begun), keep=keep, picture=picture)
        finally:
            if not isinstance(cluster, LocalCluster):
                tidy(cluster)
    print(f"{time.monotonic() - begun:4.0f} s  everything is stopped and removed", flush=True)
    return 0 if exact else 1


def perform(cluster: Workbench, story: Story, *, keep: bool, picture: Path | None) -> bool:
    """The story on a running cluster; whether every sum was exact."""
    if not isinstance(cluster, LocalCluster):
        cluster.start_prometheus()
    story.karpenter.start()
    story.say("API server, scheduler, controllers, Prometheus and Karpenter are up")
    start_exporter(cluster)
    operator = run_operator(cluster)
    try:
        story.say("gpucost is installed by Helm and runs under the chart's ServiceAccount")
        story.run()
        print()
        env = environment(cluster, operator)
        for command in TABLES:
            show(command, env)
        if picture:
            draw(picture, env)
        exact = check(env)
        if keep:
            hold(cluster, env)
    except Exception:
        print(operator.log()[-4000:], file=sys.stderr)
        raise
    finally:
        operator.stop()
    return exact


def refuse_to_mix(cluster: Workbench) -> None:
    """The namespaces of the demo are removed at its end: they must not be somebody's."""
    taken = [team for team in TEAMS if cluster.api.find(f"/api/v1/namespaces/{team}")]
    if taken:
        raise StartError(f"namespaces {', '.join(taken)} exist in this cluster; the demo makes and removes them")


def tidy(cluster: Workbench) -> None:
    """Remove from somebody else's cluster what the demo put there; its definitions stay."""
    cluster.kubectl("delete", "namespace", *TEAMS, "--ignore-not-found", "--wait=true", check=False)
    for kind in ("pricebooks", "nodepools", "nodeclaims"):
        cluster.kubectl("delete", kind, "--all", "--ignore-not-found", "--timeout=60s", check=False)
    cluster.kubectl("delete", "persistentvolume", VOLUME, "--ignore-not-found", "--wait=false", check=False)
    with suppress(HelmError):
        helm(cluster, "uninstall", "gpucost", "-n", NAMESPACE, "--ignore-not-found")


def environment(cluster: Workbench, operator: OperatorProcess) -> dict[str, str]:
    """The cluster's environment with the plugin on PATH.

    An API server of somebody else does not reach this machine by the name localhost: there the plugin asks directly.
    """
    env = cluster.env()
    direct = {} if isinstance(cluster, LocalCluster) else {"GPUCOST_API_URL": operator.api_url}
    return {**env, **direct, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}"}


def show(command: list[str], env: dict[str, str]) -> None:
    """Print a command and what it prints."""
    print(f"$ {' '.join(command)}", flush=True)
    done = subprocess.run(command, env={**env, "COLUMNS": "100"}, capture_output=True, text=True, check=False)
    print(done.stdout or done.stderr, flush=True)


def draw(picture: Path, env: dict[str, str]) -> None:
    """The tables once more, in a terminal of 80 columns, as an SVG."""
    parts = []
    for command in PICTURED:
        output, _ = run_in_terminal(command, 80, env)
        parts.append(f"\033[32m$\033[0m \033[1m{' '.join(command)}\033[0m\n{output}")
    picture.parent.mkdir(parents=True, exist_ok=True)
    picture.write_text(to_svg("\n".join(parts), title="gpucost", columns=80))


def check(env: dict[str, str]) -> bool:
    """Add up the printed lines again, as somebody else would: exact to the micro-dollar or the demo fails."""
    command = [*EXPLAINED, "-o", "json", "--window", "today"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    lines = [Decimal(line["cost"]) for line in found["lines"]]
    total = Decimal(found["total"]["cost"])
    verdict = "exact" if sum(lines) == total else "NOT EXACT"
    print(
        f"The {len(lines)} lines of research/bert add up to ${sum(lines)}; reported: ${total} ({verdict}).", flush=True
    )
    report = subprocess.run(
        ["kubectl", "cost", "--window", "today", "-o", "json"],
        env=env, capture_output=True, text=True, check=True,
    )  # fmt: skip
    difference = json.loads(report.stdout)["difference"]
    print(f"Cost of all nodes less everything booked: ${difference}.\n", flush=True)
    return sum(lines) == total and Decimal(difference) == 0 and len(lines) >= 2


def hold(cluster: Workbench, env: dict[str, str]) -> None:
    """Keep the cluster for a look around."""
    print(f"export KUBECONFIG={cluster.kubeconfig} PATH={env['PATH']}")
    print("The cluster stays until Ctrl-C.", flush=True)
    while True:
        time.sleep(3600)


if __name__ == "__main__":
    sys.exit(main())
