"""`gpucost prices`: tables of prices become PriceBooks, and back.

Nothing reaches stdout, and nothing the cluster, unless the whole file is right: half a price list is worse than none.
"""

from __future__ import annotations

import json
import re
from importlib import import_module
from pathlib import Path
from typing import Any

import click
import yaml

from gpucost.api.crds import to_yaml
from gpucost.api.kinds import API_VERSION, PRICE_BOOK
from gpucost.api.price_csv import left_out, read_csv, write_csv
from gpucost.cli.failures import Failure, NotServed

_SETTINGS = {"help_option_names": ["-h", "--help"]}
_MANAGER = "gpucost-prices"
_NAME = r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?"

_IMPORT_EPILOG = """\b
Examples:
  gpucost prices import prices.csv > book.yaml
  gpucost prices import prices.csv --name contract-2026 --apply
  gpucost prices import prices.csv --currency EUR -o json

\b
A file of two prices:
  instanceType,gpuModel,capacityType,hourly,effectiveFrom
  p5.48xlarge,,onDemand,55.04,2026-11-01
  ,H100,spot,2.60,2026-11-01"""


@click.group(context_settings=_SETTINGS, short_help="Read and write tables of prices.")
def prices() -> None:
    """Turn tables of prices (CSV) into PriceBooks, and back. The columns are described in docs/guide/prices.md.

    \b
    Examples:
      gpucost prices import prices.csv > book.yaml
      gpucost prices export contract-2026 > prices.csv
    """


def _cluster_options(command: Any) -> Any:
    for option in (
        click.option("--kubeconfig", type=click.Path(dir_okay=False), help="Kubeconfig, as for kubectl."),
        click.option("--context", help="Context of the kubeconfig."),
    ):
        command = option(command)
    return command


@prices.command("import", context_settings=_SETTINGS, epilog=_IMPORT_EPILOG)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--name", default="", help="Name of the PriceBook; the file's name when left out.")
@click.option("--currency", help="ISO 4217 code of the prices where the file does not name one. Default: USD.")
@click.option("-o", "--output", type=click.Choice(("yaml", "json")), default="yaml", help="Format of the manifest.")
@click.option("--apply", "apply_it", is_flag=True, help="Apply it to the cluster instead of printing it.")
@_cluster_options
def import_file(
    *,
    file: Path,
    name: str,
    currency: str | None,
    output: str,
    apply_it: bool,
    kubeconfig: str | None,
    context: str | None,
) -> None:
    """Make a PriceBook of a CSV file: print its manifest, or apply it.

    Exit status 2, with one line for each problem and nothing on stdout, when anything in the file is wrong.
    """
    table = read_csv(_content(file), currency=currency)
    if table.spec is None:
        for problem in table.problems:
            click.echo(f"{file}:{problem}", err=True)
        raise SystemExit(2)
    manifest = _manifest(name or _name_of(file), table.spec)
    if not apply_it:
        text = to_yaml(manifest) if output == "yaml" else json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"
        click.echo(text, nl=False)
        return
    book = manifest["metadata"]["name"]
    import_module("gpucost.cli.cluster").ClusterDoor(kubeconfig, context).apply(
        f"{_path()}/{book}", manifest, manager=_MANAGER
    )
    click.echo(f"pricebook.gpucost.dev/{book} applied")


@prices.command(
    context_settings=_SETTINGS,
    epilog="\b\nExamples:\n  gpucost prices export contract-2026 > prices.csv\n  gpucost prices export -f book.yaml",
)
@click.argument("name", required=False)
@click.option("-f", "--filename", type=click.Path(path_type=Path), help="Read the PriceBook from a manifest instead.")
@_cluster_options
def export(*, name: str | None, filename: Path | None, kubeconfig: str | None, context: str | None) -> None:
    """Print a PriceBook as CSV; `gpucost prices import` makes the same book of it."""
    if (name is None) == (filename is None):
        raise Failure("say which: the NAME of a PriceBook in the cluster, or -f FILE")
    book = _from_file(filename) if filename is not None else _from_cluster(str(name), kubeconfig, context)
    spec = book.get("spec") or {}
    click.echo(write_csv(spec), nl=False)
    for part, count in left_out(spec).items():
        click.echo(f"not in the table: {count} {part}", err=True)


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise Failure(f"{file}: {error.strerror or error}") from None


def _name_of(file: Path) -> str:
    """A valid object name made of the file's."""
    words = "".join(letter if letter.isalnum() and letter.isascii() else "-" for letter in file.stem.lower())
    return "-".join(filter(None, words.split("-"))) or "prices"


def _manifest(name: str, spec: dict[str, Any]) -> dict[str, Any]:
    if not re.fullmatch(_NAME, name):
        raise Failure(f"--name {name!r}: must be lower-case letters, digits, '-' and '.', such as contract-2026")
    return {"apiVersion": API_VERSION, "kind": PRICE_BOOK.name, "metadata": {"name": name}, "spec": spec}


def _path() -> str:
    return f"/apis/{API_VERSION}/{PRICE_BOOK.plural}"


def _from_file(file: Path) -> dict[str, Any]:
    try:
        found = yaml.safe_load(_content(file))
    except yaml.YAMLError as error:
        raise Failure(f"{file}: not YAML: {str(error).splitlines()[0]}") from None
    if not isinstance(found, dict) or found.get("kind") != PRICE_BOOK.name:
        raise Failure(f"{file}: not a PriceBook; the file must hold one, with kind: PriceBook")
    return found


def _from_cluster(name: str, kubeconfig: str | None, context: str | None) -> dict[str, Any]:
    door = import_module("gpucost.cli.cluster").ClusterDoor(kubeconfig, context)
    try:
        found: dict[str, Any] = door.get(f"{_path()}/{name}", {})
    except NotServed:  # what it says is about the cost API, which was not asked
        raise Failure(f"no PriceBook {name!r} in this cluster; `kubectl get pricebooks` lists them") from None
    return found
