"""From a watched object to the terms of the core, without ever failing.

The API server checks objects when they are applied, but one may be older than a rule, or come from a newer version.
What is wrong with it is returned as problems that name the field; it makes that object `Invalid` and stops no other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Generic, TypeVar

from pydantic import ValidationError

from gpucost.api import pricebook, training_runs
from gpucost.api.fields import ApiModel
from gpucost.api.metrics_sources import metric_sources
from gpucost.api.pod_shape import template_problems
from gpucost.api.pricebook import Price, PriceBookSpec
from gpucost.api.stopping import stopping
from gpucost.api.training import Placement, PoolSelector, Schedule, TrainingJobSpec, WorkloadRef
from gpucost.api.training_model import model_spec
from gpucost.core.clock import SECOND, Micros, format_rfc3339, parse_duration, parse_rfc3339
from gpucost.core.model import CapacityType, NodeKind, PriceEntry
from gpucost.core.quarantine import thing_of
from gpucost.core.tariff import AssetPrice, BasePrice, Commitment, Discount, Tariff
from gpucost.core.training import spec as core
from gpucost.core.training.runs.spec import Deduplication
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
    """The usable terms of one book; `currency` holds for all of them."""

    currency: str
    tariff: Tariff

    @property
    def entries(self) -> tuple[PriceEntry, ...]:
        """The prices of nodes and GPUs."""
        return self.tariff.prices


# --- TrainingJob ------------------------------------------------------------------------------------------------------


def training_spec(body: Mapping[str, Any]) -> Converted[core.TrainingSpec]:
    """Convert a TrainingJob as it is stored (`{"metadata": …, "spec": …}`); all or nothing.

    The pod template is taken over untouched, with everything that the models do not know.
    """
    raw = body.get("spec")
    model, problems = read_model(TrainingJobSpec, raw, "spec")
    if model is not None and model.template is not None and raw:
        problems += template_problems(raw["template"])
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
        placement=_placement(model.placement, scheduled=model.schedule is not None and bool(model.schedule.windows)),
        schedule=_schedule(model.schedule),
        metrics=metric_sources(model.metrics),
        stopping=replace(
            stopping(
                model.early_stopping, model.idle, model.budget, saves_itself=model.checkpoint.interval is not None
            ),
            checkpoint_timeout=parse_duration(model.checkpoint.timeout),
            stop_grace=_stop_grace(template),
        ),
        dataset=training_runs.dataset(model.dataset),
        base_model=training_runs.base_model(model.base_model),
        seed=model.seed,
        deduplication=Deduplication(model.deduplication),
        ignored_env=model.deduplication_ignored_env,
        model=model_spec(model.model),
        complete_by=None if model.complete_by is None else parse_rfc3339(model.complete_by),
        expected_duration=_duration(model.expected_duration),
        checkpoint_interval=_duration(model.checkpoint.interval),
    )


def _stop_grace(template: Mapping[str, Any] | None) -> Micros:
    """How long the pods may take to end; Kubernetes gives them 30 s where nobody says."""
    seconds = ((template or {}).get("spec") or {}).get("terminationGracePeriodSeconds")
    return SECOND * (seconds if isinstance(seconds, int) and 0 <= seconds < 10**7 else 30)


def _duration(text: str | None) -> Micros | None:
    return None if text is None else parse_duration(text)


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
        for one in model.windows or ()
    )
    return core.Schedule(
        time_zone=model.time_zone,
        windows=tuple(windows),
        outside=core.Outside(model.outside),
        runs=training_runs.runs(model.runs),
    )


# --- PriceBook --------------------------------------------------------------------------------------------------------


def price_list(body: Mapping[str, Any]) -> Converted[PriceList]:
    """Convert a PriceBook as it is stored: a price that is wrong is a problem, the others are used.

    Of two prices for one thing from one instant neither is used: to choose one would be a guess.
    """
    source = f"PriceBook/{body.get('metadata', {}).get('name', '')}"
    raw = body.get("spec")
    if not isinstance(raw, Mapping):
        return Converted(None, read_model(PriceBookSpec, raw, "spec")[1])
    given = {name: raw[name] for name in _LISTS if isinstance(raw.get(name), list) and raw[name]}
    rest = {name: value for name, value in raw.items() if name not in given}
    book, problems = read_model(PriceBookSpec, {"prices": [_PLACEHOLDER], **rest} if given else rest, "spec")
    terms: dict[str, tuple[Any, ...]] = {}
    for name, items in given.items():
        terms[name], wrong = _terms(name, items, source)
        problems += wrong
    return Converted(None if book is None else PriceList(book.currency, _tariff(terms)), problems)


_PLACEHOLDER = {"gpuModel": "any", "hourly": "1"}


def spec_problems(spec: Mapping[str, Any]) -> tuple[Problem, ...]:
    """What is wrong with the spec of a PriceBook as a whole, as the API server would see it."""
    return read_model(PriceBookSpec, spec, "spec")[1]


def item_problems(name: str, item: Mapping[str, Any]) -> tuple[Problem, ...]:
    """What is wrong with one item of a list of a PriceBook, such as `prices`; fields are named from the item on."""
    return tuple(Problem(one.field.removeprefix("."), one.message) for one in read_model(_LISTS[name][0], item, "")[1])


def _terms(name: str, items: Sequence[Any], source: str) -> tuple[tuple[Any, ...], tuple[Problem, ...]]:
    """Items of one list of a book in the core's terms, without those that are wrong or there twice."""
    model, convert = _LISTS[name]
    found = [read_model(model, one, f"spec.{name}[{index}]") for index, one in enumerate(items)]
    good = {index: convert(one, source) for index, (one, _) in enumerate(found) if one is not None}
    twice = dict(_twice(name, good))
    problems = tuple(problem for _, wrong in found for problem in wrong)
    return tuple(one for index, one in good.items() if index not in twice), problems + tuple(twice.values())


def _tariff(terms: Mapping[str, tuple[Any, ...]]) -> Tariff:
    return Tariff(
        prices=terms.get("prices", ()),
        base=terms.get("basePrices", ()),
        discounts=terms.get("discounts", ()),
        commitments=terms.get("commitments", ()),
        assets=terms.get("storage", ()) + terms.get("loadBalancers", ()),
    )


def _period(model: pricebook.Dated) -> dict[str, Any]:
    until = model.effective_until
    return {
        "effective_from": parse_rfc3339(model.effective_from),
        "effective_until": None if until is None else parse_rfc3339(until),
    }


def _entry(model: Price, source: str) -> PriceEntry:
    return PriceEntry(
        hourly=Decimal(model.hourly),
        capacity_type=CapacityType(model.capacity_type),
        instance_type=model.instance_type,
        gpu_model=model.gpu_model,
        region=model.region,
        zone=model.zone,
        source=source,
        **_period(model),
    )


def _base(model: pricebook.BasePrice, source: str) -> BasePrice:
    return BasePrice(
        cpu_hourly=Decimal(model.cpu_hourly),
        memory_gib_hourly=Decimal(model.memory_gib_hourly),
        capacity_type=CapacityType(model.capacity_type),
        region=model.region,
        zone=model.zone,
        source=source,
        **_period(model),
    )


def _storage(model: pricebook.StoragePrice, source: str) -> AssetPrice:
    amount, name = Decimal(model.per_gib_month), model.storage_class
    return AssetPrice(NodeKind.VOLUME, amount, name, model.region, source=source, **_period(model))


def _load_balancer(model: pricebook.LoadBalancerPrice, source: str) -> AssetPrice:
    amount, name = Decimal(model.hourly), model.load_balancer_class
    return AssetPrice(NodeKind.LOAD_BALANCER, amount, name, model.region, source=source, **_period(model))


def _discount(model: pricebook.Discount, source: str) -> Discount:
    return Discount(
        percent=Decimal(model.percent),
        capacity_type=CapacityType(model.capacity_type),
        instance_type=model.instance_type,
        gpu_model=model.gpu_model,
        region=model.region,
        zone=model.zone,
        source=source,
        **_period(model),
    )


def _commitment(model: pricebook.Commitment, source: str) -> Commitment:
    return Commitment(
        name=model.name,
        hourly=Decimal(model.hourly),
        count=model.count,
        instance_type=model.instance_type,
        gpu_model=model.gpu_model,
        region=model.region,
        zone=model.zone,
        source=source,
        **_period(model),
    )


_LISTS: Mapping[str, tuple[type[ApiModel], Callable[[Any, str], Any]]] = {
    "prices": (Price, _entry),
    "basePrices": (pricebook.BasePrice, _base),
    "storage": (pricebook.StoragePrice, _storage),
    "loadBalancers": (pricebook.LoadBalancerPrice, _load_balancer),
    "discounts": (pricebook.Discount, _discount),
    "commitments": (pricebook.Commitment, _commitment),
}

Term = PriceEntry | BasePrice | AssetPrice | Discount | Commitment


def same_price(term: Term) -> tuple[object, ...]:
    """What two terms must not have in common: the thing, where it is, how it is paid for and the date."""
    match term:
        case Commitment():
            return ("commitment", term.source, term.name)
        case AssetPrice():
            return (term.kind, term.asset_class, term.region, term.effective_from)
        case _:
            scope = (term.instance_type, term.gpu_model, term.region, term.zone)
            return (type(term).__name__, *scope, term.capacity_type, term.effective_from)


def _twice(name: str, terms: Mapping[int, Term]) -> Iterator[tuple[int, Problem]]:
    groups: dict[tuple[object, ...], list[int]] = {}
    for index, term in terms.items():
        groups.setdefault(same_price(term), []).append(index)
    for group in groups.values():
        for index in group if len(group) > 1 else ():
            other = next(i for i in group if i != index)
            if name == "commitments":
                message = f"a second commitment of the same name as spec.{name}[{other}]: give it another name"
            else:
                message = (
                    f"a second price for the same thing from the same date as spec.{name}[{other}]: keep one of them"
                )
            yield index, Problem(f"spec.{name}[{index}]", message)


def conflicts(books: Mapping[str, Iterable[Term]]) -> dict[str, tuple[Problem, ...]]:
    """Prices that two books have in common, by name of the book; a book without a conflict is not listed."""
    holders: dict[tuple[object, ...], dict[str, Term]] = {}
    for name, terms in books.items():
        for term in terms:
            holders.setdefault(same_price(term), {})[name] = term
    result: dict[str, tuple[Problem, ...]] = {}
    for shared in holders.values():
        for name in sorted(shared) if len(shared) > 1 else ():
            others = ", ".join(f"PriceBook/{other}" for other in sorted(shared) if other != name)
            field, described = _described(shared[name])
            problem = Problem(field, f"{described} is in {others} too: keep it in one book")
            result[name] = (*result.get(name, ()), problem)
    return result


def _described(term: Term) -> tuple[str, str]:
    """The list of a book that a term stands in, and what it is."""
    since = f"from {format_rfc3339(term.effective_from)}"
    if isinstance(term, PriceEntry):
        place = f" in {term.zone or term.region}" if term.zone or term.region else ""
        return "spec.prices", f"the {term.capacity_type} price of {term.instance_type or term.gpu_model}{place} {since}"
    if isinstance(term, Discount):
        scope = " ".join(part for part in (term.instance_type or term.gpu_model, term.zone or term.region) if part)
        return "spec.discounts", f"the discount on {scope or 'every node'} ({term.capacity_type}) {since}"
    field = {BasePrice: "spec.basePrices", Commitment: "spec.commitments"}.get(type(term), "spec.storage")
    if isinstance(term, AssetPrice) and term.kind is NodeKind.LOAD_BALANCER:
        field = "spec.loadBalancers"
    return field, f"the price of {thing_of(term)} {since}"


# --- reading ----------------------------------------------------------------------------------------------------------

M = TypeVar("M", bound=ApiModel)


def read_model(model: type[M], raw: object, path: str) -> tuple[M | None, tuple[Problem, ...]]:
    """Validate a part of an object as it is stored; what is wrong with it is named by its field."""
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
