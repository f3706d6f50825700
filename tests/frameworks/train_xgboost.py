"""A training with XGBoost and the SDK's callback: `DATA FOLDER`."""

import json
import sys
import time
from pathlib import Path

import numpy as np
import xgboost as xgb
from gpucost_sdk import Checkpoints, Run, xgboost

DATA, FOLDER = sys.argv[1:]
ROUNDS = 60
checkpoints = Checkpoints(f"{FOLDER}/checkpoints")


class Slow(xgb.callback.TrainingCallback):
    def after_iteration(self, *_):
        time.sleep(0.05)
        return False


with np.load(DATA) as data:
    train = xgb.DMatrix(data["images"][:1500], data["labels"][:1500])
    test = xgb.DMatrix(data["images"][1500:], data["labels"][1500:])
found = checkpoints.newest()
before = xgb.Booster(model_file=found.path) if found else None
done = found.step if found else 0
print(f"begins at round {done}", flush=True)
booster = xgb.train(
    {"objective": "multi:softmax", "num_class": 10, "max_depth": 3, "eval_metric": "mlogloss", "nthread": 1, "seed": 1},
    train,
    num_boost_round=ROUNDS - done,
    evals=[(test, "test")],
    xgb_model=before,
    callbacks=[xgboost(checkpoints, Run(total_steps=ROUNDS, every=0.2)), Slow()],
    verbose_eval=False,
)
loss = float(booster.eval(test).split(":")[-1])
(Path(FOLDER) / "result.json").write_text(json.dumps({"loss": loss, "rounds": booster.num_boosted_rounds()}))
