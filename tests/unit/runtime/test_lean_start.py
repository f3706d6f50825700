"""What keeps a start of the operator short: nothing is imported in vain, and the garbage collector waits."""

from __future__ import annotations

import gc
import subprocess
import sys

import pytest

from gpucost.runtime import collector


def test_the_operator_leaves_the_official_client_alone_and_importable() -> None:
    program = (
        "import sys, gpucost.runtime.operator\n"
        "assert 'kubernetes' not in sys.modules, 'imported in vain'\n"
        "import kubernetes.client\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_nothing_is_collected_during_the_start_and_everything_after_it() -> None:
    try:
        with collector.held_back():
            assert not gc.isenabled()
        assert gc.isenabled()
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()


def test_a_failed_start_leaves_the_collector_on() -> None:
    with pytest.raises(RuntimeError, match="no cluster"), collector.held_back():
        raise RuntimeError("no cluster")
    assert gc.isenabled()
