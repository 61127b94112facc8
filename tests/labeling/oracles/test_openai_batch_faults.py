"""OpenAI's batch jobs that fail: what ends a run, what goes into another job, and what is an article's own fault."""

from __future__ import annotations

import pytest

from distillery.components.labeling.oracles import openai_batch, openai_jobs
from distillery.components.labeling.oracles.base import (
    OutOfCredit,
    Refused,
    Unavailable,
)
from distillery.filters.errors import InputError
from tests.labeling.oracles.openai_batch_server import OpenAIBatchServer
from tests.labeling.oracles.test_openai_batch import At, Requesting, right, run, texts


@pytest.mark.parametrize(
    ("fate", "kind", "words"),
    [
        ("model", InputError, r"model is not supported by the Batch API.*oracle\.model"),
        ("billing", OutOfCredit, "Billing hard limit"),
        ("failed", None, ""),
    ],
)
def test_a_failed_job(fate: str, kind: type[Exception] | None, words: str, at: At, request_for: Requesting) -> None:
    with OpenAIBatchServer(jobs=[fate]) as server:
        flt = at(server)
        requests = texts(request_for, flt, 2)
        if kind is None:
            right(run(flt, requests), requests, flt)
            assert len(server.jobs) == 2
        else:
            with pytest.raises(kind, match=words):
                run(flt, requests)
            assert len(server.jobs) == 1


@pytest.mark.parametrize(
    ("fault", "kind", "words"),
    [
        ("402", OutOfCredit, "Insufficient Balance"),
        ("quota", OutOfCredit, "exceeded your current quota"),
        ("404", InputError, "has no such model"),
        ("400-temperature", InputError, "set oracle.temperature to null"),
    ],
)
def test_what_every_row_says_ends_the_run(
    fault: str, kind: type[Exception], words: str, at: At, request_for: Requesting
) -> None:
    with OpenAIBatchServer(fault=lambda article, asked: fault) as server:
        flt = at(server)
        with pytest.raises(kind) as caught:
            run(flt, texts(request_for, flt, 3))
    assert words in str(caught.value)
    assert len(server.jobs) == 1


@pytest.mark.parametrize("fault", ["quota", "404"])
def test_what_ended_a_run_does_not_end_the_next_one_once_it_is_mended(fault: str, at: At, request_for: Requesting) -> None:
    mended = False
    with OpenAIBatchServer(fault=lambda article, asked: "" if mended else fault) as server:
        flt = at(server)
        requests = texts(request_for, flt, 3)
        with pytest.raises((OutOfCredit, InputError)):
            run(flt, requests)
        mended = True
        right(run(flt, requests), requests, flt)
    assert len(server.jobs) == 2


def test_a_row_that_is_settled_goes_into_no_other_job_though_the_form_is_sought(at: At, request_for: Requesting) -> None:
    faults = iter(["400", "400-filter", "400"])
    with OpenAIBatchServer(fault=lambda article, asked: next(faults, "")) as server:
        flt = at(server)
        found = run(flt, texts(request_for, flt, 3))
        sizes = [len(server.files[job["input_file_id"]].splitlines()) for job in server.jobs.values()]
    assert sizes == [3, 2]
    assert sorted(type(outcome).__name__ for _, outcome in found) == ["RawReply", "RawReply", "Refused"]


@pytest.mark.parametrize(
    "server", [{"formats": frozenset({"json_object"})}, {"formats": frozenset()}, {"token_key": "max_completion_tokens"}]
)
def test_the_first_jobs_find_out_which_form_of_a_request_is_taken(
    server: dict[str, object], at: At, request_for: Requesting
) -> None:
    with OpenAIBatchServer(**server) as running:  # type: ignore[arg-type]
        flt = at(running)
        requests = texts(request_for, flt, 5)
        right(run(flt, requests), requests, flt)
        jobs = len(running.jobs)
        assert 1 < jobs <= 6
    assert running.counters.paid == 5


def test_one_row_that_is_refused_among_others_is_its_articles_own_fault(at: At, request_for: Requesting) -> None:
    faults = iter(["400", "", "", ""])
    with OpenAIBatchServer(fault=lambda article, asked: next(faults)) as server:
        flt = at(server)
        found = [outcome for _, outcome in run(flt, texts(request_for, flt, 4))]
    assert sorted(type(outcome).__name__ for outcome in found) == ["RawReply", "RawReply", "RawReply", "Unaccepted"]
    assert len(server.jobs) == 1
    with OpenAIBatchServer(fault=lambda article, asked: "400") as server:
        [(_, outcome)] = run(flt := at(server), [request_for(flt, "text")])
    assert isinstance(outcome, Refused)
    assert len(server.jobs) == 6, "all forms of a request"


def test_no_reply_in_any_job(at: At, request_for: Requesting) -> None:
    with OpenAIBatchServer(fault=lambda article, asked: "503") as server:
        [(_, outcome)] = run(flt := at(server), [request_for(flt, "text")])
    assert isinstance(outcome, Unavailable)
    assert not outcome.unknown
    assert len(server.jobs) == openai_batch.ROUNDS


def test_the_key_is_refused(key: str, at: At, request_for: Requesting) -> None:
    with OpenAIBatchServer(key="another") as server, pytest.raises(InputError, match="ORACLE_API_KEY") as caught:
        run(flt := at(server), [request_for(flt, "text")])
    assert key not in str(caught.value)


def test_an_endpoint_without_batch_jobs(at: At, request_for: Requesting) -> None:
    from tests.labeling.oracles.servers import OpenAIServer

    with OpenAIServer() as server, pytest.raises(InputError, match="no such path: /v1/batches"):
        run(flt := at(server), [request_for(flt, "text")])


def test_a_download_that_breaks_off_is_made_again(at: At, request_for: Requesting) -> None:
    with OpenAIBatchServer() as server:
        server.broken = 2
        flt = at(server)
        requests = texts(request_for, flt, 6)
        right(run(flt, requests), requests, flt)
    assert (len(server.jobs), server.counters.paid) == (1, 6)


def test_a_service_that_is_away_for_a_while(at: At, request_for: Requesting, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.labeling.oracles.servers import HttpResponse

    with OpenAIBatchServer() as server:
        look, away = server._look, iter([True, True])

        async def looked(name: str) -> dict[str, object]:
            if next(away, False):
                raise ConnectionResetError
            return await look(name)

        monkeypatch.setattr(server, "_look", looked)
        flt = at(server)
        requests = texts(request_for, flt, 2)
        right(run(flt, requests), requests, flt)
        monkeypatch.setattr(openai_jobs, "TRIES", 2)
        monkeypatch.setattr(server, "_list", lambda after: HttpResponse(body=b"<html>busy</html>"))
        with pytest.raises(Unavailable, match="is not JSON"):
            run(flt, requests)
