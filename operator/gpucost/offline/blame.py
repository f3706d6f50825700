"""Says everything that is wrong with the form of a scenario, after the fast decoder has refused it.

The decoder names one fault. Here the file is read again, slowly, every item is checked by itself, and an item with a
fault is mended and checked again until all its faults are named. Sound items are handed on, so that their content can
be checked in the same run.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from gpucost.offline.problems import BadScenario, Problems, at
from gpucost.offline.wire import Node, Pod, Scenario, Span

_SECTIONS: dict[str, type] = {"nodes": Node, "pods": Pod}
_MAPS = ("labels", "capacity", "requests")
_PATH = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]")
_TRIES = 100
_REQUIRED = frozenset({"uid", "name", "namespace", "node", "intervals", "start", "from", "hourly"})
_EXPECTED = {
    "`str`": "a string",
    "`int`": "a whole number",
    "`float`": "a number",
    "`object`": "an object",
    "`array`": "a list",
    "`null`": "null",
    "`bool`": "true or false",
}


class _Constant:
    """NaN or an infinity, which JSON does not have and Python reads."""

    def __init__(self, name: str) -> None:
        self.name = name


def sound_part(data: bytes, problems: Problems) -> tuple[Scenario, dict[str, list[int]]]:
    """The items without faults of form, and where in the file they stand; every fault goes to `problems`.

    Raises `BadScenario` when the file is no JSON object at all.
    """
    document = _read(data)
    kept: dict[str, list[Any]] = {}
    places: dict[str, list[int]] = {}
    for name, kind in _SECTIONS.items():
        kept[name], places[name] = _items(document, name, kind, problems)
    currency = document.get("currency", "USD")
    if not isinstance(currency, str):
        problems.add("$.currency", _wanted("a string", currency))
        currency = "USD"
    return Scenario(kept["nodes"], kept["pods"], currency, _window(document, problems)), places


def uids_in(data: bytes) -> frozenset[str]:
    """UIDs of all nodes in the file, faulty ones too: pods on those are not the ones to blame."""
    nodes = _read(data).get("nodes")
    items = nodes if isinstance(nodes, list) else []
    return frozenset(item["uid"] for item in items if isinstance(item, Mapping) and isinstance(item.get("uid"), str))


def _read(data: bytes) -> dict[str, Any]:
    try:
        document = json.loads(data.decode("utf-8-sig"), parse_constant=_Constant)
    except UnicodeDecodeError as error:
        raise BadScenario([f"$: not UTF-8 text: byte {error.start} is {data[error.start]:#04x}"]) from None
    except json.JSONDecodeError as error:
        raise BadScenario([f"$: not JSON: line {error.lineno}, column {error.colno}: {error.msg}"]) from None
    except RecursionError:
        raise BadScenario(["$: not a scenario: nested too deeply"]) from None
    except ValueError as error:  # an integer of thousands of digits
        raise BadScenario([f"$: not JSON that can be read: {error}"]) from None
    if not isinstance(document, dict):
        raise BadScenario([f"$: {_wanted('an object with nodes and pods', document)}"])
    return document


def _items(document: dict[str, Any], name: str, kind: type, problems: Problems) -> tuple[list[Any], list[int]]:
    items = document.get(name)
    if not isinstance(items, list):
        missing = name not in document
        problems.add(f"$.{name}", "missing; want a list" if missing else _wanted("a list", items))
        return [], []
    sound: list[Any] = []
    places: list[int] = []
    for number, item in enumerate(items):
        record = _record(item, kind, f"$.{name}[{number}]", problems)
        if record is not None:
            sound.append(record)
            places.append(number)
    return sound, places


def _window(document: dict[str, Any], problems: Problems) -> Span | None:
    window = document.get("window")
    record: Span | None = None if window is None else _record(window, Span, "$.window", problems)
    return record


def _record(item: Any, kind: type, path: str, problems: Problems) -> Any:
    """The item as a record, or None after naming all its faults."""
    faulty = _bad_maps(item, path, problems)
    for _ in range(_TRIES):
        try:
            record: Any = msgspec.convert(item, kind)
        except msgspec.ValidationError as error:
            message, _, place = str(error).partition(" - at `$")
            faulty = True
            if not _mend(item, message, place.rstrip("`"), path, problems):
                return None
        else:
            return None if faulty else record
    return None


def _bad_maps(item: Any, path: str, problems: Problems) -> bool:
    """Name the values that are no strings in maps of strings (the decoder does not say which), and take them out."""
    if not isinstance(item, dict):
        return False
    maps = {name: item[name] for name in _MAPS if isinstance(item.get(name), dict)}
    faulty = [(name, key) for name, values in maps.items() for key, text in values.items() if not isinstance(text, str)]
    for name, key in faulty:
        problems.add(at(f"{path}.{name}", key), _wanted("a string", maps[name].pop(key)))
    return bool(faulty)


def _mend(item: Any, message: str, place: str, path: str, problems: Problems) -> bool:
    """Name one fault and take it out; False when what is left cannot be checked further."""
    steps = [name or int(number) for name, number in _PATH.findall(place)]
    parent, value = _follow(item, steps)
    missing = re.fullmatch(r"Object missing required field `(.+)`", message)
    if missing:
        problems.add(f"{path}{place}.{missing[1]}", "missing")
        if isinstance(value, dict):
            value[missing[1]] = _standin(missing[1])
            return True
        return False
    problems.add(f"{path}{place}", _wanted(_english(message), value))
    if not steps or not isinstance(parent, dict | list):
        return False
    key: Any = steps[-1]
    if isinstance(parent, list):
        parent[key] = {"start": "", "from": "", "hourly": ""}  # fits any list of objects, and keeps the numbering
    else:
        parent[key] = _standin(key)
    return True


def _standin(field: str) -> Any:
    """Something that the decoder takes in place of a faulty or missing value; the item is not used any more."""
    return ([] if field == "intervals" else "") if field in _REQUIRED else None


def _follow(item: Any, steps: list[Any]) -> tuple[Any, Any]:
    parent, value = None, item
    for step in steps:
        parent = value
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return None, None
    return parent, value


def _english(message: str) -> str:
    """The decoder's `Expected `str | null`, got `int`` as what is wanted."""
    match = re.match(r"Expected `([^`]+)`", message)
    if match is None:
        return message
    kinds = [_EXPECTED.get(f"`{kind}`", kind) for kind in match[1].split(" | ")]
    return " or ".join(kinds)


def _wanted(wanted: str, value: Any) -> str:
    if isinstance(value, _Constant):
        return f"{value.name} is not a number that JSON has; want {wanted}"
    return f"want {wanted}, not {_kind(value)}"


def _kind(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return f"the number {value!r:.40}"
        case str():
            return f"the string {value!r:.60}"
        case list():
            return "a list"
    return "an object"
