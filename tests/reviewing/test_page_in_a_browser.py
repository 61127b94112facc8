"""The review page in a real browser: scores are kept, saved, and read back."""

from __future__ import annotations

import json
from pathlib import Path

from tests.calibration.browser import PATIENCE, running_browser
from tests.pipelines.harness import run_here


def test_scores_are_kept_saved_and_read_back(copied_home: Path, tmp_path: Path) -> None:
    assert run_here("review", "filter.yaml", "--out", tmp_path / "r.html", "--count", "4", cwd=copied_home).code == 0
    with running_browser() as browser:
        page, said = browser.new_page(accept_downloads=True), list[str]()
        page.set_default_timeout(PATIENCE)
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(f"file://{tmp_path}/r.html")
        page.fill("#reviewer", "Zoë")
        for at, field in enumerate(page.query_selector_all("article input")):
            field.fill(str(at % 11))
        page.reload()
        assert page.inner_text("#count") == "4 of 4 scored", "kept in the browser"
        page.query_selector_all("article input")[0].fill("12")
        page.click("#save")
        assert page.inner_text("#notice") == "A score is a number from 0 to 10."
        page.query_selector_all("article input")[0].fill("7.5")
        with page.expect_download() as saved:
            page.click("#save")
        saved.value.save_as(tmp_path / "scores.json")
    assert said == []
    assert json.loads((tmp_path / "scores.json").read_bytes())["reviewer"] == "Zoë"
    ran = run_here("review", "filter.yaml", "--read", tmp_path / "scores.json", "--json", cwd=copied_home)
    assert ran.code == 0, ran.err
    assert ran.json["reviewers"] == [{"name": "Zoë", "articles": 4, "scores": 12}]
