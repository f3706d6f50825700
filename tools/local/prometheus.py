"""The real Prometheus on loopback; its targets are files, so that they can come and go while it runs."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from local.helpers import Helper
from local.programs import program
from local.run_folder import RunFolder

INTERVAL = "5s"
TARGETS = "targets"


def start(folder: RunFolder, env: dict[str, str]) -> str:
    """Start Prometheus, wait until it is ready, and return its address."""
    (folder.path / TARGETS).mkdir(exist_ok=True)
    config = folder.path / "prometheus.yaml"
    config.write_text(yaml.safe_dump(_configuration(folder)))
    address = f"127.0.0.1:{folder.port()}"
    command: list[str | Path] = [
        program("prometheus"),
        f"--config.file={config}",
        f"--storage.tsdb.path={folder.path / 'prometheus'}",
        f"--web.listen-address={address}",
        "--log.level=warn",
    ]
    Helper(folder, "prometheus", command, env).start().wait_until_answers(f"http://{address}/-/ready")
    return f"http://{address}"


def _configuration(folder: RunFolder) -> dict[str, object]:
    files = [str(folder.path / TARGETS / "*.json")]
    discovery = {"files": files, "refresh_interval": INTERVAL}
    scrape = {"job_name": "local", "honor_labels": True, "file_sd_configs": [discovery]}
    times = {"scrape_interval": INTERVAL, "scrape_timeout": "4s", "evaluation_interval": INTERVAL}
    return {"global": times, "scrape_configs": [scrape]}


def add_target(folder: RunFolder, job: str, address: str) -> None:
    """Write a target file; Prometheus notices by itself."""
    (folder.path / TARGETS).mkdir(exist_ok=True)
    entry = [{"targets": [address], "labels": {"job": job}}]
    scratch = folder.path / TARGETS / f".{job}"
    scratch.write_text(json.dumps(entry))
    scratch.replace(folder.path / TARGETS / f"{job}.json")
