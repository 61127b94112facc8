"""Texts and tables in GitHub's Markdown: every text from outside is escaped, so that it can neither mention nor draw."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence


def plain(text: str, longest: int = 300) -> str:
    """Return a text on one line, with no meaning to Markdown or HTML.

    Args:
        text: any text from outside.
        longest: characters at which it is cut.

    Returns:
        The text, escaped.
    """
    line = " ".join(re.sub(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]", " ", text).split())
    line = line if len(line) <= longest else line[:longest].rstrip() + " …"
    line = re.sub(r"([\\`*_\[\]#|~$])", r"\\\1", line)  # before there are entities, which hold a #
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return line.replace("@", "&#64;").replace("://", ":&#8203;//")


def table(head: Sequence[str], rows: Iterable[Sequence[str]], right: int = 1) -> str:
    """Return a Markdown table.

    Args:
        head: titles of the columns.
        rows: cells, as many a row as there are titles.
        right: first column that is right-aligned.

    Returns:
        The table, without a line break at its end.
    """
    rule = ["---" if i < right else "---:" for i in range(len(head))]
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, rule, *rows))
