"""The HTML page: self-contained, well-formed, true to its numbers, and there whatever happened."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distillery.components.artifacts.benchmark import DimensionFigures
from distillery.components.reporting.context import MAX_BYTES, Context
from distillery.components.reporting.render import render_html
from distillery.components.reporting.sections import student
from distillery.components.reporting.sections.student import learning
from distillery.filters.filter import Filter
from tests.reporting.documents import changed, failure, judged, read, replaced, rule

VOID = {"meta", "br", "hr", "img", "input", "link", "wbr", "col"}
SECTIONS = [
    "gates", "errors", "tiers", "baselines", "truth", "articles", "slices", "learning", "score_curves", "oracle", "data", "run",
    "settings",
]  # fmt: skip


class Page(HTMLParser):
    """Checks nesting while parsing and keeps what the tests ask for."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: dict[str, int] = {}
        self.attributes: list[tuple[str, str, str]] = []
        self.ids: list[str] = []
        self.text: list[str] = []
        self.numbers: list[float] = []
        self.feed(page)
        self.close()
        assert self.open == [], f"left open: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] = self.tags.get(tag, 0) + 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        self.ids += [value or "" for name, value in attrs if name == "id"]
        self.numbers += [float(value or "nan") for name, value in attrs if tag == "data" and name == "value"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open[-1] == tag, f"</{tag}> closes <{self.open[-1]}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text.append(data)

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).split())


def assert_self_contained(page: Page) -> None:
    for loader in ("script", "link", "img", "iframe", "object", "embed", "image", "use", "form", "base"):
        assert loader not in page.tags
    for tag, name, value in page.attributes:
        assert not name.startswith("on"), f"{tag} {name}"
        if name in ("href", "src", "xlink:href", "action", "srcset", "data", "poster"):
            assert value.startswith("#"), f"{tag} {name}={value}"
        if name == "style":
            assert re.fullmatch(r"--h:\d(\.\d+)?", value), value


def test_every_section_is_there_and_named_in_the_contents(rejected: Context) -> None:
    page = Page(render_html(rejected))
    for key in SECTIONS:
        assert f"report-{key}" in page.ids
        assert ("a", "href", f"#report-{key}") in page.attributes
    assert len(page.ids) == len(set(page.ids))
    assert "could not be drawn" not in page.words
    assert "Not in this report" not in page.words


def test_nothing_is_loaded_and_nothing_runs(rejected: Context) -> None:
    text = render_html(rejected)
    assert_self_contained(Page(text))
    assert "<script" not in text.lower()
    style = text[text.index("<style>") : text.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style
    assert "default-src 'none'" in text


def test_style_stays_inside_the_report(rejected: Context) -> None:
    """In a notebook the page's style lies beside other people's."""
    text = render_html(rejected)
    style = re.sub(r"@media[^{]*\{|/\*.*?\*/", "", text[text.index("<style>") + 7 : text.index("</style>")])
    for selectors in re.findall(r"([^{}]+)\{[^{}]*\}", style):
        for selector in re.split(r",(?![^(]*\))", selectors):
            assert ".distillery" in selector, selector


@pytest.mark.parametrize("n", [150, 600])
def test_at_most_two_megabytes(make: Callable[..., Context], flt: Filter, n: int) -> None:
    assert len(render_html(make(flt, n)).encode()) < MAX_BYTES / 4


def test_an_enormous_filter_and_texts_are_shortened_to_fit(rejected: Context) -> None:
    assert rejected.audit is not None
    assert rejected.student is not None
    examples = judged(rejected).to_json()["examples"]
    cards = [{**card, "title": "long " * 100_000, "source": "s" * 10_000} for card in examples["worst"]]
    finding = {"level": "warn", "check": "length", "message": "m" * 9_000, "mend": ""}
    context = dataclasses.replace(
        rejected,
        audit=changed(rejected.audit, findings=[finding] * 3_000),
        student=changed(rejected.student, training={f"k{i}": "x" * 9_000 for i in range(2_000)}),
        benchmark=changed(judged(rejected), examples={"worst": cards, "best": []}),
    )
    text = render_html(context)
    assert len(text.encode()) <= MAX_BYTES
    Page(text)


def test_the_same_context_gives_the_same_page(make: Callable[..., Context], flt: Filter) -> None:
    assert render_html(make(flt)) == render_html(make(flt))


def test_a_stored_run_with_sorted_keys_gives_the_same_page(rejected: Context) -> None:
    """Canonical JSON sorts keys; the filter's own order of dimensions and tiers comes back."""
    stored: dict[str, Any] = {"predictions": dict(sorted((rejected.predictions or {}).items()))}
    for name in ("benchmark", "score_curves", "audit"):
        document = getattr(rejected, name)
        data = json.dumps(json.loads(document.to_bytes()), sort_keys=True)
        stored[name] = type(document).read(data.encode(), "a store")
    text = render_html(rejected)
    assert list(stored["predictions"]) != list(rejected.predictions or {})
    assert render_html(dataclasses.replace(rejected, **stored)) == text
    assert text.index('"row">high<') < text.index('"row">medium<') < text.index('"row">low<')


def test_the_verdict_stands_in_the_first_words(promoted: Context, rejected: Context, failed: Context) -> None:
    assert "Promoted to production: on 150 articles it has never seen" in Page(render_html(promoted)).words
    assert "Not promoted , 2 of 9 gates failed" in Page(render_html(rejected)).words
    assert "Stopped at step train: loss is NaN at step 41" in Page(render_html(failed)).words


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, float]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, f"{path}.{key}")
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from leaves(inner, f"{path}.{i}")
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield path, float(value)


def test_numbers_are_those_of_the_benchmark(rejected: Context) -> None:
    shown = set(Page(render_html(rejected)).numbers)
    told_as_text = re.compile(
        r"\.(n|intervals\..*|.*interval\.\d|.*rmse|.*bias|overall_rmse|bias|spearman|score_compression|calibration\..*"
        r"|incumbent\.overall_mae|.*\.skill)$"
    )
    exact = {path: value for path, value in leaves(judged(rejected).to_json()) if not told_as_text.fullmatch(path)}
    missing = {path: value for path, value in exact.items() if value not in shown}
    assert len(exact) > 200
    assert missing == {}
    for name, row in judged(rejected).dimensions.items():
        assert set(row.to_json().values()) <= shown, name


def test_intervals_are_drawn_where_they_lie(rejected: Context) -> None:
    interval = judged(rejected).interval("tiers.high.recall")
    assert interval is not None
    low, high = interval
    assert f'x1="{100 * low:.2f}%" x2="{100 * high:.2f}%"' in render_html(rejected)


DOCUMENTS = ["label_set", "audit", "split", "student", "history", "score_curves", "benchmark", "predictions", "verdict"]


@pytest.mark.parametrize("missing", DOCUMENTS)
def test_any_document_may_be_missing(rejected: Context, missing: str) -> None:
    absent: dict[str, Any] = {missing: None}
    text = render_html(dataclasses.replace(rejected, **absent))
    assert "could not be drawn" not in Page(text).words


@pytest.mark.parametrize("kept", DOCUMENTS)
def test_any_document_may_be_alone(rejected: Context, kept: str) -> None:
    page = Page(render_html(Context(filter=rejected.filter, **{kept: getattr(rejected, kept)})))
    assert "could not be drawn" not in page.words
    assert "Not in this report" in page.words
    assert "report-settings" in page.ids


def test_an_empty_run_and_one_without_a_filter(flt: Filter) -> None:
    assert "report-settings" in Page(render_html(Context(filter=flt))).ids
    stopped = failure("preflight", "filter.yaml:3: unknown key 'wieght'")
    page = Page(render_html(Context(filter=None, failure=stopped)))
    assert "Stopped at step preflight: filter.yaml:3: unknown key 'wieght'." in page.words
    assert page.ids == ["report-run", "report-run-title"]


def test_only_an_audit(rejected: Context) -> None:
    page = Page(render_html(Context(filter=rejected.filter, audit=rejected.audit, label_set=rejected.label_set)))
    assert "Data audited : 1,496 labelled articles" in page.words
    assert "22 of 1,496 articles look like consent walls" in page.words
    assert "report-gates" not in page.ids


def test_a_failed_training_says_where_and_shows_the_rest(failed: Context) -> None:
    page = Page(render_html(failed))
    assert page.ids[0] == "report-run"
    assert "✕ failed" in page.words
    assert "The run stopped at step train , before they could be made." in page.words
    assert "report-data" in page.ids


def test_what_could_not_be_read_is_said(rejected: Context) -> None:
    context = dataclasses.replace(
        rejected, benchmark=None, problems=["benchmark 0123: holds other bytes than its digest names"]
    )
    assert "Not readable: benchmark 0123: holds other bytes" in Page(render_html(context)).words


def test_a_section_that_fails_leaves_the_others(rejected: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(context: Context) -> None:
        raise ZeroDivisionError("<b>nobody</b> expected this")

    monkeypatch.setattr(
        student, "SECTIONS", [(key, title, fail if key == "tiers" else build) for key, title, build in student.SECTIONS]
    )
    text = render_html(rejected)
    page = Page(text)
    assert "This section could not be drawn: ZeroDivisionError: <b>nobody</b> expected this." in page.words
    assert "<b>nobody" not in text
    assert {f"report-{key}" for key in SECTIONS} <= set(page.ids)


@pytest.mark.parametrize("number", [None, 0.0, -1e300], ids=str)
def test_no_figure_breaks_the_page(rejected: Context, number: float | None) -> None:
    columns = {name: tuple([number] * len(scores) for scores in both) for name, both in (rejected.predictions or {}).items()}
    changes: dict[str, Any] = {"predictions": columns}
    for name in ("benchmark",) if number is None else ("benchmark", "verdict", "audit", "history"):
        document = getattr(rejected, name)
        changes[name] = read(type(document), replaced(json.loads(document.to_bytes()), number, float))
    context = dataclasses.replace(rejected, **changes)
    text = render_html(context)
    assert "could not be drawn" not in text
    body = text[text.index("<main>") :]
    assert not re.search(r"\b(nan|inf|None)\b", body)


def test_missing_values_are_dashes_not_zeros(rejected: Context) -> None:
    nothing = DimensionFigures(mae=None, rmse=math.nan, bias=None, compression=math.inf, spearman=None)
    dimensions = {**judged(rejected).dimensions, "social_equity_impact": nothing}
    benchmark = judged(rejected).model_copy(update={"dimensions": dimensions})
    text = render_html(dataclasses.replace(rejected, benchmark=benchmark))
    row = re.search(r"social equity impact<small>weight.*?</tr>", text, re.DOTALL)
    assert row is not None
    assert row.group().count("–") >= 5
    assert "mark plain" not in row.group()


def test_a_gate_fails_or_does_not_apply(rejected: Context) -> None:
    assert rejected.verdict is not None
    rules = [rule(verdict="fail"), rule(metric="mae_vs_incumbent", value=None, bound=0.0, verdict="not applicable")]
    page = Page(render_html(dataclasses.replace(rejected, verdict=changed(rejected.verdict, rules=rules))))
    assert "1 of 2 rules failed." in page.words
    assert "✕ fails" in page.words
    assert "does not apply" in page.words


def test_every_figure_has_a_title_and_every_table_a_caption(rejected: Context) -> None:
    text = render_html(rejected)
    for svg in re.findall(r'<svg class="[^"]*"[^>]*role="img"[^>]*>(.{0,9})', text):
        assert svg.startswith("<title>")
    for table in re.findall(r"<table[^>]*>\s*<(\w+)", text):
        assert table == "caption"
    assert text.count("<h1") == 1
    levels = [int(level) for level in re.findall(r"<h([1-6])", text)]
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))


def test_a_right_to_left_article_finds_its_own_direction(rejected: Context) -> None:
    text = render_html(rejected)
    assert re.search(r'<h4 dir="auto">محطة', text)
    assert re.search(r'<p class="excerpt" dir="auto">بعد', text)


ODD = st.text(max_size=40) | st.sampled_from(
    ["<script>alert(1)</script>", "</style><img src=x onerror=alert(1)>", "\" onload='x'", "&lt;b&gt;", "{{ 7*7 }}",
     "{% raw %}", "\x00\x07", "\ud800 alone", "\u202eevil", "]]>", "<!--", "javascript:alert(1)", "</title><svg onload=x>"]
)  # fmt: skip


@settings(max_examples=30, deadline=None)
@given(odd=ODD, other=ODD)
def test_no_text_ever_becomes_markup(rejected: Context, odd: str, other: str) -> None:
    plain = Page(_odd_page(rejected, "plain", "words"))
    text = _odd_page(rejected, odd, other)
    page = Page(text)
    assert page.tags == plain.tags
    assert [(tag, name) for tag, name, _ in page.attributes] == [(tag, name) for tag, name, _ in plain.attributes]
    assert_self_contained(page)
    text.encode()
    assert not set(text) & {"\x00", "\x07", "\x1b"}


def _odd_page(rejected: Context, odd: str, other: str) -> str:
    """Return a page in which every outside text is `odd` or `other`, always longer than nothing so that no branch moves.

    The texts go past validation: no document can hold all of them.
    """
    odd, other = f"x{odd}", f"y{other}"
    bench, audit, verdict = judged(rejected), rejected.audit, rejected.verdict
    assert audit is not None
    assert verdict is not None
    spec = rejected.flt.spec
    described = [dimension.model_copy(update={"description": other}) for dimension in spec.dimensions]
    card = bench.examples.worst[0].model_copy(update={"id": odd, "title": odd, "excerpt": other * 3, "source": other})
    benchmark = {
        "alarms": [odd],
        "examples": bench.examples.model_copy(update={"worst": [card], "best": []}),
        "tiers": {odd: bench.tiers["high"]},
        "confusion": bench.confusion.model_copy(update={"tiers": [odd], "matrix": [[1]]}),
        "baselines": {other: bench.baselines["mean"]},
        "slices": {"source": [bench.slices["source"][0].model_copy(update={"value": odd})]},
    }
    finding = audit.findings[0].model_copy(update={"message": other, "hint": odd})
    sources = audit.sources.model_copy(update={"table": [audit.sources.table[0].model_copy(update={"value": odd})]})
    return render_html(
        dataclasses.replace(
            rejected,
            filter=rejected.flt.model_copy(
                update={"spec": spec.model_copy(update={"description": odd, "dimensions": described})}
            ),
            benchmark=bench.model_copy(update=benchmark),
            audit=audit.model_copy(update={"findings": [finding], "sources": sources}),
            verdict=verdict.model_copy(
                update={"rules": [each.model_copy(update={"argument": other, "reason": odd}) for each in verdict.rules]}
            ),
            steps=[rejected.steps[0].model_copy(update={"step": odd, "facts": {"note": other}})],
            failure=failure("", "").model_copy(update={"step": other, "message": odd}),
            digests={"adapter": odd, "label_set": other},
            problems=[odd],
            source=other,
        )
    )


def test_importing_the_report_is_light() -> None:
    code = "import distillery.components.reporting.gather, distillery.components.reporting.render, sys; print(*sys.modules)"
    loaded = set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())
    assert not loaded & {"jinja2", "markupsafe", "numpy", "pyarrow", "torch", "kfp", "matplotlib"}


def test_changes_of_section_learning_follow_from_the_figures_beside_them(rejected: Context) -> None:
    assert rejected.score_curves is not None
    for kept in (True, False):
        curves = rejected.score_curves.model_copy(update={"kept": kept, "validation_mae_calibrated": 0.71})
        view = learning(dataclasses.replace(rejected, score_curves=curves))
        assert view is not None
        names, errors, changes, _ = map(list, zip(*view["parts"], strict=True))
        assert names == ["Training", "Validation", *(["Validation, corrected"] if kept else []), "Test"]
        assert changes == [None, *(below / above - 1 for above, below in itertools.pairwise(errors))]


def test_the_errors_of_each_dimension_by_epoch_are_drawn_where_they_were_kept(promoted: Context) -> None:
    assert promoted.history is not None
    assert learning(promoted)["dimensions"] == []  # type: ignore[index]
    names = promoted.flt.dimensions
    told = [
        changed(epoch, dimensions={name: {"train": 0.4, "validation": 0.5 + epoch.epoch / 100} for name in names})
        for epoch in promoted.history.epochs
    ]
    kept = dataclasses.replace(promoted, history=changed(promoted.history, epochs=[epoch.to_json() for epoch in told]))
    rows = learning(kept)["dimensions"]  # type: ignore[index]
    assert len(rows) == len(names)
    page = render_html(kept)
    assert page.count("train and validation error by epoch</title>") == len(names)
    assert "could not be drawn" not in page
