"""`python -m curves record [STUDY ...]` and `python -m curves report`."""

from __future__ import annotations

import sys
from importlib import import_module

_COMMANDS = ("record", "report")


def main(arguments: list[str]) -> int:
    """Run one of the commands."""
    if not arguments or arguments[0] not in _COMMANDS:
        print("usage: python -m curves record [STUDY ...] | report", file=sys.stderr)
        return 2
    import_module(f"curves.{arguments[0]}").main(arguments[1:])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
