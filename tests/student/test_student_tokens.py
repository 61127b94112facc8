"""What the model sees of an article, and how batches are cut."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import distillery.components.student.tokens as tokens_module
from distillery.components.articles import shingle_sets
from distillery.components.student.resolve import resolve_base
from distillery.components.student.tokens import (
    Preprocessing,
    Tokenizing,
    by_length,
    check_distinct,
    clean,
    epoch_order,
    micro_batches,
)
from distillery.filters.errors import InputError

LONG = "solar panels and wind for the village. " * 40


def test_clean() -> None:
    assert clean("a\x00b \t c\n\nd\u0085e") == "ab c d e"
    assert clean("e\u0301") == "é"
    assert clean("x\ud800y") == "x\ufffdy"


def test_special_tokens_frame_what_is_kept(tiny_encoder: Path) -> None:
    tokenizing = Tokenizing(resolve_base(str(tiny_encoder)), Preprocessing(32, None))
    tokens = tokenizing([("Solar", LONG), ("", "")])
    assert tokens.lengths.tolist()[0] == 32
    assert tokens[0][0] == 1
    assert tokens[0][-1] == 2
    assert len(tokens[1]) >= 2


def test_head_and_tail(tiny_decoder: Path) -> None:
    base = resolve_base(str(tiny_decoder))
    article = [("t", " ".join(map(str, range(100))))]
    whole, cut = (Tokenizing(base, Preprocessing(*kept))(article)[0] for kept in ((512, None), (40, 0.75)))
    assert 40 < len(whole) < 512
    assert cut.tolist() == [*whole[:30], *whole[-10:]]


def test_empty_text_is_still_one_token(tiny_decoder: Path) -> None:
    assert Tokenizing(resolve_base(str(tiny_decoder)), Preprocessing(32, None))([("", "\x00")]).lengths.min() >= 1


def test_fifty_megabytes_cost_no_more_than_their_start(tiny_encoder: Path) -> None:
    tokenizing = Tokenizing(resolve_base(str(tiny_encoder)), Preprocessing(64, None))
    huge = "wind and sun " * 4_000_000
    assert tokenizing([("t", huge)])[0].tolist() == tokenizing([("t", huge[:50_000])])[0].tolist()


def test_more_tokens_than_the_model_reads(tiny_encoder: Path) -> None:
    with pytest.raises(InputError, match="512 tokens"):
        Tokenizing(resolve_base(str(tiny_encoder)), Preprocessing(513, None))


def test_digest_moves_with_what_the_model_sees() -> None:
    digests = {Preprocessing(length, head).digest for length in (128, 192) for head in (None, 0.5)}
    assert len(digests) == 4


def test_tokens_of_articles_that_come_one_by_one_go_through_the_disk(
    tiny_encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizing = Tokenizing(resolve_base(str(tiny_encoder)), Preprocessing(32, None))
    articles = [(f"title {number}", LONG[number:]) for number in range(70)]
    held = tokenizing(articles)
    monkeypatch.setattr(tokens_module, "CHUNK", 9)
    monkeypatch.setattr(shingle_sets.Spill.__init__, "__defaults__", (64,))
    streamed = tokenizing(each for each in articles)
    assert streamed.ids.tolist() == held.ids.tolist()
    assert streamed.offsets.tolist() == held.offsets.tolist()
    assert check_distinct(streamed, {hash(each) for each in articles}) == check_distinct(held, articles)
    assert len(tokenizing(iter(()))) == 0


def test_inputs_that_truncation_made_the_same(tiny_encoder: Path) -> None:
    tokenizing = Tokenizing(resolve_base(str(tiny_encoder)), Preprocessing(16, None))
    prompt = "judge the following article by its effect on the climate and by nothing else please "
    articles = [(prompt, f"article {number}") for number in range(30)]
    with pytest.raises(InputError, match="every input is the same text after truncation"):
        check_distinct(tokenizing(articles), articles)
    half = articles[:20] + [(f"{number}", "x") for number in range(10)]
    with pytest.raises(InputError, match="only 11 of 30 articles"):
        check_distinct(tokenizing(half), half)
    fine = [(f"{number}", "x") for number in range(30)]
    assert check_distinct(tokenizing(fine), fine) == 1.0


def test_batches_cover_each_row_once_within_the_budget() -> None:
    lengths = np.random.default_rng(0).integers(5, 190, 97)
    for batches in (list(by_length(lengths, 400)), list(micro_batches(np.arange(97), lengths, 400, 64))):
        assert sorted(np.concatenate(batches).tolist()) == list(range(97))
        assert all(len(rows) * lengths[rows].max() <= 400 for rows in batches)
    waste = [int((lengths[rows].max() - lengths[rows]).sum()) for rows in micro_batches(np.arange(97), lengths, 400, 64)]
    assert max(waste) <= 64


def test_an_article_longer_than_the_budget_goes_alone() -> None:
    assert [rows.tolist() for rows in by_length(np.array([500, 10, 20]), 100)] == [[0], [2, 1]]


def test_epoch_order_depends_on_seed_and_epoch_only() -> None:
    assert epoch_order(50, 1, 0).tolist() == epoch_order(50, 1, 0).tolist()
    assert epoch_order(50, 1, 0).tolist() != epoch_order(50, 1, 1).tolist()
    assert epoch_order(50, 1, 0).tolist() != epoch_order(50, 2, 0).tolist()
