"""Wiring: settings, the loop, Lease, health, metrics.

kopf imports the official client when it is installed (`kubectl cost` needs it), only to recognise its models, of which
the operator has none. That takes half a second of processor time and tens of MiB at every start, so kopf is imported
here, before anything else of the operator, in a world without that client.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import cast

_CLIENT = "kubernetes"


def _import_kopf_alone() -> None:
    if "kopf" in sys.modules or _CLIENT in sys.modules:
        return
    sys.modules[_CLIENT] = cast("ModuleType", None)  # makes an import fail as if it were not installed
    try:
        import_module("kopf")
    finally:
        del sys.modules[_CLIENT]


_import_kopf_alone()
