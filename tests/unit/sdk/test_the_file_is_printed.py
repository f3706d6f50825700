"""`gpucost sdk` prints the one file, so that any image can have it."""

from pathlib import Path

from click.testing import CliRunner

from gpucost import sdk
from gpucost.cli.main import gpucost_group


def test_the_file_is_printed_as_it_is() -> None:
    result = CliRunner().invoke(gpucost_group, ["sdk"])
    assert result.exit_code == 0
    assert result.output == Path(sdk.__file__).read_text()


def test_its_help_shows_how_to_get_it() -> None:
    assert "gpucost sdk > gpucost_sdk.py" in CliRunner().invoke(gpucost_group, ["sdk", "--help"]).output
