"""A bucket that refuses, from the first request on or in the midst of a command: told as what it is, with what to do."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from distillery.components.store import Store
from tests.faults.commands import run
from tests.faults.results import results
from tests.faults.s3_proxy import Proxy, Rule
from tests.faults.test_s3_goes_wrong import WORK, undisturbed

# What S3 answers to each request, how that is told, and what the line says to do.
RENEW = "renew them (`aws sso login`, or new values of the AWS variables), then run again"
ANSWERS = {
    "AccessDenied": ("refuses access (AccessDenied): the permission s3:", "grant these credentials s3:"),
    "InvalidAccessKeyId": ("refuses these credentials (InvalidAccessKeyId)", "check AWS_ACCESS_KEY_ID and AWS_SECRET"),
    "SignatureDoesNotMatch": ("refuses these credentials (SignatureDoesNotMatch)", "check AWS_ACCESS_KEY_ID and AWS_SECRET"),
    "NoSuchBucket": ("has no such bucket", "create it, or check the name"),
    "PermanentRedirect": ("lies in another region (PermanentRedirect)", "set AWS_REGION to the one of the bucket"),
    "AuthorizationHeaderMalformed": ("lies in another region (AuthorizationHeaderMalformed)", "set AWS_REGION to the one of"),
    "ExpiredToken": ("says that the credentials have expired (ExpiredToken)", RENEW),
    "InvalidToken": ("doesn't know the session token (InvalidToken)", "renew AWS_SESSION_TOKEN, or unset it"),
    "RequestTimeTooSkewed": ("says that this machine's clock is off (RequestTimeTooSkewed)", "set the clock, then run again"),
    "InvalidBucketState": ("answers 409 InvalidBucketState", "see which setting of the bucket, or which other client,"),
    "UnheardOf": ("answers 409 UnheardOf", "see which setting of the bucket, or which other client, is in the way"),
}
COMMANDS = ("plan", "label", "gate", "score", "report", "history", "rollback", "benchmark of what serves", "models", "approve")


def refused(answer: str, uri: str, code: int, errors: list[str], err: str) -> None:
    """Hold what a command said to the table."""
    says, mend = ANSWERS[answer]
    assert code == 2, err
    assert "Traceback" not in err
    (line,) = errors
    assert f"{uri}" in line, line
    assert f": {says}" in line, line
    assert f"; {mend}" in line, line


@pytest.mark.parametrize("answer", ANSWERS)
def test_a_bucket_that_refuses_is_told_as_what_it_does(folder: Path, s3_uri: str, before: Proxy, answer: str) -> None:
    before.follow(Rule(answer, ".*", probes=True))
    there = sorted(path for path in folder.rglob("*") if path.is_file())
    for command in COMMANDS:
        ran = run(command, folder, store=s3_uri)
        try:
            refused(answer, s3_uri, ran.code, ran.errors, ran.err)
        except AssertionError as error:
            raise AssertionError(f"{command}: {error}") from error
    assert sorted(path for path in folder.rglob("*") if path.is_file()) == there


@pytest.mark.parametrize(
    ("uri", "says", "mend"),
    [
        ("s3://nobody-made-this/x", ": has no such bucket", "; create it, or check the name"),
        ("s3://No_Name!/x", ": 'No_Name!' can't be the name of a bucket", "; a bucket's name is of letters, digits, dots and"),
    ],
)
def test_a_bucket_by_a_wrong_name(folder: Path, s3_uri: str, uri: str, says: str, mend: str) -> None:
    for command in COMMANDS:
        ran = run(command, folder, store=uri)
        assert (ran.code, len(ran.errors)) == (2, 1), f"{command}: {ran.err[-1500:]}"
        assert all(words in ran.errors[0] for words in (uri, says, mend)), f"{command}: {ran.errors[0]}"


def in_the_midst(folder: Path, stored: Store, before: Proxy, seed: int) -> int:
    """Let each command be refused from the Nth request on, then run on a sound bucket; how many were refused."""
    rng, count = random.Random(seed), 0
    for command in WORK:
        answer = rng.choice(list(ANSWERS))
        before.follow(Rule(answer, ".*", first=int(rng.triangular(1, 60, 2))))
        ran = run(command, folder, store=stored.uri)
        before.relent(idle=ran.code == 0)
        if ran.code:
            refused(answer, stored.uri, ran.code, ran.errors, ran.err)
            count += 1
            ran = run(command, folder, store=stored.uri)
            assert ran.code == 0, f"{command}: {ran.err[-1500:]}"
    assert results(stored) == undisturbed(folder)
    return count


@pytest.mark.parametrize("seed", [1])
def test_a_bucket_that_refuses_in_the_midst_loses_nothing(folder: Path, stored: Store, before: Proxy, seed: int) -> None:
    assert in_the_midst(folder, stored, before, seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 22))
def test_many_refusals_in_the_midst(
    folder: Path, stored: Store, before: Proxy, record_property: Callable[[str, object], None], seed: int
) -> None:
    count = in_the_midst(folder, stored, before, seed)
    record_property("counted", {"refused": count, "not reached": len(WORK) - count})
