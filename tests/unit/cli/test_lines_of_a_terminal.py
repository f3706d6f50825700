"""Lines fit the terminal, and a pipe gets them whole."""

from __future__ import annotations

import pytest

from gpucost.cli.grid import print_line

NOTE = "  the run goes on and does not say how much is left: its work until now is reckoned with"


def printed(text: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    print_line(text)
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("columns", [40, 80])
def test_a_long_line_is_broken_between_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = printed(NOTE, capsys)
    assert max(map(len, lines)) <= columns
    assert [line.startswith("    ") for line in lines] == [False] + [True] * (len(lines) - 1)
    assert " ".join(" ".join(lines).split()) == NOTE.strip()


def test_a_word_that_is_too_long_stays_whole(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    name = "kwok-h100-on-demand-rlzkq-herontabby-3"
    assert name in [line.strip() for line in printed(f"bert-0 on {name}, 8 GPUs".replace(",", ""), capsys)]


def test_a_pipe_gets_the_line_as_it_is(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    assert printed(f"{NOTE} · {NOTE.strip()}", capsys) == [f"{NOTE} · {NOTE.strip()}"]
