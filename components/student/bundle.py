"""The adapter bundle: what training leaves, and the only way back in.

A bundle is untrusted input. Files, keys, types and shapes are compared with an allowlist before a single tensor is made:
adapter_config.json must be exactly the one that student.json implies, and the safetensors header exactly the tensors that
base and LoRA settings imply. So a bundle carries numbers and nothing else. Plain peft + transformers load it as well.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from distillery.components.artifacts.bundle import (
    CONTENT_TYPES,
    CURVES,
    GOLDEN,
    HISTORY,
    MAX_JSON,
    REDO,
    STUDENT,
    CurvesFile,
    GoldenFile,
    HistoryFile,
    StudentFacts,
    bundle_folder,
    require_dimensions,
)
from distillery.components.artifacts.folder_meta import AdapterMeta
from distillery.components.artifacts.serving import PARITY, ParityFile, Plan
from distillery.components.store import Digest, Folder, Store, canonical_json
from distillery.components.store.layout import adapters_folder
from distillery.components.student.base import Base
from distillery.components.student.content_types import open_types
from distillery.components.student.golden import GOLDEN_TOLERANCE, check_golden, golden_texts
from distillery.components.student.pooling import ALLOWED, names_of
from distillery.components.student.resolve import resolve_base
from distillery.components.student.score_curves import ScoreCurves
from distillery.components.student.student import FP32, Student, preprocessing_of
from distillery.components.student.targets import lora_layers, target_suffixes
from distillery.filters.digests import TRAINING_FREE
from distillery.filters.errors import InputError
from distillery.filters.filter import Filter
from distillery.filters.spec import Training
from distillery.filters.strict_json import loads

if TYPE_CHECKING:
    import torch


__all__ = [
    "Student",
    "bundle_files",
    "check_golden",
    "golden_texts",
    "open_bundle",
    "open_files",
    "save_bundle",
    "training_facts",
]

WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
FILES = (WEIGHTS, CONFIG, STUDENT, CURVES, GOLDEN, HISTORY)  # a bundle may have those of OPTIONAL, too
OPTIONAL = (PARITY, CONTENT_TYPES)
MAX_WEIGHTS = 8 * 2**30


def adapter_config(facts: StudentFacts, base: Base) -> dict[str, Any]:
    """Return adapter_config.json: what peft needs, and not a key more; where every weight was trained, the base model alone.

    Args:
        facts: the student's facts.
        base: the base model.

    Returns:
        The document.
    """
    if facts.lora is None:
        return {"base_model_name_or_path": facts.base.ref, "revision": facts.base.revision}
    decoder = names_of(facts.base.kind, facts.pooling) == "decoder"
    return {
        "base_model_name_or_path": facts.base.ref,
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
        "init_lora_weights": True,
        "lora_alpha": facts.lora.alpha,
        "lora_dropout": facts.lora.dropout,
        "modules_to_save": ["score"] if decoder else None,
        "peft_type": "LORA",
        "r": facts.lora.r,
        "revision": facts.base.revision,
        "target_modules": target_suffixes(list(lora_layers(base, facts.lora))),
        "task_type": "SEQ_CLS" if decoder else "FEATURE_EXTRACTION",
    }


def bundle_files(student: Student) -> dict[str, bytes]:
    """Return the files of a bundle, the same bytes for the same student.

    Args:
        student: the student.

    Returns:
        Contents by file name.
    """
    from safetensors.torch import save

    facts, curves = student.facts, student.score_curves
    knots = dict(zip(facts.dimensions, curves.knots, strict=True)) if curves.kept else {}
    texts, raw = student.golden
    files = {
        CONFIG: adapter_config(facts, student.base),
        STUDENT: facts.model_dump(),
        CURVES: {
            "kept": curves.kept,
            "dimensions": {name: {"x": x, "y": y} for name, (x, y) in knots.items()},
            "validation_mae_raw": curves.mae_raw,
            "validation_mae_calibrated": curves.mae_corrected,
        },
        GOLDEN: {"texts": [list(pair) for pair in texts], "raw": raw.tolist(), "scores": curves.apply(raw).tolist()},
        HISTORY: student.history,
    }
    if student.parity:
        files[PARITY] = student.parity.to_json()
    if student.types:
        files[CONTENT_TYPES] = student.types.file.to_json()
    tensors = {name: student.tensors[name].contiguous() for name in sorted(student.tensors)}
    return {WEIGHTS: save(tensors, metadata={"format": "pt"})} | {name: _pretty(value) for name, value in files.items()}


def _pretty(value: object) -> bytes:
    return (json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def save_bundle(store: Store, name: str, student: Student) -> Digest:
    """Commit a bundle under adapters/<name>/<digest>/; the digest covers every byte.

    Args:
        store: the store.
        name: name of the filter.
        student: the student.

    Returns:
        The bundle's digest.
    """
    facts = student.facts
    return store.commit(
        adapters_folder(name),
        bundle_files(student),
        AdapterMeta(filter=facts.filter, split=facts.split, base=facts.base.digest).to_json(),
    )


def open_bundle(store: Store, name: str, digest: str, *, flt: Filter | None = None, plan: Plan = FP32) -> Student:
    """Open the bundle adapters/<name>/<digest>; every byte is verified before anything is loaded.

    Args:
        store: the store.
        name: name of the filter.
        digest: the bundle's digest, in full.
        flt: the filter it is to serve; None for any.
        plan: how it is served, from `devices.serving_plan`; one that was packaged in bf16 is so for fp32, too.

    Returns:
        The student.

    Raises:
        InputError: the bundle is not there, has an extra or missing file, altered bytes, an unknown key, a wrong shape or
            another base model, its dimensions are not the filter's, or it does not let this plan serve.
    """
    folder = bundle_folder(store, name, digest)
    files = require_bundle(folder)
    return open_files({file: folder.read(file) for file in files}, folder.where, store, flt, plan)


def require_bundle(folder: Folder) -> tuple[str, ...]:
    """Return the names of a bundle's files.

    Args:
        folder: the bundle.

    Returns:
        The names.

    Raises:
        InputError: a file is missing, too large, or doesn't belong there.
    """
    files = (*FILES, *(name for name in OPTIONAL if name in folder.files))
    folder.require(files)
    for name, entry in folder.files.items():
        if entry.size > (MAX_WEIGHTS if name == WEIGHTS else MAX_JSON):
            raise InputError(f"{name} is {entry.size:,} bytes, more than a bundle may hold", where=folder.where, hint=REDO)
    return files


def _json(data: bytes, where: str) -> Any:
    try:
        return loads(data)
    except (ValueError, RecursionError) as error:
        raise InputError("is not JSON", where=where, hint=REDO) from error


def open_files(
    files: Mapping[str, bytes], where: str, store: Store | None, flt: Filter | None = None, plan: Plan = FP32
) -> Student:
    """Open a bundle by its files, wherever they were read; all but their digests is verified before anything is loaded.

    Args:
        files: contents by name: those of FILES, and maybe some of OPTIONAL.
        where: the place they are from, for errors.
        store: where mirrored base models are looked for; None for nowhere.
        flt: the filter it is to serve; None for any.
        plan: how it is served.

    Returns:
        The student.

    Raises:
        InputError: as `open_bundle`.
    """
    facts = StudentFacts.read(files[STUDENT], f"{where}/{STUDENT}")
    names = facts.dimensions
    if len(set(names)) != len(names):
        raise InputError("two dimensions of one name", where=f"{where}/{STUDENT}", hint=REDO)
    if flt is not None:
        require_dimensions(facts.dimensions, flt, where)
    if facts.pooling not in ALLOWED[facts.base.kind] or facts.preprocessing != preprocessing_of(facts).facts():
        raise InputError(
            "pooling or preprocessing is not what this version does",
            where=f"{where}/{STUDENT}",
            hint="train it again with this version",
        )
    base = resolve_base(facts.base.ref, facts.base.revision, store)
    if base.digest != facts.base.digest:
        raise InputError(
            f"the base model {base.ref} here is {base.digest[:12]}…, the adapter was trained on {facts.base.digest[:12]}…",
            where=f"{where}/{STUDENT}",
            hint="get that revision of the base model",
        )
    if (facts.base.kind, facts.base.hidden) != (base.kind, base.hidden):
        what = f"its base model is {base.kind} of width {base.hidden}, not {facts.base.kind} of width {facts.base.hidden}"
        raise InputError(what, where=f"{where}/{STUDENT}", hint=REDO)
    tensors = _tensors(files, facts, base, where)
    curves = CurvesFile.read(files[CURVES], f"{where}/{CURVES}")
    uneven = any(len(curve.x) != len(curve.y) or np.any(np.diff(curve.x) <= 0) for curve in curves.dimensions.values())
    if uneven or sorted(curves.dimensions) != (sorted(names) if curves.kept else []):
        raise InputError("its curves are not one for each dimension, rising in x", where=f"{where}/{CURVES}", hint=REDO)
    if falling := sorted(name for name, curve in curves.dimensions.items() if np.any(np.diff(curve.y) < 0)):
        raise InputError(f"its curve of {falling[0]} falls", where=f"{where}/{CURVES}", hint=REDO)
    knots = [(curves.dimensions[name].x, curves.dimensions[name].y) for name in names] if curves.kept else []
    golden = GoldenFile.read(files[GOLDEN], f"{where}/{GOLDEN}")
    shapes = {len(text) for text in golden.texts}, {len(row) for row in golden.raw}
    if len(golden.texts) != len(golden.raw) or shapes != ({2}, {len(names)}):
        raise InputError("its texts and predictions don't match the dimensions", where=f"{where}/{GOLDEN}", hint=REDO)
    score_curves = ScoreCurves(curves.kept, knots, curves.validation_mae_raw, curves.validation_mae_calibrated)
    raw = np.array(golden.raw, dtype=np.float64)
    if golden.scores is not None:
        if [len(row) for row in golden.scores] != [len(names)] * len(golden.raw):
            raise InputError("its scores and predictions don't match", where=f"{where}/{GOLDEN}", hint=REDO)
        if np.abs(score_curves.apply(raw) - np.array(golden.scores)).max() > GOLDEN_TOLERANCE:
            raise InputError("its final scores are not those of its curves", where=f"{where}/{GOLDEN}", hint=REDO)
    history = HistoryFile.read(files[HISTORY], f"{where}/{HISTORY}")
    texts = [(title, content) for title, content in golden.texts]
    typed, parity = files.get(CONTENT_TYPES), _parity(files, plan, (len(golden.texts), len(names)), f"{where}/{PARITY}")
    if parity is not None and plan.precision == "fp32":
        plan = plan.model_copy(update={"precision": parity.reference})  # in fp32 it was never judged
    return Student(
        facts,
        base,
        tensors,
        score_curves,
        (texts, raw),
        history.model_dump(),
        plan,
        parity,
        None if typed is None else open_types(typed, facts, len(texts), f"{where}/{CONTENT_TYPES}"),
    )


def _parity(files: Mapping[str, bytes], plan: Plan, shape: tuple[int, int], where: str) -> ParityFile | None:
    """Return the parity record, where there is one; raise InputError if it doesn't let the plan serve."""
    parity = ParityFile.read(files[PARITY], where) if PARITY in files else None
    for each in parity.candidates if parity else ():
        if (len(each.golden), {len(row) for row in each.golden}) != (shape[0], {shape[1]}):
            raise InputError(
                f"its golden predictions in {each.plan} don't match the texts and dimensions", where=where, hint=REDO
            )
        if each.passed and not each.within:
            raise InputError(
                f"its figures for {each.plan} are beyond the bounds that it says they passed", where=where, hint=REDO
            )
    if plan.precision != "fp32" and not (parity and parity.lets(plan)):
        raise InputError(f"does not let {plan} serve", where=where, hint="serve it in fp32, or train it again here")
    return parity


def _tensors(files: Mapping[str, bytes], facts: StudentFacts, base: Base, where: str) -> dict[str, torch.Tensor]:
    from safetensors.torch import load

    from distillery.components.student.model import expected_shapes

    wanted, config = adapter_config(facts, base), _json(files[CONFIG], f"{where}/{CONFIG}")
    if not isinstance(config, dict):
        raise InputError("is not a JSON object", where=f"{where}/{CONFIG}", hint=REDO)
    for key in sorted({*wanted, *config}):
        if key not in wanted:
            raise InputError(f"{key[:80]!r} is a key nobody needs", where=f"{where}/{CONFIG}", hint=REDO)
        if key not in config or canonical_json(config[key]) != canonical_json(wanted[key]):
            raise InputError(f"{key!r} is not what student.json says", where=f"{where}/{CONFIG}", hint=REDO)
    shapes = expected_shapes(base, facts.lora, len(facts.dimensions), facts.pooling)
    _check_header(files[WEIGHTS], shapes, f"{where}/{WEIGHTS}")
    tensors = load(files[WEIGHTS])
    if bad := sorted(name for name, tensor in tensors.items() if not tensor.isfinite().all()):
        raise InputError(f"{bad[0]} holds numbers that are not finite", where=f"{where}/{WEIGHTS}", hint=REDO)
    return tensors


def _check_header(data: bytes, shapes: Mapping[str, tuple[int, ...]], where: str) -> None:
    """The safetensors header must name exactly these fp32 tensors, and the file must end where they end."""
    size = int.from_bytes(data[:8], "little")
    header = _json(data[8 : 8 + size], where) if len(data) >= 8 and size <= MAX_JSON else None
    if not isinstance(header, dict):
        raise InputError("is not a safetensors file", where=where, hint=REDO)
    if header.pop("__metadata__", {"format": "pt"}) != {"format": "pt"}:
        raise InputError("carries metadata of its own", where=where, hint=REDO)
    if odd := sorted(header.keys() ^ shapes.keys()):
        raise InputError(f"{odd[0]} is {'missing' if odd[0] in shapes else 'unknown'}", where=where, hint=REDO)
    for name, shape in shapes.items():
        entry = header[name]
        if not isinstance(entry, dict) or entry.get("shape") != list(shape) or entry.get("dtype") != "F32":
            raise InputError(f"{name} is not a float32 tensor of shape {shape}", where=where, hint=REDO)
    if len(data) != 8 + size + 4 * sum(math.prod(shape) for shape in shapes.values()):
        raise InputError("is cut short, or holds more than its tensors", where=where, hint=REDO)


def training_facts(training: Training, precision: str) -> dict[str, Any]:
    """Return the training section as it was resolved, without the settings that say who did the work.

    Args:
        training: the filter's training section.
        precision: fp32 or bf16: what "auto" came to.

    Returns:
        The section as plain values.
    """
    return training.model_dump(exclude=set(TRAINING_FREE)) | {"precision": precision}
