"""`gpucost agent` as a process of its own on loopback, and its series as a scrape finds them."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

COMMAND = [sys.executable, "-c", "from gpucost.cli.main import gpucost; gpucost()", "agent"]


@dataclass(frozen=True)
class Series:
    """One series of a scrape."""

    metric: str
    labels: dict[str, str]
    value: float


def parse(text: str) -> list[Series]:
    """All series of an exposition."""
    families = text_string_to_metric_families(text)
    return [Series(each.name, each.labels, each.value) for family in families for each in family.samples]


class AgentProcess:
    """One agent; `environment` is all it gets."""

    def __init__(self, folder: Path, environment: dict[str, str], *arguments: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.log_path = folder / "agent.log"
        listen = f"127.0.0.1:{self.port}"
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(
                [*COMMAND, "--listen", listen, *arguments], env=environment, stdout=log, stderr=log
            )

    def get(self, path: str) -> tuple[int, str]:
        """Status and body; status 0 while nobody listens."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def scrape(self) -> list[Series]:
        return parse(self.get("/metrics")[1])

    def of(self, metric: str, **labels: str) -> list[Series]:
        """Series of a metric that carry these labels."""
        return [each for each in self.scrape() if each.metric == metric and labels.items() <= each.labels.items()]

    def value(self, metric: str, **labels: str) -> float | None:
        """Value of the one series that there is; None for none."""
        found = self.of(metric, **labels)
        assert len(found) <= 1, found
        return found[0].value if found else None

    def log(self) -> str:
        return self.log_path.read_text()

    def stop(self) -> int:
        """End it as Kubernetes does; its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait(10)
