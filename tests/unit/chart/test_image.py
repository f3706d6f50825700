"""What can be known about the image without a container engine."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[3]
LINES = re.sub(r"\\\n\s*", " ", (ROOT / "Dockerfile").read_text()).splitlines()


def instructions(word: str, lines: list[str] = LINES) -> list[str]:
    return [line.removeprefix(word).strip() for line in lines if line.startswith(f"{word} ")]


def last_stage() -> list[str]:
    start = max(number for number, line in enumerate(LINES) if line.startswith("FROM "))
    return LINES[start:]


def from_the_context() -> list[str]:
    copies = [line.split() for line in instructions("COPY") if not line.startswith("--from")]
    return [source for words in copies for source in words[:-1]]


def test_everything_that_is_copied_is_there_and_not_ignored() -> None:
    let_through = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for source in from_the_context():
        name = source.removeprefix("./")
        assert (ROOT / name).exists(), name
        assert name in let_through, name


def test_the_wheel_gets_every_file_that_the_project_names() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert {"pyproject.toml", project["readme"], *project["license-files"]} <= set(from_the_context())


def test_the_process_is_nobody_by_number() -> None:
    assert instructions("USER", last_stage()) == ["65532:65532"]


def test_the_entry_point_is_a_script_of_the_wheel() -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert instructions("ENTRYPOINT", last_stage()) == ['["gpucost"]']
    assert "gpucost" in scripts


def test_no_source_and_no_build_tool_is_in_the_last_stage() -> None:
    copied = instructions("COPY", last_stage())
    assert copied == ["--from=install /opt/gpucost /opt/gpucost"]
    assert not [line for line in instructions("RUN", last_stage()) if "pip" in line or "apt" in line]
