"""docs/gitops.md: six blocks of commands, in the order in which tests/cluster/test_gitops.py types them."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BEGIN = (
    "git submodule add",
    "kubectl apply -f distillery",
    "git add",
    "kubectl -n distillery get",
    "git revert",
    "distillery submit",
)


def test_the_page_has_the_blocks_that_the_test_on_a_cluster_types() -> None:
    page = (ROOT / "docs/gitops.md").read_text("utf-8")
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", page, flags=re.MULTILINE | re.DOTALL)
    blocks = [text for language, text in fenced if not language]
    assert len(blocks) == len(BEGIN)
    for block, begin in zip(blocks, BEGIN, strict=True):
        assert block.startswith(begin)
    typed = (ROOT / "tests/cluster/test_gitops.py").read_text("utf-8")
    assert "CREATE, SECRETS, PUSH, LOOK, REVERT, SCORE = BLOCKS" in typed
    assert all(typed.count(name) > 1 for name in ("CREATE", "SECRETS", "PUSH", "LOOK", "REVERT", "SCORE"))
