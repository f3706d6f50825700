"""A question in OpenCost's parameters: what is asked for, or one clear refusal.

A parameter that would change numbers in a way that we do not offer is refused: a dashboard must not show another number
than the one that was asked for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from gpucost.core import opencost_window as windows
from gpucost.core.clock import Instant
from gpucost.core.grouping import ASSET, LABEL
from gpucost.core.selector import is_label_key
from gpucost.core.timeline import Interval
from gpucost.core.window import WindowError
from gpucost.web.status import Refused

T = TypeVar("T")

CONTROLLERS = ("deployment", "statefulset", "daemonset", "job")
AGGREGATES = ("cluster", "node", "namespace", "controllerKind", "controller", "pod", *CONTROLLERS)
_LEDGER = {"node": "node", "namespace": "namespace", "pod": "pod"}
"""Groupings of the ledger by what is aggregated by; everything about controllers is `workload`."""

_V1 = {
    "filterClusters": "cluster",
    "filterNodes": "node",
    "filterNamespaces": "namespace",
    "filterControllerKinds": "controllerKind",
    "filterControllers": "controller",
    "filterPods": "pod",
}
_SETTING = frozenset(
    {"window", "aggregate", "step", "accumulate", "accumulateBy", "includeIdle", "idle", "idleByNode", "shareIdle"}
    | {"filter", "filterLabels", "limit", "offset", *_V1}
)
_HARMLESS = frozenset({"resolution", "includeAggregatedMetadata", "costUnit", "_"})
"""Change no number here: we are exact anyway, and costs are sums."""
_OFF = frozenset({"external", "reconcile", "sharelb", "shareLB", "includeProportionalAssetResourceCosts"})
"""May be given as long as they are false."""
_TRUE, _FALSE = frozenset({"true", "1", "t"}), frozenset({"false", "0", "f", "", "none"})
_TERM = re.compile(r'([A-Za-z]+)(?:\[([^\]]+)\])?\s*(!:|!~:|<~:|~:|:)\s*("[^"]*"(?:\s*,\s*"[^"]*")*)')


@dataclass(frozen=True, slots=True)
class Filter:
    """One condition: the property has, or has not, one of the values."""

    property: str
    values: tuple[str, ...]
    matches: Callable[[str, str], bool]
    negated: bool = False

    def accepts(self, value: str) -> bool:
        """Whether a property of this value passes."""
        return any(self.matches(value, wanted) for wanted in self.values) is not self.negated


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked for."""

    sets: tuple[Interval, ...]
    aggregate: tuple[str, ...]
    """Empty: each pod on each node."""
    include_idle: bool = False
    idle_by_node: bool = False
    share_idle: bool = False
    filters: tuple[Filter, ...] = ()
    limit: int | None = None
    offset: int = 0

    @property
    def named(self) -> tuple[str, ...]:
        """What a name is made of."""
        return self.aggregate or ("cluster", "node", "namespace", "pod")

    @property
    def by(self) -> str:
        """The finest grouping of the ledger that tells apart what the question does."""
        wanted = [*self.named, *(condition.property for condition in self.filters)]
        wanted += ["node"] if self.idle_by_node else []
        parts = [
            _LEDGER.get(each, each if each.startswith(LABEL) else "workload") for each in wanted if each != "cluster"
        ]
        return ",".join(dict.fromkeys([*parts, *([] if parts else ["namespace"]), ASSET]))


def parse(parameters: Mapping[str, str], now: Instant) -> Query:
    """Read the parameters of a request. Raises `Refused` (400), which names the parameter and what it may be."""
    _known(parameters)
    window = _of("window", parameters, lambda text: windows.parse_window(text, now), required=True)
    return Query(
        sets=tuple(_sets(parameters, window)),
        aggregate=tuple(_aggregates(parameters.get("aggregate", ""))),
        include_idle=_flag(parameters, "includeIdle") or _flag(parameters, "idle"),
        idle_by_node=_flag(parameters, "idleByNode"),
        share_idle=_share_idle(parameters),
        filters=tuple(_filters(parameters)),
        limit=_of("limit", parameters, _count) if parameters.get("limit") else None,
        offset=_of("offset", parameters, _count) if parameters.get("offset") else 0,
    )


def _refuse(parameter: str, message: str) -> Refused:
    return Refused(400, f"parameter {parameter}: {message}", field=parameter)


def _known(parameters: Mapping[str, str]) -> None:
    for name, value in parameters.items():
        if name in _OFF and value.lower() not in _FALSE:
            raise _refuse(name, f"{value!r} is not supported; leave it out")
        if name not in _SETTING | _HARMLESS | _OFF:
            raise _refuse(name, f"is not supported; there are {', '.join(sorted(_SETTING))}")


def _of(name: str, parameters: Mapping[str, str], read: Callable[[str], T], *, required: bool = False) -> T:
    text = parameters.get(name, "")
    if required and not text:
        raise _refuse(name, "is missing, such as 7d")
    try:
        return read(text)
    except (WindowError, ValueError) as error:
        raise _refuse(name, str(error)) from None


def _count(text: str) -> int:
    if not text.isascii() or not text.isdecimal():
        raise ValueError(f"{text!r} is not a whole number")
    return int(text)


def _flag(parameters: Mapping[str, str], name: str) -> bool:
    text = parameters.get(name, "").lower()
    if text not in _TRUE | _FALSE:
        raise _refuse(name, f"{text!r} is neither true nor false")
    return text in _TRUE


def _share_idle(parameters: Mapping[str, str]) -> bool:
    text = parameters.get("shareIdle", "")
    return True if text == "weighted" else _flag({"shareIdle": text}, "shareIdle")


# --- sets -------------------------------------------------------------------------------------------------------------


def _sets(parameters: Mapping[str, str], window: Interval) -> list[Interval]:
    """One for each step, for each unit of the calendar, or one in all."""
    how = parameters.get("accumulateBy") or parameters.get("accumulate", "")
    if how.lower() in _TRUE or how == "all":
        return [window]
    if how in windows.CALENDAR_STEPS:
        return _of("accumulate", {"accumulate": how}, lambda unit: windows.calendar(window, unit))
    if how.lower() not in _FALSE:
        raise _refuse("accumulate", f"{how!r} is not true, false or one of {', '.join(windows.CALENDAR_STEPS)}")
    if not parameters.get("step"):
        return [window]
    return _of("step", parameters, lambda text: windows.steps(window, windows.parse_step(text)))


def _aggregates(text: str) -> list[str]:
    found = [part.strip() for part in text.split(",") if part.strip()]
    for part in found:
        if part not in AGGREGATES and not (part.startswith(LABEL) and is_label_key(part.removeprefix(LABEL))):
            raise _refuse(
                "aggregate", f"{part!r} is not one of {', '.join(AGGREGATES)}, label:KEY; costs are booked by pod"
            )
    return found


# --- filters ----------------------------------------------------------------------------------------------------------


def _filters(parameters: Mapping[str, str]) -> list[Filter]:
    found = [
        Filter(prop, tuple(value.strip() for value in parameters[name].split(",")), matches_start)
        for name, prop in _V1.items()
        if parameters.get(name)
    ]
    if labels := parameters.get("filterLabels"):
        found += [_label_filter(part.strip()) for part in labels.split(",")]
    if text := parameters.get("filter", "").strip():
        found += _v2(text)
    return found


def matches_start(value: str, wanted: str) -> bool:
    """Equal, or begins with what is before a final `*`."""
    return value.startswith(wanted[:-1]) if wanted.endswith("*") else value == wanted


def _label_filter(text: str) -> Filter:
    key, colon, value = text.partition(":")
    if not colon or not is_label_key(key):
        raise _refuse("filterLabels", f"{text!r} is not KEY:VALUE")
    return Filter(f"{LABEL}{key}", (value,), matches_start)


def _equal(value: str, wanted: str) -> bool:
    return value == wanted


def _contains(value: str, wanted: str) -> bool:
    return wanted in value


_OPERATORS: dict[str, tuple[Callable[[str, str], bool], bool]] = {
    ":": (_equal, False),
    "!:": (_equal, True),
    "~:": (_contains, False),
    "!~:": (_contains, True),
    "<~:": (str.startswith, False),
}


def _v2(text: str) -> list[Filter]:
    """Conditions of the newer filter language that are joined by `+` (and); the rest of the language is refused."""
    found: list[Filter] = []
    position = 0
    while True:
        match = _TERM.match(text, position)
        if match is None:
            raise _refuse("filter", f'cannot read {text[position:]!r}; want such as namespace:"a","b"+label[team]:"x"')
        found.append(_condition(*match.groups()))
        position = match.end()
        if position == len(text):
            return found
        if text[position] != "+":
            raise _refuse("filter", f"only + (and) joins conditions here, not {text[position:]!r}")
        position += 1


def _condition(name: str, key: str | None, operator: str, values: str) -> Filter:
    prop = {"controllerName": "controller"}.get(name, name)
    if name == "label" and key and is_label_key(key):
        prop = f"{LABEL}{key}"
    elif prop not in _V1.values() or key:
        raise _refuse("filter", f"{name!r} is not one of {', '.join(_V1.values())}, label[KEY]")
    matches, negated = _OPERATORS[operator]
    wanted = tuple(re.findall(r'"([^"]*)"', values))
    return Filter(prop, wanted, matches, negated)
