"""What is known of an architecture without torch is what transformers builds."""

from __future__ import annotations

import json
from typing import Any

import pytest

from distillery.components.student.architectures import ARCHITECTURES
from distillery.components.student.base_files import parse_config
from distillery.components.student.body import random_body, settings_of
from tests.student.tiny import TINY, VARIANTS


def test_each_architecture_has_a_tiny_configuration() -> None:
    assert TINY.keys() == ARCHITECTURES.keys()


@pytest.mark.parametrize(("name", "config"), VARIANTS)
def test_the_tensors_known_without_torch_are_those_of_the_model(name: str, config: dict[str, Any]) -> None:
    import torch

    checked = parse_config(json.dumps({"model_type": name, **config}).encode(), name)
    with torch.device("meta"):
        body = random_body(settings_of(checked))
    built = {key: tuple(tensor.shape) for key, tensor in body.state_dict().items()}
    assert ARCHITECTURES[name].shapes(checked) == built


@pytest.mark.parametrize(("name", "config"), VARIANTS)
def test_the_linear_layers_known_without_torch_are_those_of_the_model(name: str, config: dict[str, Any]) -> None:
    import torch

    checked = parse_config(json.dumps({"model_type": name, **config}).encode(), name)
    with torch.device("meta"):
        body = random_body(settings_of(checked))
    linear = {key: tuple(each.weight.shape) for key, each in body.named_modules() if isinstance(each, torch.nn.Linear)}
    assert ARCHITECTURES[name].linears(checked) == linear


@pytest.mark.parametrize(("name", "config"), VARIANTS)
def test_a_configuration_that_transformers_wrote_passes(name: str, config: dict[str, Any]) -> None:
    from transformers import AutoConfig

    settings = AutoConfig.for_model(name, **config)
    for text in (settings.to_json_string(use_diff=True), settings.to_json_string(use_diff=False)):
        assert ARCHITECTURES[name].shapes(parse_config(text.encode(), name)) == ARCHITECTURES[name].shapes(config)
