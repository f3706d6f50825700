"""What every table ends with: where its prices come from, how much was measured, how old the data is."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from gpucost.cli.figures import age, money
from gpucost.web.schema import Quality

_SHOWN = 2
_LONGEST = 40


def quality_line(quality: Quality, currency: str, difference: str = "0") -> str:
    """Such as `Prices: built-in list 2026-11-01 · 14 of 14 GPUs measured · data 40 s old`."""
    parts = [f"Prices: {_listed(quality.price_sources) or 'none known'}", _measured(quality)]
    if quality.gpus_held and quality.data_age_seconds is not None:
        parts.append(f"data {age(quality.data_age_seconds)} old")
    if quality.unpriced_nodes:
        parts.append(f"{_count(len(quality.unpriced_nodes), 'node')} unpriced ({_listed(quality.unpriced_nodes)})")
    if quality.gaps:
        parts.append(f"{_count(quality.gaps, 'gap')} not observed")
    if Decimal(difference):
        parts.append(f"DOES NOT ADD UP by {money(Decimal(difference), currency, places=6)}: please report this")
    return " · ".join(parts)


def status_line(reason: str, as_of: str) -> str:
    """What takes its place when costs come from the status of TrainingJobs."""
    return (
        f"From the status of TrainingJobs as of {as_of[:19].replace('T', ' ').rstrip('Z')} UTC, since each began · "
        f"cost API not available: {' '.join(reason.split())}"
    )


def legend(cells: Sequence[str]) -> list[str]:
    """Explains the marks that are used in a table, one a line."""
    marks = []
    if any(cell.endswith("+") for cell in cells):
        marks.append("+ at least this much: some of it is unpriced or unmeasured")
    if any(cell == "?" for cell in cells):
        marks.append("? not known: unmeasured or unpriced")
    return marks


def _measured(quality: Quality) -> str:
    if not quality.gpus_held:
        return "no GPU held now"
    return f"{quality.gpus_measured:g} of {_count(quality.gpus_held, 'GPU')} measured"


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(map(_short, names[:_SHOWN])) + (f" and {more} more" if more > 0 else "")


def _short(name: str) -> str:
    """A name that leaves room beside it on a line: its beginning and its end tell it apart."""
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 13]}…{name[-12:]}"


def _count(number: float, noun: str) -> str:
    return f"{number:g} {noun}" if number == 1 else f"{number:g} {noun}s"
