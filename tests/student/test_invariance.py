"""An article's score is its own, whatever shares its batch: measured for every architecture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from distillery.components.student import invariance
from distillery.components.student.base_files import parse_config
from distillery.components.student.body import settings_of
from distillery.components.student.invariance import TOLERANCE, batch_difference, require_invariance, shrink
from distillery.components.student.resolve import resolve_base
from distillery.filters.errors import InputError
from tests.student.tiny import TINY, VARIANTS


@pytest.mark.parametrize(("name", "config"), VARIANTS)
def test_every_architecture_is_invariant(name: str, config: dict[str, Any]) -> None:
    assert batch_difference({"model_type": name, **config}) < TOLERANCE / 10


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("llama", {"is_causal": False}),
        ("qwen2", {"is_causal": False}),
        ("gemma", {"use_bidirectional_attention": True}),
        ("gemma2", {"is_causal": False}),
        ("gemma3_text", {"use_bidirectional_attention": True}),
    ],
)
def test_a_decoder_that_looks_ahead_is_seen_twice(name: str, changed: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """By its configuration, without torch; and by the measurement, if no list of keys knew of it."""
    config = {"model_type": name, **TINY[name]}
    with pytest.raises(InputError, match=next(iter(changed))):
        parse_config(json.dumps(config | changed).encode(), name)
    settings = settings_of

    def looks_ahead(config: dict[str, Any]) -> Any:
        made = settings(config)
        for key, value in changed.items():
            setattr(made, key, value)
        return made

    monkeypatch.setattr("distillery.components.student.body.settings_of", looks_ahead)
    assert batch_difference(config) > 10 * TOLERANCE


@pytest.mark.parametrize("kind", ["tiny_encoder", "tiny_decoder"])
def test_a_base_model_is_measured(kind: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    folder: Path = request.getfixturevalue(kind)
    require_invariance(resolve_base(str(folder)))
    for difference in (0.5, float("nan")):
        monkeypatch.setattr(invariance, "batch_difference", lambda _, found=difference: found)
        with pytest.raises(InputError, match="depend on what shares a batch"):
            require_invariance(resolve_base(str(folder)))


def test_a_large_model_is_measured_small() -> None:
    config = {"model_type": "qwen2", **TINY["qwen2"], "hidden_size": 2**14, "num_attention_heads": 128, "vocab_size": 2**18}
    small = shrink(config | {"num_key_value_heads": 8, "num_hidden_layers": 80, "intermediate_size": 2**15})
    assert (small["hidden_size"], small["num_hidden_layers"], small["num_key_value_heads"]) == (256, 6, 1)
