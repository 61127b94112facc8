"""A content type is one of the filter's or a bad row, since a misspelt one would mean no cap."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from distillery.components.articles.articles import Rejects, read_labels
from distillery.components.labeling.replies import parse
from distillery.filters.errors import InputError

TYPES = ["opinion", "press_release"]


def file(folder: Path, *types: Any, **more: Any) -> Path:
    path = folder / "labels.jsonl"
    rows = [
        {"id": f"a{at}", "content": f"Text {at}.", "scores": {"effect": 5}, "content_type": kind}
        for at, kind in enumerate(types)
    ]
    path.write_text("".join(json.dumps(row | more) + "\n" for row in rows))
    return path


def read(path: Path, types: list[str]) -> list[str | None]:
    return [label.content_type for label in read_labels(path, ["effect"], rejects=Rejects(), content_types=types)]


def test_names_of_the_filter_none_and_nothing_are_read(tmp_path: Path) -> None:
    written = ["opinion", " press_release ", "none", None, ""]
    assert read(file(tmp_path, *written), TYPES) == ["opinion", "press_release", "none", None, None]


@pytest.mark.parametrize(
    ("written", "near"),
    [
        ("opnion", "opinion"),
        ("Opinion", "opinion"),
        ("OPINION", "opinion"),
        ("press release", "press_release"),
        ("press-release", "press_release"),
        ("opinion\u00adpiece", "opinion"),
        ("column", "opinion"),
        (3, "press_release"),
    ],
)
def test_another_is_a_bad_row_with_the_nearest_name(written: Any, near: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"1 of 2 rows are bad: .*:2: content_type is .*nearest: '{near}'\)"):
        read(file(tmp_path, "opinion", written), TYPES)


def test_a_filter_without_content_types_gives_them_no_meaning(tmp_path: Path) -> None:
    assert read(file(tmp_path, "column", None), []) == ["column", None]


def test_one_id_with_two_content_types_is_a_contradiction(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="id 'x' has other content type in line 1"):
        read(file(tmp_path, "opinion", "press_release", id="x", content="One text."), TYPES)


def test_a_reply_with_another_fails_and_names_the_nearest() -> None:
    with pytest.raises(
        ValueError, match=r"content_type is \"opnion\", not one of opinion, press_release \(nearest: 'opinion'\)"
    ):
        parse('{"content_type": "opnion", "effect": 3}', ["effect"], TYPES)
