"""One ONNX file that holds the whole student: body with LoRA merged, pooling, head, score curves and clamp, in fp32.

onnxruntime and the tokenizer beside it give final scores, and the content type where the student names one. The card's own
code is what the export is checked by.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from distillery.components.artifacts.bundle import GOLDEN
from distillery.components.artifacts.serving import judged_plan
from distillery.components.sharing.bundle_copy import BundleCopy, companions, loaded, mend, require_same
from distillery.components.sharing.folder import PLOTS, plots_of
from distillery.components.sharing.model_card import Form, model_card
from distillery.components.sharing.snippet import CLEAN, tokens_by
from distillery.components.sharing.targets import copied, new_folder
from distillery.components.store import Store
from distillery.components.student.content_types import TypeHead
from distillery.components.student.golden import GOLDEN_TOLERANCE
from distillery.components.student.parity import weights_of
from distillery.filters.errors import InputError

if TYPE_CHECKING:
    from distillery.components.student.graph import Corrected
    from distillery.components.student.student import Student

MODEL: Final = "model.onnx"
RECORD: Final = "onnx.json"  # how far its scores are from the adapter's
OPSET: Final = 18
MOST: Final = 2**31 - 2**24  # bytes of one file of protobuf, and room for the graph beside the weights
DECIMALS: Final = 6  # as in stored predictions
OURS: Final = "io.llm-distillery."
SCORES: Final = ["scores", "raw"]  # outputs of every file
TYPES: Final = ["content_type", "content_type_probabilities"]  # further ones where the student names types

_CODE: Final = """\
import re
import unicodedata
from pathlib import Path

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

folder = Path({folder})  # where the files of this page are
names = {names!r}

tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
tokenizer.no_truncation()
tokenizer.no_padding()
model = onnxruntime.InferenceSession(str(folder / "{model}"), providers=["CPUExecutionProvider"])
"""
_OUTPUTS: Final = """
def outputs(articles):
    rows = [tokens(title, content) for title, content in articles]
    ids = np.zeros((len(rows), max(map(len, rows))), dtype=np.int64)
    mask = np.zeros_like(ids)
    for row, padded, there in zip(rows, ids, mask):
        padded[: len(row)], there[: len(row)] = row, 1  # padding on the right
    found = model.run(None, {"input_ids": ids, "attention_mask": mask})
    return {each.name: values.tolist() for each, values in zip(model.get_outputs(), found)}

"""
_SCORES: Final = """
def scores(articles):
    return [dict(zip(names, row)) for row in outputs(articles)["scores"]]
"""
_READ: Final = """
types = {types!r}


def read(articles):
    found = outputs(articles)
    kinds = [types[at] if at >= 0 else None for at in found["content_type"]]
    return [(dict(zip(names, row)), kind) for row, kind in zip(found["scores"], kinds)]


def scores(articles):
    return [row for row, kind in read(articles)]
"""
_USE: Final = """

print({function}([("A title", "The text of an article.")]))
"""


class ReadBack(NamedTuple):
    """What exported files give the golden texts.

    Attributes:
        scores: (n, D) of all texts together, and of each alone.
        probabilities: (n, K) of content types likewise; empty where the student names none.
    """

    scores: list[NDArray[np.float64]]
    probabilities: list[NDArray[np.float64]]


def export_onnx(store: Store, bundle: BundleCopy, out: Path, *, replace: bool = False) -> float:
    """Write the file with tokenizer, card and record, read it back, and score the golden texts from it.

    Args:
        store: where benchmark and verdict are.
        bundle: the bundle.
        out: the folder.
        replace: True if another export there may be lost.

    Returns:
        The largest difference in points from the adapter's golden predictions.

    Raises:
        InputError: the student is too large for one file, it can't be exported, what was written gives other scores, or
            something else is there; nothing is left then.
    """
    if (size := 4 * weights_of(bundle.student.base)) > MOST:
        what = f"its base model has {size / 2**30:.1f} GiB of weights in fp32, and one ONNX file holds less than 2"
        raise InputError(what, where=bundle.student.base.ref, hint="export a folder or an image instead")
    with new_folder(out, replace=replace, ours=frozenset({PLOTS})) as folder:
        copied({**companions(bundle), GOLDEN: bundle.files[GOLDEN]}, folder)
        write_graph(bundle.student, folder / MODEL, {"adapter": bundle.digest, "filter": bundle.filter.name})
        found = check(bundle.student, folder)
        copied({RECORD: _record(store, bundle, found)}, folder)
        plots = plots_of(store, bundle)
        copied({f"{PLOTS}/{name}": data for name, data in plots.items()}, folder)
        card = model_card(store, bundle, onnx_form(bundle.student), plots=[f"{PLOTS}/{name}" for name in plots])
        (folder / "README.md").write_text(card, encoding="utf-8")
        return float(apart(found.scores, bundle.student.scores(bundle.student.golden[1])).max())


def onnx_form(student: Student) -> Form:
    """Return the form of a folder with an ONNX file.

    Args:
        student: the student.

    Returns:
        The form.
    """
    typed = ""
    if _head(student) is not None:
        typed = (
            f" `{TYPES[0]}` is the content type's number among those in the file's metadata, from 0, and -1 where none is "
            f"named; `{TYPES[1]}` are what that is decided by: the likeliest type is named where it reaches its threshold."
        )
    return Form(
        "onnx",
        f"With `onnxruntime`, `tokenizers` and `numpy`, in this folder:\n\n```python\n{onnx_code(student)}```\n\n"
        f"`{MODEL}` takes `input_ids` and `attention_mask` (int64, articles by tokens, padded on the right) and gives "
        f"`scores`, which are final, and `raw`, which are neither corrected by the score curves nor clamped.{typed}",
        f"`{RECORD}` says how far `{MODEL}` is from the adapter's own predictions.",
        "which the code of this page names",
    )


def onnx_code(student: Student, *, folder: Path | None = None, use: bool = True) -> str:
    """Return the code of the card.

    Args:
        student: the student.
        folder: where the exported files lie on this machine; None for the folder of the card.
        use: True for the line that scores one article.

    Returns:
        Python that defines `scores(articles)`, of (title, content) pairs; where the student names content types, also
        `read(articles)`, which gives each article's scores and type.
    """
    types = _head(student)
    where = '"."' if folder is None else repr(str(folder))
    ids = "tokenizer.encode(text, add_special_tokens=False).ids"
    return (
        _CODE.format(folder=where, names=student.facts.dimensions, model=MODEL)
        + CLEAN
        + tokens_by(student.facts, student.base, ids)
        + _OUTPUTS
        + (_SCORES if types is None else _READ.format(types=types.names))
        + (_USE.format(function="scores" if types is None else "read") if use else "")
    )


def _head(student: Student) -> TypeHead | None:
    """Return the head that names content types, where it has a row."""
    return student.types if student.types is not None and student.types.names else None


def write_graph(student: Student, path: Path, about: dict[str, str]) -> None:
    """Write a student as ONNX.

    Args:
        student: the student.
        path: the file.
        about: what the file says of itself, beside dimensions and content types.

    Raises:
        InputError: torch can't export this architecture.
    """
    from distillery.components.student.graph import Corrected
    from distillery.components.student.model import merged

    facts, types, tensors, rows = student.facts, _head(student), student.tensors, len(student.dimensions)
    about = {**about, "dimensions": json.dumps(student.dimensions)}
    if types is not None:
        tensors, rows = types.below(tensors, facts), rows + len(types.names)
        pairs = zip(types.names, types.thresholds, strict=True)
        about["content_types"] = json.dumps([{"name": name, "threshold": threshold} for name, threshold in pairs])
    model = merged(student.base, facts.lora, rows, tensors, pooling=facts.pooling)
    try:
        write(Corrected(model, student.score_curves, types), path, about)
    except Exception as error:  # whatever the exporter raises
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
        what, hint = f"torch can't export this student as ONNX: {reason}", "export a folder or an image instead"
        raise InputError(what, where=student.base.ref, hint=hint) from error


def write(model: Corrected, path: Path, about: dict[str, str]) -> None:
    """Write a graph as ONNX, the same bytes for the same graph.

    Args:
        model: the graph.
        path: the file.
        about: what the file says of itself.
    """
    import onnx
    import torch

    from distillery.components.student.graph import example

    inputs, outputs = ["input_ids", "attention_mask"], [*SCORES, *(TYPES if model.types else [])]
    axes = {**{name: {0: "articles", 1: "tokens"} for name in inputs}, **{name: {0: "articles"} for name in outputs}}
    with torch.inference_mode(), warnings.catch_warnings():
        # Of Python values in shapes, which golden texts of other lengths show, and that it is the older exporter: the newer
        # one takes 20 times as long, and writes this machine's paths into the file.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model,
            example(),
            path,
            dynamo=False,
            input_names=inputs,
            output_names=outputs,
            dynamic_axes=axes,
            opset_version=OPSET,
        )
    graph = onnx.load(path)
    onnx.helper.set_model_props(graph, {f"{OURS}{name}": value for name, value in about.items()})
    onnx.save(graph, path)


def check(student: Student, folder: Path) -> ReadBack:
    """Score the golden texts from exported files by the code of their card, and compare with the adapter's scores and types.

    Args:
        student: the student.
        folder: the files.

    Returns:
        What the files give.

    Raises:
        InputError: a score, raw or final, differs by more than 0.001 points, a content type's probability by as much, a type is
            named otherwise than by probabilities and thresholds, or the files can't be loaded.
    """
    texts, raw = student.golden
    batches, types, code = [texts, *([text] for text in texts)], _head(student), onnx_code(student, folder=folder, use=False)
    names: dict[str, Any] = {}
    with loaded(folder):
        exec(compile(code, "the card's code", "exec"), names)
        if types is None:
            rows = [row for batch in batches for row in names["scores"](batch)]
        else:
            answers = [answer for batch in batches for answer in names["read"](batch)]
            rows, kinds = [row for row, _ in answers], [kind for _, kind in answers]
        outputs = [names["outputs"](batch) for batch in batches]  # what the card's other functions leave out
    scores = np.split(np.array([list(row.values()) for row in rows]), 2)
    differences = apart(scores, student.scores(raw)), apart(np.split(_column(outputs, "raw"), 2), raw)
    require_same(float(np.max(differences)), str(folder), judged=student.plan.precision)
    if types is None:
        return ReadBack(scores, [])
    _require_types(types, chances := _column(outputs, TYPES[1]), kinds, str(folder), mend(student.plan.precision))
    return ReadBack(scores, np.split(chances, 2))


def _column(outputs: list[dict[str, Any]], name: str) -> NDArray[np.float64]:
    return np.array([row for output in outputs for row in output[name]], dtype=np.float64)


def _require_types(types: TypeHead, found: NDArray[np.float64], kinds: list[str | None], where: str, hint: str) -> None:
    """Raise unless probabilities are the adapter's, and types follow from them, which near a threshold may be others."""
    difference = float(apart(np.split(found, 2), np.array(types.file.golden)).max())
    if not difference <= GOLDEN_TOLERANCE:
        what = f"what was written gives other content types than the adapter (probabilities off by {difference:.3g})"
        raise InputError(what, where=where, hint=hint)
    if kinds != types.named(found):
        raise InputError("what was written names content types otherwise than by their thresholds", where=where, hint=hint)


def apart(found: list[NDArray[np.float64]], wanted: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how far scores or probabilities are from others.

    Args:
        found: (n, D) each, as `check` returns them.
        wanted: (n, D).

    Returns:
        (D,) the largest difference in each column; NaN where there is one.
    """
    largest: NDArray[np.float64] = np.max([np.abs(each - wanted).max(0) for each in found], axis=0)
    return largest


def _record(store: Store, bundle: BundleCopy, found: ReadBack) -> bytes:
    """Return how far the file's scores are from the adapter's in fp32, and from those in the plan that the benchmark judged."""
    student = bundle.student
    texts, raw = student.golden
    differences = apart(found.scores, student.scores(raw)).round(DECIMALS).tolist()
    plan, judged = student.plan, student.scores(raw)
    noted = judged_plan(store, bundle.digest, bundle.filter.spec.student.precision)
    if noted is not None and student.parity is not None and (candidate := student.parity.of(noted)):
        plan, judged = noted, student.scores(np.array(candidate.golden))
    record: dict[str, Any] = {
        "adapter": bundle.digest,
        "filter": bundle.filter.name,
        "file": MODEL,
        "opset": OPSET,
        "precision": "fp32",
        "golden texts": len(texts),
        "tolerance": GOLDEN_TOLERANCE,
        "differences": {**dict(zip(student.dimensions, differences, strict=True)), "largest": max(differences)},
        "judged": {"plan": str(plan), "difference": round(float(apart(found.scores, judged).max()), DECIMALS)},
    }
    if (types := _head(student)) is not None:
        record["content types"] = {
            "thresholds": dict(zip(types.names, types.thresholds, strict=True)),
            "difference": round(float(apart(found.probabilities, np.array(types.file.golden)).max()), DECIMALS),
        }
    return (json.dumps(record, indent=2, allow_nan=False) + "\n").encode()
