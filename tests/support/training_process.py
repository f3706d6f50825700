"""A training script that runs as a process, as in a pod: interrupted with SIGTERM and started again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from local import wait_for

CLEARED = ("KUBEFLOW_TRAINER_SERVER_", "GPUCOST_", "RANK", "JOB_COMPLETION_INDEX")


@dataclass
class TrainingProcess:
    """One script with its arguments; what it prints goes to a file."""

    command: list[str]
    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    @contextmanager
    def running(self) -> Iterator[subprocess.Popen[bytes]]:
        """Started; killed at the end if it has not ended by itself."""
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(CLEARED)}
        with self.output.open("ab") as output:
            process = subprocess.Popen(
                self.command, stdout=output, stderr=output, cwd=self.folder, env={**inherited, **self.environment}
            )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()

    @property
    def output(self) -> Path:
        return self.folder / "output.txt"

    def tail(self) -> str:
        return self.output.read_text(errors="replace")[-3000:] if self.output.exists() else ""

    def to_the_end(self, seconds: float = 120) -> None:
        """Run until it is complete."""
        with self.running() as process:
            assert process.wait(seconds) == 0, self.tail()

    def interrupted(self, when: Callable[[], object], seconds: float = 120) -> int:
        """Run until something has happened, send SIGTERM, and give the exit code."""
        with self.running() as process:

            def happened() -> bool:
                assert process.poll() is None, f"ended too early with {process.returncode}: {self.tail()}"
                return bool(when())

            wait_for(happened, seconds, self.tail)
            process.send_signal(signal.SIGTERM)
            return process.wait(30)


def python(script: Path, *arguments: object, interpreter: str = sys.executable) -> list[str]:
    """The command that runs a script."""
    return [interpreter, str(script), *map(str, arguments)]
