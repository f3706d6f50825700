"""Which way a metric gets better, as its name tells: a rule that had it the wrong way round would stop the best run."""

from __future__ import annotations

from typing import Literal

Better = Literal["lower", "higher"]

_LOWER = ("loss", "error", "perplexity", "ppl", "wer", "cer", "mae", "mse", "rmse", "nll", "fid")
_HIGHER = (
    "acc",
    "accuracy",
    "f1",
    "auc",
    "auroc",
    "bleu",
    "rouge",
    "score",
    "reward",
    "precision",
    "recall",
    "map",
    "r2",
)


def direction(name: str) -> Better | None:
    """Whether less or more of a metric is better, as its name tells: `eval_loss`, `val/accuracy`."""
    words = "".join(letter if letter.isalnum() else " " for letter in name.lower()).split()
    if any(word in _LOWER for word in words):
        return "lower"
    return "higher" if any(word in _HIGHER for word in words) else None
