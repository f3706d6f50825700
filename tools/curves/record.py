"""Trains many small models with scikit-learn on the data sets that it ships, and records a curve of each.

Hyperparameters are drawn with a fixed seed, over ranges in which some trainings are good, some slow, some overfit and
some diverge: rules that only ever see good runs prove nothing. A value that is not finite is stored as null.
"""

from __future__ import annotations

import json
import math
import random
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import log_loss, mean_squared_error
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.preprocessing import StandardScaler

EPOCHS = 81
FOLDER = Path(__file__).resolve().parents[2] / "tests" / "data" / "curves"
Params = dict[str, Any]
Epochs = Iterator[dict[str, float]]


@dataclass(frozen=True)
class Study:
    """One model on one data set, trained with many hyperparameters."""

    name: str
    title: str
    runs: int
    draw: Callable[[random.Random], Params]
    train: Callable[[Params, int], Epochs]


def record(study: Study) -> Path:
    """Train all runs of a study and write their curves."""
    source = random.Random(study.name)
    runs = []
    for number in range(study.runs):
        params = study.draw(source)
        curves: dict[str, list[float | None]] = {}
        for values in study.train(params, number):
            for metric, value in values.items():
                curves.setdefault(metric, []).append(float(f"{value:.5g}") if math.isfinite(value) else None)
        runs.append({"params": params, "curves": curves})
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / f"{study.name}.json"
    lines = ",\n".join(json.dumps(run, separators=(",", ":")) for run in runs)
    path.write_text(f'{{"title":{json.dumps(study.title)},"epochs":{EPOCHS},"runs":[\n{lines}\n]}}\n')
    return path


# --- digits -----------------------------------------------------------------------------------------------------------


def _log_uniform(source: random.Random, low: float, high: float) -> float:
    return float(f"{math.exp(source.uniform(math.log(low), math.log(high))):.3g}")


def _draw_network(source: random.Random) -> Params:
    return {
        "hidden": source.choice([8, 16, 32, 64]),
        "solver": source.choice(["sgd", "adam"]),
        "learning_rate_init": _log_uniform(source, 1e-4, 0.5),
        "alpha": _log_uniform(source, 1e-6, 1.0),
        "batch_size": source.choice([16, 64, 256]),
        "momentum": source.choice([0.0, 0.5, 0.9, 0.99]),
    }


def _classifier(params: Params, seed: int) -> MLPClassifier:
    given = {name: value for name, value in params.items() if name != "hidden"}
    return MLPClassifier(hidden_layer_sizes=(params["hidden"],), random_state=seed, **given)


def _digits(params: Params, seed: int, *, used: int | None = None) -> Epochs:
    images, labels = load_digits(return_X_y=True)
    parts = train_test_split(images / 16, labels, test_size=0.4, random_state=0, stratify=labels)
    train_x, test_x, train_y, test_y = parts
    train_x, train_y = train_x[:used], train_y[:used]
    model = _classifier({**params, "batch_size": min(params["batch_size"], len(train_x))}, seed)
    return _epochs(model, (train_x, train_y, test_x, test_y), np.unique(labels))


def _epochs(model: Any, parts: tuple[Any, Any, Any, Any], classes: Any) -> Epochs:
    train_x, train_y, test_x, test_y = parts
    order = np.random.default_rng(model.random_state)
    for _ in range(EPOCHS):
        mixed = order.permutation(len(train_x))
        try:
            model.partial_fit(train_x[mixed], train_y[mixed], classes=classes)
            chances = model.predict_proba(test_x)
            sound = bool(np.isfinite(chances).all())
            accuracy = float(model.score(test_x, test_y)) if sound else math.nan
            loss = float(log_loss(test_y, chances, labels=classes)) if sound else math.nan
        except ValueError as error:
            accuracy, loss = _diverged(error), math.nan
        yield {"accuracy": accuracy, "loss": loss}


def _diverged(error: ValueError) -> float:
    """scikit-learn refuses to go on with weights that are not finite; any other error is one of ours."""
    if not any(word in str(error) for word in ("infinity", "NaN", "non-finite", "Floating-point")):
        raise error
    return math.nan


def _few_digits(params: Params, seed: int) -> Epochs:
    return _digits(params, seed, used=150)


# --- tables -----------------------------------------------------------------------------------------------------------


def _draw_regression(source: random.Random) -> Params:
    """Learning rates at which a squared error, which knows no bounds, runs away."""
    return {**_draw_network(source), "learning_rate_init": _log_uniform(source, 1e-4, 5.0)}


def _diabetes(params: Params, seed: int) -> Epochs:
    """Relative error: 1 is as good as the mean of all."""
    features, target = load_diabetes(return_X_y=True)
    target = (target - target.mean()) / target.std()
    train_x, test_x, train_y, test_y = train_test_split(features * 20, target, test_size=0.3, random_state=0)
    given = {name: value for name, value in params.items() if name != "hidden"}
    model = MLPRegressor(hidden_layer_sizes=(params["hidden"],), random_state=seed, **given)
    for _ in range(EPOCHS):
        try:
            model.partial_fit(train_x, train_y)
            loss = float(mean_squared_error(test_y, model.predict(test_x)))
        except ValueError as error:
            loss = _diverged(error)
        yield {"loss": loss}


def _draw_linear(source: random.Random) -> Params:
    return {
        "eta0": _log_uniform(source, 1e-5, 1.0),
        "alpha": _log_uniform(source, 1e-6, 0.1),
        "learning_rate": source.choice(["constant", "invscaling"]),
        "penalty": source.choice(["l2", "l1"]),
    }


def _tumours(params: Params, seed: int) -> Epochs:
    features, labels = load_breast_cancer(return_X_y=True)
    parts = train_test_split(features, labels, test_size=0.4, random_state=0, stratify=labels)
    train_x, test_x, train_y, test_y = parts
    scaler = StandardScaler().fit(train_x)
    model = SGDClassifier(loss="log_loss", random_state=seed, **params)
    return _epochs(model, (scaler.transform(train_x), train_y, scaler.transform(test_x), test_y), np.unique(labels))


STUDIES = (
    Study("digits", "a network on the digits (1,078 images)", 64, _draw_network, _digits),
    Study("few-digits", "a network on 150 of the digits, which it soon knows by heart", 32, _draw_network, _few_digits),
    Study("diabetes", "a regression network on the diabetes table (309 rows)", 32, _draw_regression, _diabetes),
    Study("tumours", "logistic regression by SGD on the breast cancer table (341 rows)", 32, _draw_linear, _tumours),
)


def main(names: Sequence[str]) -> None:
    """Record all studies, or those named."""
    warnings.simplefilter("ignore")
    for study in STUDIES:
        if not names or study.name in names:
            print(record(study))
