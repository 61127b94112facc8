"""The code that a card shows: from the exported files to scores, with peft and transformers alone.

Every export runs it on what it wrote, so that what a reader copies is what was checked.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from logging import CRITICAL
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from distillery.components.artifacts.bundle import StudentFacts
from distillery.components.student.base import Base
from distillery.components.student.pooling import names_of
from distillery.components.student.tokens import CHARS_PER_TOKEN, Preprocessing, Tokenizing

_HEAD: Final = """\
import json
import re
import unicodedata
from pathlib import Path

import numpy as np
import torch
{imports}

folder = Path({folder})  # where the files of this page are
base, revision = {base}, {revision!r}
names = {names!r}

tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
curves = json.loads((folder / "calibration.json").read_text(encoding="utf-8"))["dimensions"]
"""
_ENCODER: Final = """\
body = AutoModel.from_pretrained(base, revision=revision, dtype=torch.float32)
model = PeftModel.from_pretrained(body, folder).eval()
head = load_file(folder / "adapter_model.safetensors")["head.weight"]
"""
_DECODER: Final = """\
body = AutoModelForSequenceClassification.from_pretrained(
    base, revision=revision, num_labels=len(names), dtype=torch.float32
)
body.config.pad_token_id = None  # one article at a time: the last token counts
model = PeftModel.from_pretrained(body, folder).eval()
"""
_WHOLE_ENCODER: Final = """\
tensors = load_file(folder / "adapter_model.safetensors")
head = tensors.pop("head.weight")
model = AutoModel.from_pretrained(base, revision=revision, dtype=torch.float32).eval()
model.load_state_dict(tensors, strict=False)  # all but the pooler, which isn't used
"""
_WHOLE_DECODER: Final = """\
model = AutoModelForSequenceClassification.from_pretrained(
    base, revision=revision, num_labels=len(names), dtype=torch.float32
).eval()
model.config.pad_token_id = None  # one article at a time: the last token counts
model.load_state_dict(load_file(folder / "adapter_model.safetensors"))
"""
_QUERY: Final = """\
query = load_file(folder / "adapter_model.safetensors")["pooling.query"]


def attended(states):
    return (torch.softmax(states @ query, dim=1)[..., None] * states).sum(1)

"""
# What becomes of the states of one article's tokens.
_POOLED: Final = {
    "mean": "model(input_ids=ids).last_hidden_state.mean(1)",
    "cls": "model(input_ids=ids).last_hidden_state[:, 0]",
    "attention": "attended(model(input_ids=ids).last_hidden_state)",
}
# By whose names the tensors have, and whether every weight was trained.
_MODELS: Final = {
    ("encoder", False): _ENCODER,
    ("decoder", False): _DECODER,
    ("encoder", True): _WHOLE_ENCODER,
    ("decoder", True): _WHOLE_DECODER,
}
CLEAN: Final = r"""

def clean(text):
    text = re.sub(r"[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f]", "", text)
    return " ".join(unicodedata.normalize("NFC", text).split())

"""
_HEAD_ONLY: Final = """
def tokens(title, content):
    text = f"{{clean(title[:{most}])}}\\n\\n{{clean(content[:{twice}])}}"
    return tokenizer(text, truncation=True, max_length={length})["input_ids"]

"""
_HEAD_AND_TAIL: Final = """
def tokens(title, content):
    if len(content) > {fourfold}:
        content = f"{{content[:{twice}]}} {{content[-{twice}:]}}"
    text = f"{{clean(title[:{most}])}}\\n\\n{{clean(content)}}"
    ids = {ids}
    if len(ids) > {room}:
        ids = ids[:{head}] + ids[len(ids) - {tail} :]
    return [*{prefix!r}, *ids, *{suffix!r}]

"""
_HEAD_CUT: Final = """
def tokens(title, content):
    text = f"{{clean(title[:{most}])}}\\n\\n{{clean(content[:{twice}])}}"
    ids = {ids}
    return [*{prefix!r}, *ids[:{room}], *{suffix!r}]

"""
_SCORES: Final = """
@torch.no_grad()
def raw_scores(title, content):
    ids = torch.tensor([tokens(title, content)])
    return {raw}[0].double().numpy()


def scores(title, content):
    raw = raw_scores(title, content)
    if curves:
        raw = [np.interp(value, curves[name]["x"], curves[name]["y"]) for name, value in zip(names, raw)]
    return dict(zip(names, np.clip(raw, 0, 10).tolist()))
"""
_USE: Final = """

print(scores("A title", "The text of an article."))
"""


def snippet(
    facts: StudentFacts, base: Base, *, at: str, revision: str | None = None, folder: str = '"."', use: bool = True
) -> str:
    """Return the code.

    Args:
        facts: student.json.
        base: the base model, for its tokenizer.
        at: a Python expression for what transformers loads the base model from.
        revision: of a base model on the hub.
        folder: a Python expression for the folder of the exported files.
        use: True for the line that scores one article.

    Returns:
        Python that defines `raw_scores(title, content)` and `scores(title, content)`.
    """
    names, whole = names_of(facts.base.kind, facts.pooling), facts.lora is None
    decoder = names == "decoder"
    automatic = "AutoModelForSequenceClassification" if decoder else "AutoModel"
    imports = "\n".join(
        [
            *([] if whole else ["from peft import PeftModel"]),
            *(["from safetensors.torch import load_file"] if whole or not decoder else []),
            f"from transformers import {automatic}, PreTrainedTokenizerFast",
        ]
    )
    tokens = _HEAD_ONLY.format(**lengths(facts))
    if facts.headTail is not None or facts.instruction:  # the instruction's tokens are part of the prefix
        tokens = tokens_by(facts, base, 'tokenizer(text, add_special_tokens=False)["input_ids"]')
    raw = "model(input_ids=ids).logits" if decoder else f"({_POOLED[facts.pooling]} @ head.T)"
    return (
        _HEAD.format(imports=imports, folder=folder, base=at, revision=revision, names=facts.dimensions)
        + _MODELS[names, whole]
        + (_QUERY if facts.pooling == "attention" else "")
        + CLEAN
        + tokens
        + _SCORES.format(raw=raw)
        + (_USE if use else "")
    )


def lengths(facts: StudentFacts) -> dict[str, int]:
    """Return what the code cuts texts by.

    Args:
        facts: student.json.

    Returns:
        length: tokens that are kept; most, twice, fourfold: characters beyond which a text is not looked at.
    """
    most = facts.maxLength * CHARS_PER_TOKEN
    return {"most": most, "twice": 2 * most, "fourfold": 4 * most, "length": facts.maxLength}


def tokens_by(facts: StudentFacts, base: Base, ids: str) -> str:
    """Return the code of `tokens(title, content)` that cuts by itself, whatever tokenises.

    Args:
        facts: student.json.
        base: the base model, for its tokenizer.
        ids: a Python expression for the ids of `text` without special ones.

    Returns:
        Python.
    """
    cut = Tokenizing(base, Preprocessing(facts.maxLength, facts.headTail, facts.instruction)).cut()
    return (_HEAD_CUT if facts.headTail is None else _HEAD_AND_TAIL).format(**lengths(facts), **cut, ids=ids)


def run(code: str, texts: Sequence[tuple[str, str]]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Score texts by the code of a card.

    Args:
        code: what `snippet` returned, without the line that uses it.
        texts: (title, content) pairs.

    Returns:
        (n, D) raw scores and (n, D) final scores.
    """
    names: dict[str, Any] = {}
    with _quietly():
        exec(compile(code, "the card's code", "exec"), names)
        raw = [names["raw_scores"](*text) for text in texts]
        final = [list(names["scores"](*text).values()) for text in texts]
    return np.array(raw, dtype=np.float64), np.array(final, dtype=np.float64)


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep the libraries from telling of weights that the code doesn't use, and peft of the head, which the code reads."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(CRITICAL)
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]
