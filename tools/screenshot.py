"""Take a picture of what a command prints, for the README: runs it in a terminal of its own and writes an SVG.

    python tools/screenshot.py docs/images/kubectl-cost.svg --title 'kubectl cost' -- kubectl cost

The picture needs nothing from the network: fonts are those of the viewer. The same output gives the same file.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

_FONTS = re.compile(r"\s*@font-face \{.*?\}", re.DOTALL)
_ROWS = 200


def run_in_terminal(command: list[str], columns: int, env: dict[str, str] | None = None) -> tuple[str, int]:
    """Run a command in a pseudo-terminal of a width; the result is what it printed there and its exit status."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", _ROWS, columns, 0, 0))
    environment = {**(env or os.environ), "TERM": "xterm-256color", "COLUMNS": str(columns)}
    environment.pop("NO_COLOR", None)
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    output = b"".join(iter(lambda: _read(ours), b""))
    os.close(ours)
    return output.decode(errors="replace").replace("\r\n", "\n"), process.wait()


def _read(terminal: int) -> bytes:
    """The next bytes; a terminal whose other side has closed is at its end."""
    try:
        return os.read(terminal, 65536)
    except OSError:
        return b""


def to_svg(output: str, *, title: str, columns: int, prompt: str = "") -> str:
    """Terminal output as SVG, below the command that was typed."""
    with Path(os.devnull).open("w") as nowhere:
        console = Console(record=True, width=columns, file=nowhere, force_terminal=True, color_system="truecolor")
        if prompt:
            console.print(Text.assemble(("$ ", "green"), (prompt, "bold")))
        console.print(Text.from_ansi(output.rstrip("\n")))
        svg = console.export_svg(title=title, theme=MONOKAI, unique_id="gpucost")
    return _FONTS.sub("", svg)


def main() -> int:
    """Take the picture; the exit status is the command's."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", type=Path, help="the SVG file to write")
    parser.add_argument("--title", default="", help="title of the window; the command by default")
    parser.add_argument("--columns", type=int, default=80, help="width of the terminal (default: 80)")
    parser.add_argument("command", nargs="+", help="the command, after --")
    arguments = parser.parse_args()
    typed = " ".join(arguments.command)
    output, status = run_in_terminal(arguments.command, arguments.columns)
    if status:
        print(f"{typed} ended with status {status}; no picture was taken:\n{output}", file=sys.stderr)
        return status
    arguments.target.parent.mkdir(parents=True, exist_ok=True)
    svg = to_svg(output, title=arguments.title or typed, columns=arguments.columns, prompt=typed)
    arguments.target.write_text(svg)
    return 0


if __name__ == "__main__":
    sys.exit(main())
