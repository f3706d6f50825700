"""A training with Lightning and the SDK's callback: `DATA FOLDER`."""

import json
import sys
import time
from pathlib import Path

import lightning
import numpy as np
import torch
from gpucost_sdk import Checkpoints, Run
from gpucost_sdk import lightning as gpucost

DATA, FOLDER = sys.argv[1:]
checkpoints = Checkpoints(f"{FOLDER}/checkpoints")


class Classifier(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.layers = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10))

    def training_step(self, batch):
        time.sleep(0.03)
        loss = self.loss(batch)
        self.log("loss", loss)
        return loss

    def validation_step(self, batch):
        self.log("val_loss", self.loss(batch))

    def loss(self, batch):
        images, labels = batch
        return torch.nn.functional.cross_entropy(self.layers(images), labels)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-2)


def loader(part):
    with np.load(DATA) as data:
        images, labels = torch.tensor(data["images"][part]), torch.tensor(data["labels"][part])
    return torch.utils.data.DataLoader(torch.utils.data.TensorDataset(images, labels), batch_size=64)


lightning.seed_everything(1)
trainer = lightning.Trainer(
    max_epochs=5,
    accelerator="cpu",
    callbacks=[gpucost(checkpoints, Run(catch_sigterm=False, every=0.2))],
    enable_progress_bar=False,
    enable_checkpointing=False,
    logger=False,
    default_root_dir=FOLDER,
)
found = checkpoints.newest()
resume = found.path if found else None
print(f"resumes at step {found.step}" if found else "begins", flush=True)
trainer.fit(Classifier(), loader(slice(0, 1500)), loader(slice(1500, None)), ckpt_path=resume)
result = {"val_loss": float(trainer.callback_metrics["val_loss"]), "steps": trainer.global_step}
(Path(FOLDER) / "result.json").write_text(json.dumps(result))
