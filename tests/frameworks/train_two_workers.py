"""Two workers in plain PyTorch: `FOLDER RANK PORT`; each writes at which step it saved."""

import sys
import time
from pathlib import Path

import torch
from gpucost_sdk import Run, torch_agreement

FOLDER, RANK, PORT = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]


def save(step):
    (FOLDER / f"saved-{RANK}").write_text(str(step))


torch.distributed.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{PORT}", rank=RANK, world_size=2)
with Run(save=save, agree=torch_agreement, rank=RANK) as run:
    for step in range(1, 2000):
        weights = torch.ones(4)
        torch.distributed.all_reduce(weights)
        time.sleep(0.02 if RANK else 0.001)
        run.step(step)
        (FOLDER / f"step-{RANK}").write_text(str(step))
