"""The review page in a real browser: marked with keys, kept, undone, saved, and what comes of the files that it saves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from distillery.components.articles.articles import Article
from distillery.components.calibration.marks import Marks, by_reference
from distillery.components.calibration.review import Reviewed, review_page
from distillery.components.store import Digest
from distillery.filters.filter import Filter
from distillery.filters.loading import load_filter
from distillery.pipelines.cli.main import app
from tests.calibration.browser import SANDBOX, Watcher, running_browser
from tests.demo.generator.files import write_files

pytestmark = pytest.mark.timeout(900)
COUNT = 6
HOSTILE = '</textarea></script><script>document.title = "ran"</script><img src=x onerror="document.title = 1">'
SAMPLES = {"calibration": "a" * 64, "fresh": "b" * 64}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with running_browser() as running:
        yield running


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 1000, "height": 800})
    yield context.new_page()
    context.close()


def made_page(flt: Filter, folder: Path, **fields: Any) -> Path:
    """A page of six articles, two of the fresh sample, the first hostile in every field."""
    texts = [HOSTILE, *(f"Text {at}. " * 90 for at in range(1, COUNT))]
    reviewed = [
        Reviewed(Article(text[:90], text[:90], text, source=text[:90]), "fresh" if at > 3 else "calibration", True, None, None)
        for at, text in enumerate(texts)
    ]
    path = folder / "review.html"
    path.write_text(review_page(flt, reviewed, SAMPLES, given=Marks("nobody")), encoding="utf-8")
    return path


def marked(page: Any) -> list[str]:
    """The mark of each article, in the page's order."""
    found: list[str] = page.eval_on_selector_all("article", "all => all.map((one) => one.dataset.mark)")
    return found


def saved(page: Any, folder: Path) -> dict[str, Any]:
    """Press save in the open dialog; return what was saved."""
    with page.expect_download() as download:
        page.locator("#download").click()
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    found: dict[str, Any] = {"path": path, **json.loads(path.read_text("utf-8"))}
    return found


def keys(page: Any, text: str) -> None:
    for key in text:
        page.keyboard.press(key)


def test_keys_mark_go_on_undo_and_are_listed(page: Any, flt: Filter, tmp_path: Path) -> None:
    watcher = Watcher(page)
    page.goto(made_page(flt, tmp_path).as_uri())
    keys(page, "j123")
    assert marked(page) == ["on", "off", "unsure", "", "", ""]
    assert page.locator("#said").inner_text() == "Article 3: can't say. 3 of 6 marked"
    keys(page, "u")
    assert marked(page)[:3] == ["on", "off", ""]
    assert page.evaluate("document.activeElement.querySelector('h2').textContent").startswith("3. ")
    keys(page, "kk0jjjn")  # first article's mark away, then on to the fourth, and to the next that has none
    assert marked(page)[:2] == ["", "off"]
    assert page.locator("article.current h2").inner_text().startswith("5. ")
    keys(page, "jnn")  # from the last one: the first without a mark, and the one after it
    assert page.locator("article.current h2").inner_text().startswith("3. ")
    keys(page, "uuuuu")
    assert marked(page) == [""] * COUNT
    assert page.locator("#said").inner_text() == "Nothing to undo"
    assert page.locator("#undo").is_disabled()
    summary = page.locator("#help summary").inner_text()
    assert all(
        f"{key} {what}" in summary for key, what in {"1": "on-topic", "2": "off-topic", "j": "next", "u": "undo"}.items()
    )
    keys(page, "?")
    assert page.locator("#help dl").is_visible()
    page.locator("#keys").uncheck()
    keys(page, "j1")
    assert marked(page) == [""] * COUNT
    assert watcher.errors == []


def test_a_key_marks_no_article_that_is_scrolled_away(page: Any, flt: Filter, tmp_path: Path) -> None:
    page.goto(made_page(flt, tmp_path).as_uri())
    keys(page, "j")
    page.evaluate("document.querySelectorAll('article')[4].scrollIntoView()")
    for key in "12":
        keys(page, key)
        if key == "1":
            assert marked(page) == [""] * COUNT
            assert page.locator("article.current h2").inner_text().startswith("5. ")
    assert marked(page) == ["", "", "", "", "off", ""]


def test_marks_notes_and_name_are_kept_and_leaving_is_asked_about(page: Any, flt: Filter, tmp_path: Path) -> None:
    watcher = Watcher(page)
    path = made_page(flt, tmp_path)
    page.goto(path.as_uri())
    page.locator("#reviewer").fill("Ada 12 j")  # no key of a text field is a command
    page.locator("h1").click()
    keys(page, "j1e")
    page.keyboard.type("on 2 minds")
    page.keyboard.press("Escape")
    keys(page, "j")
    assert page.locator("article.current h2").inner_text().startswith("3. ")
    page.reload()
    assert watcher.dialogs == ["beforeunload"]
    assert marked(page) == ["on"] + [""] * 5
    assert page.locator("article textarea").nth(1).input_value() == "on 2 minds"
    assert page.locator("#reviewer").input_value() == "Ada 12 j"
    assert "1 mark by Ada 12 j, kept in this browser, is back" in page.locator("#notice").inner_text()
    keys(page, "s")
    text = saved(page, tmp_path)
    assert text["path"].name == "marks-Ada-12-j.json"
    page.reload()
    assert watcher.dialogs == ["beforeunload"]  # all is saved
    page.locator("#clear").click()
    assert (marked(page), page.locator("#reviewer").input_value()) == ([""] * COUNT, "")
    page.locator("#undo").click()
    assert marked(page)[0] == "on"
    page.locator("#file").set_input_files(text["path"])
    page.get_by_text("1 mark taken").wait_for()
    assert page.locator("#reviewer").input_value() == "Ada 12 j"
    assert watcher.errors == []


def test_what_others_left_in_the_browser_or_in_a_file_is_no_mark(page: Any, flt: Filter, tmp_path: Path) -> None:
    watcher = Watcher(page)
    path = made_page(flt, tmp_path)
    page.goto(path.as_uri())
    digest = page.locator("article").first.get_attribute("data-article")
    odd = ["{", "null", "3", '"on"', "[]", '{"marks": 3, "notes": "x", "reviewer": 7}', '{"marks": ["on"], "unsaved": "yes"}',
           json.dumps({"marks": {digest: "__proto__", "constructor": "on"}, "notes": {digest: 3}})]  # fmt: skip
    for text in odd:
        page.evaluate("([key, text]) => localStorage.setItem(key, text)", [f"distillery:marks:{SAMPLES['calibration']}", text])
        page.reload()
        assert marked(page) == [""] * COUNT, text
    for text in [*odd, '{"format": 2, "samples": null}', '{"format": 2, "samples": {"fresh": null}, "reviewer": {}}']:
        (tmp_path / "odd.json").write_text(text, encoding="utf-8")
        page.evaluate("document.getElementById('notice').textContent = ''")
        page.locator("#file").set_input_files(tmp_path / "odd.json")
        page.locator("#notice", has_text="odd.json").wait_for()
        assert marked(page) == [""] * COUNT, text
    keys(page, "j1")
    assert marked(page)[0] == "on"
    assert watcher.errors == []


def test_a_changed_rubric_keeps_the_marks_of_the_calibration_sample(page: Any, flt: Filter, tmp_path: Path) -> None:
    path = made_page(flt, tmp_path)
    page.goto(path.as_uri())
    keys(page, "j111111s")
    saved(page, tmp_path)
    of = page.eval_on_selector_all("article", "all => all.map((one) => one.dataset.sample)")
    path.write_text(path.read_text("utf-8").replace("b" * 64, "c" * 64), encoding="utf-8")  # another fresh sample
    page.goto(path.as_uri())
    assert marked(page) == ["on" if sample == "calibration" else "" for sample in of]


def test_what_is_not_complete_is_said_in_the_page_and_in_the_file(page: Any, flt: Filter, tmp_path: Path) -> None:
    page.goto(made_page(flt, tmp_path).as_uri())
    Watcher(page)
    keys(page, "j12s")
    assert page.locator("#saving-title").inner_text() == "This is not complete"
    lacking = page.locator("#lacking").inner_text()
    assert "4 of 6 articles have no mark: 3, 4, 5, 6. The file will say so." in lacking
    assert "Your name is missing" in lacking
    assert "fewer marks than a PASS needs" in lacking
    page.locator("#first").click()
    assert page.locator("article.current h2").inner_text().startswith("3. ")
    keys(page, "s")
    part = saved(page, tmp_path)
    assert (part["complete"], part["reviewer"], part["path"].name) == (False, "", "marks.json")
    assert sum(len(sample["missing"]) for sample in part["samples"].values()) == 4
    page.locator("#reviewer").fill("Ada")
    page.locator("h1").click()
    keys(page, "n3333")
    page.locator("#save").click()
    assert "has no mark" not in page.locator("#lacking").inner_text()
    whole = saved(page, tmp_path)
    assert (whole["complete"], whole["reviewer"]) == (True, "Ada")
    assert [sample["missing"] for sample in whole["samples"].values()] == [[], []]


def test_in_a_sandboxed_frame_it_says_once_that_it_keeps_nothing_and_goes_on(page: Any, flt: Filter, tmp_path: Path) -> None:
    watcher = Watcher(page)
    page.set_content(SANDBOX)
    page.locator("iframe").evaluate("(frame, html) => { frame.srcdoc = html; }", made_page(flt, tmp_path).read_text("utf-8"))
    frame = page.frame_locator("iframe")
    frame.get_by_text("This browser keeps no marks for this page (SecurityError)").wait_for(timeout=120_000)
    frame.locator("article").first.click()
    keys(page, "12")
    assert frame.locator("#count").inner_text().startswith("2 of 6 marked")
    frame.locator("#save").click()
    frame.locator("#copying summary").click()
    text = json.loads(frame.locator("#copy").input_value())
    assert (text["complete"], sum(len(sample["marks"]) for sample in text["samples"].values())) == (False, 2)
    assert [error for error in watcher.errors if "sandbox" not in error.lower()] == []


def test_an_article_is_inert(page: Any, flt: Filter, tmp_path: Path) -> None:
    watcher = Watcher(page)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    path = made_page(flt, tmp_path)
    page.goto(path.as_uri())
    keys(page, "j")
    assert page.title().startswith("Calibration of demo")
    assert asked == [path.as_uri()]
    assert HOSTILE in page.locator(".text").all_inner_texts()
    assert (watcher.dialogs, watcher.errors) == ([], [])


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_narrow_window_needs_no_sideways_scrolling(browser: Any, flt: Filter, tmp_path: Path, scheme: str) -> None:
    context = browser.new_context(viewport={"width": 400, "height": 800}, color_scheme=scheme)
    page = context.new_page()
    page.goto(made_page(flt, tmp_path).as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") == 400
    keys(page, "js")
    assert page.evaluate("document.documentElement.scrollWidth") == 400
    light = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(251, 250, 248)"
    assert light == (scheme == "light")
    context.close()


def distillery(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def mark_all(page: Any, marks: dict[Digest, str]) -> list[Digest]:
    """Go through the page from its first article and press 1, 2 or 3 for each; return their digests."""
    page.locator("article").first.focus()
    digests: list[Digest] = page.eval_on_selector_all("article", "all => all.map((one) => one.dataset.article)")
    for digest in digests:
        page.keyboard.press({"on": "1", "off": "2", "unsure": "3"}[marks[digest]])
    return digests


def test_two_reviewers_mark_and_the_command_judges_by_both(browser: Any, tmp_path: Path) -> None:
    """From the page without marks, by a part of the marks, to a PASS by two reviewers who differ on a few articles."""
    write_files(tmp_path, n=600)
    review = tmp_path / "review.html"
    command = ("calibrate", "sustainability-technology", "--articles", tmp_path / "articles.jsonl", "--store", tmp_path / "st",
               "--set", f"oracle.replies={tmp_path / 'replies.jsonl'}", "--out", review, "--n", 120)  # fmt: skip
    waiting = distillery(*command)
    assert waiting.exit_code == 4, waiting.output
    assert "a changed rubric uses up the fresh sample" in waiting.stdout
    rows = [json.loads(line) for line in (tmp_path / "articles.jsonl").read_text("utf-8").splitlines()]
    articles = [Article(row["id"], row["title"], row["content"], reference=row["reference"]) for row in rows]
    opinions = by_reference(load_filter("sustainability-technology"), articles)
    truth = {article.digest: mark or "unsure" for article, mark in zip(articles, opinions, strict=True)}
    files = []
    for name in ("Ada", "Bert"):
        context = browser.new_context()
        page = context.new_page()
        Watcher(page)
        page.goto(review.as_uri())
        page.locator("#reviewer").fill(name)
        if name == "Ada":
            page.locator("h1").click()
            keys(page, "j1us")
            assert "240 of 240 articles have no mark" in page.locator("#lacking").inner_text()
            page.locator("#cancel").click()
            page.locator("article").first.focus()
            keys(page, {"on": "1s", "off": "2s"}[truth[page.locator("article").first.get_attribute("data-article")]])
            part = saved(page, tmp_path)["path"]
            partial = distillery(*command, "--marks", part)
            assert partial.exit_code == 4, partial.output
            assert "Ada marked 1 of 240 articles, 239 are missing" in partial.stderr
        digests = mark_all(page, truth)
        disputed = [at for at, digest in enumerate(digests) if truth[digest] != "unsure"][:3]
        if name == "Bert":  # is of another opinion on three articles
            for at in disputed:
                article, mark = page.locator("article").nth(at), truth[digests[at]]
                article.locator(f"input[value={'off' if mark == 'on' else 'on'}]").check()
                article.locator("textarea").fill(f"not so sure, {at}")
        page.locator("#save").click()
        files.append(saved(page, tmp_path)["path"])
        context.close()
    alone = distillery(*command, "--marks", files[0], "--json")
    assert (alone.exit_code, json.loads(alone.stdout)["verdict"]) == (0, "PASS"), alone.output
    both = distillery(*command, "--marks", files[0], "--marks", files[1])
    assert both.exit_code in (0, 4), both.output
    n = sum(truth[digest] != "unsure" for digest in digests)
    assert f"reviewers agree on {n - 3} of {n} articles (95%: 96%–100%), Krippendorff's alpha 0.9" in both.stdout
    again = json.loads(distillery(*command, "--marks", files[0], "--marks", files[1], "--json").stdout)
    assert [one["name"] for one in again["marks"]["reviewers"]] == ["Ada", "Bert"]
    assert len(again["agreement"]["disputed"]) == 3
    context = browser.new_context()
    page = context.new_page()
    watcher = Watcher(page)
    page.goto(review.as_uri())
    assert f"{n - 3} of {n} articles" in page.locator("section").inner_text()
    assert marked(page).count("") == 240 - n + 3  # those that both left open, and those they dispute
    page.locator("[data-go]").first.click()
    current = page.locator("article.current")
    current.get_by_text("what others said").click()
    assert "not so sure" in current.inner_text()
    page.locator("[data-go]").last.click()
    assert page.locator("article.current h2").inner_text().startswith(f"{disputed[-1] + 1}. ")
    assert watcher.errors == []
    context.close()
