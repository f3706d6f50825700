"""A training with Hugging Face's Trainer that knows nothing of gpucost: `DATA FOLDER`."""

import sys
import time

import numpy as np
import torch
from transformers import Trainer, TrainingArguments

DATA, FOLDER = sys.argv[1:]
STEP_SECONDS = 0.05


class Digits(torch.utils.data.Dataset):
    def __init__(self, part):
        with np.load(DATA) as data:
            self.images, self.labels = torch.tensor(data["images"][part]), torch.tensor(data["labels"][part])

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        return {"images": self.images[index], "labels": self.labels[index]}


class Classifier(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10))

    def forward(self, images, labels):
        if self.training:
            time.sleep(STEP_SECONDS)  # as long as a step of a real model takes
        logits = self.layers(images)
        return {"loss": torch.nn.functional.cross_entropy(logits, labels), "logits": logits}


def trainer(callbacks=()):
    torch.manual_seed(1)
    arguments = TrainingArguments(
        output_dir=FOLDER,
        num_train_epochs=6,
        per_device_train_batch_size=64,
        learning_rate=1e-2,
        logging_steps=5,
        eval_strategy="epoch",
        save_strategy="no",
        use_cpu=True,
        disable_tqdm=True,
        report_to="none",
        seed=1,
        label_names=["labels"],
    )
    train, test = Digits(slice(0, 1500)), Digits(slice(1500, None))
    return Trainer(Classifier(), arguments, train_dataset=train, eval_dataset=test, callbacks=list(callbacks))


if __name__ == "__main__":
    trainer().train()
