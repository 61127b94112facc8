"""How much memory training, benchmark and scoring take, worked out from config.json, without torch.

    libraries and tokenizer   a floor, measured, and the tokenizer's file times a factor
    weights                   every number of the body in the precision in which it is used
    adapter                   LoRA and head in fp32: in training with gradients, AdamW's state, the best epoch and a checkpoint
    activations               what a pass of so many tokens keeps, layer by layer; with checkpointing one layer at a time

A test holds the sum against what processes really take: never below it, and at most half as much above. The largest of the
phases of a step counts, since memory holds one body at a time.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from distillery.components.artifacts.serving import Engine, Precision
from distillery.components.student.architectures import ARCHITECTURES
from distillery.components.student.base_files import CONFIG, parse_config
from distillery.components.student.base_files import TOKENIZER as TOKENIZER_FILE
from distillery.components.student.pooling import pooling_of
from distillery.filters.digests import reference_precision
from distillery.filters.spec import Lora, Student, Training

ITEM: Final[Mapping[str, int]] = {"fp32": 4, "bf16": 2, "fp16": 2}
MIB: Final = 2**20
LIBRARIES: Final = {"train": 624 * MIB, "benchmark": 620 * MIB, "score": 480 * MIB}
PACKED: Final = 0.5 + 1 / 64 + 4 / (64 * 256)  # bytes of a weight in 4 bits: the number, its scale, that scale's own
SCALES: Final = 4096  # of each packed weight: tables of levels
PACKING: Final = 24  # bytes of a number of the weight that is being packed on a CPU
PLAIN: Final = 320 * MIB  # to score with BERT, which is served in plain torch
TOKENIZER: Final = 16  # times its file, while it is read
PASS: Final = 2048  # tokens of a pass in serving on a CPU; an article is never cut
MERGE: Final = 16 * MIB
EAGER: Final = ("mpnet", "gemma2")  # those whose attention scores are in memory as a whole
_LAYER: Final = re.compile(r"(?:^|\.)(?:layers?|layer)\.0\.")


class Body(NamedTuple):
    """What decides how much memory a base model takes.

    Attributes:
        config: its checked config.json.
        tokenizer: bytes of its tokenizer.json.
    """

    config: Mapping[str, Any]
    tokenizer: int


@dataclass(frozen=True)
class Need:
    """The memory of one step at its peak, in bytes.

    Attributes:
        step: train, benchmark or score.
        libraries: Python, torch, the tokenizer.
        weights: of the body.
        adapter: LoRA, head, and what training adds to them.
        activations: of one pass.
        checkpointed: True where training keeps one layer's activations at a time, and works out the others again.
    """

    step: str
    libraries: int
    weights: int
    adapter: int
    activations: int
    checkpointed: bool = False

    @property
    def total(self) -> int:
        """Return the sum."""
        return self.libraries + self.weights + self.adapter + self.activations

    def __str__(self) -> str:
        parts = {name: getattr(self, name) for name in ("weights", "activations", "adapter", "libraries")}
        return f"{gib(self.total)} ({', '.join(f'{name} {gib(size)}' for name, size in parts.items())})"


def body_in(folder: Path, ref: str) -> Body:
    """Return what decides how much memory the base model in a folder takes.

    Args:
        folder: of its files.
        ref: what the filter calls it, for errors.

    Returns:
        The body.

    Raises:
        InputError: config.json is not allowed.
    """
    return Body(parse_config((folder / CONFIG).read_bytes(), ref), (folder / TOKENIZER_FILE).stat().st_size)


def gib(size: int) -> str:
    """Return a size as people read it.

    Args:
        size: in bytes.

    Returns:
        GiB with one decimal.
    """
    return f"{size / 2**30:.1f} GiB"


def numbers(body: Body) -> int:
    """Return how many numbers a body has.

    Args:
        body: the base model.

    Returns:
        The count, heads and poolers left out.
    """
    return sum(math.prod(shape) for shape in _shapes(body).values())


def multiplied(body: Body) -> int:
    """Return how many weights a token meets in the linear layers of a body.

    Args:
        body: the base model.

    Returns:
        The count; embeddings are looked up, and attention between tokens is left out.
    """
    return layers(body) * sum(rows * columns for rows, columns in _layer(body))


def needs(body: Body, student: Student, training: Training, dims: int, *, precision: Precision | None = None) -> list[Need]:
    """Return what each step that loads the student takes on a CPU.

    Args:
        body: the base model.
        student: the filter's student section.
        training: its training section; precision "auto" counts as fp32, which a machine may choose.
        dims: number of dimensions.
        precision: in which the benchmark and scoring serve; None for that in which training validates and packages.

    Returns:
        Training, benchmark and scoring.
    """
    served = precision or reference_precision(student, training)
    return [
        train_need(body, student, training, dims),
        *(
            serve_need(body, student.maxLength, student.lora, dims, step=step, precision=served)
            for step in ("benchmark", "score")
        ),
    ]


def trained_weights(body: Body, training: Training, item: int, *, packing: int = PACKING) -> int:
    """Return what a body takes while it trains: as it is, or with its linear weights in 4 bits and one as it is multiplied.

    Args:
        body: the base model.
        training: the filter's training section.
        item: bytes of a number that is not packed.
        packing: bytes of a number of the weight that is being packed.

    Returns:
        Bytes.
    """
    if training.quantize == "none":
        return numbers(body) * item
    linears = ARCHITECTURES[body.config["model_type"]].linears(body.config)
    sizes = [math.prod(shape) for shape in linears.values()]
    packed = math.ceil(sum(sizes) * PACKED) + SCALES * len(sizes)
    return packed + (numbers(body) - sum(sizes)) * item + max(sizes) * max(item, packing)


def train_need(
    body: Body, student: Student, training: Training, dims: int, *, checkpointed: bool | None = None, precision: str = ""
) -> Need:
    """Return what training takes: its passes, or validation by the merged body, whichever is more.

    Args:
        body: the base model.
        student: the filter's student section.
        training: its training section.
        dims: number of dimensions.
        checkpointed: whether it keeps one layer's activations at a time; None for what takes no more than validation does, if
            that is enough, else checkpointed.
        precision: of the body; empty for what the training section says.

    Returns:
        The need of the step "train".

    Raises:
        InputError: student.pooling makes no sense for this base model.
    """
    stated = precision or ("fp32" if training.precision == "auto" else training.precision)
    trained = trained_numbers(body, student.lora, trained_rows(body, student, dims))
    adapter = 4 * trained * 10  # weights, gradients, two moments, best epoch; a checkpoint holds four of them, and its bytes
    libraries = _libraries(body, "train")
    tokens = pass_tokens(student, training)
    judged = reference_precision(student, training)
    serving = serve_need(body, student.maxLength, student.lora, dims, step="benchmark", precision=judged)
    validation = Need("train", libraries, serving.weights, adapter, serving.activations)

    def passes(by_layer: bool) -> Need:
        activations = kept(body, student, tokens, ITEM[stated], by_layer=by_layer)
        return Need("train", libraries, trained_weights(body, training, ITEM[stated]), adapter, activations, by_layer)

    if checkpointed is None:
        plain = passes(False)
        checkpointed = plain.total > validation.total
        return plain if not checkpointed else max((passes(True), validation), key=lambda need: need.total)
    return max((passes(checkpointed), validation), key=lambda need: need.total)


def serve_need(
    body: Body,
    longest: int,
    lora: Lora | None,
    dims: int,
    *,
    step: str = "score",
    precision: Precision = "fp32",
    engine: Engine = "torch",
) -> Need:
    """Return what it takes to predict with a merged student.

    Args:
        body: the base model.
        longest: student.maxLength, in tokens.
        lora: the filter's LoRA settings; None where every weight trains.
        dims: number of dimensions.
        step: benchmark or score.
        precision: of the body.
        engine: what computes; OpenVINO compiles its own weights from a body in fp32 and a graph of it.

    Returns:
        The need of the step.
    """
    item, tokens = ITEM[precision], max(PASS, longest)
    adapter = 2 * 4 * trained_numbers(body, lora, dims) + MERGE
    activations = live(body, tokens, longest, item)
    if item == 2:
        activations += 2 * 2 * max(math.prod(shape) for shape in _layer(body))  # a library's own copy of a weight, in its order
    weights = numbers(body) * (item if engine == "torch" else 4 + 4 + item)
    return Need(step, _libraries(body, step), weights, adapter, activations)


def pass_tokens(student: Student, training: Training) -> int:
    """Return the tokens of a training's pass.

    Args:
        student: the filter's student section.
        training: its training section.

    Returns:
        The number; an article is never cut for it.
    """
    return max(student.maxLength, min(training.tokensPerBatch, training.batchSize * student.maxLength))


def trained_rows(body: Body, student: Student, dims: int) -> int:
    """Return how many rows of the body's width are trained above it: the head's, and attention's query.

    Args:
        body: the base model.
        student: the filter's student section.
        dims: number of dimensions.

    Returns:
        The number.

    Raises:
        InputError: student.pooling makes no sense for this base model.
    """
    return dims + _attends(body, student)


def _attends(body: Body, student: Student) -> bool:
    return pooling_of(student.pooling, ARCHITECTURES[body.config["model_type"]].kind) == "attention"


def live(body: Body, tokens: int, longest: int, item: int) -> int:
    """Return what a forward pass without gradients holds at its largest moment.

    Args:
        body: the base model.
        tokens: of the pass.
        longest: tokens of the longest article.
        item: bytes of a number in the products.

    Returns:
        Bytes.
    """
    numbers_each = 5 * sum(rows for rows, _ in _layer(body)) // 2 + 8 * _width(body)
    return tokens * (numbers_each * item + 8 * _width(body)) + _scores(body, tokens, longest, 3)


def _libraries(body: Body, step: str) -> int:
    floor = PLAIN if step == "score" and body.config["model_type"] == "bert" else LIBRARIES[step]
    return floor + TOKENIZER * body.tokenizer


def kept(body: Body, student: Student, tokens: int, item: int, *, by_layer: bool) -> int:
    """Return what the backward pass needs of a forward pass.

    Args:
        body: the base model.
        student: the filter's student section.
        tokens: of the pass.
        item: bytes of a number in the products.
        by_layer: whether one layer's activations are kept at a time.

    Returns:
        Bytes.
    """
    layer, width, dropped = _layer(body), _width(body), student.lora is not None and student.lora.dropout > 0
    inputs = sum(columns for _, columns in layer) * (2 if dropped else 1)
    turned = 7 if ARCHITECTURES[body.config["model_type"]].kind == "decoder" else 3  # rotated and repeated heads
    outputs = sum(rows for rows, _ in layer) + max(rows for rows, _ in layer) + turned * width
    one = tokens * ((inputs + outputs) * item + 6 * 4 * width) + _scores(body, tokens, student.maxLength, 2)
    working = one + tokens * 4 * max(max(shape) for shape in layer)  # gradients on their way through one layer
    if _attends(body, student):
        working += tokens * 2 * 4 * width  # the states in fp32, and their gradients
    return layers(body) * tokens * width * item + working if by_layer else layers(body) * one + working


def layers(body: Body) -> int:
    """Return how many layers a body has.

    Args:
        body: the base model.

    Returns:
        The number.
    """
    return int(body.config.get("num_hidden_layers") or body.config["n_layers"])


def _width(body: Body) -> int:
    return int(body.config.get("hidden_size") or body.config["dim"])


def _scores(body: Body, tokens: int, longest: int, copies: int) -> int:
    """Return the attention scores of a layer, where they are in memory as a whole."""
    heads = int(body.config.get("num_attention_heads") or body.config["n_heads"])
    return copies * 4 * tokens * longest * heads if body.config["model_type"] in EAGER else 0


def _shapes(body: Body) -> Mapping[str, tuple[int, ...]]:
    return ARCHITECTURES[body.config["model_type"]].shapes(body.config)


def _layer(body: Body) -> list[tuple[int, int]]:
    """Return the shapes of one layer's linear weights."""
    return [
        (shape[0], shape[1]) for name, shape in _shapes(body).items() if len(shape) == 2 and _LAYER.search(name) is not None
    ]


def trained_numbers(body: Body, lora: Lora | None, dims: int) -> int:
    """Return how many numbers train: LoRA, or the body, and the head.

    Args:
        body: the base model.
        lora: the filter's LoRA settings; None where every weight trains.
        dims: number of dimensions.

    Returns:
        The count.
    """
    if lora is None:
        return numbers(body) + dims * _width(body)
    targets = lora.targets
    names = [
        (name.removesuffix(".weight"), shape)
        for name, shape in _shapes(body).items()
        if len(shape) == 2 and name.endswith(".weight") and "embed" not in name and "relative_attention" not in name
    ]
    chosen = [
        (shape[0], shape[1])
        for name, shape in names
        if targets == "all-linear" or any(name == end or name.endswith(f".{end}") for end in targets)
    ]
    return sum(lora.r * (rows + columns) for rows, columns in chosen) + dims * _width(body)
