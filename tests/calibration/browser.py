"""A real browser for tests of pages; they are skipped where there is none."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

PATIENCE = 120_000  # milliseconds; a busy machine takes seconds for one key
SANDBOX = '<!doctype html><meta charset="utf-8"><iframe sandbox="allow-scripts" style="width:100%;height:800px"></iframe>'


@contextmanager
def running_browser() -> Iterator[Any]:
    """Yield a headless Chromium; skip the test where playwright or Chromium is missing."""
    pytest.importorskip("playwright.sync_api", reason="no playwright: install the extra cluster")
    from playwright import sync_api

    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if not chromium:
        pytest.skip("no browser: install chromium")
    with sync_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"], timeout=PATIENCE)
        yield running
        running.close()


class Watcher:
    """What a page says besides its text: script errors, messages of the console, and dialogs, which are accepted."""

    def __init__(self, page: Any) -> None:
        self.errors: list[str] = []
        self.dialogs: list[str] = []
        page.set_default_timeout(PATIENCE)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda message: self.errors.append(message.text) if message.type in ("error", "warning") else None)
        page.on("dialog", self._accept)

    def _accept(self, dialog: Any) -> None:
        self.dialogs.append(dialog.type)
        dialog.accept()
