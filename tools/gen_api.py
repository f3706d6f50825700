"""Writes the files that are generated from the models, or says which of them are stale.

python tools/gen_api.py            write crds/, docs/reference/ and the chart's copies
python tools/gen_api.py --check    exit 1 and name what is stale
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import chart_values
from gpucost.api import crds, reference
from gpucost.core.focus_columns import render_reference as focus_reference
from gpucost.offline import schema as offline_schema
from gpucost.simulate import schema as simulate_schema
from gpucost.simulate import serving_schema

ROOT = Path(__file__).resolve().parent.parent


def generated() -> dict[Path, str]:
    """Content of every generated file, by its path in the repository."""
    definitions = crds.render_all()
    chart = ROOT / "charts" / "gpucost"
    return {
        **{ROOT / "crds" / name: text for name, text in definitions.items()},
        **{chart / "files" / "crds" / name: text for name, text in definitions.items()},
        chart / "values.schema.json": chart_values.render(),
        ROOT / "docs" / "reference" / "focus.md": focus_reference(),
        **{ROOT / "docs" / "reference" / name: text for name, text in reference.render_all().items()},
        **{ROOT / "docs" / "reference" / name: text for name, text in offline_schema.render_all().items()},
        **{ROOT / "docs" / "reference" / name: text for name, text in simulate_schema.render_all().items()},
        **{ROOT / "docs" / "reference" / name: text for name, text in serving_schema.render_all().items()},
    }


def stale(files: dict[Path, str]) -> list[Path]:
    """Files that are missing or differ."""
    return [path for path, text in files.items() if not path.is_file() or path.read_text() != text]


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 when a file is stale")
    check = parser.parse_args().check
    files = generated()
    for path in (outdated := stale(files)):
        sys.stdout.write(f"{'stale' if check else 'wrote'} {path.relative_to(ROOT)}\n")
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(files[path])
    if check and outdated:
        sys.stderr.write("run: make crds\n")
    return int(check and bool(outdated))


if __name__ == "__main__":
    sys.exit(main())
