"""From a watched object to the terms of the core, without ever failing.

The API server checks objects when they are applied, but one may be older than a rule, or come from a newer version.
What is wrong with it is returned as problems that name the field; it makes that object `Invalid` and stops no other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Generic, TypeVar

from pydantic import ValidationError

from gpucost.api.fields import ApiModel
from gpucost.api.pricebook import Price, PriceBookSpec
from gpucost.api.training import Placement, PoolSelector, Schedule, TrainingJobSpec, WorkloadRef
from gpucost.core.clock import format_rfc3339, parse_duration, parse_rfc3339
from gpucost.core.model import CapacityType, PriceEntry
from gpucost.core.training import spec as core
from gpucost.core.training.validate import Problem

T = TypeVar("T")

_CAPACITY = {"Spot": CapacityType.SPOT, "OnDemand": CapacityType.ON_DEMAND}


@dataclass(frozen=True, slots=True)
class Converted(Generic[T]):
    """The result for one object; `value` is None when the problems leave nothing to work with."""

    value: T | None
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class PriceList:
    """The usable prices of one book; `currency` holds for all of them."""

    currency: str
    entries: tuple[PriceEntry, ...]


# --- TrainingJob ------------------------------------------------------------------------------------------------------


def training_spec(body: Mapping[str, Any]) -> Converted[core.TrainingSpec]:
    """Convert a TrainingJob as it is stored (`{"metadata": …, "spec": …}`); all or nothing.

    The pod template is taken over untouched, with everything that the models do not know.
    """
    raw = body.get("spec")
    model, problems = _read(TrainingJobSpec, raw, "spec")
    if model is None or problems:
        return Converted(None, problems)
    return Converted(_training(model, raw["template"] if model.template is not None and raw else None))


def _training(model: TrainingJobSpec, template: Mapping[str, Any] | None) -> core.TrainingSpec:
    return core.TrainingSpec(
        template=template,
        workload_ref=_reference(model.workload_ref),
        workers=model.workers,
        gpus_per_worker=model.gpus_per_worker,
        backoff_limit=model.backoff_limit,
        configuration_error_exit_code=model.configuration_error_exit_code,
        suspend=model.suspend,
        placement=_placement(model.placement, scheduled=model.schedule is not None),
        schedule=_schedule(model.schedule),
    )


def _reference(model: WorkloadRef | None) -> core.WorkloadRef | None:
    if model is None:
        return None
    return core.WorkloadRef(name=model.name, kind=model.kind, api_version=model.api_version)


def _placement(model: Placement, *, scheduled: bool) -> core.PlacementSpec:
    policy = model.policy or ("Scheduled" if scheduled else "OnDemand")
    return core.PlacementSpec(
        policy=core.PlacementPolicy(policy),
        scheduling_timeout=parse_duration(model.scheduling_timeout),
        spot=_pool(model.spot),
        on_demand=_pool(model.on_demand),
    )


def _pool(model: PoolSelector | None) -> core.PoolSelector | None:
    if model is None:
        return None
    tolerations = tuple(one.model_dump(by_alias=True, exclude_none=True) for one in model.tolerations)
    return core.PoolSelector(node_selector=dict(model.node_selector), tolerations=tolerations)


def _schedule(model: Schedule | None) -> core.Schedule | None:
    if model is None:
        return None
    windows = (
        core.Window(start=one.start, duration=parse_duration(one.duration), placement=_CAPACITY[one.placement])
        for one in model.windows
    )
    return core.Schedule(time_zone=model.time_zone, windows=tuple(windows), outside=core.Outside(model.outside))


# --- PriceBook --------------------------------------------------------------------------------------------------------


def price_list(body: Mapping[str, Any]) -> Converted[PriceList]:
    """Convert a PriceBook as it is stored: a price that is wrong is a problem, the others are used.

    Of two prices for one thing from one instant neither is used: to choose one would be a guess.
    """
    name = str(body.get("metadata", {}).get("name", ""))
    raw = body.get("spec")
    if not isinstance(raw, Mapping) or not isinstance(raw.get("prices"), list) or not raw["prices"]:
        return Converted(None, _read(PriceBookSpec, raw, "spec")[1])
    book, problems = _read(PriceBookSpec, {**raw, "prices": [_PLACEHOLDER]}, "spec")
    found = [_read(Price, one, f"spec.prices[{index}]") for index, one in enumerate(raw["prices"])]
    problems += tuple(problem for _, wrong in found for problem in wrong)
    if book is None:
        return Converted(None, problems)
    entries = {index: _entry(one, f"PriceBook/{name}") for index, (one, _) in enumerate(found) if one is not None}
    twice = dict(_twice(entries))
    problems += tuple(twice.values())
    good = tuple(entry for index, entry in entries.items() if index not in twice)
    return Converted(PriceList(book.currency, good), problems)


_PLACEHOLDER = {"gpuModel": "any", "hourly": "1"}


def _entry(model: Price, source: str) -> PriceEntry:
    return PriceEntry(
        hourly=Decimal(model.hourly),
        effective_from=parse_rfc3339(model.effective_from),
        capacity_type=CapacityType(model.capacity_type),
        instance_type=model.instance_type,
        gpu_model=model.gpu_model,
        region=model.region,
        source=source,
    )


def same_price(entry: PriceEntry) -> tuple[object, ...]:
    """What two prices must not have in common: the thing, the region, the capacity type and the date."""
    return (entry.instance_type, entry.gpu_model, entry.region, entry.capacity_type, entry.effective_from)


def _twice(entries: Mapping[int, PriceEntry]) -> Iterator[tuple[int, Problem]]:
    groups: dict[tuple[object, ...], list[int]] = {}
    for index, entry in entries.items():
        groups.setdefault(same_price(entry), []).append(index)
    for group in groups.values():
        for index in group if len(group) > 1 else ():
            other = next(i for i in group if i != index)
            message = f"a second price for the same thing from the same date as spec.prices[{other}]: keep one of them"
            yield index, Problem(f"spec.prices[{index}]", message)


def conflicts(books: Mapping[str, Iterable[PriceEntry]]) -> dict[str, tuple[Problem, ...]]:
    """Prices that two books have in common, by name of the book; a book without a conflict is not listed."""
    holders: dict[tuple[object, ...], dict[str, PriceEntry]] = {}
    for name, entries in books.items():
        for entry in entries:
            holders.setdefault(same_price(entry), {})[name] = entry
    result: dict[str, tuple[Problem, ...]] = {}
    for shared in holders.values():
        for name in sorted(shared) if len(shared) > 1 else ():
            others = ", ".join(f"PriceBook/{other}" for other in sorted(shared) if other != name)
            problem = Problem("spec.prices", f"{_described(shared[name])} is in {others} too: keep it in one book")
            result[name] = (*result.get(name, ()), problem)
    return result


def _described(entry: PriceEntry) -> str:
    thing = entry.instance_type or entry.gpu_model
    place = f" in {entry.region}" if entry.region else ""
    return f"the {entry.capacity_type} price of {thing}{place} from {format_rfc3339(entry.effective_from)}"


# --- reading ----------------------------------------------------------------------------------------------------------

M = TypeVar("M", bound=ApiModel)


def _read(model: type[M], raw: object, path: str) -> tuple[M | None, tuple[Problem, ...]]:
    try:
        return model.model_validate(raw), ()
    except ValidationError as error:
        return None, _problems(path, error.errors(include_url=False))


def _problems(path: str, errors: Sequence[Mapping[str, Any]]) -> tuple[Problem, ...]:
    """One problem per wrong field; that a list is too short because its items are wrong is no news."""
    places = [tuple(error["loc"]) for error in errors]

    def is_echo(error: Mapping[str, Any], place: tuple[object, ...]) -> bool:
        return error["type"] == "too_short" and any(o != place and o[: len(place)] == place for o in places)

    return tuple(
        _problem(path, error) for error, place in zip(errors, places, strict=True) if not is_echo(error, place)
    )


_MESSAGES = {
    "missing": "required",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "string_type": "must be a string, in quotes",
    "too_short": "must have at least {min_length} items",
    "too_long": "must have at most {max_length} items",
    "literal_error": "must be {expected}",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
}


def _problem(path: str, error: Mapping[str, Any]) -> Problem:
    field = path + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error["loc"])
    words = _MESSAGES.get(error["type"])
    message = words.format(**error.get("ctx", {})) if words else str(error["msg"]).removeprefix("Value error, ")
    given = error.get("input")
    shown = f", not {given!r}" if isinstance(given, (str, int, float)) and len(str(given)) <= 64 else ""
    return Problem(field, message if repr(given) in message else message + shown)
