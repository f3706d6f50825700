"""A language model of a few thousand random weights, for a real server that runs on a CPU without a download.

    ENVIRONMENT/bin/python tools/servers/tiny_model.py DIRECTORY

Runs in the server's environment, whose `tokenizers` writes the tokenizer, and imports nothing of ours. One word (`w0`
to `w499`) is one token, so that what is sent can be counted to the last token. The weights are the server's to make up
(`--load-format dummy`).
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

WORDS = 500
_CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "max_position_embeddings": 512,
    "vocab_size": 512,
    "rms_norm_eps": 1e-5,
    "hidden_act": "silu",
    "rope_theta": 10000.0,
    "bos_token_id": None,
    "eos_token_id": 1,
    "pad_token_id": 1,
    "tie_word_embeddings": False,
    "dtype": "bfloat16",
}


def write(directory: Path) -> None:
    """Write the configuration and the tokenizer."""
    directory.mkdir(parents=True, exist_ok=True)
    tokenizers = importlib.import_module("tokenizers")
    vocabulary = {"<unk>": 0, "<end>": 1} | {f"w{number}": number + 2 for number in range(WORDS)}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    tokenizer.save(str(directory / "tokenizer.json"))
    about = {"tokenizer_class": "PreTrainedTokenizerFast", "unk_token": "<unk>", "eos_token": "<end>"}
    (directory / "tokenizer_config.json").write_text(json.dumps(about))
    (directory / "config.json").write_text(json.dumps(_CONFIG))


if __name__ == "__main__":
    write(Path(sys.argv[1]))
