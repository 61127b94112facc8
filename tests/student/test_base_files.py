"""A base model is untrusted and complete: what lies in its folder is checked before anything is built or paid."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save, save_file

from distillery.components.preflight.base_model import require_base
from distillery.components.store import canonical_json, open_store
from distillery.components.student import invariance
from distillery.components.student.base_files import parse_config, read_header
from distillery.components.student.body import load_body
from distillery.components.student.mirror import find, push
from distillery.components.student.resolve import resolve_base
from distillery.filters.errors import InputError
from tests.training.conftest import filter_of


def copied(folder: Path, to: Path, tensors: Callable[[dict[str, torch.Tensor]], object] | None = None, **config: Any) -> Path:
    """A copy of a model with other tensors or another configuration."""
    shutil.copytree(folder, to)
    if config:
        there = json.loads((to / "config.json").read_text())
        (to / "config.json").write_text(json.dumps(there | config))
    if tensors:
        weights = load_file(to / "model.safetensors")
        tensors(weights)
        save_file(weights, to / "model.safetensors", metadata={"format": "pt"})
    return to


def prefixed(weights: dict[str, torch.Tensor], prefix: str) -> None:
    for name in list(weights):
        weights[prefix + name] = weights.pop(name)


Q = "encoder.layer.1.attention.self.query.weight"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda w: w.pop(Q), f"lacks the tensor {Q}"),
        (lambda w: [w.pop(name) for name in list(w) if "layer.1." in name], "lacks the tensor encoder.layer.1."),
        (lambda w: w.pop("embeddings.LayerNorm.bias"), r"lacks the tensor embeddings.LayerNorm.bias"),
        (lambda w: prefixed(w, "model."), r"lacks the tensor bert.embeddings.word_embeddings.weight"),
        (lambda w: prefixed(w, "student.bert."), r"lacks the tensor bert.embeddings.word_embeddings.weight"),
        (lambda w: w.update({Q: torch.zeros(32, 31)}), r"has shape \(32, 31\), and config.json makes \(32, 32\)"),
        (
            lambda w: w.update({"encoder.layer.2.output.dense.bias": torch.zeros(32)}),
            "encoder.layer.2.output.dense.bias, which",
        ),
        (lambda w: w.update({f"bert.{Q}": torch.zeros(32, 32)}), f"bert.{Q}, which config.json does not make"),
        (lambda w: w.update({Q: torch.zeros(32, 32, dtype=torch.int8)}), "is I8, not F32"),
        (lambda w: w.update({"embeddings.LayerNorm.beta": torch.zeros(32)}), "embeddings.LayerNorm.bias twice"),
    ],
)
def test_weights_that_are_not_the_configurations_are_refused_by_name(
    tiny_encoder: Path, tmp_path: Path, change: Callable[[dict[str, torch.Tensor]], object], says: str
) -> None:
    with pytest.raises(InputError, match=says):
        resolve_base(str(copied(tiny_encoder, tmp_path / "model", change)))


def test_a_decoder_with_a_layer_less_is_refused(tiny_decoder: Path, tmp_path: Path) -> None:
    def drop(weights: dict[str, torch.Tensor]) -> None:
        del weights["model.layers.1.mlp.down_proj.weight"]

    with pytest.raises(InputError, match=r"lacks the tensor model\.layers\.1\.mlp\.down_proj\.weight"):
        resolve_base(str(copied(tiny_decoder, tmp_path / "model", drop)))


def states(folder: Path) -> Any:
    body: Any = load_body(resolve_base(str(folder)))
    with torch.no_grad():
        return body(input_ids=torch.arange(5, 25)[None]).last_hidden_state.numpy()


def old_names(weights: dict[str, torch.Tensor]) -> None:
    for name in [name for name in weights if "LayerNorm" in name]:
        renamed = name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
        weights[renamed] = weights.pop(name)


@pytest.mark.parametrize("change", [lambda w: prefixed(w, "bert."), old_names, lambda w: w.update({"pooler.x": torch.ones(1)})])
def test_the_ways_in_which_a_body_is_written_load_alike(
    tiny_encoder: Path, tmp_path: Path, change: Callable[[dict[str, torch.Tensor]], object]
) -> None:
    np.testing.assert_array_equal(states(copied(tiny_encoder, tmp_path / "model", change)), states(tiny_encoder))


@pytest.mark.parametrize("kind", ["tiny_encoder", "tiny_decoder"])
def test_a_body_is_what_transformers_loads(kind: str, request: pytest.FixtureRequest) -> None:
    from transformers import AutoModel

    folder: Path = request.getfixturevalue(kind)
    plain = AutoModel.from_pretrained(folder).eval()
    with torch.no_grad():
        wanted = plain(input_ids=torch.arange(5, 25)[None]).last_hidden_state.numpy()
    np.testing.assert_array_equal(states(folder), wanted)


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
def test_half_precision_is_read_as_float32(half: torch.dtype, tiny_decoder: Path, tmp_path: Path) -> None:
    def cut(weights: dict[str, torch.Tensor]) -> None:
        for name in weights:
            weights[name] = weights[name].to(half)

    assert states(copied(tiny_decoder, tmp_path / "model", cut, dtype="bfloat16")).dtype == np.float32


def split(folder: Path, parts: int) -> None:
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    for number in range(parts):
        names = sorted(weights)[number::parts]
        save_file({name: weights[name] for name in names}, folder / f"model-{number + 1:05d}-of-{parts:05d}.safetensors")


def test_shards_are_read_without_an_index_and_none_may_be_missing(tiny_encoder: Path, tmp_path: Path) -> None:
    folder = copied(tiny_encoder, tmp_path / "model")
    split(folder, 3)
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"x": "../elsewhere.safetensors"}}')
    np.testing.assert_array_equal(states(folder), states(tiny_encoder))
    (folder / "model-00002-of-00003.safetensors").unlink()
    with pytest.raises(InputError, match=r"lacks model-00002-of-00003\.safetensors"):
        resolve_base(str(folder))


def test_what_lies_beside_the_weights_chooses_nothing(tiny_encoder: Path, tmp_path: Path) -> None:
    folder = copied(tiny_encoder, tmp_path / "model")
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "/no/such/model", "peft_type": "LORA"}')
    (folder / "generation_config.json").write_text("no JSON")
    (folder / "modeling_own.py").write_text("raise RuntimeError('code of its own')")
    (folder / "consolidated.safetensors").write_bytes(save({"x": torch.ones(1)}))
    np.testing.assert_array_equal(states(folder), states(tiny_encoder))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"transformers_weights": "other.safetensors"}, "'transformers_weights' is not a known key"),
        ({"attn_implementation": "some/kernel"}, "'attn_implementation' is not a known key"),
        ({"_attn_implementation": "flash"}, "'_attn_implementation' is not a known key"),
        ({"per_layer_config": {"0": {"hidden_size": 8}}}, "'per_layer_config' is not a known key"),
        ({"is_decoder": True}, "is_decoder: True"),
        ({"is_causal": False}, "is_causal: False"),
        ({"is_causal": None}, "is_causal: None"),
        ({"chunk_size_feed_forward": 3}, "chunk_size_feed_forward"),
        ({"position_embedding_type": "relative_key"}, "position_embedding_type"),
        ({"quantization_config": {"bits": 4}}, "quantised"),
        ({"num_hidden_layers": 10**9}, "num_hidden_layers 1000000000 is not an integer from 1 to 512"),
        ({"vocab_size": 10**12}, "vocab_size"),
        ({"intermediate_size": -64}, "intermediate_size"),
        ({"hidden_size": "32"}, "hidden_size 32 is not an integer"),
        ({"hidden_size": 32.0}, "hidden_size"),
        ({"num_attention_heads": True}, "num_attention_heads True"),
        ({"num_attention_heads": 5}, "does not divide"),
        ({"num_hidden_layers": None}, "names no num_hidden_layers"),
        ({"intermediate_size": None}, "names no intermediate_size"),
        ({"layer_norm_eps": 1e300}, "no number of a usual size"),
        ({"hidden_act": ["gelu"]}, "hidden_act"),
        ({"pad_token_id": [10**12]}, "pad_token_id"),
    ],
)
def test_keys_and_sizes_that_are_not_allowed(tiny_encoder: Path, tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        resolve_base(str(copied(tiny_encoder, tmp_path / "model", **changes)))


@pytest.mark.parametrize("text", ["[]", "{", '{"model_type": "bert", "model_type": "bert"}', "[" * 100_000, '{"x": NaN}'])
def test_configurations_that_are_no_object(text: str) -> None:
    with pytest.raises(InputError, match=r"config\.json"):
        parse_config(text.encode(), "x")


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data[:-4],
        lambda data: data + b"more",
        lambda data: data[:6],
        lambda data: (2**60).to_bytes(8, "little") + data[8:],
        lambda data: b"PK\x03\x04" + data,
        lambda data: data.replace(b'"shape":[2]', b'"shape":[3]'),
        lambda data: data.replace(b'"shape":[2]', b'"shape":{} '),
    ],
)
def test_headers_that_are_not_their_files(change: Callable[[bytes], bytes]) -> None:
    data = save({"a": torch.ones(2), "b": torch.ones(3)})
    assert read_header(io.BytesIO(data), len(data), "x")["a"].shape == (2,)
    changed = change(data)
    with pytest.raises(InputError):
        read_header(io.BytesIO(changed), len(changed), "x")


@pytest.fixture(params=["mirror", "prefix"])
def put(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Puts a model where a cluster finds it, and asks the first step's check."""
    monkeypatch.delenv("DISTILLERY_MODELS", raising=False)
    store = open_store(str(tmp_path / "store"))

    def through_mirror(folder: Path) -> None:
        # As another version, or another hand, could have pushed it.
        monkeypatch.setattr("distillery.components.student.invariance.require_invariance", lambda _: None)
        base = resolve_base(str(tmp_path / "whole"))
        push(store, type(base)(folder, base.digest, base.kind, base.hidden, base.ref, None), "org/tiny", None)
        require_base(store, filter_of(Path("org/tiny")))

    def through_prefix(folder: Path) -> None:
        from distillery.components.student.base_files import check_tensors
        from distillery.components.student.resolve import stored_weights

        for path in folder.iterdir():
            store.put(f"model/{path.name}", path)
        source = open_store(f"{store.uri}/model", write=False)
        config = parse_config(source.get("config.json"), "x")
        check_tensors(stored_weights(source, "x"), config, "x")

    return through_mirror if request.param == "mirror" else through_prefix


def test_the_first_step_sees_a_missing_layer_without_loading(
    put: Callable[[Path], None], tiny_encoder: Path, tmp_path: Path
) -> None:
    put(copied(tiny_encoder, tmp_path / "whole"))

    def drop(weights: dict[str, torch.Tensor]) -> None:
        del weights[Q]

    with pytest.raises(InputError, match=f"lacks the tensor {Q}"):
        put(copied(tiny_encoder, tmp_path / "torn", drop))


def test_a_mirrored_model_without_the_record_of_its_measurement_is_pushed_again(
    tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DISTILLERY_MODELS", raising=False)
    store, base = open_store(str(tmp_path / "store")), resolve_base(str(tiny_encoder))
    monkeypatch.setattr(invariance, "MEASURED", 0)
    push(store, base, "org/tiny", None)
    monkeypatch.undo()
    monkeypatch.delenv("DISTILLERY_MODELS", raising=False)
    with pytest.raises(InputError, match="push the model again"):
        require_base(store, filter_of(Path("org/tiny")))
    push(store, base, "org/tiny", None)
    require_base(store, filter_of(Path("org/tiny")))
    model = find(store, "org/tiny", None)
    assert model
    assert model.base == base.digest
    manifest = store.get_json(f"{model.prefix}/{model.manifest}/manifest.json")
    assert canonical_json(manifest["meta"]["measured"]) == b"1"


# Configurations as their models are published, with keys that transformers does not read or that decide nothing here.
PUBLISHED: dict[str, dict[str, Any]] = {
    "Qwen2.5-1.5B": {
        "architectures": ["Qwen2ForCausalLM"], "attention_dropout": 0.0, "bos_token_id": 151643, "eos_token_id": 151643,
        "hidden_act": "silu", "hidden_size": 1536, "initializer_range": 0.02, "intermediate_size": 8960,
        "max_position_embeddings": 131072, "max_window_layers": 28, "model_type": "qwen2", "num_attention_heads": 12,
        "num_hidden_layers": 28, "num_key_value_heads": 2, "rms_norm_eps": 1e-06, "rope_theta": 1000000.0,
        "sliding_window": 131072, "tie_word_embeddings": True, "torch_dtype": "bfloat16", "transformers_version": "4.40.1",
        "use_cache": True, "use_mrope": False, "use_sliding_window": False, "vocab_size": 151936,
    },
    "SmolLM2-135M": {
        "_name_or_path": "x", "architectures": ["LlamaForCausalLM"], "attention_bias": False, "attention_dropout": 0.0,
        "bos_token_id": 0, "eos_token_id": 0, "head_dim": 64, "hidden_act": "silu", "hidden_size": 576,
        "initializer_range": 0.041666666666666664, "intermediate_size": 1536, "is_llama_config": True,
        "max_position_embeddings": 2048, "mlp_bias": False, "model_type": "llama", "num_attention_heads": 9,
        "num_hidden_layers": 30, "num_key_value_heads": 3, "pretraining_tp": 1, "rms_norm_eps": 1e-05,
        "rope_interleaved": False, "rope_scaling": None, "rope_theta": 100000, "tie_word_embeddings": True,
        "torch_dtype": "bfloat16", "transformers_version": "4.48.0", "use_cache": True, "vocab_size": 49152,
    },
    "SmolLM2-135M-Instruct, of a GGUF file by transformers 5.23": {
        "_model_name_or_path": "Smollm2 135M 8k Lc100K Mix1 Ep2", "architectures": ["LlamaForCausalLM"],
        "attention_bias": False, "attention_dropout": 0.0, "bos_token_id": 1, "dtype": "float32", "eos_token_id": 2,
        "head_dim": 64, "hidden_act": "silu", "hidden_size": 576, "initializer_range": 0.02, "intermediate_size": 1536,
        "max_position_embeddings": 8192, "mlp_bias": False, "model_type": "llama", "num_attention_heads": 9,
        "num_hidden_layers": 30, "num_key_value_heads": 3, "pad_token_id": 2, "pretraining_tp": 1,
        "rms_norm_eps": 9.999999747378752e-06,
        "rope_parameters": {"rope_theta": 100000.0, "rope_type": "default"}, "tie_word_embeddings": True,
        "transformers_version": "5.23.0", "unk_token_id": 0, "use_cache": True, "vocab_size": 49152,
    },
    "SmolLM3-3B": {
        "model_type": "smollm3", "architectures": ["SmolLM3ForCausalLM"], "vocab_size": 128256, "hidden_size": 2048,
        "intermediate_size": 11008, "num_hidden_layers": 36, "num_attention_heads": 16, "num_key_value_heads": 4,
        "rms_norm_eps": 1e-6, "rope_theta": 5000000.0, "bos_token_id": 128000, "eos_token_id": 128012, "pad_token_id": 128004,
        "tie_word_embeddings": True, "max_position_embeddings": 65536, "hidden_act": "silu", "no_rope_layer_interval": 4,
        "no_rope_layers": [int((index + 1) % 4 != 0) for index in range(36)], "pretraining_tp": 2,
    },
    "gemma-2-9b": {
        "attention_bias": False, "attn_logit_softcapping": 50.0, "cache_implementation": "hybrid", "eos_token_id": 1,
        "final_logit_softcapping": 30.0, "head_dim": 256, "hidden_act": "gelu_pytorch_tanh",
        "hidden_activation": "gelu_pytorch_tanh", "hidden_size": 3584, "initializer_range": 0.02, "intermediate_size": 14336,
        "max_position_embeddings": 8192, "model_type": "gemma2", "num_attention_heads": 16, "num_hidden_layers": 42,
        "num_key_value_heads": 8, "pad_token_id": 0, "query_pre_attn_scalar": 256, "rms_norm_eps": 1e-06,
        "rope_theta": 10000.0, "sliding_window": 4096, "sliding_window_size": 4096, "torch_dtype": "bfloat16",
        "vocab_size": 256000,
    },
    "gemma-3-1b": {
        "architectures": ["Gemma3ForCausalLM"], "attention_bias": False, "attention_dropout": 0.0,
        "attn_logit_softcapping": None, "bos_token_id": 2, "cache_implementation": "hybrid", "eos_token_id": [1, 106],
        "final_logit_softcapping": None, "head_dim": 256, "hidden_activation": "gelu_pytorch_tanh", "hidden_size": 1152,
        "initializer_range": 0.02, "intermediate_size": 6912, "max_position_embeddings": 32768, "model_type": "gemma3_text",
        "num_attention_heads": 4, "num_hidden_layers": 26, "num_key_value_heads": 1, "pad_token_id": 0,
        "query_pre_attn_scalar": 256, "rms_norm_eps": 1e-06, "rope_local_base_freq": 10000, "rope_scaling": None,
        "rope_theta": 1000000, "sliding_window": 512, "sliding_window_pattern": 6, "torch_dtype": "bfloat16",
        "transformers_version": "4.50.0.dev0", "use_cache": True, "vocab_size": 262144,
    },
}  # fmt: skip


@pytest.mark.parametrize("name", PUBLISHED)
def test_configurations_as_they_are_published_are_taken(name: str) -> None:
    assert parse_config(json.dumps(PUBLISHED[name]).encode(), name) == PUBLISHED[name]
