"""Pictures for the README are taken of real output."""

from __future__ import annotations

import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

import screenshot

SCRIPT = "import shutil; print('\\x1b[1mTOTAL\\x1b[0m $20.10'); print(shutil.get_terminal_size().columns)"


def texts(svg: str) -> str:
    return "".join(ET.fromstring(svg).itertext()).replace("\xa0", " ")


def test_the_picture_shows_what_was_typed_and_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "new" / "picture.svg"
    command = ["screenshot.py", str(target), "--columns", "72", "--", sys.executable, "-c", SCRIPT]
    monkeypatch.setattr(sys, "argv", command)
    assert screenshot.main() == 0
    shown = texts(target.read_text())
    assert "TOTAL" in shown
    assert "$20.10" in shown
    assert "72" in shown


def test_the_picture_loads_nothing_and_is_the_same_every_time() -> None:
    first = screenshot.to_svg("hello", title="t", columns=80, prompt="kubectl cost")
    assert first == screenshot.to_svg("hello", title="t", columns=80, prompt="kubectl cost")
    assert "url(" not in first.replace("url(#", "")
    assert "@font-face" not in first


def test_a_failed_command_gives_no_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "picture.svg"
    monkeypatch.setattr(sys, "argv", ["screenshot.py", str(target), "--", sys.executable, "-c", "raise SystemExit(3)"])
    assert screenshot.main() == 3
    assert not target.exists()
    assert "ended with status 3" in capsys.readouterr().err
