"""BERT in plain torch computes what transformers computes, and opening a bundle of one imports no modelling code."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from distillery.components.store import open_store
from distillery.components.student.base_files import parse_config
from distillery.components.student.bert import plain_bert
from distillery.components.student.body import load_body, serving_body
from distillery.components.student.bundle import Student, save_bundle
from distillery.components.student.resolve import resolve_base
from tests.student.tiny import TINY

OPEN = """
import sys
from distillery.components.store import open_store
from distillery.components.student.bundle import check_golden, open_bundle
student = open_bundle(open_store(sys.argv[1]), "tiny", sys.argv[2])
assert check_golden(student) < 1e-4
heavy = {"transformers", "peft", "accelerate", "torch._dynamo", "sympy"} & set(sys.modules)
print(student.predict([("a", "b c")]).shape, sorted(heavy))
"""


@pytest.fixture(scope="module")
def make_base(tmp_path_factory: pytest.TempPathFactory, tiny_encoder: Path) -> Callable[..., Path]:
    def make(**keys: Any) -> Path:
        from transformers import BertConfig, BertModel

        folder = tmp_path_factory.mktemp("bert")
        config = BertConfig.from_pretrained(tiny_encoder, **keys)
        torch.manual_seed(3)
        BertModel(config).save_pretrained(folder)
        for name in ("tokenizer.json", "tokenizer_config.json"):
            if (tiny_encoder / name).is_file():
                (folder / name).write_bytes((tiny_encoder / name).read_bytes())
        return folder

    return make


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"hidden_act": "relu"},
        {"hidden_act": "silu", "layer_norm_eps": 1e-6},
        {"type_vocab_size": 1, "num_attention_heads": 4, "num_hidden_layers": 3},
        {"max_position_embeddings": 40, "intermediate_size": 24},
        {"hidden_act": "gelu_new"},
    ],
)
@pytest.mark.parametrize("lengths", [[17, 17, 17], [23, 9, 1], [40]])
def test_plain_torch_computes_what_transformers_computes(
    make_base: Callable[..., Path], keys: dict[str, Any], lengths: list[int]
) -> None:
    base = resolve_base(str(make_base(**keys)))
    theirs: Any = load_body(base)
    ours: Any = serving_body(base)
    assert (type(ours).__name__ == "_Bert") == (keys.get("hidden_act") != "gelu_new")
    assert {key: tuple(value.shape) for key, value in ours.state_dict().items()} == {
        key: tuple(value.shape) for key, value in theirs.state_dict().items()
    }
    ids = torch.randint(0, theirs.config.vocab_size, (len(lengths), max(lengths)), generator=torch.Generator().manual_seed(1))
    seen = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    for mask in [seen.long()] + ([None] if len(set(lengths)) == 1 else []):
        with torch.inference_mode():
            wanted = theirs(input_ids=ids, attention_mask=mask).last_hidden_state
            states = ours(input_ids=ids, attention_mask=mask).last_hidden_state
        assert (states - wanted)[seen].abs().max() < 1e-5


def test_other_architectures_go_by_transformers() -> None:
    for name, config in TINY.items():
        made = plain_bert(parse_config(json.dumps({"model_type": name, **config}).encode(), name))
        assert (made is None) == (name != "bert")


def test_opening_a_bundle_of_bert_imports_no_modelling_code(
    tmp_path: Path, tiny_encoder: Path, make_student: Callable[[Path], Student]
) -> None:
    store = open_store(str(tmp_path))
    adapter = save_bundle(store, "tiny", dataclasses.replace(make_student(tiny_encoder)))
    told = subprocess.run([sys.executable, "-c", OPEN, store.uri, adapter], capture_output=True, text=True, check=True)
    assert told.stdout == "(1, 3) []\n"
