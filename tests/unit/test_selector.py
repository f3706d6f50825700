"""Label selectors as kubectl takes them."""

from __future__ import annotations

import pytest

from gpucost.core.selector import parse_selector

LABELS = {"team": "nlp", "example.com/tier": "gold", "empty": ""}


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("", True),
        ("team=nlp", True),
        ("team==nlp", True),
        ("team = vision", False),
        ("team!=vision", True),
        ("other!=x", True),
        ("team in (nlp, vision)", True),
        ("team notin (nlp)", False),
        ("other notin (nlp)", True),
        ("team", True),
        ("!team", False),
        ("!other", True),
        ("empty=", True),
        ("team=nlp,example.com/tier=gold", True),
        ("team in (nlp,vision),example.com/tier!=gold", False),
    ],
)
def test_a_selector_picks_labels_as_kubernetes_does(text: str, matches: bool) -> None:
    assert parse_selector(text).matches(LABELS) is matches


@pytest.mark.parametrize("text", ["a b", "=x", "team in nlp", "team in (nlp", ",", "a,,b", "team=a b", "a=b=c"])
def test_a_malformed_selector_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a label selector"):
        parse_selector(text)
