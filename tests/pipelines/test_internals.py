"""What is used of kfp and openai that neither documents: a release that changes it fails here, by name.

Behaviour is held elsewhere (test_what_ends_a_run, test_versions, submit, labeling/oracles).
`make test-versions` runs what is held of kfp with the oldest and the newest one.
"""

from __future__ import annotations

import ast
import inspect
from types import SimpleNamespace
from typing import Any

import kfp
import openai
from kfp import dsl
from kfp.local import subprocess_task_handler

from distillery.components.splitting.component import split


def called_with(function: Any, name: str) -> list[ast.Call]:
    """The calls of `name` in a function's source."""
    tree = ast.parse(inspect.getsource(function))
    return [node for node in ast.walk(tree) if isinstance(node, ast.Call) and getattr(node.func, "id", "") == name]


def test_kfp_local_runs_a_task_by_one_function_that_is_looked_up_when_it_is_called() -> None:
    assert callable(subprocess_task_handler.run_local_subprocess)
    (call,) = called_with(subprocess_task_handler, "run_local_subprocess")
    assert not call.args  # by name: what stands in its place takes `full_command`, and hands on whatever else there is
    assert "full_command" in {keyword.arg for keyword in call.keywords}


def test_a_components_command_names_its_function() -> None:
    container = split.component_spec.implementation.container
    assert container is not None
    words = [*container.command, *container.args]
    assert words[words.index("--function_to_execute") + 1] == "split"


def test_tasks_take_channels_that_only_their_placement_reads() -> None:
    assert list(inspect.signature(dsl.PipelineTask.register_pipeline_channels).parameters)[1:] == ["pipeline_channels"]


def test_the_client_has_the_parts_that_are_asked_directly() -> None:
    source = inspect.getsource(kfp.Client)
    for part in ("_healthz_api", "_pipelines_api", "_upload_api", "_run_api", "_uihost"):
        assert f"self.{part} = " in source, part


def test_the_openai_client_posts_any_body_and_casts_to_the_plain_response() -> None:
    parameters = inspect.signature(openai.AsyncOpenAI.post).parameters
    assert {"path", "cast_to", "body"} <= set(parameters)
    assert issubclass(openai.APITimeoutError, openai.APIConnectionError)
    assert inspect.signature(openai.AsyncOpenAI).parameters.keys() >= {
        "api_key",
        "base_url",
        "max_retries",
        "timeout",
        "http_client",
    }


def test_the_openai_client_gets_any_path_with_a_query_and_streams_a_file_down() -> None:
    assert {"path", "cast_to", "options"} <= set(inspect.signature(openai.AsyncOpenAI.get).parameters)
    files = openai.AsyncOpenAI(api_key="none").files
    assert {"file", "purpose"} <= set(inspect.signature(files.create).parameters)
    assert callable(files.with_streaming_response.content)


def test_an_openai_error_carries_the_status_the_response_and_the_body() -> None:
    request = SimpleNamespace(method="POST", url="http://127.0.0.1")
    response: Any = SimpleNamespace(status_code=429, headers={"retry-after": "1"}, request=request)
    error = openai.APIStatusError("no", response=response, body={"code": "slow"})
    assert (error.status_code, error.response.headers["retry-after"], error.body, error.message) == (
        429,
        "1",
        {"code": "slow"},
        "no",
    )
