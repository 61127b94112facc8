"""Article → token ids → batches, the same way in training and in serving.

Each article is cleaned and tokenised once; ids lie in one flat int32 array, so an epoch costs slicing and no strings.
What the model sees of a long article is fixed by `Preprocessing`, whose digest is part of every bundle.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from distillery.components.articles.shingle_sets import Spill
from distillery.components.store import Digest, digest_json
from distillery.components.student.architectures import ARCHITECTURES
from distillery.components.student.base import Base
from distillery.components.student.base_files import CONFIG, TOKENIZER, unloadable
from distillery.filters.errors import InputError
from distillery.filters.strict_json import loads

if TYPE_CHECKING:
    from tokenizers import Tokenizer

VERSION = 1
CHARS_PER_TOKEN = 32  # text beyond this many characters per kept token is never looked at, so 50 MB cost no more than 50 kB
ARTICLE_SHARE = 0.5  # of maxLength, which an instruction must leave to the article
CHUNK = 512  # articles tokenised per call
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f]")


@dataclass(frozen=True)
class Preprocessing:
    """Fix what the model sees of an article.

    Attributes:
        maxLength: tokens kept, special ones counted.
        headTail: share of them taken from the head, the rest from the tail; None for the head only.
        instruction: text that stands before every article, and takes its tokens from maxLength; "" for none.
    """

    maxLength: int
    headTail: float | None
    instruction: str = ""

    def facts(self) -> dict[str, Any]:
        """Return what decides the tokens, with its digest.

        Returns:
            Plain values for the bundle.
        """
        body = {
            "version": VERSION,
            "template": "title, blank line, content",
            "unicode": "NFC",
            "charsPerToken": CHARS_PER_TOKEN,
            "maxLength": self.maxLength,
            "headTail": self.headTail,
            **({"instruction": self.instruction} if self.instruction else {}),
        }
        return {**body, "digest": digest_json(body)}

    @property
    def digest(self) -> Digest:
        """Return the digest of everything that decides the tokens."""
        return Digest(self.facts()["digest"])


def clean(text: str) -> str:
    """Return a text in NFC, without control characters, with lone surrogates replaced and white space runs made one space.

    Args:
        text: any text.

    Returns:
        The clean text.
    """
    text = _CONTROL.sub("", text)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return " ".join(unicodedata.normalize("NFC", text).split())


def article_text(title: str, content: str, preprocessing: Preprocessing) -> str:
    """Return the text that is tokenised: title, blank line, content, cut to what can possibly be kept.

    Args:
        title: the article's title.
        content: its content.
        preprocessing: how much is kept.

    Returns:
        The text.
    """
    most = preprocessing.maxLength * CHARS_PER_TOKEN
    if preprocessing.headTail is not None and len(content) > 4 * most:
        content = f"{content[: 2 * most]} {content[-2 * most :]}"
    elif preprocessing.headTail is None:
        content = content[: 2 * most]
    return f"{clean(title[:most])}\n\n{clean(content)}"


@dataclass(frozen=True)
class Tokens:
    """Hold the token ids of many articles in one flat array.

    Attributes:
        ids: (sum of lengths,) int32.
        offsets: (n + 1,) int64: where each article begins.
        pad: the id that fills a batch, masked out everywhere.
    """

    ids: NDArray[np.int32]
    offsets: NDArray[np.int64]
    pad: int

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Return the number of tokens of each article, (n,) int64."""
        return np.diff(self.offsets)

    def __getitem__(self, index: int) -> NDArray[np.int32]:
        return self.ids[self.offsets[index] : self.offsets[index + 1]]

    def batch(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return some articles as one rectangle, padded on the right.

        Args:
            rows: their row numbers.

        Returns:
            (b, longest) int64 ids and (b,) int64 lengths.
        """
        lengths = self.lengths[rows]
        padded = np.full((len(rows), int(lengths.max())), self.pad, dtype=np.int64)
        for line, row in zip(padded, rows, strict=True):
            line[: self.offsets[row + 1] - self.offsets[row]] = self[int(row)]
        return padded, lengths


class Tokenizing:
    """Tokenise by the base model's own tokenizer with our truncation.

    Args:
        base: the base model.
        preprocessing: how much of an article is kept.
    """

    def __init__(self, base: Base, preprocessing: Preprocessing) -> None:
        from tokenizers import Tokenizer

        self.preprocessing = preprocessing
        try:
            loads((base.path / TOKENIZER).read_bytes())  # the library takes the last of two entries for one word
            self._tokenizer: Tokenizer = Tokenizer.from_file(str(base.path / TOKENIZER))
        except Exception as error:  # the library raises plain Exception
            raise unloadable(f"{TOKENIZER} can't be read", error, base.ref) from error
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        mask = self._tokenizer.encode("a").special_tokens_mask
        ids = self._tokenizer.encode("a").ids
        first = mask.index(0) if 0 in mask else len(mask)
        last = len(mask) - mask[::-1].index(0) if 0 in mask else len(mask)
        self._prefix, self._suffix = ids[:first], ids[last:]
        config = _read_config(base)
        self.pad = _pad(config)
        self._vocabulary = int(config["vocab_size"])
        limit = _limit(config, preprocessing.maxLength)
        before = self._before(preprocessing.instruction)
        self.instruction_tokens = len(before)
        self._prefix = [*self._prefix, *before]
        room = preprocessing.maxLength - len(self._prefix) - len(self._suffix)
        if preprocessing.maxLength > limit:
            raise InputError(
                f"maxLength {preprocessing.maxLength} is more than the {limit} tokens this base model can read",
                where="student.maxLength",
                hint=f"set it to {limit} or less",
            )
        if before and room < ARTICLE_SHARE * preprocessing.maxLength:
            special = len(self._prefix) + len(self._suffix) - len(before)
            least = math.ceil((len(before) + special) / (1 - ARTICLE_SHARE))
            longer = f", or set student.maxLength to {least}" if least <= limit else f": this base model reads {limit} tokens"
            raise InputError(
                f"the instruction takes {len(before)} tokens and leaves {max(0, room)} of {preprocessing.maxLength} "
                "to the article",
                where="student.instruction",
                hint=f"shorten it{longer}",
            )
        if room < 1:
            raise InputError(f"maxLength {preprocessing.maxLength} leaves no room for the article", where="student.maxLength")
        self._room = room
        self._head: int = self.cut()["head"]

    def _before(self, instruction: str) -> list[int]:
        """Return the tokens of the text that stands before every article."""
        lines = "\n".join(filter(None, map(clean, instruction.splitlines())))
        return list(self._tokenizer.encode(f"{lines}\n\n", add_special_tokens=False).ids) if lines else []

    @property
    def room(self) -> int:
        """Return the tokens that an article may take."""
        return self._room

    def cut(self) -> dict[str, Any]:
        """Return how a longer article is cut, for code that does the same elsewhere.

        Returns:
            room: tokens of an article; head, tail: those kept of a longer one; prefix, suffix: ids around them.
        """
        share = self.preprocessing.headTail
        head = self._room if share is None else max(1, round(share * self._room))
        return {"room": self._room, "head": head, "tail": self._room - head, "prefix": self._prefix, "suffix": self._suffix}

    def _cut(self, ids: list[int]) -> list[int]:
        if len(ids) > self._room:
            head, tail = self._head, self._room - self._head
            ids = ids[:head] + (ids[-tail:] if tail else [])
        return [*self._prefix, *ids, *self._suffix]

    def __call__(self, texts: Iterable[tuple[str, str]]) -> Tokens:
        """(title, content) pairs as tokens, at most maxLength each and at least one; they may come from a disk one by one."""
        lengths, ids, largest, feed = list[int](), Spill(np.int32), 0, iter(texts)
        while pairs := list(islice(feed, CHUNK)):
            chunk = [article_text(title, content, self.preprocessing) for title, content in pairs]
            encodings = self._tokenizer.encode_batch(chunk, add_special_tokens=False)
            rows = [self._cut(encoding.ids) or [self.pad] for encoding in encodings]
            counts = list(map(len, rows))
            piece = np.fromiter(chain.from_iterable(rows), dtype=np.int32, count=sum(counts))
            largest = max(largest, int(piece.max()))
            lengths += counts
            ids.append(piece)
        if largest >= self._vocabulary:
            raise InputError(
                f"the tokenizer knows token {largest}, the base model only {self._vocabulary}",
                where="student.baseModel",
                hint="use the tokenizer that belongs to the model",
            )
        flat: NDArray[np.int32] = ids.read()  # type: ignore[assignment]  # of the type it was made with
        ids.close()
        return Tokens(flat, np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64), self.pad)


def _read_config(base: Base) -> dict[str, Any]:
    config: dict[str, Any] = loads((base.path / CONFIG).read_bytes())
    return config


def _limit(config: dict[str, Any], default: int) -> int:
    """Return how many tokens the base model reads, special ones counted.

    Angles that follow the longest article of a batch (dynamic, longrope) are the same for all only up to the original length.
    """
    limit = int(config.get("max_position_embeddings") or default) - ARCHITECTURES[config["model_type"]].offset
    ropes = [config.get("rope_scaling") or {}, config.get("rope_parameters") or {}]
    for rope in [*ropes, *(part for each in ropes for part in each.values() if isinstance(part, dict))]:
        if rope.get("rope_type", rope.get("type")) in ("dynamic", "longrope", "su"):
            original = rope.get("original_max_position_embeddings") or config.get("original_max_position_embeddings")
            limit = min(limit, int(original or limit))
    return limit


def _pad(config: dict[str, Any]) -> int:
    """Return the id of the padding token, 0 where the model has none.

    Any id will do: padding is masked by length and never by id, since SmolLM2 pads with its end-of-text token.
    """
    pad = config.get("pad_token_id")
    return pad if isinstance(pad, int) and 0 <= pad < int(config["vocab_size"]) else 0


def check_distinct(tokens: Tokens, articles: Iterable[Hashable]) -> float:
    """Return how many inputs are still distinct after truncation.

    A 3,000-token prompt was once cut at 1,024 tokens: every input was the same text, and training reported nothing.

    Args:
        tokens: tokens of the articles.
        articles: (title, content) pairs, or their hashes, in any order.

    Returns:
        Distinct inputs as a share of distinct articles.

    Raises:
        InputError: truncation has made them all the same.
    """
    distinct = len(set(map(hash, articles)))
    inputs = len({hash(tokens[row].tobytes()) for row in range(len(tokens))})
    share = inputs / max(distinct, 1)
    if distinct > 1 and inputs == 1:
        raise InputError(
            "every input is the same text after truncation",
            where="student.maxLength",
            hint="raise maxLength, or look at how the articles begin",
        )
    if distinct >= 20 and share < 0.5:
        raise InputError(
            f"only {inputs} of {distinct} articles are still distinct after truncation",
            where="student.maxLength",
            hint="raise maxLength, or look at how the articles begin",
        )
    return share


def by_length(lengths: NDArray[np.int64], budget: int) -> Iterator[NDArray[np.int64]]:
    """Cut articles into batches of like length, the longest first.

    Args:
        lengths: (n,) tokens of each article.
        budget: most tokens of a batch, padding counted; a batch has one row at least.

    Yields:
        Row numbers of each batch.
    """
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        rows = max(1, budget // int(lengths[order[start]]))
        yield order[start : start + rows]
        start += rows


def micro_batches(rows: NDArray[np.int64], lengths: NDArray[np.int64], budget: int, spare: int) -> Iterator[NDArray[np.int64]]:
    """Cut one optimizer step's articles into forward passes of like length.

    A new pass begins where more than `spare` tokens would be padding: about what one more pass costs. The step itself stays a
    random sample, so bucketing changes nothing but the time.

    Args:
        rows: row numbers of the step's articles.
        lengths: tokens of every article, by row number.
        budget: most tokens of a pass, padding counted.
        spare: padding tokens that cost about as much as one more pass.

    Yields:
        Row numbers of each pass.
    """
    order = rows[np.argsort(-lengths[rows], kind="stable")]
    start, waste = 0, 0
    for end in range(1, len(order) + 1):
        if end < len(order):
            longest = int(lengths[order[start]])
            waste += longest - int(lengths[order[end]])
            if waste <= spare and longest * (end - start + 1) <= budget:
                continue
        yield order[start:end]
        start, waste = end, 0


def epoch_order(rows: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """Return the order of an epoch, which depends on nothing but seed and epoch.

    Args:
        rows: number of articles.
        seed: the training's seed.
        epoch: number of the epoch.

    Returns:
        A permutation of the row numbers.
    """
    return np.random.default_rng([seed, epoch]).permutation(rows).astype(np.int64)
