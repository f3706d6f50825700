"""Label selectors as kubectl writes them, so that `-l team=nlp` picks costs the way it picks pods.

The grammar is that of the Kubernetes documentation ("Labels and Selectors"): equality (`a=b`, `a==b`, `a!=b`), sets
(`a in (b,c)`, `a notin (b,c)`) and existence (`a`, `!a`), joined by commas that mean *and*.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_KEY = r"(?:[A-Za-z0-9.-]{1,253}/)?[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?"
_VALUE = r"(?:[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?"
_EQUAL = re.compile(rf"({_KEY})\s*(==|=|!=)\s*({_VALUE})")
_SET = re.compile(rf"({_KEY})\s+(in|notin)\s*\(\s*({_VALUE}(?:\s*,\s*{_VALUE})*)\s*\)")
_EXISTS = re.compile(rf"(!?)\s*({_KEY})")
_COMMA = re.compile(r",(?![^(]*\))")


@dataclass(frozen=True, slots=True)
class Requirement:
    """One condition on a label: `values` None asks for existence only; `negated` turns it round."""

    key: str
    values: frozenset[str] | None = None
    negated: bool = False

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether labels fulfil it; as in Kubernetes, a missing label fulfils every negated condition."""
        value = labels.get(self.key)
        found = value is not None and (self.values is None or value in self.values)
        return found is not self.negated


@dataclass(frozen=True, slots=True)
class Selector:
    """All of some requirements; an empty one matches everything."""

    requirements: tuple[Requirement, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether labels fulfil every requirement."""
        return all(requirement.matches(labels) for requirement in self.requirements)


def is_label_key(text: str) -> bool:
    """Whether a text can be the key of a label, such as `team` or `app.kubernetes.io/name`."""
    return re.fullmatch(_KEY, text) is not None


def parse_selector(text: str) -> Selector:
    """Parse a label selector; malformed text is a `ValueError` that shows the part in question."""
    parts = (part.strip() for part in _COMMA.split(text))
    return Selector(tuple(_requirement(part) for part in parts if part or text.strip()))


def _requirement(part: str) -> Requirement:
    if match := _EQUAL.fullmatch(part):
        return Requirement(match[1], frozenset({match[3]}), negated=match[2] == "!=")
    if match := _SET.fullmatch(part):
        values = frozenset(value.strip() for value in match[3].split(","))
        return Requirement(match[1], values, negated=match[2] == "notin")
    if match := _EXISTS.fullmatch(part):
        return Requirement(match[2], negated=bool(match[1]))
    raise ValueError(f"not a label selector: {part!r} (want for example team=nlp, team!=nlp or team in (nlp,vision))")
