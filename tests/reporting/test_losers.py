"""A student that passed its gates and is behind a baseline, or not better than what serves: the first sentence says so."""

from __future__ import annotations

import dataclasses

import pytest

from distillery.components.artifacts.benchmark import Benchmark
from distillery.components.reporting.context import Context
from distillery.components.reporting.formatting import sentence
from distillery.components.reporting.markdown import render_verdict
from distillery.components.reporting.render import render_html
from distillery.pipelines.results import _sentence
from tests.documents import benchmark_json, incumbent_json
from tests.reporting.documents import changed, judged

AHEAD = incumbent_json(difference=-0.1, interval=[-0.2, -0.01])


@pytest.mark.parametrize(
    ("figures", "says"),
    [
        ({}, ""),
        ({"incumbent": AHEAD}, ""),
        ({"mae": 1.5}, "behind the baseline mean (MAE 1.500 against 1.400)"),
        ({"incumbent": incumbent_json()}, "not shown to be better than the adapter in use (-0.050, -0.100 to +0.020)"),
        ({"incumbent": incumbent_json(difference=0.1, interval=[0.05, 0.2])}, "(+0.100, +0.050 to +0.200)"),
        ({"incumbent": incumbent_json(difference=-0.1, interval=None)}, "not shown to be better"),
    ],
)
def test_what_a_student_loses_by(figures: dict[str, object], says: str) -> None:
    losses = Benchmark.model_validate(benchmark_json(**figures)).losses()
    assert len(losses) == bool(says)
    assert says in " ".join(losses)
    result = {"verdict": "promote", "filter": "demo", "adapter": "a" * 64, "channel": "production", "held": None}
    told = _sentence({**result, "losses": losses}, [])
    assert (f", THOUGH IT IS {losses[0]}." in told) if says else told.endswith("and is on its channel.")


def test_the_report_of_a_loser_is_not_green_and_says_so_first(promoted: Context) -> None:
    assert render_verdict(promoted).startswith("✅ Promoted to production: on 150")
    loser = dataclasses.replace(promoted, benchmark=changed(judged(promoted), mae=1.2))
    assert sentence(loser).startswith(
        "Promoted to production, though it is behind the baseline tfidf ridge (MAE 1.200 against "
    )
    assert render_verdict(loser).startswith("⚠️ Promoted to production, though it is behind the baseline")
    for context, tone in ((promoted, "good"), (loser, "warn")):
        assert f'<div class="verdict {tone}">' in render_html(context)
    passed = dataclasses.replace(loser, promoted=None)
    assert sentence(passed).startswith("Passed all gates, though it is behind the baseline")
