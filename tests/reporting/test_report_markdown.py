"""The Markdown for a pull request: short, a table a reviewer can read, and nothing in it that acts."""

from __future__ import annotations

import dataclasses
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from distillery.components.artifacts.benchmark import DimensionFigures
from distillery.components.reporting.context import Context
from distillery.components.reporting.formatting import sentence
from distillery.components.reporting.markdown import MAX_CHARACTERS, render_markdown, render_verdict
from distillery.components.reporting.markdown_text import plain
from distillery.components.reporting.render import render_html
from tests.reporting.documents import changed, failure, judged, rule


def test_it_holds_verdict_gates_baselines_worst_dimensions_and_digests(rejected: Context) -> None:
    text = render_markdown(rejected)
    assert text.startswith("## sustainability-technology v2\n\n❌ Not promoted, 2 of 9 gates failed (gap from")
    gates = text[text.index("| Verdict") : text.index("###")]
    assert gates.count("❌ **fails**") == 2
    assert gates.count("✅ passes") == 7
    assert gates.index("❌") < gates.index("✅")
    assert "| **This student** | 0.788 |" in text
    assert "below 0 is better" in text
    dimensions = text[text.index("### Dimensions") : text.index("### Tiers")]
    assert dimensions.index("social equity impact") < dimensions.index("life cycle environmental impact")
    assert "22 of 1,496 articles look like consent walls" in text
    assert f"| adapter | `{rejected.digests['adapter']}` |" in text
    assert len(text) < 10_000


def test_the_verdict_alone_is_very_short(promoted: Context) -> None:
    text = render_verdict(promoted)
    assert text.startswith("✅ Promoted to production: on 150 articles")
    assert "###" not in text
    assert len(text) < 2_000


def test_tables_are_tables(rejected: Context) -> None:
    tokens = MarkdownIt("commonmark").enable("table").parse(render_markdown(rejected))
    assert [token.type for token in tokens].count("table_open") == 9
    rows = [token for token in tokens if token.type == "tr_open"]
    assert len(rows) > 30


def test_failures_and_gaps_still_render(failed: Context) -> None:
    assert "Stopped at step train: loss is NaN" in render_markdown(failed)
    assert "Stopped at step audit" in render_verdict(Context(filter=None, failure=failure("audit", "disk full")))
    assert render_markdown(Context(filter=failed.filter)).startswith("## sustainability-technology v2\n\nUnfinished")


def test_figures_that_nobody_could_work_out_are_dashes(failed: Context, rejected: Context) -> None:
    nothing = DimensionFigures(mae=None, rmse=math.nan, bias=math.nan, compression=None, spearman=math.inf)
    unknown = judged(rejected).model_copy(update={"mae": None, "dimensions": {"a": nothing}, "noise": None})
    text = render_markdown(dataclasses.replace(failed, benchmark=unknown))
    assert "nan" not in text.replace("NaN", "")
    assert "| a | – | – | – | – | – |" in text


def test_too_long_a_report_is_cut_at_a_line(rejected: Context) -> None:
    digests = {f"name{i}": f"{i:064x}" for i in range(3_000)}
    text = render_markdown(dataclasses.replace(rejected, digests=digests))
    assert len(text) < MAX_CHARACTERS
    assert text.endswith("|\n\n… the rest is in the HTML report.\n")


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=60) | st.sampled_from(
    ["@everyone", "![x](https://example.org/x.png)", "[a](javascript:x)", "https://example.org", "| a |", "`code`",
     "<img src=x>", "# h", "a\n\n# b", "\\| x", "\ud800", "www.example.org"]
))  # fmt: skip
def test_no_text_means_anything(odd: str) -> None:
    escaped = plain(odd)
    escaped.encode()
    assert "\n" not in escaped
    assert "@" not in escaped.replace("&#64;", "")
    tokens = MarkdownIt("commonmark").enable("table").parse(f"| a |\n| --- |\n| x{escaped} |\n")
    kinds = {child.type for token in tokens for child in token.children or []}
    assert kinds <= {"text", "text_special"}
    assert sum(token.type == "td_open" for token in tokens) == 1


@pytest.mark.parametrize(
    "text", ["ann@example.org", "https://example.org/a#b", "package://some_module", "R&D, <5% & #1", "a_b*c|d \\ $5"]
)
def test_what_is_shown_is_the_text_itself(text: str) -> None:
    """Entities hold a #, which has a meaning of its own and is escaped before they are written."""
    tokens = MarkdownIt("commonmark").parse(f"x{plain(text)}")
    shown = "".join(child.content for token in tokens for child in token.children or [])
    assert shown.replace("\u200b", "") == f"x{text}"


def test_the_sentence_gives_the_reason(rejected: Context, promoted: Context) -> None:
    assert sentence(rejected).startswith(
        "Not promoted, 2 of 9 gates failed (gap from training to validation is 17%, and 1 more); on 150"
    )
    assert sentence(promoted) == (
        "Promoted to production: on 150 articles it has never seen, the student is on average 0.79 points of 10 from the "
        "oracle, 17% closer than the best simple baseline (word counts, TF-IDF ridge)."
    )


def test_the_sentence_of_every_other_end(rejected: Context, promoted: Context) -> None:
    assert promoted.verdict is not None
    waiting = dataclasses.replace(promoted, promoted=None, verdict=changed(promoted.verdict, decision="approve"))
    assert sentence(waiting).startswith("Waiting for approval, all gates passed: on 150 articles")
    doubt = rule(verdict="review", value=0.85, review=0.9, reason="0.85 is not below 0.8, and below 0.9: a person decides")
    doubtful = dataclasses.replace(waiting, verdict=changed(promoted.verdict, decision="approve", rules=[rule(), doubt]))
    assert sentence(doubtful).startswith(
        "Waiting for approval, no gate failed, and a person must decide on mean error (MAE): on 150 articles"
    )
    assert "⏳ **a person decides** | Mean error (MAE) | 0.850 | below 0.80; reviewed if below 0.90 |" in render_verdict(
        doubtful
    )
    page = render_html(doubtful)
    assert "No rule failed, and 1 of 2 must be decided by a person." in page
    assert "◔ a person decides" in page
    passed = dataclasses.replace(promoted, promoted=None)
    assert sentence(passed).startswith("Passed all gates: on 150 articles")
    worse = changed(judged(rejected), mae=1.2)
    assert "26% further off than the best simple baseline" in sentence(dataclasses.replace(rejected, benchmark=worse))
    alarm = rule(metric="alarms", verdict="fail", value=1.0, reason="predictor ignores its input")
    stopped = dataclasses.replace(rejected, verdict=changed(promoted.verdict, rules=[alarm], decision="reject"))
    assert "1 of 1 gates failed (predictor ignores its input)" in sentence(stopped)
    many = dataclasses.replace(rejected, failure=failure("train", "first line\nTraceback, much longer"))
    assert sentence(many) == "Stopped at step train: first line."
    assert sentence(Context(filter=rejected.filter)) == "Unfinished, no verdict yet."
