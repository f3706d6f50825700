"""The same with the SDK's callback: it saves on SIGTERM and goes on where it was. `DATA FOLDER`."""

import json
from pathlib import Path

from gpucost_sdk import hugging_face, newest
from train_hugging_face import FOLDER, trainer

found = newest(FOLDER, proof="trainer_state.json")
training = trainer([hugging_face()])
training.train(resume_from_checkpoint=found.path if found else None)
loss = training.evaluate()["eval_loss"]
result = {"eval_loss": loss, "steps": training.state.global_step, "resumed": found.step if found else 0}
(Path(FOLDER) / "result.json").write_text(json.dumps(result))
