"""A made-up run as fixtures: rejected, promoted, failed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest

from distillery.components.reporting.context import Context, Promoted
from distillery.filters.filter import Filter
from tests.reporting.documents import digest, failure
from tests.reporting.made_up import filter_document, make_context


@pytest.fixture(scope="session")
def flt() -> Filter:
    return Filter.model_validate(filter_document())


@pytest.fixture(scope="session")
def rejected(flt: Filter) -> Context:
    return make_context(flt)


@pytest.fixture(scope="session")
def promoted(rejected: Context) -> Context:
    assert rejected.verdict is not None
    rules = [rule.model_copy(update={"verdict": "pass", "reason": ""}) for rule in rejected.verdict.rules]
    return dataclasses.replace(
        rejected,
        verdict=rejected.verdict.model_copy(update={"passed": True, "decision": "promote", "rules": rules}),
        promoted=Promoted(digest("adapter"), "production", digest("incumbent")),
    )


@pytest.fixture
def failed(rejected: Context) -> Context:
    return dataclasses.replace(
        rejected,
        student=None,
        history=None,
        score_curves=None,
        benchmark=None,
        predictions=None,
        verdict=None,
        steps=rejected.steps[:3],
        failure=failure("train", "loss is NaN at step 41; lower training.learningRate (now 0.001)"),
    )


@pytest.fixture(scope="session")
def make() -> Callable[..., Context]:
    return make_context
