"""The published schemas are those of the models."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpucost.web.reference import main, render_all

REFERENCE = Path(__file__).resolve().parents[3] / "docs" / "reference"


@pytest.mark.parametrize("name", render_all())
def test_published_schemas_are_fresh(name: str) -> None:
    remedy = "run `python -m gpucost.web.reference docs/reference`"
    assert (REFERENCE / name).read_text() == render_all()[name], remedy


def test_schemas_are_written_to_a_folder(tmp_path: Path) -> None:
    main(str(tmp_path))
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == render_all()
