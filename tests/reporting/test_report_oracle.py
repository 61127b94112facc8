"""The oracle in the report: its calibration with Wilson intervals, its noise beside the student's error, what was waived."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest

from distillery.components.artifacts.folder_meta import LabelSetMeta
from distillery.components.artifacts.rubric_calibration import CalibrationOutputs
from distillery.components.artifacts.run_summary import RunSummary
from distillery.components.artifacts.step_record import StepRecord
from distillery.components.calibration.judge import Share
from distillery.components.reporting.context import Context
from distillery.components.reporting.gather import gather
from distillery.components.reporting.markdown import render_markdown
from distillery.components.reporting.render import render_html
from distillery.components.reporting.sections.oracle import cautions, oracle, shares
from distillery.components.store import open_store
from distillery.filters.filter import Filter
from tests.artifacts.made import made_label_set_meta
from tests.reporting.calibrated import calibrated, calibrated_fields
from tests.reporting.documents import changed, judged, read
from tests.reporting.made_up import label_set_meta


def section(page: str, key: str) -> str:
    start = page.index(f'<section id="report-{key}"')
    return page[start : page.index("</section>", start)]


def without(context: Context, **changes: Any) -> Context:
    return dataclasses.replace(context, **changes)


def test_each_share_stands_with_its_interval_and_limit(rejected: Context) -> None:
    text = section(render_html(rejected), "oracle")
    assert '<span class="chip good">PASS</span>' in text
    assert "172</data> off-topic, by a person" in text or "172 off-topic, by a person" in text
    assert text.count("<svg") == 1 + 4  # the axis, then two shares of two samples
    assert "off-topic articles scored 5 or more, first sample: 2 of 85, 95% interval 1% to 8%, below 10% passes" in text
    assert "on-topic articles scored below 5, fresh sample: 0 of 18, 95% interval 0% to 18%, below 20% passes" in text
    assert "58%" in text


def test_the_made_up_intervals_are_wilsons() -> None:
    for row in shares(calibrated()):
        assert row.figures.interval == pytest.approx(Share(row.figures.wrong, row.figures.n).interval, abs=2e-3)


def test_several_reviewers_agreement_is_told(rejected: Context) -> None:
    reviewers = [{"name": name, "on": 20, "off": 80, "unsure": 0, "missing": 0} for name in ("Ada", "Bert")]
    pair = {"left": "Ada", "right": "Bert", "n": 100, "same": 90, "share": 0.9, "interval": [0.8256, 0.9448]}
    found = {"n": 100, "same": 90, "share": 0.9, "interval": [0.8256, 0.9448], "alpha": 0.7, "alpha_interval": [0.5, 0.85],
             "pairs": [pair], "disputed": []}  # fmt: skip
    outputs = calibrated(marks={**calibrated_fields()["marks"], "reviewers": reviewers}, agreement=found)
    text = re.sub("<[^>]*>", "", section(render_html(without(rejected, calibrated=outputs)), "oracle"))
    assert "off-topic, by 2 reviewers" in text
    assert "90 of 100 articles with marks of two reviewers or more are marked alike (95% interval 82.6% to 94.5%)" in text
    assert "Krippendorff's alpha is 0.70 (0.50 to 0.85)" in text
    assert "reviewers agree on 90 of 100 articles (95%: 82.6% to 94.5%)" in render_markdown(
        without(rejected, calibrated=outputs)
    )
    assert "Krippendorff" not in section(render_html(rejected), "oracle")


def test_a_failed_calibration_is_drawn_as_one(rejected: Context) -> None:
    figures = calibrated_fields()["figures"]
    figures["calibration"]["off_topic_high"] = {"wrong": 30, "n": 85, "share": 30 / 85, "interval": [0.26, 0.46]}
    reasons = ["FAIL: calibration sample: off-topic articles scored 5 or more: 30 of 85"]
    outputs = calibrated(figures=figures, verdict="FAIL", reasons=reasons)
    text = section(render_html(without(rejected, calibrated=outputs)), "oracle")
    assert '<span class="chip bad">FAIL</span>' in text
    assert text.count('class="mark bad"') == 1
    assert "30 of 85" in render_markdown(without(rejected, calibrated=outputs))


def test_noise_stands_beside_the_error_of_each_dimension(rejected: Context) -> None:
    page = render_html(rejected)
    errors, plain = section(page, "errors"), section(render_html(_without_noise(rejected)), "errors")
    assert errors.count('class="mark ring"') == 6
    assert "Oracle's noise" in errors
    assert ", oracle against itself 0.27" in errors
    assert 'class="mark ring"' not in plain
    assert "Oracle's noise" not in plain
    text = section(page, "oracle")
    assert "0.310" in text
    assert "another-model" in text
    assert "+0.22" in text


def _without_noise(context: Context) -> Context:
    return without(context, benchmark=changed(judged(context), noise=None))


def test_markdown_has_the_same_figures(rejected: Context) -> None:
    text = render_markdown(rejected)
    assert "| Dimension | Mean error | 95% | Oracle's noise | Bias |" in text
    assert "Calibration: **PASS**; 42 articles marked on-topic, 172 off-topic, by a person." in text
    assert "| off-topic articles scored 5 or more, first sample | 2 of 85 | 2.4% | 0.7% to 8.2% | below 10% |" in text
    assert "Noise floor: the oracle lies 0.310 (0.274 to 0.349) from its own mean" in text
    assert "Another oracle (another-model) differs by 0.61 on average, bias +0.22, over 50 articles." in text
    assert "3 articles speak to the oracle" in text
    assert "Oracle's noise" not in render_markdown(_without_noise(rejected))


def test_what_was_waived_is_said_in_both(rejected: Context) -> None:
    labels = read(LabelSetMeta, {**label_set_meta(), "without_calibration": "a <b>hurry</b>", "suspicious": 1})
    waived = read(CalibrationOutputs, {"verdict": "WAIVED", "usable": True, "reason": "a <b>hurry</b>"})
    context = without(rejected, label_set=labels, calibrated=waived)
    assert list(cautions(context)) == [
        "labelled without a calibration that passed: a <b>hurry</b>",
        "1 article speaks to the oracle instead of to a reader (possible injections): look at their labels",
    ]
    text = section(render_html(context), "oracle")
    assert "a &lt;b&gt;hurry&lt;/b&gt;" in text
    assert "<b>hurry" not in text
    assert "without a calibration that passed: a &lt;b&gt;hurry" in render_markdown(context)


def test_an_accepted_review_gives_its_reason(rejected: Context) -> None:
    outputs = calibrated(verdict="REVIEW", accepted={"reason": "read all of them"})
    text = section(render_html(without(rejected, calibrated=outputs)), "oracle")
    assert '<span class="chip warn">REVIEW</span>, accepted by a person' in text
    assert "read all of them" in text
    assert "Calibration: **REVIEW**, accepted: read all of them" in render_markdown(without(rejected, calibrated=outputs))


def test_labels_that_people_brought_have_no_such_section(rejected: Context) -> None:
    bare = without(
        _without_noise(rejected),
        calibrated=None,
        label_set=read(LabelSetMeta, made_label_set_meta(rows=10)),
    )
    assert oracle(bare) is None
    assert 'id="report-oracle"' not in render_html(bare)
    assert "### The oracle" not in render_markdown(bare)


@pytest.mark.parametrize(
    "outputs",
    [
        {},
        {"verdict": None},
        {"verdict": "PASS", "usable": "yes"},
        {"verdict": "PASS", "usable": True, "figures": {"fresh": {}}},
        {**calibrated_fields(), "marks": "by a person"},
        {**calibrated_fields(), "figures": []},
    ],
)
def test_outputs_of_another_form_are_named_and_nothing_else_is_lost(
    tmp_path: Path, flt: Filter, outputs: dict[str, Any]
) -> None:
    context = gather(open_store(str(tmp_path)), flt, calibrated_run(outputs))
    assert context.calibrated is None
    assert [problem.split(": ")[:2] for problem in context.problems] == [
        ["calibration", "is not what the calibrate step puts out"]
    ]
    assert "Not readable" in render_html(context)
    assert "**Not readable:** calibration" in render_markdown(context)


def test_gathered_from_the_summary_of_the_run(tmp_path: Path, flt: Filter) -> None:
    store = open_store(str(tmp_path))
    assert gather(store, flt, calibrated_run(calibrated_fields())).calibrated == calibrated()
    assert gather(store, flt, RunSummary(run="r", steps=[])).calibrated is None


def calibrated_run(outputs: dict[str, Any]) -> RunSummary:
    return RunSummary(run="r", steps=[StepRecord.of("calibrate", {}, outputs, [])])
