"""`gpucost allocate`: the cost of a scenario in a file, without a cluster."""

from __future__ import annotations

import gc
import re
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gpucost.core.clock import Instant, parse_rfc3339
from gpucost.core.gpus import DEFAULT_RESOURCES
from gpucost.core.shares import PRESETS, SplitKind, Weights, parse_weights
from gpucost.core.timeline import Interval

if TYPE_CHECKING:
    from gpucost.offline.allocate import Answer, Question

GROUPINGS = ("namespace", "pod", "node", "workload", "category")
_FORMATS = ("table", "json", "csv")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")

_EPILOG = """\b
Examples:
  gpucost allocate week.json
  gpucost allocate week.json --by label:team -o json
  gpucost allocate week.json --by pod --window 2026-11-01,2026-11-02 -o csv
  gpucost allocate week.json --split weighted --weights opencost
  make-scenario | gpucost allocate -

The format of SCENARIO.json and of the result: docs/reference/allocation.md. Exit code 2 when the scenario cannot be
computed; every reason is then one line on stderr, such as $.pods[3].node: no node has the UID 'n9'."""


class _By(click.ParamType[Any]):
    name = "grouping"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value)
        if text not in GROUPINGS and not (text.startswith("label:") and text != "label:"):
            self.fail(f"{text!r} is not one of {', '.join(GROUPINGS)} and label:KEY", param, ctx)
        return text


class _Window(click.ParamType[Any]):
    name = "window"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Interval:
        if isinstance(value, Interval):
            return value
        first, comma, last = str(value).partition(",")
        try:
            if not comma:
                raise ValueError("want START,END such as 2026-11-01T00:00:00Z,2026-11-02T00:00:00Z")
            span = Interval(_moment(first), _moment(last))
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if span.end < span.start:
            self.fail(f"{value!r} ends before it starts", param, ctx)
        return span


def _moment(text: str) -> Instant:
    """An RFC 3339 time, or a date meaning midnight UTC."""
    text = text.strip()
    return parse_rfc3339(f"{text}T00:00:00Z" if _DATE.fullmatch(text) else text)


class _Weights(click.ParamType[Any]):
    name = "weights"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Weights:
        if isinstance(value, Weights):
            return value
        try:
            return parse_weights(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.command("allocate", epilog=_EPILOG, short_help="Work out the cost of a scenario in a file.")
@click.argument("scenario", metavar="SCENARIO.json", type=click.Path(allow_dash=True, path_type=str))
@click.option("--window", type=_Window(), metavar="START,END", help="Only this time, instead of the scenario's (UTC).")
@click.option(
    "--by",
    type=_By(),
    default="namespace",
    metavar="GROUPING",
    help=f"{', '.join(GROUPINGS)} or label:KEY.  [default: namespace]",
)
@click.option(
    "--split",
    type=click.Choice([kind.value for kind in SplitKind]),
    help="How the price of a node is divided.  [default: dominantShare, or weighted with --weights]",
)
@click.option(
    "--weights",
    type=_Weights(),
    metavar="WEIGHTS",
    help="For weighted: gpu=9,cpu=0.9,memoryGiB=0.1, or a preset: aws (these), opencost.  [default: aws]",
)
@click.option(
    "--gpu-resource",
    multiple=True,
    metavar="NAME",
    help="Another resource that is a GPU, such as amd.com/gpu; may hold *, may repeat. NVIDIA's are known.",
)
@click.option("-o", "--output", type=click.Choice(_FORMATS), default="table", show_default=True, help="Format.")
def allocate(
    *,
    scenario: str,
    window: Interval | None,
    by: str,
    split: str | None,
    weights: Weights | None,
    gpu_resource: Sequence[str],
    output: str,
) -> None:
    """Work out who pays for what in a scenario: nodes with their prices, pods with their times. Needs no cluster.

    SCENARIO.json may be - for standard input.
    """
    kind, weights = _split(split, weights)
    gc.disable()  # millions of small objects, none in a cycle, all needed to the end
    offline = import_module("gpucost.offline.allocate")
    question: Question = offline.Question(by, window, kind, weights, (*DEFAULT_RESOURCES, *gpu_resource))
    try:
        answer: Answer = offline.allocate(_read(scenario), question)
    except import_module("gpucost.offline.problems").BadScenario as problem:
        click.echo("\n".join(problem.lines), err=True)
        sys.exit(2)
    if output == "table":
        import_module("gpucost.cli.allocate_view").show(answer, question)
        return
    document = import_module("gpucost.offline.document")
    text = document.as_json(answer, question) if output == "json" else document.as_csv(answer)
    click.echo(text, nl=False)


def _split(split: str | None, weights: Weights | None) -> tuple[SplitKind, Weights | None]:
    kind = SplitKind(split) if split else SplitKind.WEIGHTED if weights else SplitKind.DOMINANT
    if weights is not None and kind is not SplitKind.WEIGHTED:
        raise click.UsageError(f"--weights belongs to --split weighted, not to {kind.value}")
    return kind, weights or PRESETS["aws"] if kind is SplitKind.WEIGHTED else None


def _read(path: str) -> bytes:
    if path == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(path).read_bytes()
    except OSError as error:
        click.echo(f"{path}: cannot be read: {error.strerror}", err=True)
        sys.exit(2)
