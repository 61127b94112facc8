"""The architectures that a base model may have: which way each reads, its configuration keys, its tensors and their shapes.

All of it is known without torch, so that a step without it refuses a base model before labels are paid. A test builds each
architecture and compares.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["encoder", "decoder"]
Config = Mapping[str, Any]
Shapes = dict[str, tuple[int, ...]]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


TOKEN_IDS = frozenset(f"{name}_token_id" for name in ("bos", "cls", "eos", "mask", "pad", "sep", "unk"))
# What decides nothing in a body without a head in eval mode.
IGNORED = TOKEN_IDS | _words(
    """
    _name_or_path architectures attention_dropout attention_probs_dropout_prob cache_implementation classifier_activation
    classifier_bias classifier_dropout classifier_pooling decoder_bias deterministic_flash_attn directionality dropout
    dtype embd_pdrop embedding_dropout final_logit_softcapping finetuning_task gradient_checkpointing hidden_dropout_prob
    id2label initializer_cutoff_factor initializer_factor initializer_range is_llama_config label2id max_length
    mlp_dropout model_type name_or_path num_labels output_attentions output_hidden_states output_past pooler_fc_size
    pooler_num_attention_heads pooler_num_fc_layers pooler_size_per_head pooler_type pretraining_tp problem_type qa_dropout
    reference_compile repad_logits_with_grad resid_pdrop return_dict seq_classif_dropout sparse_pred_ignore_index
    sparse_prediction summary_activation summary_last_dropout summary_type summary_use_proj task_specific_params
    tie_weights_ tie_word_embeddings torch_dtype transformers.js_config transformers_version unsloth_fixed unsloth_version
    use_cache
    _attn_implementation_autoset bad_words_ids begin_suppress_tokens diversity_penalty do_sample early_stopping
    encoder_no_repeat_ngram_size exponential_decay_length_penalty length_penalty min_length no_repeat_ngram_size
    num_beam_groups num_beams num_return_sequences prefix remove_invalid_values repetition_penalty
    return_dict_in_generate sliding_window_size suppress_tokens temperature tf_legacy_loss tokenizer_class top_k top_p
    torchscript typical_p
    _model_name_or_path
    """
)
# What may be there where it says what the body does anyway, unless the architecture reads it.
FIXED: dict[str, tuple[Any, ...]] = {
    "add_cross_attention": (False, None),
    "attention_bias": (False, None),
    "chunk_size_feed_forward": (0, None),
    "cross_attention_hidden_size": (None,),
    "is_causal": (True,),
    "is_decoder": (False, None),
    "is_encoder_decoder": (False, None),
    "mlp_bias": (False, None),
    "position_embedding_type": ("absolute", None),
    "pruned_heads": ({}, [], None),
    "rope_interleaved": (False, None),
    "sinusoidal_pos_embds": (False, None),
    "sliding_window": (None,),
    "use_bidirectional_attention": (False, None),
    "use_mrope": (False, None),
    "use_sliding_window": (False, None),
}
_EMBEDDING = re.compile(r"^embeddings\.|^embed_tokens$|relative_attention_bias$")
_BERT = _words(
    """
    vocab_size hidden_size num_hidden_layers num_attention_heads intermediate_size hidden_act max_position_embeddings
    layer_norm_eps type_vocab_size
    """
)
_LLAMA = _words(
    """
    vocab_size hidden_size num_hidden_layers num_attention_heads intermediate_size hidden_act max_position_embeddings
    rms_norm_eps num_key_value_heads head_dim attention_bias mlp_bias rope_theta rope_scaling rope_parameters
    """
)
_WINDOW = frozenset({"use_sliding_window", "sliding_window", "max_window_layers", "layer_types"})
_GEMMA = frozenset({"hidden_activation", "query_pre_attn_scalar", "attn_logit_softcapping"}) | _WINDOW


@dataclass(frozen=True)
class Architecture:
    """A supported architecture.

    Attributes:
        kind: "encoder" sees the whole text at once, "decoder" what came before.
        prefix: what stands before the body's tensor names in a checkpoint that has a head, too.
        keys: configuration keys that decide what the body computes.
        tensors: gives the shape of each tensor by name, from a configuration with all its defaults.
        defaults: of the keys that decide a shape and may be left out.
        offset: positions that are never a token's, since positions are counted from the padding id.
    """

    kind: Kind
    prefix: str
    keys: frozenset[str]
    tensors: Callable[[Config], Shapes]
    defaults: dict[str, Any] = field(default_factory=dict)
    offset: int = 0

    def shapes(self, config: Config) -> Shapes:
        """Return the tensors that the body needs, no more.

        Args:
            config: config.json.

        Returns:
            Shapes by tensor name.

        Raises:
            KeyError: the configuration lacks a key.
        """
        return self.tensors(self.defaults | {key: value for key, value in config.items() if value is not None})

    def linears(self, config: Config) -> Shapes:
        """Return the body's linear layers, those that may get LoRA.

        Args:
            config: config.json.

        Returns:
            (outputs, inputs) by name of the layer.

        Raises:
            KeyError: the configuration lacks a key.
        """
        found = {name.removesuffix(".weight"): shape for name, shape in self.shapes(config).items() if len(shape) == 2}
        return {name: shape for name, shape in found.items() if not _EMBEDDING.search(name)}


def _linear(name: str, rows: int, columns: int, bias: bool = True) -> Shapes:
    return {f"{name}.weight": (rows, columns)} | ({f"{name}.bias": (rows,)} if bias else {})


def _norm(name: str, width: int, bias: bool = True) -> Shapes:
    return {f"{name}.{part}": (width,) for part in (("weight", "bias") if bias else ("weight",))}


def _embeddings(config: Config, width: int) -> Shapes:
    shapes: Shapes = {
        "embeddings.word_embeddings.weight": (config["vocab_size"], width),
        "embeddings.position_embeddings.weight": (config["max_position_embeddings"], width),
        **_norm("embeddings.LayerNorm", width),
    }
    if "type_vocab_size" in config:
        shapes["embeddings.token_type_embeddings.weight"] = (config["type_vocab_size"], width)
    return shapes


def _bert(config: Config) -> Shapes:
    width, inner = config["hidden_size"], config["intermediate_size"]
    embedding = config.get("embedding_size", width)
    shapes = _embeddings(config, embedding)
    if embedding != width:
        shapes |= _linear("embeddings_project", width, embedding)
    for i in range(config["num_hidden_layers"]):
        layer = f"encoder.layer.{i}"
        for part in ("self.query", "self.key", "self.value", "output.dense"):
            shapes |= _linear(f"{layer}.attention.{part}", width, width)
        shapes |= _norm(f"{layer}.attention.output.LayerNorm", width) | _norm(f"{layer}.output.LayerNorm", width)
        shapes |= _linear(f"{layer}.intermediate.dense", inner, width) | _linear(f"{layer}.output.dense", width, inner)
    return shapes


def _mpnet(config: Config) -> Shapes:
    width, inner = config["hidden_size"], config["intermediate_size"]
    shapes = _embeddings(config, width)
    buckets = config["relative_attention_num_buckets"]
    shapes["encoder.relative_attention_bias.weight"] = (buckets, config["num_attention_heads"])
    for i in range(config["num_hidden_layers"]):
        layer = f"encoder.layer.{i}"
        for part in "qkvo":
            shapes |= _linear(f"{layer}.attention.attn.{part}", width, width)
        shapes |= _norm(f"{layer}.attention.LayerNorm", width) | _norm(f"{layer}.output.LayerNorm", width)
        shapes |= _linear(f"{layer}.intermediate.dense", inner, width) | _linear(f"{layer}.output.dense", width, inner)
    return shapes


def _distilbert(config: Config) -> Shapes:
    width, inner = config["dim"], config["hidden_dim"]
    shapes = _embeddings(config, width)
    for i in range(config["n_layers"]):
        layer = f"transformer.layer.{i}"
        for part in ("q_lin", "k_lin", "v_lin", "out_lin"):
            shapes |= _linear(f"{layer}.attention.{part}", width, width)
        shapes |= _norm(f"{layer}.sa_layer_norm", width) | _norm(f"{layer}.output_layer_norm", width)
        shapes |= _linear(f"{layer}.ffn.lin1", inner, width) | _linear(f"{layer}.ffn.lin2", width, inner)
    return shapes


def _modernbert(config: Config) -> Shapes:
    width, inner, bias = config["hidden_size"], config["intermediate_size"], config["norm_bias"]
    shapes: Shapes = {"embeddings.tok_embeddings.weight": (config["vocab_size"], width)}
    shapes |= _norm("embeddings.norm", width, bias) | _norm("final_norm", width, bias)
    for i in range(config["num_hidden_layers"]):
        layer = f"layers.{i}"
        if i:  # the embeddings are normalised already
            shapes |= _norm(f"{layer}.attn_norm", width, bias)
        shapes |= _norm(f"{layer}.mlp_norm", width, bias)
        shapes |= _linear(f"{layer}.attn.Wqkv", 3 * width, width, config["attention_bias"])
        shapes |= _linear(f"{layer}.attn.Wo", width, width, config["attention_bias"])
        shapes |= _linear(f"{layer}.mlp.Wi", 2 * inner, width, config["mlp_bias"])
        shapes |= _linear(f"{layer}.mlp.Wo", width, inner, config["mlp_bias"])
    return shapes


_PRE = ("input_layernorm", "post_attention_layernorm")
_BOTH = (*_PRE, "pre_feedforward_layernorm", "post_feedforward_layernorm")
_POST = ("post_attention_layernorm", "post_feedforward_layernorm")


def _decoder(
    norms: tuple[str, ...] = _PRE,
    *,
    heads_normed: bool = False,
    all_normed: bool = False,
    fused: bool = False,
    qwen2: bool = False,
) -> Callable[[Config], Shapes]:
    """Return what gives the tensors of a decoder of llama's family.

    norms: of each layer. heads_normed, all_normed: queries and keys are normalised, head by head or all heads at once.
    fused: one tensor for queries, keys and values, one for gate and up. qwen2: queries, keys and values have a bias, always.
    """

    def tensors(config: Config) -> Shapes:
        width, inner, heads = config["hidden_size"], config["intermediate_size"], config["num_attention_heads"]
        head = config.get("head_dim", width // heads)
        queries, keys = heads * head, config.get("num_key_value_heads", heads) * head
        bias = config.get("attention_bias", False)
        shapes: Shapes = {"embed_tokens.weight": (config["vocab_size"], width), "norm.weight": (width,)}
        for i in range(config["num_hidden_layers"]):
            attn, mlp = f"layers.{i}.self_attn", f"layers.{i}.mlp"
            if fused:
                shapes |= _linear(f"{attn}.qkv_proj", queries + 2 * keys, width, bias=False)
                shapes |= _linear(f"{mlp}.gate_up_proj", 2 * inner, width, bias=False)
            else:
                for part, rows in (("q", queries), ("k", keys), ("v", keys)):
                    shapes |= _linear(f"{attn}.{part}_proj", rows, width, bias or qwen2)
                for part in ("gate", "up"):
                    shapes |= _linear(f"{mlp}.{part}_proj", inner, width, config.get("mlp_bias", False))
            shapes |= _linear(f"{attn}.o_proj", width, queries, bias)
            shapes |= _linear(f"{mlp}.down_proj", width, inner, config.get("mlp_bias", False))
            for name in norms:
                shapes[f"layers.{i}.{name}.weight"] = (width,)
            if heads_normed or all_normed:
                shapes[f"{attn}.q_norm.weight"] = (head if heads_normed else queries,)
                shapes[f"{attn}.k_norm.weight"] = (head if heads_normed else keys,)
        return shapes

    return tensors


_TYPES = {"type_vocab_size": 2, "max_position_embeddings": 512}
_PLAIN = _LLAMA - {"mlp_bias"}
ARCHITECTURES: dict[str, Architecture] = {
    "bert": Architecture("encoder", "bert", _BERT, _bert, _TYPES),
    "distilbert": Architecture(
        "encoder",
        "distilbert",
        _words("vocab_size max_position_embeddings n_layers n_heads dim hidden_dim activation"),
        _distilbert,
        {"max_position_embeddings": 512},
    ),
    "electra": Architecture("encoder", "electra", _BERT | {"embedding_size"}, _bert, _TYPES | {"embedding_size": 128}),
    "modernbert": Architecture(
        "encoder",
        "model",
        (_BERT - {"hidden_act", "type_vocab_size"})
        | _words(
            """
            hidden_activation norm_eps norm_bias attention_bias mlp_bias global_attn_every_n_layers local_attention
            layer_types global_rope_theta local_rope_theta rope_parameters
            """
        ),
        _modernbert,
        {"norm_bias": False, "attention_bias": False, "mlp_bias": False},
    ),
    "mpnet": Architecture(
        "encoder",
        "mpnet",
        (_BERT - {"type_vocab_size"}) | {"relative_attention_num_buckets"},
        _mpnet,
        {"max_position_embeddings": 512, "relative_attention_num_buckets": 32},
        offset=2,
    ),
    "roberta": Architecture("encoder", "roberta", _BERT, _bert, _TYPES, offset=2),
    "xlm-roberta": Architecture("encoder", "roberta", _BERT, _bert, _TYPES, offset=2),
    "gemma": Architecture(
        "decoder",
        "model",
        _PLAIN | {"hidden_activation"},
        _decoder(),
        {"head_dim": 256, "num_key_value_heads": 16},
    ),
    "gemma2": Architecture(
        "decoder",
        "model",
        _PLAIN | _GEMMA,
        _decoder(_BOTH),
        {"head_dim": 256, "num_key_value_heads": 4},
    ),
    "gemma3_text": Architecture(
        "decoder",
        "model",
        _PLAIN | _GEMMA | {"rope_local_base_freq", "sliding_window_pattern", "_sliding_window_pattern"},
        _decoder(_BOTH, heads_normed=True),
        {"head_dim": 256, "num_key_value_heads": 4},
    ),
    "llama": Architecture("decoder", "model", _LLAMA, _decoder()),
    "mistral": Architecture(
        "decoder",
        "model",
        (_LLAMA - {"attention_bias", "mlp_bias"}) | {"sliding_window"},
        _decoder(),
        {"num_key_value_heads": 8},
    ),
    "olmo2": Architecture("decoder", "model", _PLAIN, _decoder(_POST, all_normed=True)),
    "phi3": Architecture(
        "decoder",
        "model",
        (_PLAIN - {"attention_bias"}) | {"sliding_window", "original_max_position_embeddings", "partial_rotary_factor"},
        _decoder(fused=True),
    ),
    "qwen2": Architecture(
        "decoder", "model", (_PLAIN - {"attention_bias"}) | _WINDOW, _decoder(qwen2=True), {"num_key_value_heads": 32}
    ),
    "qwen3": Architecture(
        "decoder",
        "model",
        _PLAIN | _WINDOW,
        _decoder(heads_normed=True),
        {"head_dim": 128, "num_key_value_heads": 32},
    ),
    "smollm3": Architecture(
        "decoder",
        "model",
        _LLAMA | _WINDOW | {"no_rope_layers", "no_rope_layer_interval"},
        _decoder(),
        {"num_key_value_heads": 4},
    ),
}
