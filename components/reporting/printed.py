"""The report as PDF, printed by a Chromium that is at hand: the page needs no script and fetches nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

from distillery.components.articles.scratch import scratch_folder
from distillery.filters.errors import InputError

BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SECONDS: Final = 120


def print_page(page: str) -> bytes:
    """Return a page as PDF.

    Args:
        page: HTML, complete in itself.

    Returns:
        The file.

    Raises:
        InputError: there is no Chromium here, or it prints nothing.
    """
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        hint = "install chromium, or name it .html and print it, or .docx"
        raise InputError("a PDF is printed by Chromium, which is not installed", where="--out", hint=hint)
    with scratch_folder("distillery-pdf-") as scratch:
        (scratch / "report.html").write_text(page, encoding="utf-8")
        out = scratch / "report.pdf"
        alone = ["--no-sandbox"] if os.geteuid() == 0 else []  # root has no sandbox; the page is ours, and holds no script
        words = [
            browser,
            "--headless",
            *alone,
            "--disable-gpu",
            "--no-pdf-header-footer",
            f"--user-data-dir={scratch / 'profile'}",
        ]
        try:
            done = subprocess.run(
                [*words, f"--print-to-pdf={out}", (scratch / "report.html").as_uri()],
                capture_output=True,
                text=True,
                timeout=SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise _unprinted(browser, type(error).__name__) from error
        if done.returncode or not out.is_file() or not out.stat().st_size:
            raise _unprinted(browser, (done.stderr.strip().splitlines() or ["it said nothing"])[-1][:200])
        return Path(out).read_bytes()


def _unprinted(browser: str, reason: str) -> InputError:
    return InputError(f"printed nothing ({reason})", where=browser, hint="name it .html, and print it from a browser")
