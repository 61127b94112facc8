"""The train step: a split in, an adapter bundle out, under the digest of exactly what it depends on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from distillery.components.artifacts.filter import publish_filter
from distillery.components.artifacts.run_summary import remember_adapter
from distillery.components.artifacts.split import TEXTS
from distillery.components.artifacts.step_record import Outcome, StepRecord, look_up, run_step
from distillery.components.runtime.machine import peak_memory_mb
from distillery.components.runtime.memory_limit import room
from distillery.components.runtime.progress import Progress, quiet
from distillery.components.store import Digest, Json, Store, digest_json
from distillery.components.store.layout import adapters_folder, committed_key
from distillery.components.student.base import Base
from distillery.components.student.devices import native_bf16, require_packing
from distillery.components.student.fit import require_gpu_here
from distillery.components.student.gpu_memory import gpu_need
from distillery.components.student.memory import body_in, gib, train_need
from distillery.components.student.resolve import resolve_base
from distillery.components.training.tracked import tracked
from distillery.components.training.trackers.open import open_trackers
from distillery.filters.digests import read_besides, reference_precision, student_part, training_part
from distillery.filters.filter import Filter
from distillery.filters.instruction import student_instruction

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    from distillery.components.articles.table_file import TableFile
    from distillery.components.training.distributed import Workers

CODE = 2  # bump when the same inputs would give another adapter
# Dense bf16 peak, operations a second, by what the GPU calls itself.
PEAK = {"H200": 989e12, "H100": 989e12, "A100": 312e12, "L40S": 362e12, "L4": 121e12, "4090": 165e12}


def train_inputs(flt: Filter, split: str, base: str) -> dict[str, Json]:
    """Return what the adapter depends on.

    Args:
        flt: the filter.
        split: digest of the split.
        base: digest of the base model, from `resolve_base`.

    Returns:
        The inputs that the step's record is keyed by.
    """
    return {
        "filter": flt.name,
        "dimensions": flt.dimensions,
        "student": student_part(flt),
        "training": training_part(flt),
        **read_besides(flt),
        "split": split,
        "base": base,
        "code": CODE,
    }


def train(store: Store, flt: Filter, *, split: str, progress: Progress = quiet, workers: Workers | None = None) -> StepRecord:
    """Train the filter's student on a split, or find it trained.

    A killed training resumes from its checkpoint and ends with the same digest.

    Args:
        store: the store.
        flt: the filter.
        split: digest of the split.
        progress: told of each step and epoch.
        workers: those of this training, from `distributed.join`; None for this process alone. Only the first one writes.

    Returns:
        The step's record, with outputs {"adapter": digest}; without outputs on every worker but the first.

    Raises:
        InputError: the base model can't be had, truncation made texts the same, or the loss is no longer a number.
    """
    record = _train(store, flt, split, progress, workers)
    if adapter := record.outputs.get("adapter"):
        remember_adapter(store, publish_filter(store, flt), str(adapter), record)
    return record


def _train(store: Store, flt: Filter, split: str, progress: Progress, workers: Workers | None) -> StepRecord:
    base = resolve_base(flt.spec.student.baseModel, flt.spec.student.revision, store)
    inputs = train_inputs(flt, split, base.digest)
    inputs_digest = digest_json({"step": "train", "inputs": inputs})
    if workers is None or workers.world == 1:

        def alone() -> Outcome:
            # Whoever started a worker tells the trackers.
            trackers = [] if workers else open_trackers(store, flt, inputs_digest)
            with tracked(progress, trackers) as told:
                return _work(store, flt, split, base, inputs_digest, told)

        return run_step(store, "train", inputs, alone, note=progress.note)
    found = workers.agree(look_up(store, "train", inputs, note=progress.note) if workers.first else None)
    work = partial(_work, store, flt, split, base, inputs_digest, progress, workers)
    if workers.first:
        return found or run_step(store, "train", inputs, work, again=True)
    if not found:
        work()
    return StepRecord.of("train", inputs, {}, [])


def _texts(table: TableFile) -> Iterator[tuple[str, str]]:
    for batch in table.batches(TEXTS):
        yield from zip(batch["title"].to_pylist(), batch["content"].to_pylist(), strict=True)


def _noted(texts: Iterable[tuple[str, str]], hashes: set[int]) -> Iterator[tuple[str, str]]:
    """Yield texts, and keep a hash of each."""
    for each in texts:
        hashes.add(hash(each))
        yield each


def _work(
    store: Store, flt: Filter, split: str, base: Base, inputs: Digest, progress: Progress, workers: Workers | None = None
) -> Outcome:
    import numpy as np
    import torch

    from distillery.components.articles.label_table import scores
    from distillery.components.artifacts.split import open_split, without_texts
    from distillery.components.student.attention import attend_by_article
    from distillery.components.student.body import checkpoint_layers, put_away
    from distillery.components.student.bundle import save_bundle
    from distillery.components.student.devices import device_for
    from distillery.components.student.invariance import require_invariance
    from distillery.components.student.model import DTYPES, build, expected_trainable, merged
    from distillery.components.student.pooling import pooling_of
    from distillery.components.student.predict import raw_predictions
    from distillery.components.student.probe import choose_precision
    from distillery.components.student.tokens import Preprocessing, Tokenizing, check_distinct
    from distillery.components.student.weights import keep_blocks_apart
    from distillery.components.training.checkpoints import Checkpoints, NoCheckpoints, StoreCheckpoints
    from distillery.components.training.distributed import ALONE
    from distillery.components.training.loop import Loop, Validation, deterministic
    from distillery.components.training.objective import loss_weights, stop_error
    from distillery.components.training.package import Part, by_dimension, errors, package_student, train_sample
    from distillery.components.training.type_head import types_of

    require_packing(flt.spec.training)
    require_gpu_here(body_in(base.path, base.ref), flt.spec.student, flt.spec.training, len(flt.dimensions))
    workers = workers or ALONE
    student, training, dims = flt.spec.student, flt.spec.training, len(flt.dimensions)
    preprocessing = Preprocessing(student.maxLength, student.headTail, student_instruction(flt))
    tokenizing, distinct = Tokenizing(base, preprocessing), set[int]()
    if tokenizing.instruction_tokens:
        progress.note(f"instruction {tokenizing.instruction_tokens} tokens, article up to {tokenizing.room}")
    with open_split(store, split) as parts:
        known = [without_texts(part) for part in (parts.train, parts.validation)]
        kinds = types_of(flt, *known)
        train_part, validation = (
            Part(tokenizing(texts), scores(table, flt.dimensions), types)
            for texts, table, types in zip(
                (_noted(_texts(parts.train), distinct), _texts(parts.validation)), known, kinds, strict=True
            )
        )
    share = check_distinct(train_part.tokens, distinct)
    progress.note(
        f"{len(train_part.tokens):,} articles, {train_part.tokens.lengths.mean():.0f} tokens on average, "
        f"{share:.0%} still distinct after truncation"
    )

    device = device_for(student)
    checkpoints: Checkpoints = StoreCheckpoints(store, inputs, progress) if workers.first else NoCheckpoints()
    state = workers.agree(checkpoints.load())
    precision, why = workers.agree(choose_precision(training.precision, device))
    if state:
        precision, why = state["precision"], f"precision {state['precision']}: as in the checkpoint"
    progress.note(why)
    require_invariance(base)
    pooling = pooling_of(student.pooling, base.kind)
    expected = expected_trainable(base.path, student.lora, dims, pooling)
    by_layer = workers.agree(_by_layer(base, flt, precision, device))
    if by_layer and device == "cpu":
        keep_blocks_apart()
    model = build(
        base,
        student.lora,
        dims,
        precision=precision,
        seed=training.seed,
        quantize=training.quantize,
        device=device,
        pooling=pooling,
    )
    if training.quantize != "none":
        progress.note(f"the base model's linear weights are held in 4 bits ({training.quantize})")
    if device == "cpu" and precision == "bf16" and native_bf16():
        attend_by_article(model.body)
    if by_layer:
        smaller = f"a smaller training.tokensPerBatch (now {training.tokensPerBatch:,}) takes less"
        progress.note(f"gradient checkpointing over {checkpoint_layers(model.body)} layers: {by_layer}; {smaller}")
    progress.note(f"{expected:,} trainable parameters, as the configuration says; {base.kind} {base.ref} on {device}")

    served_in = DTYPES[reference_precision(student, training)]

    def predict(tensors: dict[str, torch.Tensor], part: Part) -> NDArray[np.float64]:
        """Return the predictions (n, D) of all workers, each of which predicts its share."""
        if workers.world == 1:
            return raw_predictions(merged(base, student.lora, dims, tensors, device, served_in, pooling=pooling), part.tokens)
        out = torch.zeros(part.labels.shape, dtype=torch.float64)
        mine = workers.deal(np.arange(len(out)), part.tokens.lengths)
        if len(mine):
            served = merged(base, student.lora, dims, tensors, device, served_in, pooling=pooling)
            out[torch.from_numpy(mine)] = torch.from_numpy(raw_predictions(served, part.take(mine).tokens))
        return workers.sum(out).numpy()

    weights = [dimension.weight for dimension in flt.spec.dimensions]

    def validate(tensors: dict[str, torch.Tensor]) -> Validation:
        raw = predict(tensors, validation)
        found = errors(raw, validation.labels, keep=workers.world == 1)
        apart = None
        if training.epochFigures == "dimensions":
            sample = train_sample(train_part, len(validation.labels), training.seed)
            ours = (predict(tensors, sample), sample.labels)
            apart = by_dimension(flt.dimensions, ours, (raw, validation.labels))
        return found._replace(stop=stop_error(training, raw, validation.labels, weights), dimensions=apart)

    loop = Loop(
        model,
        train_part.tokens,
        train_part.labels,
        training,
        expected=expected,
        precision=precision,
        # Shares of several workers are rounded otherwise than the whole, so only one alone hands its predictions on.
        validate=validate,
        weights=loss_weights(training, train_part.labels, weights),
        aside=partial(put_away, model.body, base),
        checkpoints=checkpoints,
        progress=progress,
        workers=workers,
    )
    with deterministic():
        fitted = loop.run(state)
    del model, loop
    if not workers.first:
        return Outcome({}, [])
    bundle = package_student(flt, base, split, precision, expected, fitted, train_part, validation, device, progress)
    adapter = save_bundle(store, flt.name, bundle)
    checkpoints.clear()
    for alarm in bundle.facts.alarms:
        progress.note(f"alarm: {alarm}")
    speed = fitted.tokens_here / max(fitted.seconds, 1e-9)
    facts: dict[str, Json] = {
        "articles": len(train_part.tokens),
        "epochs": len(fitted.history["epochs"]),
        "tokens_per_second": round(speed, 1),
        "training_seconds": round(fitted.seconds, 1),
        "peak_memory_mb": peak_memory_mb(),
        "device": device,
        "workers": workers.world,
        "precision": precision,
        "validation_mae": bundle.facts.validation_mae,
        "alarms": bundle.facts.alarms,
    }
    if device == "cuda":
        facts |= _gpu_facts(base, speed / workers.world, 4 if student.lora else 6)
    return Outcome({"adapter": adapter}, [committed_key(adapters_folder(flt.name), adapter)], facts)


def _by_layer(base: Base, flt: Filter, precision: str, device: str) -> str:
    """Return why training must keep one layer's activations at a time; empty where there is room for all of them."""
    student, training = flt.spec.student, flt.spec.training
    if training.strategy != "ddp":
        return ""
    body, dims = body_in(base.path, base.ref), len(flt.dimensions)
    need = train_need(body, student, training, dims, checkpointed=False, precision=precision)
    found = room()
    free, whose, taken = (found.free, found.of, need.total) if found else (need.total, "", 0)
    if device == "cuda":
        import torch

        need = gpu_need(body, student, training.model_copy(update={"precision": precision}), dims, checkpointed=False)
        free, whose, taken = torch.cuda.mem_get_info()[0], "the GPU", need.total - need.libraries
    return f"all activations would take {gib(taken)}, and {whose} has {gib(free)} left" if taken > free else ""


def _gpu_facts(base: Base, tokens_per_second: float, operations: int) -> dict[str, Json]:
    """Return the GPU's name, its peak memory in MB, and MFU, from the tokens that one worker trains on in a second.

    MFU counts 4 operations for each weight of the body and each token: forward, and backward to the activations; 6 where the
    weights train, too.
    """
    import torch

    from distillery.components.student.body import skeleton

    name = torch.cuda.get_device_name()
    body = skeleton(base.path)
    count = sum(module.weight.numel() for module in body.modules() if isinstance(module, torch.nn.Linear))
    peak = next((flops for key, flops in PEAK.items() if key in name), None)
    mfu = None if peak is None else round(operations * count * tokens_per_second / peak, 4)
    return {"gpu": name, "gpu_memory_mb": round(torch.cuda.max_memory_allocated() / 2**20), "mfu": mfu}
