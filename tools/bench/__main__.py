"""`python -m bench [NAME…]`: measure, print a table, and say which promises are kept.

A missed promise is marked, not an error: on a shared machine a bench that fails says little, and one that is read says
a lot. With `--strict` it is an error.
"""

from __future__ import annotations

import argparse
import json
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from bench import (
    agent,
    allocate,
    deadlines,
    endpoints,
    export,
    idle,
    ledger,
    machine,
    parts,
    reaction,
    retention,
    scene,
    serving,
    startup,
    tick,
    training,
    undecided,
)
from bench.figures import Figure, load_baseline, save_baseline, table
from local import LocalCluster, MissingProgram, StartError
from local.programs import CONTROL_PLANE, require

ALONE = {
    "allocate": allocate.measure,
    "ledger": ledger.measure,
    "parts": parts.measure,
    "retention": retention.measure,
    "serving": serving.measure,
    "endpoints": endpoints.measure,
    "export": export.measure,
    "agent": agent.measure,
    "training": training.measure,
    "deadlines": lambda: chain(deadlines.measure(), undecided.measure()),
}
"""What needs no cluster."""
IN_BIG_CLUSTER = {"start-up": startup.measure, "tick": tick.measure, "idle": idle.measure}
NAMES = (*ALONE, "reaction", *IN_BIG_CLUSTER)


def main(arguments: list[str] | None = None) -> int:
    """Entry point; 0 when everything was measured, 1 with `--strict` and a missed promise, 2 for wrong use."""
    options = _parser().parse_args(arguments)
    names = options.names or list(NAMES)
    where = machine.describe()
    print(f"{machine.sentence(where)}\n", file=sys.stderr)
    broken: list[str] = []
    try:
        figures = list(_measure(names, broken))
    except (MissingProgram, StartError) as problem:
        print(f"bench: {problem}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("bench: interrupted; everything it started has been stopped", file=sys.stderr)
        return 130
    print(table(figures, load_baseline()))
    print(f"\n{machine.sentence(where)}\n{_summary(figures)}")
    _write(options, figures, where)
    if broken:
        print(f"bench: could not be measured, see above: {', '.join(broken)}", file=sys.stderr)
        return 1
    return 1 if options.strict and any(figure.kept is False for figure in figures) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("bench", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[*NAMES, []], metavar="NAME", help=f"of: {', '.join(NAMES)}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all samples there")
    parser.add_argument("--save-baseline", action="store_true", help="make these the figures to compare with")
    parser.add_argument("--strict", action="store_true", help="exit 1 when a promise is missed")
    return parser


def _measure(names: list[str], broken: list[str]) -> Iterator[Figure]:
    if set(names) - ALONE.keys():
        require(*CONTROL_PLANE, "prometheus", "helm")
        # Leases are renewed every 25 s instead of every 10: 1,000 simulated kubelets are not what is measured.
        with LocalCluster("bench", with_prometheus=True, node_lease_seconds=100) as cluster:
            scene.say("cluster started")
            if "reaction" in names:
                yield from _part("reaction", partial(reaction.measure, cluster), broken)
            yield from _in_big_cluster(cluster, [name for name in NAMES if name in names], broken)
    for name, measure in ALONE.items():
        if name in names:
            yield from _part(name, measure, broken)


def _part(name: str, measure: Callable[[], Iterable[Figure]], broken: list[str]) -> list[Figure]:
    """Figures of one part; one that breaks is told, and the others, which may have taken long, are not lost."""
    try:
        return list(measure())
    except Exception:  # noqa: BLE001 - whatever it is, it is a fault of that part alone
        traceback.print_exc()
        broken.append(name)
        return []


def _in_big_cluster(cluster: LocalCluster, names: list[str], broken: list[str]) -> Iterator[Figure]:
    wanted = [name for name in names if name in IN_BIG_CLUSTER]
    if wanted:
        scene.populate(cluster)
        exporter = scene.Exporter(cluster)
        try:
            exporter.scraped()
            for name in wanted:
                yield from _part(name, partial(IN_BIG_CLUSTER[name], cluster), broken)
        finally:
            exporter.close()


def _summary(figures: list[Figure]) -> str:
    promised = [figure for figure in figures if figure.promise is not None]
    missed = [figure.key for figure in promised if not figure.kept]
    kept = f"{len(promised) - len(missed)} of {len(promised)} promises kept."
    return kept + (f" MISSED: {', '.join(missed)}." if missed else "")


def _write(options: argparse.Namespace, figures: list[Figure], where: dict[str, Any]) -> None:
    if options.json is not None:
        document = {"machine": where, "figures": [figure.as_json() for figure in figures]}
        options.json.write_text(json.dumps(document, indent=2) + "\n")
    if options.save_baseline:
        save_baseline(figures, where)


if __name__ == "__main__":
    sys.exit(main())
