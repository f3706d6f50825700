"""`gpucost export`: FOCUS files straight from the ledger, for whoever may read all of it."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from decimal import Decimal
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import click

from gpucost.cli.failures import Failure
from gpucost.cli.grid import Grid, print_grid
from gpucost.core.clock import Instant, to_datetime
from gpucost.core.timeline import Interval
from gpucost.core.window import WindowError, parse_window

if TYPE_CHECKING:
    from gpucost.export.days import Exporter, Job, Outcome
    from gpucost.ledger.reader import Reader

_SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}

_FORMULAS = ("=", "+", "-", "@")

_EXAMPLES = """\b
Examples:
  gpucost export focus --to ./focus
  gpucost export focus --to s3://finance/gpucost --window lastmonth
  gpucost export focus --to gs://finance/gpucost --since last
  gpucost export focus --to november.csv --format csv --single \\
    --window lastmonth
  gpucost export focus --to ./focus --dry-run
"""


@click.group("export", context_settings=_SETTINGS)
def export() -> None:
    """Write costs for other tools.

    \b
    Examples:
      gpucost export focus --to ./focus
    """


@export.command(context_settings=_SETTINGS, epilog=_EXAMPLES, short_help="Write FOCUS 1.3 files, one folder a day.")
@click.option(
    "--ledger-url",
    envvar="GPUCOST_LEDGER_URL",
    default="sqlite:////var/lib/gpucost/ledger.db",
    show_default=True,
    metavar="URL",
    help="The ledger; it is only read, also while an operator writes to it (GPUCOST_LEDGER_URL).",
)
@click.option(
    "--cluster", envvar="GPUCOST_CLUSTER_NAME", metavar="NAME", help="Whose costs, where several share the ledger."
)
@click.option(
    "--to", "url", envvar="GPUCOST_EXPORT_URL", required=True, metavar="URL", help="Folder, or s3://, gs://, abfs:// …"
)
@click.option(
    "--window",
    metavar="SPAN",
    help="lastmonth, month, 30d or START,END (UTC): days that begin in it.  [default: all of the ledger]",
)
@click.option("--since", type=click.Choice(("last",)), help="Only days after the last one that is there.")
@click.option(
    "--format",
    "format_",
    type=click.Choice(("parquet", "csv", "csv.gz")),
    envvar="GPUCOST_EXPORT_FORMAT",
    default="parquet",
    show_default=True,
)
@click.option(
    "--granularity",
    type=click.Choice(("day", "hour")),
    envvar="GPUCOST_EXPORT_GRANULARITY",
    default="day",
    show_default=True,
    help="Length of a charge period.",
)
@click.option("--partial", is_flag=True, help="Also the day under way, up to the last settled hour.")
@click.option("--single", is_flag=True, help="All days in one file, the one named by --to.")
@click.option("--dry-run", is_flag=True, help="Say what would be written, and write nothing.")
@click.option("--currency", envvar="GPUCOST_CURRENCY", default="USD", show_default=True, help="Currency of the ledger.")
@click.option(
    "--billing-account", envvar="GPUCOST_EXPORT_ACCOUNT", default="gpucost", show_default=True, help="BillingAccountId."
)
@click.option(
    "--provider",
    envvar="GPUCOST_EXPORT_PROVIDER",
    default="gpucost",
    show_default=True,
    help="ServiceProviderName: who runs the cluster for its users.",
)
@click.option(
    "--host-provider",
    envvar="GPUCOST_EXPORT_HOST_PROVIDER",
    default="",
    help="HostProviderName: whose machines they are.  [default: told by their instance types]",
)
@click.option(
    "--split",
    type=click.Choice(("dominantShare", "gpuOnly", "weighted")),
    default="dominantShare",
    show_default=True,
    help="How the operator splits nodes, for AllocatedMethodId.",
)
@click.option("-o", "--output", type=click.Choice(("table", "json")), default="table", show_default=True)
def focus(**given: Any) -> None:
    """Write what is booked as FOCUS 1.3 "Cost and Usage" files, with split-cost columns.

    Days that are there and still right are left alone, days that were corrected since are replaced, and a day is
    written whole or not at all: run it as often as you like. BilledCost adds up to the ledger exactly.
    """
    with _failures():
        _focus(**given)


def _focus(
    *,
    ledger_url: str,
    cluster: str | None,
    url: str,
    window: str | None,
    since: str | None,
    single: bool,
    dry_run: bool,
    output: str,
    **rest: Any,
) -> None:
    from gpucost.ledger.reader import Reader  # noqa: PLC0415 - not paid for by every command

    if window and since:
        raise click.UsageError("--window and --since exclude each other: some days, or those after the last one")
    if single and (dry_run or since):
        raise click.UsageError("--single writes one file anew: it goes with neither --dry-run nor --since")
    reader = Reader(ledger_url)
    job = _job(cluster or _only_cluster(reader), **rest)
    span = parse_window(window, time.time_ns() // 1000) if window else None
    if single:
        _single(reader, url, job, span)
    else:
        _days(reader, url, job, span, since=since is not None, dry_run=dry_run, output=output)


def _job(
    cluster: str,
    *,
    format_: str,
    granularity: str,
    partial: bool,
    currency: str,
    billing_account: str,
    provider: str,
    host_provider: str,
    split: str,
) -> Job:
    from gpucost.core.focus import Issuer  # noqa: PLC0415
    from gpucost.core.shares import SplitKind  # noqa: PLC0415
    from gpucost.export.days import Job  # noqa: PLC0415

    for flag, name in (("--billing-account", billing_account), ("--provider", provider)):
        if not name.strip():
            raise click.UsageError(f"{flag} must name something: FOCUS has no empty names")
    for name in (billing_account, provider, host_provider):
        if name.startswith(_FORMULAS):
            raise click.UsageError(f"{name!r} would be a formula in a spreadsheet; begin it with a letter or a digit")
    issuer = Issuer(cluster, currency, billing_account, provider=provider, host=host_provider, split=SplitKind(split))
    return Job(issuer, f"gpucost {version('gpucost')}", format_, granularity, partial)


def _only_cluster(reader: Reader) -> str:
    """The cluster that the ledger is of; which one must be said where there are several."""
    found = reader.clusters()
    if len(found) > 1:
        raise Failure(f"the ledger holds several clusters; say which with --cluster: {', '.join(found)}")
    return found[0] if found else "default"


def _exporter(reader: Reader, url: str, job: Job) -> Exporter:
    from gpucost.export.days import Exporter  # noqa: PLC0415
    from gpucost.export.place import Place  # noqa: PLC0415

    return Exporter(reader, Place(url), job)


def _days(
    reader: Reader, url: str, job: Job, span: Interval | None, *, since: bool, dry_run: bool, output: str
) -> None:
    exporter = _exporter(reader, url, job)
    last = exporter.last() if since else None
    days = [day for day in exporter.days(span) if (last is None or day > last) and _begins_in(day, span)]
    outcomes = []
    with _progress(days) as step:
        for day in days:
            outcomes.append(exporter.day(day, dry_run=dry_run))
            step()
    if output == "json":
        click.echo(json.dumps(_document(outcomes, job, dry_run=dry_run), indent=2))
        return
    if not outcomes:
        click.echo(_nothing(job) if last is None else f"Nothing new: all is there up to {_date(last)}", err=True)
        return
    _table(outcomes, job)
    _closing(outcomes, dry_run=dry_run)


def _begins_in(day: Instant, span: Interval | None) -> bool:
    return span is None or span.start <= day < span.end


@contextmanager
def _progress(days: Sequence[Instant]) -> Iterator[Any]:
    """A bar on stderr while somebody watches and it takes long."""
    if len(days) < 2 or not sys.stderr.isatty():
        yield lambda: None
        return
    with click.progressbar(length=len(days), label="Exporting days", file=sys.stderr) as bar:
        yield lambda: bar.update(1)


def _single(reader: Reader, url: str, job: Job, span: Interval | None) -> None:
    from gpucost.export.days import Exporter  # noqa: PLC0415
    from gpucost.export.place import Place  # noqa: PLC0415
    from gpucost.export.single import split, write_single  # noqa: PLC0415

    folder, _ = split(url)
    days = [day for day in Exporter(reader, Place(folder), job).days(span) if _begins_in(day, span)]
    if not days:
        click.echo(_nothing(job), err=True)
        return
    made = write_single(reader, url, job, days)
    click.echo(f"{len(days)} days, {made.rows} rows, {_money(made.cost)} {job.issuer.currency} written to {url}")


def _table(outcomes: Sequence[Outcome], job: Job) -> None:
    titles = ("DAY", "STATE", "ROWS", f"BILLED COST {job.issuer.currency}", "UNPRICED HOURS")
    rows = [
        (
            _date(outcome.day),
            str(outcome.action) if outcome.complete else f"{outcome.action}, partial",
            f"{outcome.rows:,}",
            _money(outcome.cost),
            f"{sum(thing.seconds for thing in outcome.unpriced) / 3600:,.1f}",
        )
        for outcome in outcomes
    ]
    print_grid(Grid(titles, rows, [""] * len(rows), names=2))


def _closing(outcomes: Sequence[Outcome], *, dry_run: bool) -> None:
    unpriced = sorted({thing.name for outcome in outcomes for thing in outcome.unpriced})
    if unpriced:
        shown = ", ".join(unpriced[:5]) + (f" and {len(unpriced) - 5} more" if len(unpriced) > 5 else "")
        click.echo(f"Time without a price is in no row, only in the manifests: {shown}", err=True)
    if dry_run:
        click.echo("Nothing was written: --dry-run", err=True)


def _nothing(job: Job) -> str:
    return (
        f"No days to export for cluster {job.cluster}: a day can be when it is over and settled; "
        "--partial takes the one under way"
    )


def _document(outcomes: Sequence[Outcome], job: Job, *, dry_run: bool) -> dict[str, Any]:
    return {
        "cluster": job.cluster,
        "currency": job.issuer.currency,
        "dryRun": dry_run,
        "days": [
            {
                "day": _date(outcome.day),
                "state": outcome.action,
                "complete": outcome.complete,
                "rows": outcome.rows,
                "billedCost": _money(outcome.cost, places=12),
                "unpriced": [asdict(thing) for thing in outcome.unpriced],
            }
            for outcome in outcomes
        ],
    }


def _date(day: Instant) -> str:
    return to_datetime(day).date().isoformat()


def _money(cost: int, places: int = 6) -> str:
    return f"{Decimal(cost).scaleb(-12):.{places}f}"


@contextmanager
def _failures() -> Iterator[None]:
    from gpucost.export.errors import ExportError  # noqa: PLC0415
    from gpucost.ledger.errors import LedgerError  # noqa: PLC0415

    try:
        yield
    except WindowError as error:
        raise Failure(f"--window: {error}") from None
    except (ExportError, LedgerError) as error:
        raise Failure(str(error)) from None
