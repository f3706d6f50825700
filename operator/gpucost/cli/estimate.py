"""`kubectl cost estimate`: what TrainingJobs will take and cost, before they are applied.

Works without a cluster, on the built-in prices or on PriceBooks in the same files; with one, at the prices in force
there. The arithmetic is the operator's own.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any

import click

from gpucost.api.convert import PriceList, price_list, training_spec
from gpucost.api.unknown import unknown_fields
from gpucost.cli import estimate_view
from gpucost.cli.failures import Failure
from gpucost.cli.known_runs import KnownRuns
from gpucost.cli.manifests import Document, read
from gpucost.cli.options import OF_A_RUN, SETTINGS, Options, current, flags
from gpucost.cli.questions import Asker
from gpucost.core.clock import Instant, parse_rfc3339
from gpucost.core.model import CapacityType
from gpucost.core.pricelist import BUILT_IN, CURRENCY
from gpucost.core.tariff import together
from gpucost.core.training.estimating.appraisal import Appraisal, appraise
from gpucost.core.training.estimating.market import Market, Quote, without_cluster
from gpucost.core.training.estimating.ranges import Range
from gpucost.core.training.estimating.subject import setup_of
from gpucost.core.training.spec import TrainingSpec
from gpucost.core.training.validate import problems
from gpucost.web.schema_estimates import OfferList

_KIND = "TrainingJob"
_EXAMPLES = """\b
Examples:
  kubectl cost estimate -f job.yaml
  kubectl cost estimate -f job.yaml --fail-above 500   exit code 1 when over
  kubectl cost estimate -f job.yaml -o markdown        for a pull request
  helm template . | kubectl cost estimate -f - --offline --gpu H100
"""


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices to reckon with, and where they are from."""

    quotes: tuple[Quote, ...]
    currency: str
    gpu_models: tuple[str, ...] = ()
    why_not_cluster: str = ""
    """Empty when they are the cluster's."""


@dataclass(frozen=True, slots=True)
class Run:
    """One TrainingJob of a file, and what it comes to."""

    document: Document
    namespace: str | None
    found: Appraisal


@click.command(
    "estimate",
    context_settings=SETTINGS,
    short_help="What a TrainingJob will cost, before it runs.",
    epilog=_EXAMPLES,
)
@click.option(
    "-f",
    "--filename",
    "files",
    multiple=True,
    required=True,
    metavar="FILE",
    help="Manifest, or - for standard input; may be given again.",
)
@click.option("--fail-above", metavar="AMOUNT", help="Exit code 1 when the typical total is above it, such as 500.")
@click.option("--offline", is_flag=True, help="Ask no cluster: built-in prices, and PriceBooks in the files.")
@click.option("--gpu", metavar="MODEL", help="GPU model to reckon with, such as H100, whatever the manifest says.")
@click.option("--start", metavar="TIME", help="When it would start, such as 2026-12-01T18:00:00Z.  [default: now]")
@flags(*OF_A_RUN)
def estimate(files: tuple[str, ...], fail_above: str | None, offline: bool, gpu: str | None, start: str | None) -> None:
    """What TrainingJobs will take and cost before they run, and what would cost less.

    Hours follow from spec.expectedDuration, else from spec.model (parameters and tokens) and the peak of the GPUs;
    money from the prices of the cluster, or built-in ones where there is no cluster. Everything is a range, and says
    what it assumes. Nothing is applied.
    """
    limit, begin = _limit(fail_above), _start(start)
    options = current()
    documents = read(files)
    specs = _valid([one for one in documents if one.kind == _KIND], documents)
    prices = _prices(documents, options, offline=offline)
    known = KnownRuns(options, offline=offline)
    runs = []
    for one, spec in specs:
        namespace = one.namespace or options.namespace
        found = _appraised(_whole(spec, one, documents), prices, begin, gpu)
        notes = known.notes(spec, one.name, namespace)
        runs.append(Run(one, namespace, replace(found, warnings=(*found.warnings, *notes))))
    total = _total(runs)
    estimate_view.show(estimate_view.Shown(runs, prices, total, limit), options)
    _hold_against(total, limit, prices.currency)


def _limit(text: str | None) -> Decimal | None:
    if text is None:
        return None
    try:
        amount = Decimal(text.strip())
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or amount < 0:
        raise click.BadParameter(f"{text!r} is not an amount such as 500", param_hint="--fail-above")
    return amount


def _start(text: str | None) -> Instant:
    if text is None:
        return time.time_ns() // 1000
    try:
        return parse_rfc3339(text)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--start") from None


def _valid(jobs: Sequence[Document], documents: Sequence[Document]) -> list[tuple[Document, TrainingSpec]]:
    """The specifications, or all problems of all of them."""
    if not jobs:
        kinds = ", ".join(sorted({one.kind or "no kind" for one in documents}))
        raise Failure(f"{documents[0].file}: only {_KIND}s can be estimated, and there is none in it (only {kinds})")
    wrong, good = [], []
    for document in jobs:
        read_spec = training_spec(document.body)
        found = [*read_spec.problems, *unknown_fields(document.body)]
        if read_spec.value is not None:
            found += problems(read_spec.value, name=document.name)
            good.append((document, read_spec.value))
        wrong += [f"{document}: {problem}" for problem in found]
    if wrong:
        raise Failure("\n".join(wrong))
    return good


# --- prices -----------------------------------------------------------------------------------------------------------


def _prices(documents: Sequence[Document], options: Options, *, offline: bool) -> Prices:
    books = [one for one in documents if one.kind == "PriceBook"]
    if books:
        return _of_books(books)
    if offline:
        return Prices(without_cluster(), CURRENCY, why_not_cluster="--offline")
    try:
        asker = Asker(options)
        return _of_cluster(asker.offers())
    except Failure as missing:
        return Prices(without_cluster(), CURRENCY, why_not_cluster=missing.message)


def _of_books(books: Sequence[Document]) -> Prices:
    lists = [_book(document) for document in books]
    if len({one.currency for one in lists}) > 1:
        raise Failure("the PriceBooks are in several currencies: give those of one")
    currency, tariff = lists[0].currency, together(one.tariff for one in lists)
    built_in = BUILT_IN if currency == CURRENCY else ()
    market = Market(entries=tariff.prices, terms=tariff, built_in=built_in, now=time.time_ns() // 1000)
    return Prices(market.quotes(), currency, why_not_cluster="PriceBooks of the files")


def _book(document: Document) -> PriceList:
    converted = price_list(document.body)
    if converted.value is None or converted.problems:
        raise Failure("\n".join(f"{document}: {problem}" for problem in converted.problems))
    return converted.value


def _of_cluster(offers: OfferList) -> Prices:
    quotes = tuple(
        Quote(
            gpu_model=one.gpu_model,
            capacity_type=CapacityType(one.capacity_type),
            hourly=Range(Fraction(one.low), Fraction(one.typical), Fraction(one.high)),
            source=one.source,
            instance_type=one.instance_type,
            gpus=one.gpus,
            nodes=one.nodes,
        )
        for one in offers.items
    )
    return Prices(quotes, offers.currency, offers.gpu_models)


# --- the runs ---------------------------------------------------------------------------------------------------------


def _whole(spec: TrainingSpec, of: Document, documents: Sequence[Document]) -> TrainingSpec:
    """With the pods of the Job that it takes over, where its manifest is beside it."""
    if spec.workload_ref is None:
        return spec
    wanted = ("Job", spec.workload_ref.name, of.namespace)
    beside = next((one for one in documents if (one.kind, one.name, one.namespace) == wanted), None)
    job = beside.body.get("spec") if beside is not None else None
    if not isinstance(job, dict) or not isinstance(job.get("template"), dict):
        return spec
    whole = replace(spec, template=job["template"], workload_ref=None, workers=_parallelism(job))
    if wrong := problems(whole):
        raise Failure("\n".join(f"{beside}: {problem}" for problem in wrong))
    return whole


def _parallelism(job: dict[str, Any]) -> int:
    found = job.get("parallelism", 1)
    return found if isinstance(found, int) and found > 0 else 1


def _appraised(spec: TrainingSpec, prices: Prices, start: Instant, gpu: str | None) -> Appraisal:
    setup = setup_of(spec, start=start, models=prices.gpu_models)
    if gpu is not None:
        setup = replace(setup, gpu_model=gpu, instance_type="")
    zone = spec.schedule.time_zone if spec.schedule is not None else "UTC"
    return appraise(setup, prices.quotes, zone)


def _total(runs: Sequence[Run]) -> Range | None:
    costs = [run.found.estimate.cost for run in runs]
    known = [cost for cost in costs if cost is not None]
    if len(known) < len(costs):
        return None
    return Range(*(sum(parts, Fraction(0)) for parts in zip(*known, strict=True)))


def _hold_against(total: Range | None, limit: Decimal | None, currency: str) -> None:
    if limit is None:
        return
    if total is None:
        raise Failure("--fail-above cannot be checked: the cost is not known, see above")
    if total.typical > limit:
        shown = estimate_view.money(total.typical, currency)
        click.echo(f"Above the limit: {shown}, and --fail-above is {limit:f}", err=True)
        click.get_current_context().exit(1)


predict = click.Command(
    "predict",
    context_settings=SETTINGS,
    callback=estimate.callback,
    params=estimate.params,
    help=estimate.help,
    epilog=_EXAMPLES,
    short_help="Another name of estimate.",
)
"""Some look for it under this name."""
