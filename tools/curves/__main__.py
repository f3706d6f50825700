"""`python -m curves record|report`."""

from __future__ import annotations

import sys
from importlib import import_module

_COMMANDS = ("record", "report")


def main(arguments: list[str]) -> int:
    """Run one of the commands."""
    if len(arguments) != 1 or arguments[0] not in _COMMANDS:
        print(f"usage: python -m curves {'|'.join(_COMMANDS)}", file=sys.stderr)
        return 2
    import_module(f"curves.{arguments[0]}").main()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
