"""Entry points: `kubectl cost`, its completion, and `gpucost` with the components and offline tools."""

from __future__ import annotations

import gc
import os
import sys
from importlib import import_module
from pathlib import Path
from typing import ClassVar

import click
from click.shell_completion import ShellComplete, get_completion_class

_NO_FILES = 4
"""Directive of kubectl's completion: do not offer file names."""

_SETTINGS = {"help_option_names": ["-h", "--help"]}


def _cost() -> click.Group:
    """The commands of `kubectl cost`, imported only there: the operator starts from this module too."""
    group: click.Group = import_module("gpucost.cli.commands").cost
    return group


def kubectl_cost() -> None:
    """`kubectl cost`, as the plugin `kubectl-cost`."""
    _cost().main(prog_name="kubectl cost")


def kubectl_complete_cost() -> None:
    """`kubectl_complete-cost`: kubectl calls it with the words so far and completes from what it prints."""
    *words, last = sys.argv[1:] or [""]
    for item in ShellComplete(_cost(), {}, "kubectl cost", "").get_completions(words, last):
        click.echo(f"{item.value}\t{item.help}" if item.help else item.value)
    click.echo(f":{_NO_FILES}")


class _Tools(click.Group):
    """Commands of which the larger ones are imported only when they are named: the operator starts from here too."""

    later: ClassVar = {name: f"gpucost.cli.{name}" for name in ("agent", "allocate", "export", "prices", "simulate")}
    """Module by command; the command has its own name in it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in order."""
        return sorted([*super().list_commands(ctx), *self.later])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name."""
        if cmd_name not in self.later:
            return super().get_command(ctx, cmd_name)
        found: click.Command = getattr(import_module(self.later[cmd_name]), cmd_name)
        return found


@click.group("gpucost", cls=_Tools, context_settings=_SETTINGS)
def gpucost_group() -> None:
    """GPU cost, visible and under control: the operator and its tools. Costs are shown by `kubectl cost`.

    \b
    Examples:
      gpucost allocate scenario.json --by pod
      gpucost simulate training --help
      gpucost export focus --to ./focus
    """


def gpucost() -> None:
    """`gpucost`."""
    gpucost_group.main(prog_name="gpucost")


@gpucost_group.command(context_settings=_SETTINGS)
@click.option("--dry-run", is_flag=True, help="Print what would be done, and do none of it.")
@click.option("--ledger-url", metavar="URL", help="Where the ledger is; instead of GPUCOST_LEDGER_URL.")
def operator(*, dry_run: bool, ledger_url: str | None) -> None:
    """Run the operator. Settings come from environment variables GPUCOST_*.

    \b
    Examples:
      gpucost operator --ledger-url sqlite:////var/lib/gpucost/ledger.db
      GPUCOST_LEDGER_PASSWORD_FILE=/run/secrets/db gpucost operator \\
        --ledger-url postgresql://gpucost@db:5432/gpucost
      gpucost operator --dry-run
    """
    if ledger_url is not None:
        os.environ["GPUCOST_LEDGER_URL"] = ledger_url
    gc.disable()  # nothing that is imported becomes garbage, and looking for it takes a tenth of the time
    run = import_module("gpucost.runtime.operator").main
    gc.freeze()
    gc.enable()
    sys.exit(run(dry_run=dry_run))


@gpucost_group.command(context_settings=_SETTINGS, short_help="Print the CustomResourceDefinitions.")
@click.option("--output-dir", type=click.Path(path_type=Path, file_okay=False), help="Write one file per CRD there.")
def crds(output_dir: Path | None) -> None:
    """Print the CustomResourceDefinitions, or write them to a folder.

    \b
    Examples:
      gpucost crds | kubectl apply --server-side -f -
      gpucost crds --output-dir crds
    """
    rendered: dict[str, str] = import_module("gpucost.api.crds").render_all()
    if output_dir is None:
        click.echo("---\n".join(rendered.values()), nl=False)
        return
    output_dir.mkdir(parents=True, exist_ok=True)
    for name, text in rendered.items():
        (output_dir / name).write_text(text)
        click.echo(f"{output_dir / name}")


@gpucost_group.command(context_settings=_SETTINGS, short_help="Print the file that a training script imports.")
def sdk() -> None:
    """Print the SDK: one file without dependencies, for images that do not hold the gpucost package.

    \b
    Examples:
      gpucost sdk > gpucost_sdk.py
      kubectl -n gpucost-system exec deploy/gpucost -- \\
        gpucost sdk > gpucost_sdk.py
    """
    click.echo(Path(import_module("gpucost.sdk").__file__ or "").read_text(encoding="utf-8"), nl=False)


@gpucost_group.command(context_settings=_SETTINGS)
def version() -> None:
    """Print the version."""
    installed = import_module("importlib.metadata")  # needs as long to import as all the rest of this module
    click.echo(f"gpucost {installed.version('gpucost')}")


@gpucost_group.command(context_settings=_SETTINGS, short_help="Print the completion script of a shell.")
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
def completion(shell: str) -> None:
    """Print the completion script of a shell.

    \b
    Examples:
      source <(gpucost completion bash)
      gpucost completion fish > ~/.config/fish/completions/gpucost.fish
    """
    found = get_completion_class(shell)
    assert found is not None
    click.echo(found(gpucost_group, {}, "gpucost", "_GPUCOST_COMPLETE").source())
