"""The Open Inference Protocol, version 2: what a client of KServe or Triton asks for is answered as it expects."""

from __future__ import annotations

from typing import Any

import pytest

from distillery.components.serving.app import Service
from tests.serving.made import FILTER, Client

TEXTS = ["a village builds a cheap wind turbine of steel", "a casino by the river opens to the public", "the city school"]


def infer(*texts: str, **more: Any) -> dict[str, Any]:
    content = {"name": "content", "shape": [len(texts)], "datatype": "BYTES", "data": list(texts)}
    return {"inputs": [content, *more.pop("inputs", [])], **more}


def tensors(answer: Any) -> dict[str, Any]:
    return {each["name"]: each for each in answer["outputs"]}


def test_health_and_metadata(client: Client, service: Service) -> None:
    assert client.ask("GET", "/v2/health/live").json == {"live": True}
    ready = client.ask("GET", "/v2/health/ready")
    assert (ready.status, ready.json["ready"]) == (200, True)
    assert client.ask("GET", "/v2").json["name"] == "llm-distillery"
    assert client.ask("GET", "/v2/models").json == {"models": ["demo"]}
    assert client.ask("GET", "/v2/models/demo/ready").json == {"name": "demo", "ready": True}
    model = client.ask("GET", "/v2/models/demo").json
    adapter = service.model("demo").adapter
    assert model["versions"] == [adapter]
    assert [each["name"] for each in model["inputs"]] == ["content", "title"]
    assert {each["name"]: each["shape"] for each in model["outputs"]}["scores"] == [-1, 3]
    assert client.ask("GET", f"/v2/models/demo/versions/{adapter}").json == model
    for path in ("/v2/models/other", "/v2/models/demo/versions/1", "/v2/models/demo/versions/1/ready", "/v2/nowhere"):
        assert client.ask("GET", path).status == 404


def test_tensors_say_what_the_plain_form_says(client: Client) -> None:
    plain = client.score(*TEXTS).json["scores"]
    answer = client.ask("POST", "/v2/models/demo/infer", infer(*TEXTS, id="42")).json
    assert (answer["model_name"], answer["id"], len(answer["model_version"])) == ("demo", "42", 64)
    found = tensors(answer)
    assert list(found) == ["scores", "overall", "tier", "prefiltered", "reason"]
    assert found["scores"]["shape"] == [3, 3]
    for number, row in enumerate(plain):
        scores = found["scores"]["data"][3 * number : 3 * number + 3]
        if row["prefiltered"]:
            assert (scores, found["overall"]["data"][number], found["tier"]["data"][number]) == ([-1, -1, -1], -1, "")
            assert found["prefiltered"]["data"][number] == row["prefiltered"]
            continue
        assert scores == pytest.approx([row["scores"][name] for name in FILTER.dimensions], abs=1e-4)
        assert found["overall"]["data"][number] == pytest.approx(row["overall"], abs=1e-4)
        assert found["tier"]["data"][number] == row["tier"]
        assert found["reason"]["data"][number] == (row["reason"] or "")
    assert [bool(row["prefiltered"]) for row in plain] == [False, True, False]


def test_titles_are_read_and_outputs_chosen(client: Client) -> None:
    title = {"name": "title", "shape": [1, 1], "datatype": "BYTES", "data": [["A new turbine"]]}
    asked = infer(TEXTS[0], inputs=[title], outputs=[{"name": "tier"}, {"name": "overall"}])
    answer = client.ask("POST", "/v2/models/demo/infer", asked).json
    assert [each["name"] for each in answer["outputs"]] == ["tier", "overall"]
    plain = client.score({"title": "A new turbine", "content": TEXTS[0]}).json["scores"][0]
    assert tensors(answer)["overall"]["data"] == [pytest.approx(plain["overall"], abs=1e-4)]


CONTENT = infer("some text of words")["inputs"][0]
BAD: list[tuple[Any, str]] = [
    ([], "not a JSON object"),
    ({}, "inputs: is not a list of tensors"),
    ({"inputs": [1]}, "inputs[0]: is not one of ours"),
    ({"inputs": [{**CONTENT, "name": "text"}]}, "inputs are content and title"),
    ({"inputs": [{**CONTENT, "datatype": "FP32"}]}, "BYTES"),
    ({"inputs": [{**CONTENT, "shape": [2]}]}, "shape is not [1]"),
    ({"inputs": [{**CONTENT, "data": [1]}]}, "not a list of texts"),
    ({"inputs": [{**CONTENT, "data": []}]}, "not a list of texts"),
    ({"inputs": [CONTENT, CONTENT]}, "twice"),
    ({"inputs": [{**CONTENT, "name": "title"}]}, "content is missing"),
    ({"inputs": [CONTENT, {**CONTENT, "name": "title", "shape": [2], "data": ["a", "b"]}]}, "2 titles for 1"),
    ({"inputs": [CONTENT], "outputs": [{"name": "verdict"}]}, "outputs are scores"),
    ({"inputs": [CONTENT], "id": 7}, "is not a text"),
    ({"inputs": [{**CONTENT, "data": ["  "]}]}, "content[0]: "),
]


@pytest.mark.parametrize(("body", "told"), BAD)
def test_a_bad_request_is_told_as_the_protocol_wants_and_in_parts(client: Client, body: Any, told: str) -> None:
    answer = client.ask("POST", "/v2/models/demo/infer", body)
    assert answer.status == 400
    assert told in answer.json["error"]
    assert "\n" not in answer.json["error"]
    assert set(answer.json) == {"error", "what", "where", "hint"}


def test_binary_tensors_are_refused_before_they_are_read(client: Client) -> None:
    answer = client.ask("POST", "/v2/models/demo/infer", b"\x00" * 64, {"Inference-Header-Content-Length": "10"})
    assert answer.status == 400
    assert "binary" in answer.json["error"]
