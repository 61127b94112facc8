"""The Open Inference Protocol, version 2, over HTTP and JSON: how its tensors say what a request and an answer say.

A tensor can't say null. Where the prefilter left an article out, `prefiltered` says why, `overall` and `scores` are -1, which
no score is, and `tier` is empty.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from distillery.components.articles.articles import Article
from distillery.components.serving.models import Model
from distillery.components.serving.requests import as_json, read_articles, read_json
from distillery.filters.errors import InputError

NONE: Final = -1.0
INPUTS: Final = ("content", "title")
OUTPUTS: Final = {"scores": "FP64", "overall": "FP64", "tier": "BYTES", "prefiltered": "BYTES", "reason": "BYTES"}


class Infer(NamedTuple):
    """An inference request.

    Attributes:
        id: what the client calls it; "" for nothing.
        articles: one or more.
        outputs: names of the outputs that are asked for, in order.
    """

    id: str
    articles: list[Article]
    outputs: list[str]


def read_infer(body: bytes) -> Infer:
    """Read an inference request.

    Args:
        body: from outside.

    Returns:
        What it asks for.

    Raises:
        InputError: it can't be read; nothing of it is scored.
    """
    value = read_json(body)
    name, inputs = value.get("id", ""), value.get("inputs")
    if not isinstance(name, str):
        raise InputError("is not a text", where="id")
    if not isinstance(inputs, list) or not inputs:
        raise InputError("is not a list of tensors", where="inputs", hint="give content, and title where there is one")
    columns = dict[str, list[str]]()
    for number, tensor in enumerate(inputs):
        label, texts = _tensor(tensor, f"inputs[{number}]")
        if label in columns:
            raise InputError(f"{label} is given twice", where=f"inputs[{number}]")
        columns[label] = texts
    content = columns.get("content")
    if content is None:
        raise InputError("content is missing", where="inputs", hint="give a BYTES tensor of that name")
    title = columns.get("title", [""] * len(content))
    if len(title) != len(content):
        raise InputError(f"{len(title)} titles for {len(content)} contents", where="inputs", hint="give one for each")
    rows = [{"title": head, "content": text} for head, text in zip(title, content, strict=True)]
    return Infer(name, read_articles(rows, "content"), _outputs(value.get("outputs")))


def _tensor(tensor: Any, where: str) -> tuple[str, list[str]]:
    """Return the name and the texts of an input."""
    if not isinstance(tensor, dict) or tensor.get("name") not in INPUTS:
        raise InputError("is not one of ours", where=where, hint=f"inputs are {' and '.join(INPUTS)}")
    name, data, shape = str(tensor["name"]), tensor.get("data"), tensor.get("shape")
    if tensor.get("datatype") != "BYTES":
        raise InputError("is not of datatype BYTES", where=f"{where} {name}", hint="send texts")
    if isinstance(data, list) and all(isinstance(row, list) and len(row) == 1 for row in data):
        data = [row[0] for row in data]
    if not isinstance(data, list) or not data or not all(isinstance(text, str) for text in data):
        raise InputError("its data is not a list of texts", where=f"{where} {name}", hint="binary tensors are not read")
    if shape not in ([len(data)], [len(data), 1]):
        raise InputError(f"its shape is not [{len(data)}]", where=f"{where} {name}", hint="state how many texts there are")
    return name, data


def _outputs(given: Any) -> list[str]:
    if given is None or given == []:
        return list(OUTPUTS)
    names = [each.get("name") if isinstance(each, dict) else None for each in given] if isinstance(given, list) else [None]
    if unknown := [name for name in names if name not in OUTPUTS]:
        hint = f"outputs are {', '.join(OUTPUTS)}"
        raise InputError(f"{str(unknown[0])[:80]!r} is not one of ours", where="outputs", hint=hint)
    return [str(name) for name in names]


def infer_answer(model: Model, infer: Infer, answers: list[dict[str, Any]]) -> bytes:
    """Return the answer to an inference request.

    Args:
        model: what scored it.
        infer: the request.
        answers: of `Model.judge`.

    Returns:
        JSON.
    """
    number, names = len(answers), model.filter.dimensions
    columns: dict[str, tuple[list[int], list[Any]]] = {
        "scores": (
            [number, len(names)],
            [answer["scores"][name] if answer["scores"] else NONE for answer in answers for name in names],
        ),
        "overall": ([number], [NONE if answer["overall"] is None else answer["overall"] for answer in answers]),
    }
    columns |= {key: ([number], [answer[key] or "" for answer in answers]) for key in ("tier", "prefiltered", "reason")}
    outputs = [
        {"name": name, "datatype": OUTPUTS[name], "shape": columns[name][0], "data": columns[name][1]} for name in infer.outputs
    ]
    said = {"id": infer.id} if infer.id else {}
    return as_json({"model_name": model.filter.name, "model_version": model.adapter, **said, "outputs": outputs})


def metadata(model: Model) -> dict[str, Any]:
    """Return what the protocol says of a model.

    Args:
        model: the model.

    Returns:
        JSON values.
    """
    shapes = {name: [-1] for name in OUTPUTS} | {"scores": [-1, len(model.filter.dimensions)]}
    return {
        "name": model.filter.name,
        "versions": [model.adapter],
        "platform": "llm-distillery",
        "inputs": [{"name": name, "datatype": "BYTES", "shape": [-1]} for name in INPUTS],
        "outputs": [{"name": name, "datatype": kind, "shape": shapes[name]} for name, kind in OUTPUTS.items()],
        "parameters": {"dimensions": ",".join(model.filter.dimensions), "plan": model.plan},
    }
