"""An InputError is one harmless line, whatever it quotes."""

from __future__ import annotations

import pytest

from distillery.filters.errors import InputError, blamed_on
from distillery.filters.loading import load_filter_text


def test_it_is_one_line_that_any_terminal_can_print() -> None:
    error = InputError("bad \n value \x1b[31m\ud800", where="a\u2028b:1", hint="mend\rit")
    assert str(error) == "a�b:1: bad   value �[31m�; mend it"
    assert (error.what, error.where, error.hint) == ("bad   value �[31m�", "a�b:1", "mend it")
    str(error).encode("utf-8")


@pytest.mark.parametrize("key", ['"a\\nb"', '"\\e[31mred"', '"\\ud800"'])
def test_hostile_keys_are_quoted_harmlessly(text: str, key: str) -> None:
    with pytest.raises(InputError) as caught:
        load_filter_text(text.replace("  version: 1\n", f"  version: 1\n  {key}: 1\n"), "filter.yaml")
    assert str(caught.value).startswith("filter.yaml:")
    assert str(caught.value).isprintable()


SPELLINGS = [
    (InputError("not there", where="a.jsonl", parameter="labels"), "--labels a.jsonl: not there", "labels a.jsonl: not there"),
    (InputError("must be 0 or more", parameter="gpus"), "--gpus: must be 0 or more", "gpus: must be 0 or more"),
    (InputError("no key", where="f.yaml:3", parameter="filter"), "f.yaml:3: no key", "filter: f.yaml:3: no key"),
    (InputError("no key", where="filter text:3", parameter="filter"), "filter text:3: no key", "filter text:3: no key"),
    (InputError("no such file", where="labels.jsonl", parameter="labels"), "--labels labels.jsonl: no such file",
     "labels labels.jsonl: no such file"),
    (InputError("no key", where="{overrides} training.x"), "--set training.x: no key", "overrides training.x: no key"),
    (InputError("bad", hint="write {max_rejects} 1%"), "bad; write --max-rejects 1%", "bad; write max_rejects 1%"),
    (InputError("{articles} and {labels} are both given", parameter="articles"), "--articles and --labels are both given",
     "articles and labels are both given"),
    (InputError("no such file", where="r.jsonl", parameter="oracle.replies"), "oracle.replies r.jsonl: no such file",
     "oracle.replies r.jsonl: no such file"),
]  # fmt: skip


@pytest.mark.parametrize(("error", "terminal", "form"), SPELLINGS)
def test_a_parameter_is_spelt_as_its_reader_knows_it(error: InputError, terminal: str, form: str) -> None:
    assert str(error) == terminal
    assert error.for_form() == form


def test_a_block_blames_its_parameter_where_the_error_blames_none() -> None:
    with pytest.raises(InputError) as caught, blamed_on("filter"):
        raise InputError("no key", where="f.yaml:3")
    assert caught.value.for_form() == "filter: f.yaml:3: no key"
    with pytest.raises(InputError) as caught, blamed_on("filter"):
        raise InputError("no such file", parameter="labels")
    assert caught.value.parameter == "labels"
    with pytest.raises(InputError) as caught, blamed_on("filter"):
        raise InputError("no key", where="{overrides} training.x")
    assert caught.value.for_form() == "overrides training.x: no key"
