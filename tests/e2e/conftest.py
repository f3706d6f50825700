"""Teams in the cluster of the session's one operator."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from support.operator_world import Team, team_in

if TYPE_CHECKING:
    from support.live import Live


@pytest.fixture
def team(live: Live) -> Iterator[Team]:
    """A fresh namespace with nodes of its own, beside a running operator."""
    with team_in(live.cluster) as fresh:
        yield fresh
