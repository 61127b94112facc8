"""The process in a scoring pod: what it does, says and ends with; the student is the test's."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError

import distillery.components.scoring.worker as worker
import distillery.components.student.bundle as bundle
from distillery.components.scoring.completion import missing
from distillery.components.scoring.part import score_part
from distillery.components.scoring.plan import Plan, begin, put_todo
from distillery.components.store import Store, open_bucket, open_store
from distillery.components.store import s3_objects as objects_s3
from distillery.components.store.address import Address
from distillery.components.store.layout import part_facts_key
from tests.scoring.test_score import FILTER, Reader

Run = Callable[..., int]


class Loaded(Reader):
    def predict(self, texts: Any, *more: Any, **facts: Any) -> Any:
        return super().predict([text for text in texts if text[1] != "a"], *more, **facts)


@pytest.fixture
def out(store: Store, plan: Plan) -> Store:
    found = open_store(f"{store.uri}/scores/{plan.job}")
    begin(found, plan)
    return found


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, store: Store, plan: Plan, out: Store) -> Run:
    monkeypatch.setattr(bundle, "open_bundle", lambda *_, **__: Loaded())
    monkeypatch.setattr(worker.signal, "signal", lambda *_: None)

    def main(index: int, *more: str) -> int:
        monkeypatch.setenv("JOB_COMPLETION_INDEX", str(index))
        return worker.main([f"--out={out.uri}", f"--store={store.uri}", f"--job={plan.job}", *more])

    return main


def test_scores_its_part_and_says_how_fast(run: Run, capsys: pytest.CaptureFixture[str], out: Store, plan: Plan) -> None:
    assert run(2) == 0
    assert missing(out, plan) == [0, 1, 3, 4, 5]
    assert "/s on" in capsys.readouterr().out
    assert run(2) == 0
    assert capsys.readouterr().out == "part 2 is there already\n"


def test_a_place_in_the_list_of_what_is_left(
    run: Run, capsys: pytest.CaptureFixture[str], store: Store, out: Store, plan: Plan
) -> None:
    assert run(1, f"--todo={put_todo(out, [1, 5])}") == 0
    assert missing(out, plan) == [0, 1, 2, 3, 4]
    assert run(1, f"--todo={'0' * 64}") == 2
    assert "is there no more; end its Job (--cancel)" in capsys.readouterr().err


def test_bad_input_is_2(run: Run, capsys: pytest.CaptureFixture[str], store: Store) -> None:
    (key,) = store.keys("inputs")
    store.put(key, b'{"content": "1 2 other"}\n')
    assert run(0) == 2
    assert "was changed" in capsys.readouterr().err


def test_a_store_that_stays_away_is_1(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects_s3, "FIRST_CONTACT", 0.2)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    assert run(0) == 1


@pytest.mark.parametrize("code", ["AccessDenied", "ExpiredToken"])
def test_a_store_that_refuses_the_key_is_1(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], store: Store, code: str
) -> None:
    """No corpus can mend it, so the index is tried again."""

    def refused(**_: Any) -> None:
        status = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": 403}}
        raise ClientError(status, "GetObject")  # type: ignore[arg-type]

    objects = open_bucket(Address.parse(store.uri))
    monkeypatch.setattr(objects._client, "get_object", refused)
    assert run(0) == 1
    assert code in capsys.readouterr().err


def test_what_was_never_published_is_one_line_and_2(
    run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, plan: Plan
) -> None:
    monkeypatch.setattr(worker, "read_plan", lambda *_: replace(plan, filter_key=f"filters/demo/v3/{'0' * 64}.yaml"))
    assert run(0) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith(f"{'0' * 64}.yaml is not in the store; submit the corpus again")


def test_a_filter_of_an_earlier_version_is_published_as_it_is_now(run: Run, store: Store, plan: Plan) -> None:
    """Its digest is that of today's fields and defaults, which nobody but the planner knows."""
    assert store.exists(plan.filter_key)
    assert run(0) == 0


def test_facts_of_another_job_are_not_its_own(run: Run, capsys: pytest.CaptureFixture[str], out: Store, plan: Plan) -> None:
    """As pods leave them whose Job was replaced in this place."""
    assert run(1) == 0
    facts = json.loads(out.get(part_facts_key(1))) | {"job": "0" * 64}
    out.put(part_facts_key(1), json.dumps(facts).encode())
    assert run(1) == 2
    assert "is of another job (000000000000); delete it, or give another place" in capsys.readouterr().err


def test_a_part_of_another_job_is_refused(run: Run, capsys: pytest.CaptureFixture[str], out: Store, plan: Plan) -> None:
    other = replace(plan, adapter="b" * 64)
    score_part(out, other, 1, FILTER, Reader)
    out._objects._client.delete_object(Bucket=out.uri.split("/")[2], Key=f"{out.uri.split('/', 3)[3]}/{part_facts_key(1)}")  # type: ignore[attr-defined]
    assert run(1) == 2
    assert f"part-00001.parquet: is of another job ({other.job[:12]})" in capsys.readouterr().err
