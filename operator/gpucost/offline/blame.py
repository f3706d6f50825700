"""Says everything that is wrong with the form of a scenario, after the fast decoder has refused it.

The decoder names one fault. Here what it refused is read again, slowly, and mended and checked again until all faults
are named. Sound items are handed on, so that their content can be checked in the same run.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec

from gpucost.offline.problems import BadScenario, Problems, at
from gpucost.offline.wire import Scenario, Span

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


def cut(data: bytes, problems: Problems) -> Scenario:
    """Cut a file that the decoder refused as a whole; every fault goes to `problems`, faulty items become None.

    Raises `BadScenario` when the file is no JSON object at all.
    """
    document = _read(data)
    items = {
        name: [_item(item, f"$.{name}[{i}]", problems) for i, item in enumerate(_list(document, name, problems))]
        for name in ("nodes", "pods")
    }
    currency = document.get("currency", "USD")
    if not isinstance(currency, str):
        problems.add("$.currency", _wanted("a string", currency))
        currency = "USD"
    window = document.get("window")
    span: Span | None = None
    if window is not None:
        span = item_of(window, Span, "$.window", problems) or Span("1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z")
    return Scenario(items["nodes"], items["pods"], currency, span)


def _item(item: Any, path: str, problems: Problems) -> bytes | None:
    """The item as JSON again; None when it has what JSON has not."""
    faults = list(_constants(item, path))
    for place, constant in faults:
        problems.add(place, f"{constant.name} is not a number that JSON has")
    return None if faults else json.dumps(item).encode()


def _constants(value: Any, path: str) -> Iterator[tuple[str, _Constant]]:
    if isinstance(value, _Constant):
        yield path, value
    elif isinstance(value, dict):
        for key, child in value.items():
            yield from _constants(child, at(path, key))
    elif isinstance(value, list):
        for number, child in enumerate(value):
            yield from _constants(child, f"{path}[{number}]")


def item_in(raw: bytes | msgspec.Raw, kind: type, path: str, problems: Problems, refusal: str) -> str:
    """Name all faults of an item that the decoder refused; returns its UID, as far as it has one.

    What only the decoder objects to, such as a number that is out of range, is told in its words (`refusal`).
    """
    try:
        item = json.loads(bytes(raw))
    except (ValueError, RecursionError):  # a text that is no UTF-8 is found here only
        problems.add(path, f"cannot be read: {refusal}")
        return ""
    if item_of(item, kind, path, problems) is not None:
        problems.add(path, refusal)
    uid = item.get("uid") if isinstance(item, dict) else None
    return uid if isinstance(uid, str) else ""


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


def _list(document: dict[str, Any], name: str, problems: Problems) -> list[Any]:
    items = document.get(name)
    if isinstance(items, list):
        return items
    problems.add(f"$.{name}", _wanted("a list", items) if name in document else "missing; want a list")
    return []


def item_of(item: Any, kind: type, path: str, problems: Problems) -> Any:
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
        except UnicodeError:
            problems.add(path, "has text that is no valid Unicode")
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
