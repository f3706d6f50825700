"""The real Prometheus over a past that was written into its database, without a cluster."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local.helpers import Helper
from local.processes import Identity
from local.programs import program
from local.run_folder import RunFolder
from support.past_world import Past, exposition


@contextmanager
def prometheus_of(past: Past) -> Iterator[str]:
    """Base URL of a Prometheus that holds the samples of a past."""
    folder = RunFolder.create("past", Identity.of(os.getpid()))
    try:
        store = folder.path / "prometheus"
        _write(past, folder.path / "past.txt", store)
        yield _serve(folder, store)
    finally:
        folder.remove()


def _write(past: Past, text: Path, store: Path) -> None:
    with text.open("w") as handle:
        handle.writelines(exposition(past))
    command = [program("promtool"), "tsdb", "create-blocks-from", "openmetrics", "--quiet", str(text), str(store)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    text.unlink()


def _serve(folder: RunFolder, store: Path) -> str:
    config = folder.path / "prometheus.yaml"
    config.write_text("{}\n")
    address = f"127.0.0.1:{folder.port()}"
    command = [
        program("prometheus"),
        f"--config.file={config}",
        f"--storage.tsdb.path={store}",
        "--storage.tsdb.retention.time=10y",
        f"--web.listen-address={address}",
        "--log.level=warn",
    ]
    Helper(folder, "prometheus", command, {}).start().wait_until_answers(f"http://{address}/-/ready", 60)
    return f"http://{address}"
