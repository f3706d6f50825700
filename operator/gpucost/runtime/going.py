"""Nodes that are about to go: what nodes, NodeClaims and Events say of it, by name of the node.

The reason of a notice is remembered for a while after the node is gone, because the end of its pods is explained by it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
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
    _by_source: dict[str, dict[str, Notice]] = field(default_factory=dict)
    """By name of the node, then by who says it; Events by what they say."""
    _last: dict[str, tuple[Instant, Why]] = field(default_factory=dict)

    def notices(self) -> dict[str, Notice]:
        """The strongest notice of each node, with the time at which it was first seen where it carries none."""
        for name, source in tuple(self._came_to_nothing()):
            self._say(name, source, None)
        found = {name: strongest(several.values()) for name, several in self._by_source.items()}
        return {name: best for name, best in found.items() if best is not None}

    def why(self, name: str) -> Why | None:
        """Why a node went, or is about to go."""
        return self._last[name][1] if name in self._last else None

    def _came_to_nothing(self) -> Iterator[tuple[str, str]]:
        """Events that are old by now, whose nodes are still there; the server may keep an Event for longer."""
        horizon = self.now() - _EVENT_LASTS
        for name, several in self._by_source.items():
            for source, notice in several.items():
                if source == notice.signal and (notice.since or 0) <= horizon:
                    yield name, source

    # --- what is seen -------------------------------------------------------------------------------------------------

    def node_changed(self, change: Change[Node]) -> None:
        """A node appeared, changed or went."""
        if change.new is not None:
            self._say(change.new.name, "node", change.new.notice)
        elif change.old is not None:
            self._gone(change.old.name)

    def claim_changed(self, change: Change[ClaimGoing]) -> None:
        """A NodeClaim appeared, changed or went; one that went took its node with it."""
        if change.new is not None and change.new.node:
            self._say(change.new.node, "claim", change.new.notice)
        elif change.new is None and change.old is not None:
            self._by_source.get(change.old.node, {}).pop("claim", None)

    def event_changed(self, change: Change[NodeWarning]) -> None:
        """An Event about a node appeared, changed or went; those of long ago are history."""
        new, old = change.new, change.old
        if new is None:
            if old is not None and old.notice is not None:
                self._say(old.node, old.notice.signal, None)
        elif new.notice is not None and new.notice.since is not None and self.now() - new.notice.since < _EVENT_LASTS:
            self._say(new.node, new.notice.signal, new.notice)

    def _say(self, name: str, source: str, notice: Notice | None) -> None:
        sources = self._by_source.get(name, {})
        before = sources.get(source)
        if notice is None:
            if before is not None:
                del sources[source]
                self._conclude(name)
            return
        if notice.since is None:
            known = before is not None and before.signal == notice.signal
            notice = replace(notice, since=before.since if known and before is not None else self.now())
        self._by_source.setdefault(name, sources)[source] = notice
        if before != notice:
            self._conclude(name)

    def _conclude(self, name: str) -> None:
        """Remember the best reason that is left: a notice that is taken back explains no end."""
        best = strongest(self._by_source[name].values())
        if best is not None:
            self._last[name] = (self.now(), best.why)
        else:
            self._last.pop(name, None)
        self.on_news(name)

    def _gone(self, name: str) -> None:
        """The node is not there any more: what was last said of it explains the end of its pods."""
        now = self.now()
        if name in self._last:
            self._last[name] = (now, self._last[name][1])
        if self._by_source.pop(name, None):
            self.on_news(name)
        self._last = {
            node: (at, why)
            for node, (at, why) in self._last.items()
            if at > now - _REMEMBERED or self._by_source.get(node)
        }
