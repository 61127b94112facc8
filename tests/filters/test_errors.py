"""An InputError is one harmless line, whatever it quotes."""

from __future__ import annotations

import pytest

from distillery.filters.errors import InputError
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
