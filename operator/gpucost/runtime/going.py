"""Nodes that are about to go: what nodes, NodeClaims and Events say of it, by name of the node.

The reason of a notice is remembered for a while after the node is gone, because the end of its pods is explained by it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from gpucost.core.clock import HOUR, Instant
from gpucost.core.model import Node, NodeFact
from gpucost.core.notices import Notice, Why, strongest
from gpucost.sources.going import ClaimGoing, NodeWarning
from gpucost.sources.reflector import Change

_REMEMBERED = HOUR
_EVENT_LASTS = HOUR
"""A recommendation that came to nothing is forgotten with its Event."""


@dataclass
class NodesGoing:
    """Notices by name of the node; `facts` are the recorder's, by UID."""

    now: Callable[[], Instant]
    facts: Mapping[str, NodeFact]
    on_news: Callable[[str], None] = lambda _node: None
    """Told the name of a node about which something new was said."""
    _by_source: dict[tuple[str, str], Notice] = field(default_factory=dict)
    _last: dict[str, tuple[Instant, Why]] = field(default_factory=dict)

    def notices(self) -> dict[str, Notice]:
        """The strongest notice of each node, with the time at which it was first seen where it carries none."""
        found: dict[str, list[Notice]] = {}
        for (name, source), notice in tuple(self._by_source.items()):
            if source == "event" and self.now() - (notice.since or 0) >= _EVENT_LASTS:
                del self._by_source[name, source]  # it came to nothing
                continue
            found.setdefault(name, []).append(notice)
        return {name: best for name, several in found.items() if (best := strongest(several)) is not None}

    def why(self, name: str) -> Why | None:
        """Why a node went, or is about to go."""
        return self._last[name][1] if name in self._last else None

    # --- what is seen -------------------------------------------------------------------------------------------------

    def node_changed(self, change: Change[Node]) -> None:
        """A node appeared, changed or went."""
        record = change.new or change.old
        assert record is not None
        self._say(record.name, "node", change.new.notice if change.new is not None else None)
        if change.new is None:
            self._forget(record.name)

    def claim_changed(self, change: Change[ClaimGoing]) -> None:
        """A NodeClaim appeared, changed or went."""
        record = change.new or change.old
        assert record is not None
        if record.node:
            self._say(record.node, "claim", change.new.notice if change.new is not None else None)

    def event_changed(self, change: Change[NodeWarning]) -> None:
        """An Event about a node appeared or changed; those of long ago are history."""
        new = change.new
        if (
            new is not None
            and new.notice is not None
            and new.notice.since is not None
            and self.now() - new.notice.since < _EVENT_LASTS
        ):
            self._say(new.node, "event", new.notice)

    def _say(self, name: str, source: str, notice: Notice | None) -> None:
        key = (name, source)
        before = self._by_source.get(key)
        if notice is None:
            if self._by_source.pop(key, None) is not None:
                self.on_news(name)
            return
        if notice.since is None:
            known = before is not None and before.signal == notice.signal
            notice = replace(notice, since=before.since if known and before is not None else self.now())
        self._by_source[key] = notice
        best = strongest([one for (node, _), one in self._by_source.items() if node == name])
        if best is not None:
            self._last[name] = (self.now(), best.why)
        if before != notice:
            self.on_news(name)

    def _forget(self, name: str) -> None:
        for source in ("claim", "event"):
            self._by_source.pop((name, source), None)
        horizon = self.now() - _REMEMBERED
        self._last = {node: (at, why) for node, (at, why) in self._last.items() if at > horizon}
