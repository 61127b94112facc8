"""The report as a Word document, as PDF, as plots: each says what the report says, and another suffix is refused."""

from __future__ import annotations

import dataclasses
import html
import io
import re
import shutil
import subprocess
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from distillery.components.artifacts.bundle import Epoch, EpochErrors, HistoryFile
from distillery.components.artifacts.drift import Look, MovedArticle
from distillery.components.reporting import markdown, printed, word
from distillery.components.reporting.context import Context
from distillery.components.reporting.epochs import dimension_rows, shown_epochs
from distillery.components.reporting.figures_files import SUMMARY, plot_files, summary
from distillery.components.reporting.judgement import convergence, judgement
from distillery.components.reporting.render import render_html, render_markdown
from distillery.components.reporting.word import render_word
from distillery.filters.errors import InputError
from tests.artifacts.made import made_measurement
from tests.pipelines.harness import run_here
from tests.sharing.conftest import distillery as distillery
from tests.sharing.conftest import home as home

docx = pytest.importorskip("docx")


def text_of(data: bytes) -> str:
    document = docx.Document(io.BytesIO(data))
    cells = [cell.text for table in document.tables for row in table.rows for cell in row.cells]
    return "\n".join([*(paragraph.text for paragraph in document.paragraphs), *cells])


def words_of(markdown: str) -> set[str]:
    return set(re.findall(r"[A-Za-z0-9.%]{3,}", re.sub(r"&[#\w]+;|[\\*`|_]", " ", markdown)))


def test_a_word_document_says_what_the_markdown_says(promoted: Context) -> None:
    data = render_word(promoted)
    missing = words_of(render_markdown(promoted)) - words_of(text_of(data).replace("_", " "))
    assert missing == set()
    names = zipfile.ZipFile(io.BytesIO(data)).namelist()
    assert len([name for name in names if name.startswith("word/media/")]) == 3


def test_what_comes_from_outside_stays_text(promoted: Context) -> None:
    assert promoted.filter is not None
    spec = promoted.filter.spec
    names = ["\x07<b>&amp;|**x**`", "a_$b$", "c"]
    context = dataclasses.replace(promoted, problems=[f"{name} is gone" for name in names])
    text = text_of(render_word(context))
    assert "<b>&amp;|**x**`" in text.replace("\n", "")
    assert "a_$b$" in text
    assert spec.version


def test_plots_are_pictures_and_equal_runs_give_equal_bytes(promoted: Context) -> None:
    files = plot_files(promoted)
    assert sorted(files) == sorted(
        [
            *(f"{name}.{form}" for name in ("overall_metrics", "per_dimension_mae", "loss_curves") for form in ("png", "svg")),
            SUMMARY,
        ]
    )
    assert files["loss_curves.png"].startswith(b"\x89PNG")
    assert b"<script" not in files["loss_curves.svg"]
    assert plot_files(promoted) == files


def test_a_run_without_figures_has_a_summary_alone() -> None:
    assert list(plot_files(Context(filter=None))) == [SUMMARY]
    assert render_word(Context(filter=None))


@pytest.fixture
def by_dimension(promoted: Context) -> Context:
    """A run that kept the errors of each dimension after each epoch, and was measured on two machines."""
    assert promoted.history is not None
    assert promoted.benchmark is not None
    epochs = [
        epoch.model_copy(
            update={
                "dimensions": {
                    name: EpochErrors(train=at + epoch.epoch / 100 + 0.001, validation=at + epoch.epoch / 10 + 0.001)
                    for at, name in enumerate(promoted.benchmark.dimensions)
                }
            }
        )
        for epoch in promoted.history.epochs
    ]
    measured = [
        made_measurement(),
        made_measurement(machine="NVIDIA <made> up", memory_mb=None, peak_memory_mb=None, gpu_memory_mb=3210),
        made_measurement(machine="of which no memory is known", memory_mb=None, peak_memory_mb=None),
    ]
    return dataclasses.replace(
        promoted, history=HistoryFile(epochs=epochs, best_epoch=promoted.history.best_epoch), measurements=measured
    )


@pytest.fixture
def forms(by_dimension: Context, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The text of each form of its report; plots, which take seconds, are drawn by others."""
    monkeypatch.setattr(word, "plot_files", lambda *_: {})
    context = by_dimension
    page = re.sub(r"<[^>]+>", " ", re.sub(r"<(br|/t[dh]|/tr)>", " ", render_html(context)))
    return {
        "html": " ".join(html.unescape(page).split()),
        "md": html.unescape(render_markdown(context)).replace("\u200b", ""),
        "docx": text_of(render_word(context)),
        "txt": summary(context),
    }


def test_every_form_tells_the_errors_of_each_epoch_and_dimension(forms: dict[str, str], by_dimension: Context) -> None:
    assert by_dimension.history is not None
    for form, text in forms.items():
        for epoch in by_dimension.history.epochs:
            for each in (epoch.dimensions or {}).values():
                pair = (f"{each.train:.2f} / {each.validation:.2f}",)
                if form == "txt":
                    pair = (f"train MAE {each.train:.3f}, validation MAE {each.validation:.3f}",)
                assert [one for one in pair if one not in text] == [], form


def test_a_run_that_kept_errors_by_dimension_has_their_curves(by_dimension: Context) -> None:
    assert "dimension_curves.svg" in plot_files(by_dimension, ("svg",))
    media = [name for name in zipfile.ZipFile(io.BytesIO(render_word(by_dimension))).namelist() if "media/" in name]
    assert len(media) == 4


def test_every_form_tells_what_share_of_the_articles_trains_and_tests(forms: dict[str, str]) -> None:
    for form, text in forms.items():
        for share in ("1,196 (80%)", "150 (10%)"):
            assert share in text, form


def test_every_form_tells_speed_and_memory_on_each_machine(forms: dict[str, str]) -> None:
    for form, text in forms.items():
        for said in (
            *("made-up processor, 2 threads", "NVIDIA <made> up", "25.0 ms", "40.0 ms", "50.0"),
            *("600 MB one article at a time, 900 MB at most", "3,210 MB of the GPU"),
        ):
            assert said in text.replace("\\", ""), (form, said)


def test_a_run_that_nobody_measured_has_no_section_about_it(promoted: Context) -> None:
    for text in (render_html(promoted), render_markdown(promoted)):
        assert "How fast it is" not in text


def looked(*drifted: str, number: int = 1, moved: list[MovedArticle] | None = None) -> Look:
    return Look(
        job="7" * 64, scores="s3://b/out", at=f"2027-01-{number:02}T03:00:00Z", n=1234, number=number, reference="test",
        drifted=list(drifted), psi=0.417, moved=moved or [],
    )  # fmt: skip


def test_what_drifted_since_is_shown_with_the_articles_that_moved_most(promoted: Context) -> None:
    moved = [MovedArticle(id="c7", title="A <made> up article", source="a|b", feature="readiness", score=8.25)]
    shown = replace(
        promoted, looks=[looked("readiness", number=12, moved=moved), *(looked(number=one) for one in range(11, 0, -1))]
    )
    for text in (render_html(shown), render_markdown(shown)):
        for said in (
            "Have the articles changed since?",
            "2027-01-12",
            "drifted: readiness",
            "nothing drifted",
            "1,234",
            "0.42",
        ):
            assert said in text, said
        assert "2027-01-02" not in text, "ten looks are enough"
        assert "<made>" not in text
        assert "up article" in text
    for text in (render_html(promoted), render_markdown(promoted)):
        assert "Have the articles changed" not in text


def test_of_many_epochs_tables_show_the_first_the_kept_and_the_last() -> None:
    many = Context(filter=None, history=history(*(1 + at / 1000 for at in range(1000)), best=777))
    shown = [epoch.epoch for epoch in shown_epochs(many, 20)]
    assert (shown[0], shown[-1], 777 in shown, len(shown) <= 20) == (1, 1000, True, True)
    assert shown == sorted(set(shown))
    few = Context(filter=None, history=history(1.0, 2.0, 3.0, best=1))
    assert [epoch.epoch for epoch in shown_epochs(few, 3)] == [1, 2, 3]
    assert shown_epochs(Context(filter=None), 20) == []


@pytest.mark.parametrize("best", [0, 1, 500, 1000, 5000])
@pytest.mark.parametrize("most", [3, 7, 40])
def test_never_more_epochs_are_shown_than_there_is_room_for(best: int, most: int) -> None:
    many = Context(filter=None, history=history(*(1.0 for _ in range(1000)), best=best))
    assert 2 <= len(shown_epochs(many, most)) <= most


def test_an_epoch_without_figures_of_dimensions_leaves_a_gap(by_dimension: Context) -> None:
    assert by_dimension.history is not None
    epochs = list(by_dimension.history.epochs)
    epochs[1] = epochs[1].model_copy(update={"dimensions": None})
    context = dataclasses.replace(by_dimension, history=HistoryFile(epochs=epochs, best_epoch=1))
    rows = dimension_rows(context, epochs)
    assert [[each is None for each in row.errors] for row in rows] == [[False, True, False, False]] * len(rows)
    assert "| – |" in render_markdown(context)
    assert render_html(context)
    assert plot_files(context, ("svg",))["dimension_curves.svg"]


def test_tables_of_a_word_document_have_columns_as_wide_as_their_texts(by_dimension: Context, forms: dict[str, str]) -> None:
    document = docx.Document(io.BytesIO(render_word(by_dimension)))
    for table in document.tables:
        widths = [column.width.cm for column in table.columns]
        assert sum(widths) == pytest.approx(17, abs=0.1)
        assert min(widths) > 0.8
        first = table.rows[0]._tr.trPr
        assert [element.tag.rpartition("}")[2] for element in first] == ["cantSplit", "tblHeader"]
    digests = next(table for table in document.tables if table.cell(0, 1).text == "SHA-256")
    assert digests.columns[1].width > 3 * digests.columns[0].width


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("soffice"), reason="LibreOffice is not installed")
def test_a_word_document_is_opened_by_libreoffice(by_dimension: Context, tmp_path: Path) -> None:
    (tmp_path / "r.docx").write_bytes(render_word(by_dimension))
    home = f"-env:UserInstallation=file://{tmp_path}/office"
    subprocess.run(["soffice", home, "--headless", "--convert-to", "pdf", "r.docx"], cwd=tmp_path, check=True, timeout=120)
    assert (tmp_path / "r.pdf").read_bytes().startswith(b"%PDF-")


def test_a_word_document_whose_text_is_cut_has_all_plots_still(promoted: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(markdown, "MAX_CHARACTERS", 1500)
    names = zipfile.ZipFile(io.BytesIO(render_word(promoted))).namelist()
    assert len([name for name in names if name.startswith("word/media/")]) == 3


def test_the_summary_has_every_epoch_and_dimension(promoted: Context) -> None:
    text = summary(promoted)
    assert promoted.history is not None
    assert promoted.benchmark is not None
    assert len(re.findall("^epoch ", text, re.MULTILINE)) == len(promoted.history.epochs)
    for name in promoted.benchmark.dimensions:
        assert name.replace("_", " ") in text


def history(*errors: float, best: int) -> HistoryFile:
    made = [
        Epoch(epoch=at, train_loss=1.0, validation_mae=error, validation_rmse=error, learning_rate=1e-3, steps=at, tokens=at)
        for at, error in enumerate(errors, 1)
    ]
    return HistoryFile(epochs=made, best_epoch=best)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (history(best=0), ""),
        (history(1.0, best=1), "Trained for one epoch, which can't tell"),
        (history(1.0, 0.8, best=2), "still fell by 20% in the last of 2 epochs"),
        (history(1.0, 0.8, 0.795, best=3), "had come to rest: the last of 3 epochs changed it by 1%"),
        (history(1.0, 0.8, 0.81, best=2), "had come to rest: least after epoch 2 of 3 (0.800), 1% higher at the end"),
        (
            history(1.0, 0.8, 1.0, best=2),
            "25% higher at the end: the student began to learn its articles by heart",
        ),
        (history(0.0, 0.0, best=2), "had come to rest"),
    ],
)
def test_convergence_in_words(made: HistoryFile, said: str) -> None:
    assert said in convergence(made)


def changed(context: Context, **figures: Any) -> Context:
    assert context.benchmark is not None
    return dataclasses.replace(context, benchmark=context.benchmark.model_copy(update=figures))


@pytest.mark.parametrize(
    ("figures", "fit"),
    [
        ({"spearman": 0.85}, ("ranking", "yes")),
        ({"spearman": 0.7}, ("ranking", "with care")),
        ({"spearman": 0.2}, ("ranking", "no")),
        ({"mae": 0.7, "score_compression": 0.9}, ("scores as numbers", "yes")),
        ({"mae": 0.7, "score_compression": 0.5}, ("scores as numbers", "with care")),
        ({"mae": 1.2, "score_compression": 0.9}, ("scores as numbers", "no")),
    ],
)
def test_suitability_follows_from_the_stated_rule(figures: dict[str, float], fit: tuple[str, str], promoted: Context) -> None:
    found = judgement(changed(promoted, **figures))
    assert found is not None
    assert {use.name: use.fit for use in found.uses}[fit[0]] == fit[1]


def test_every_weakness_has_advice_and_every_remark_a_figure(promoted: Context) -> None:
    assert promoted.benchmark is not None
    name, row = next(iter(promoted.benchmark.dimensions.items()))
    weak = row.model_copy(update={"mae": 9.0, "compression": 0.3, "bias": -2.0})
    found = judgement(changed(promoted, dimensions={**promoted.benchmark.dimensions, name: weak}))
    assert found is not None
    said = [one.text for one in found.weaknesses if one.text.startswith(name.replace("_", " "))]
    assert len(said) == 3
    assert all(one.advice for one in found.weaknesses)
    assert all(re.search(r"\d", one.text) for one in (*found.weaknesses, *found.strengths))
    assert all(use.because and use.rule for use in found.uses)


def test_page_and_markdown_show_what_it_is_good_for(promoted: Context) -> None:
    for text in (render_html(promoted), render_markdown(promoted)):
        assert "What it is good for" in text
        assert "Sorting into tiers" in text


def test_the_whole_size_is_told_where_the_base_is_at_hand(promoted: Context) -> None:
    found = judgement(dataclasses.replace(promoted, base_numbers=1_000_000))
    assert found is not None
    assert promoted.student is not None
    trained = promoted.student.trainable_parameters
    assert f"{trained:,} of {trained + 1_000_000:,} parameters were trained" in found.size
    assert judgement(Context(filter=None)) is None


def test_report_writes_each_form(home: Path, tmp_path: Path) -> None:
    words = ["report", "filter.yaml"]
    ran = run_here(*words, "--out", tmp_path / "r.docx", "--plots", tmp_path / "plots", "--json", cwd=home)
    assert ran.code == 0, ran.err
    assert set(ran.json) == {"out", "plots", "files"}
    assert sorted(path.name for path in (tmp_path / "plots").iterdir()) == sorted(ran.json["files"])
    assert "944 of 10,016 parameters were trained (9%)" in text_of((tmp_path / "r.docx").read_bytes())


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("chromium"), reason="chromium is not installed")
def test_report_is_printed_as_pdf(home: Path, tmp_path: Path) -> None:
    assert run_here("report", "filter.yaml", "--out", tmp_path / "r.pdf", cwd=home).code == 0
    assert (tmp_path / "r.pdf").read_bytes().startswith(b"%PDF-")


@pytest.mark.parametrize("name", ["r.odt", "r.txt", "r.docx.gz"])
def test_another_suffix_is_an_error_that_names_the_known_ones(name: str, home: Path, tmp_path: Path) -> None:
    ran = run_here("report", "filter.yaml", "--out", tmp_path / name, cwd=home)
    assert ran.code == 2
    assert "name it .html, .htm, .md, .markdown, .docx, .pdf" in ran.err
    assert list(tmp_path.iterdir()) == []


def test_markdown_is_asked_of_a_word_document(home: Path, tmp_path: Path) -> None:
    ran = run_here("report", "filter.yaml", "--md", "--out", tmp_path / "r.docx", cwd=home)
    assert (ran.code, "is DOCX, and --md asks for Markdown" in ran.err) == (2, True)


def test_without_a_browser_a_pdf_is_refused_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(printed, "BROWSERS", ("no-such-browser",))
    with pytest.raises(InputError, match=r"printed by Chromium, which is not installed; install chromium"):
        printed.print_page("<p>x")


def test_a_browser_that_prints_nothing_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(printed, "BROWSERS", ("false",))
    with pytest.raises(InputError, match="printed nothing"):
        printed.print_page("<p>x")


def test_without_the_extra_the_hint_names_it(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from distillery.components.runtime import extras

    monkeypatch.setattr(extras, "find_spec", lambda name: None if name in ("docx", "matplotlib") else object())
    ran = run_here("report", "filter.yaml", "--plots", tmp_path / "plots", cwd=home)
    assert ran.code == 2
    assert "documents" in ran.err
