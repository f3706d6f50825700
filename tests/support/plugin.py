"""`kubectl cost` as a user types it: kubectl itself, our plugin on PATH, the cost API behind the real API server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from support.operator_world import Team


def shell_env(team: Team, config: Path | None = None) -> dict[str, str]:
    """The environment of somebody with a kubeconfig; without one, of the administrator."""
    env = team.cluster.env() | {"NO_COLOR": "1", "COLUMNS": "100"}
    env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}"
    return env if config is None else env | {"KUBECONFIG": str(config)}


def kubectl_cost(team: Team, *arguments: str, config: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Ask about the team's namespace."""
    command = ["kubectl", "cost", *arguments, "-n", team.namespace]
    return subprocess.run(
        command,
        env=shell_env(team, config),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def document(team: Team, *arguments: str, config: Path | None = None) -> Any:
    """The answer as JSON."""
    done = kubectl_cost(team, *arguments, "-o", "json", config=config)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def commands_in(printed: str) -> list[str]:
    """The commands that are shown below a ranking, each as somebody copies it: with its broken lines."""
    found: list[str] = []
    goes_on = False
    for line in printed.splitlines():
        if goes_on:
            found[-1] += f"\n{line}"
        elif line.startswith("   kubectl "):
            found.append(line)
        goes_on = bool(found) and found[-1].endswith("\\")
    return found


def paste(team: Team, command: str) -> str:
    """Run what was copied, in a shell; returns what it says."""
    done = subprocess.run(
        ["bash", "-c", command],
        env=shell_env(team),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    return done.stdout
