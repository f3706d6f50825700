"""The real Prometheus, which scrapes one address every second, without a cluster."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import yaml

from local.helpers import Helper
from local.processes import Identity
from local.programs import program
from local.run_folder import RunFolder


@contextmanager
def prometheus_scraping(*jobs: tuple[str, str]) -> Iterator[str]:
    """Base URL of a Prometheus that scrapes addresses under the names of jobs."""
    folder = RunFolder.create("scraping", Identity.of(os.getpid()))
    try:
        config = folder.path / "prometheus.yaml"
        scrapes = [
            {"job_name": job, "honor_labels": True, "static_configs": [{"targets": [address]}]} for job, address in jobs
        ]
        times = {"scrape_interval": "1s", "scrape_timeout": "1s"}
        config.write_text(yaml.safe_dump({"global": times, "scrape_configs": scrapes}))
        address = f"127.0.0.1:{folder.port()}"
        command = [
            program("prometheus"),
            f"--config.file={config}",
            f"--storage.tsdb.path={folder.path / 'prometheus'}",
            f"--web.listen-address={address}",
            "--log.level=warn",
        ]
        Helper(folder, "prometheus", command, {}).start().wait_until_answers(f"http://{address}/-/ready", 60)
        yield f"http://{address}"
    finally:
        folder.remove()
