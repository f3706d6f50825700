"""The formula against training runs whose GPU-hours were published, those that it misses too.

Sources: LLaMA, arXiv 2302.13971, table 15; Llama 2, arXiv 2307.09288, table 2; Llama 3.1 model card. The page
docs/results/estimate.md shows them.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from gpucost.core.training.estimating.chips import chip_of
from gpucost.core.training.estimating.counts import parse_count
from gpucost.core.training.estimating.work import Work, running_hours

PUBLISHED = [
    ("LLaMA 7B", "A100 80GB", "6.7B", "1T", 82_432, True),
    ("LLaMA 13B", "A100 80GB", "13B", "1T", 135_168, False),  # 51 % of the peak
    ("LLaMA 33B", "A100 80GB", "32.5B", "1.4T", 530_432, True),
    ("LLaMA 65B", "A100 80GB", "65.2B", "1.4T", 1_022_362, True),
    ("Llama 2 7B", "A100 80GB", "6.7B", "2T", 184_320, True),
    ("Llama 2 13B", "A100 80GB", "13B", "2T", 368_640, True),
    ("Llama 2 34B", "A100 80GB", "34B", "2T", 1_038_336, True),
    ("Llama 2 70B", "A100 80GB", "69B", "2T", 1_720_320, True),
    ("Llama 3.1 8B", "H100", "8B", "15T", 1_460_000, False),  # 14 %
    ("Llama 3.1 70B", "H100", "70.6B", "15T", 7_000_000, False),  # 25 %
    ("Llama 3.1 405B", "H100", "405B", "15.6T", 30_840_000, True),
]
PAGE = Path(__file__).resolve().parents[3] / "docs" / "results" / "estimate.md"


@pytest.mark.parametrize(("name", "gpu", "parameters", "tokens", "hours", "inside"), PUBLISHED)
def test_published_gpu_hours_are_where_the_page_says(
    name: str, gpu: str, parameters: str, tokens: str, hours: int, inside: bool
) -> None:
    chip = chip_of(gpu)
    assert chip is not None
    found = running_hours(Work(parse_count(parameters), parse_count(tokens)), chip, 1)
    assert found is not None
    assert (found.low <= hours <= found.high) is inside
    spread = f"{float(found.low):,.0f} - {float(found.high):,.0f}"
    ratio = f"{float(hours / found.typical):.2f}"
    row = f"| {name} | {gpu} | {parameters} x {tokens} | {spread} | {hours:,} | {ratio} | {'yes' if inside else 'no'} |"
    assert row in PAGE.read_text()
