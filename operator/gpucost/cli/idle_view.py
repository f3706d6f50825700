"""Shows which nodes cost money for nothing: what became of every dollar, node by node, worst first.

A GPU that nobody holds and one that is held without computing cost the same, so both count, side by side; what nobody
measured counts as neither.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

import click

from gpucost.cli import figures, footers
from gpucost.cli.figures import NOT_APPLICABLE, Rate
from gpucost.cli.formats import as_document, print_csv, print_json, print_yaml
from gpucost.cli.grid import Grid, markdown, print_grid, print_line
from gpucost.cli.options import Options
from gpucost.cli.totals import fixed
from gpucost.cli.windows import length, when
from gpucost.core.clock import HOUR, parse_rfc3339
from gpucost.web.schema import AllocationList, NodeSplit, Sitter

SITTERS = 3
"""Pods shown below a node that hold its GPUs without computing."""

_PARTS = ("active", "held", "unknown_activity", "non_gpu", "idle", "stranded")
_SHARES = {"active": "ACTIVE%", "held": "HELD%", "idle": "IDLE%", "unknown_activity": "UNKNOWN%"}
_MORE = {"stranded": "STRANDED%", "non_gpu": "NO-GPU%"}


def show(document: AllocationList, options: Options) -> None:
    """Print the nodes of an answer by node, in the format asked for."""
    nodes = sorted(document.nodes, key=_SORT_KEYS[options.sort_by])
    _FORMATS[options.output](document, nodes, options)


def wasted(node: NodeSplit) -> Decimal:
    """Paid for nothing: nobody held it, nobody could be given it, or it was measured as not computing."""
    return Decimal(node.held) + Decimal(node.idle) + Decimal(node.stranded)


def _most(value: Callable[[NodeSplit], Decimal | None]) -> Callable[[NodeSplit], Any]:
    def key(node: NodeSplit) -> tuple[bool, Decimal, str]:
        found = value(node)
        return found is None, -(found or Decimal(0)), node.name

    return key


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


_SORT_KEYS: dict[str, Callable[[NodeSplit], Any]] = {
    "cost": _most(wasted),
    "wasted": _most(wasted),
    "name": lambda node: node.name,
    "hourly": _most(lambda node: _decimal(node.idle_hourly)),
    "gpu-hours": _most(lambda node: Decimal(node.idle_gpu_hours)),
    "utilization": _most(lambda node: -(_part(node, "active") or Decimal(0))),
}


def _part(node: NodeSplit, name: str) -> Decimal | None:
    """A part of the node's money from 0 to 1; None when there is none."""
    whole = Decimal(node.cost or 0)
    return Decimal(getattr(node, name)) / whole if whole else None


# --- tables -----------------------------------------------------------------------------------------------------------


def _table(document: AllocationList, nodes: Sequence[NodeSplit], options: Options) -> None:
    if not nodes:
        print_line(f"No node cost anything {when(options.window)}.")
        print_line("Try a longer window: --window month")
    else:
        print_line(_headline(document, nodes, options), "bold")
        print_line()
        _grid(document, nodes, options)
    for line in _footer(document, options):
        print_line(line, "dim")


def _grid(document: AllocationList, nodes: Sequence[NodeSplit], options: Options) -> None:
    titles, rows, styles = _cells(document, nodes, options)
    print_grid(Grid(titles, rows, styles), headers=not options.no_headers, cut=options.output == "table")
    for line in footers.legend([cell for row in rows for cell in row]):
        print_line(line, "dim")


def _cells(
    document: AllocationList, nodes: Sequence[NodeSplit], options: Options
) -> tuple[list[str], list[list[str]], list[str]]:
    """Titles, rows and styles: nodes that wasted something, below each the pods that sat on its GPUs, and a total."""
    wide, rate = options.output == "wide", _rate(document, options)
    shares = {**_SHARES, **{name: title for name, title in _MORE.items() if wide or _occurs(nodes, name)}}
    per = f"/{rate.unit.upper()}" if rate else ""
    about = ["KIND", "MODEL", "CAPACITY"] if wide else []
    titles = ["NODE", *about, "GPUS", *shares.values(), f"WASTED{per}", "IDLE NOW/H"]
    rows, styles = [], []
    for node in [node for node in nodes if wasted(node) or node.cost is None]:
        rows.append(_row(node, shares, document.currency, rate, wide=wide))
        styles.append("")
        rows += [_sitter(sitter, len(titles), document.currency, rate) for sitter in node.sitters]
        styles += ["dim"] * len(node.sitters)
    priced = all(node.cost is not None and node.idle_hourly is not None for node in nodes)
    total = _row(sum_of(nodes), shares, document.currency, rate, wide=wide, priced=priced)
    return titles, [*rows, total], [*styles, "bold"]


def _occurs(nodes: Sequence[NodeSplit], name: str) -> bool:
    return name == "stranded" and any(Decimal(getattr(node, name)) for node in nodes)


def _row(
    node: NodeSplit, shares: dict[str, str], currency: str, rate: Rate | None, *, wide: bool, priced: bool = True
) -> list[str]:
    """A line; `priced` False when something in it has no price."""
    known = node.cost is not None
    about = [node.kind or "-", node.gpu_model or "-", node.capacity_type or "-"] if wide else []
    name = node.name if node.kind in {"", "Node"} else f"{node.kind.lower()} {node.name}"
    partly = Decimal(node.unknown_activity) > 0 or not priced
    waste = figures.money(_rated(wasted(node), rate) if known else None, currency, at_least=partly)
    idle = figures.money(_decimal(node.idle_hourly), currency, at_least=not priced)
    parts = [figures.percent(_part(node, part)) for part in shares]
    return [name, *about, _gpus(node.gpus), *parts, waste, idle]


def _sitter(sitter: Sitter, width: int, currency: str, rate: Rate | None) -> list[str]:
    waste = figures.money(_rated(Decimal(sitter.held), rate), currency)
    return [f"  {sitter.pod}", *[""] * (width - 3), waste, ""]


def _gpus(text: str) -> str:
    number = Decimal(text)
    return f"{number.normalize():f}" if number else NOT_APPLICABLE


def _rated(amount: Decimal, rate: Rate | None) -> Decimal:
    return rate.of_sum(amount) if rate else amount


def _rate(document: AllocationList, options: Options) -> Rate | None:
    return Rate(options.rate, Fraction(length(document.window), HOUR)) if options.rate else None


def sum_of(nodes: Sequence[NodeSplit]) -> NodeSplit:
    """All nodes in one line; amounts that are not known are left out of the sum."""
    amounts = {name: fixed(sum((Decimal(getattr(node, name)) for node in nodes), Decimal(0))) for name in _PARTS}
    hours = {n: fixed(sum((Decimal(getattr(node, n)) for node in nodes), Decimal(0))) for n in ("gpu_hours", "gpus")}
    return NodeSplit(
        key="",
        name="TOTAL",
        kind="",
        instance_type="",
        gpu_model="",
        capacity_type="",
        cost=_known_sum([node.cost for node in nodes]),
        hourly=_known_sum([node.hourly for node in nodes]),
        idle_hourly=_known_sum([node.idle_hourly for node in nodes]),
        idle_gpu_hours=fixed(sum((Decimal(node.idle_gpu_hours) for node in nodes), Decimal(0))),
        **hours,
        **amounts,
    )


def _known_sum(amounts: Sequence[str | None]) -> str | None:
    known = [Decimal(amount) for amount in amounts if amount is not None]
    return fixed(sum(known, Decimal(0))) if known or not amounts else None


def _headline(document: AllocationList, nodes: Sequence[NodeSplit], options: Options) -> str:
    """How much of the money was for nothing, and why."""
    total, currency = sum_of(nodes), document.currency
    waste, cost = wasted(total), Decimal(total.cost or 0)
    share = f" ({figures.percent(waste / cost)})" if cost else ""
    parts = [f"{figures.money(waste, currency)} of {figures.money(cost, currency)}{share} for nothing"]
    for name, words in (("idle", "held by nobody"), ("held", "held without computing"), ("stranded", "stranded")):
        if amount := Decimal(getattr(total, name)):
            parts.append(f"{figures.money(amount, currency)} {words}")
    return f"{' · '.join(parts)} {when(options.window)}"


def _footer(document: AllocationList, options: Options) -> list[str]:
    spared = sum(not wasted(node) and node.cost is not None for node in document.nodes)
    start, end = parse_rfc3339(document.window.start), parse_rfc3339(document.window.end)
    lines = [f"{spared} other node{'' if spared == 1 else 's'} wasted nothing"] if spared else []
    lines.append(f"Window: {options.window}, {figures.span(start, end)}")
    return [*lines, footers.quality_line(document.quality, document.currency, document.difference)]


# --- other formats ----------------------------------------------------------------------------------------------------


def _markdown(document: AllocationList, nodes: Sequence[NodeSplit], options: Options) -> None:
    titles, rows, _ = _cells(document, nodes, options)
    click.echo(markdown(titles, rows))
    click.echo()
    click.echo("  \n".join(_footer(document, options)))


def _as_document(document: AllocationList, nodes: Sequence[NodeSplit], options: Options) -> dict[str, Any]:
    rate = _rate(document, options)
    whole = as_document(document)
    rows = [_bare(node, rate) for node in nodes]
    total = {k: v for k, v in _bare(sum_of(nodes), rate).items() if k not in {"key", "name", "kind", "sitters"}}
    for name in ("instanceType", "gpuModel", "capacityType"):
        total.pop(name)
    return {
        "currency": whole["currency"],
        "window": whole["window"],
        "nodes": rows,
        "total": total,
        "difference": whole["difference"],
        "quality": whole["quality"],
    }


def _bare(node: NodeSplit, rate: Rate | None) -> dict[str, Any]:
    fields = {**as_document(node), "wasted": fixed(wasted(node))}
    if rate is not None:
        fields[f"wastedPer{rate.unit.capitalize()}"] = fixed(rate.of_sum(wasted(node)))
    return fields


def _json(document: AllocationList, nodes: Sequence[NodeSplit], options: Options) -> None:
    print_json(_as_document(document, nodes, options))


def _yaml(document: AllocationList, nodes: Sequence[NodeSplit], options: Options) -> None:
    print_yaml(_as_document(document, nodes, options))


def _csv(document: AllocationList, nodes: Sequence[NodeSplit], options: Options) -> None:
    """One line per node, and the total; pods that sat on GPUs are named in one field."""
    rate = _rate(document, options)
    rows = [_bare(node, rate) | {"sitters": " ".join(s.pod for s in node.sitters)} for node in nodes]
    total = {**_bare(sum_of(nodes), rate), "key": "(total)", "name": "", "sitters": ""}
    print_csv(list(total), [*rows, total], headers=not options.no_headers)


_FORMATS: dict[str, Callable[[AllocationList, Sequence[NodeSplit], Options], None]] = {
    "table": _table,
    "wide": _table,
    "json": _json,
    "yaml": _yaml,
    "csv": _csv,
    "markdown": _markdown,
}
