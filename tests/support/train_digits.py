"""A training of a linear classifier on the digits that scikit-learn ships, as a user of the SDK writes it.

`train_digits.py FOLDER EPOCHS PAUSE`: checkpoints and, at the end, `result.json` go to FOLDER; PAUSE (seconds) stands
for the work of a step.
"""

from __future__ import annotations

import json
import pickle
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import SGDClassifier

from gpucost.sdk import Checkpoints, Run

BATCH = 64


def main(folder: Path, epochs: int, pause: float) -> None:
    images, labels = load_digits(return_X_y=True)
    images = images / 16.0
    train, test = slice(0, 1500), slice(1500, None)
    per_epoch = 1500 // BATCH
    checkpoints = Checkpoints(str(folder / "checkpoints"))
    model = SGDClassifier(loss="log_loss", random_state=1)

    def save(step: int) -> None:
        with checkpoints.writing(step) as path, Path(path).open("wb") as file:
            pickle.dump(model, file)

    def load() -> int | None:
        nonlocal model
        found = checkpoints.newest()
        if found is None:
            return None
        with Path(found.path).open("rb") as file:
            model = pickle.load(file)
        return found.step

    total = epochs * per_epoch
    with Run(total_steps=total, save=save, every=0.1) as run:
        first, waited = run.resume(load), 0.0
        print(f"begins at step {first}", flush=True)
        for step in range(first, total):
            epoch, place = divmod(step, per_epoch)
            order = np.random.default_rng(epoch).permutation(1500)  # the same whoever goes on in mid-epoch
            batch = order[place * BATCH : (place + 1) * BATCH]
            model.partial_fit(images[train][batch], labels[train][batch], classes=np.arange(10))
            time.sleep(pause)
            metrics: dict[str, Any] = {}
            if place == per_epoch - 1:
                metrics["accuracy"] = model.score(images[test], labels[test])
            print(f"step {step + 1}", flush=True)
            begun = time.perf_counter()
            run.step(step + 1, **metrics)
            waited += time.perf_counter() - begun
    result = {"accuracy": model.score(images[test], labels[test]), "weights": model.coef_.tolist()}
    (folder / "result.json").write_text(json.dumps(result))
    print(f"waited {waited:.3f} s in all, {run.failures} failures", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
