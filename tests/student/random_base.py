"""Random base models of any size, written tensor by tensor, so that writing one takes no memory of its size."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from distillery.components.student.architectures import ARCHITECTURES
from tests.conftest import WORDS

BYTES = {"F32": 4, "BF16": 2, "F16": 2}


def random_base(folder: Path, model_type: str, *, dtype: str = "BF16", **config: Any) -> int:
    """Write config.json, tokenizer.json and model.safetensors; return how many bytes the weights have.

    Numbers repeat after a million, which no measurement of memory or time notices.
    """
    from tokenizers import Tokenizer, models, pre_tokenizers

    folder.mkdir(parents=True)
    config = {"model_type": model_type, "max_position_embeddings": 1024, "pad_token_id": 0, **config}
    (folder / "config.json").write_text(json.dumps(config))
    words = {"[PAD]": 0, "[UNK]": 1, **{word: index + 2 for index, word in enumerate(_words(config["vocab_size"] - 2))}}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    shapes = ARCHITECTURES[model_type].shapes(config)
    header, end = dict[str, Any](), 0
    for name, shape in shapes.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [end, end + math.prod(shape) * BYTES[dtype]]}
        end = header[name]["data_offsets"][1]
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    numbers = np.random.default_rng(5).standard_normal(2**20, dtype=np.float32) * 0.02
    with (folder / "model.safetensors").open("wb") as out:
        out.write(len(text).to_bytes(8, "little") + text)
        for name, shape in shapes.items():
            count, values = (
                math.prod(shape),
                _coded(np.ones(2**12, np.float32) if name.endswith("norm.weight") else numbers, dtype),
            )
            for start in range(0, count, len(values)):
                out.write(values[: count - start].tobytes())
    return end


def _words(count: int) -> list[str]:
    known = list(dict.fromkeys(WORDS.split()))
    return (known + [f"w{index}" for index in range(count)])[:count]


def _coded(numbers: np.ndarray[Any, Any], dtype: str) -> np.ndarray[Any, Any]:
    return (
        (numbers.view(np.uint32) >> 16).astype(np.uint16)
        if dtype == "BF16"
        else numbers.astype(np.float16 if dtype == "F16" else np.float32)
    )
