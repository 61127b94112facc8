"""The same run from Kubeflow's own UI in a real browser: found, its form filled in, started, green, its report read there.

KFP_UI is the UI's address. With DISTILLERY_SHOTS=docs/screenshots the pictures of the docs are taken anew on the way.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from distillery.components.store import Store
from distillery.pipelines.cluster.submit import upload
from tests.cluster.harness import ROOT, Cluster, wait_for
from tests.cluster.runs import FILTER, LENIENT, QUICK
from tests.pipelines.harness import Ran

pytestmark = pytest.mark.timeout(1800)
WIDTH, HEIGHT = 1280, 860


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    pytest.importorskip("playwright.sync_api", reason="no playwright: install the extra cluster")
    from playwright import sync_api

    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if not chromium:
        pytest.skip("no browser: install chromium")
    with sync_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture
def page(browser: Any, cluster: Cluster) -> Any:
    if not os.environ.get("KFP_UI"):
        pytest.skip("KFP_UI is not set: where is Kubeflow's UI?")
    found = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
    found.set_default_timeout(120_000)  # a small machine draws the graph of a run in up to 40 s
    return found


def shot(page: Any, name: str) -> None:
    """A picture for the docs, where they are asked for: PNG of at most 128 colours."""
    folder = os.environ.get("DISTILLERY_SHOTS")
    if not folder:
        return
    from PIL import Image

    page.wait_for_timeout(1500)  # the UI moves its drawers slowly
    path = ROOT / folder / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=path)
    Image.open(path).convert("RGB").quantize(128).save(path, optimize=True)
    assert path.stat().st_size <= 200_000


def fill_form(page: Any, fields: dict[str, str]) -> None:
    for name, value in fields.items():
        field = page.locator(f"input[id='{name}'], textarea[id='{name}']")
        field.fill(value)
        field.blur()


def test_a_colleague_starts_a_run_in_the_browser_and_reads_its_report(
    page: Any,
    cluster: Cluster,
    store: Store,
    demo: Path,
    kfp: Any,
    promoted: Ran,
) -> None:
    assert promoted.code == 0, promoted.err
    before = {run.run_id for run in kfp.client.list_runs(page_size=100).runs or []}
    page.goto(os.environ["KFP_UI"])
    page.get_by_role("link", name="distill", exact=True).click()
    page.get_by_text("distill-steps").first.wait_for()  # before that, the form would know no version
    page.get_by_role("button", name="Create run").click()
    page.locator("input[id='filter']").wait_for()
    articles = upload(store, str(demo / "articles.jsonl"), parameter="articles")
    replies = upload(store, str(demo / "replies.jsonl"), parameter="replies")
    overrides = [f"oracle.replies={replies}", *(f"{key}={value}" for key, value in QUICK.items()), LENIENT]
    page.get_by_role("button", name="Choose").nth(2).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text(FILTER, exact=True).first.click()
    dialog.get_by_role("button", name="Use this experiment").click()
    fill_form(
        page,
        {
            "filter": FILTER,
            "articles": articles,
            "marks": "reference",
            "profile": "laptop",
            "overrides": json.dumps(overrides),
            "store": store.uri,
        },
    )
    page.locator("input[id='articles']").scroll_into_view_if_needed()
    shot(page, "form")
    page.get_by_role("button", name="Start", exact=True).click()
    page.wait_for_url(re.compile("runs/(details|$|new$)|/runs$"), timeout=60_000)

    def new() -> str | None:
        found = {run.run_id for run in kfp.client.list_runs(page_size=100).runs or []} - before
        return found.pop() if found else None

    run = wait_for("a run that the form started", new, 60)
    wait_for("the run's end", lambda: not kfp.active(run), 1200, 3)
    assert kfp.get(run).state == "SUCCEEDED"
    record = store.get_json(f"runs/{run}/train.json")
    assert record["reused"], "the same inputs as from the command line: nothing is trained again"
    assert record["outputs"]["adapter"] == promoted.json["adapter"]

    page.goto(f"{os.environ['KFP_UI']}/#/runs/details/{run}")
    report = artifact(page, "html")
    assert report.get_by_text(FILTER).first.is_visible()
    assert report.get_by_text("MAE").first.is_visible()
    shot(page, "report")

    page.get_by_text("distill-steps", exact=True).first.click()
    page.get_by_text("OPEN SUB-DAG").click()
    page.get_by_text("gate", exact=True).first.wait_for()
    page.locator(".react-flow__controls-fitview").click()
    shot(page, "graph")
    page.get_by_text("metrics", exact=True).first.click()
    page.get_by_text("Visualization", exact=True).click()
    page.get_by_text("Scalar Metrics").first.wait_for()
    page.get_by_text("overall_mae").or_(page.get_by_text("dimensions.")).first.wait_for()
    shot(page, "metrics")

    page.get_by_label("close").first.click()  # the panel may lie over the node
    page.locator(".react-flow__controls-fitview").click()
    page.get_by_text("train", exact=True).first.click()
    page.get_by_role("link", name="adapter", exact=True).first.click()
    page.get_by_text("Lineage Explorer").click()
    for name in ("parts", "train", "benchmark"):
        page.get_by_text(name, exact=True).first.wait_for()
    shot(page, "lineage")


def artifact(page: Any, name: str) -> Any:
    """What the UI shows of an HTML artifact. A node that was opened before the UI knew its artifact stays empty."""
    from playwright.sync_api import TimeoutError

    frame = page.frame_locator("iframe").first
    for _ in range(6):
        page.get_by_text(name, exact=True).first.click()
        page.get_by_text("Visualization", exact=True).click()
        try:
            frame.locator("h1").first.wait_for(timeout=20_000)
            return frame
        except TimeoutError:
            page.reload()
    raise AssertionError(f"the UI shows no artifact {name}")
