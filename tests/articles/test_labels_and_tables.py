"""Labels given by people, and the tables that carry them: scores by name, never by order, never guessed."""

from __future__ import annotations

import json
import math
import random
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distillery.components.articles import formats
from distillery.components.articles import label_table as label_tables
from distillery.components.articles.articles import Article, Label, Rejects, article_digest, parse_max_rejects, read_labels
from distillery.components.articles.label_table import (
    label_table,
    read_table,
    references,
    scores,
    write_label_table,
    write_table,
)
from distillery.components.store import digest_bytes
from distillery.filters.errors import InputError
from tests.tables import with_columns

DIMENSIONS = ["readiness", "impact"]


def row(number: int, **more: Any) -> dict[str, Any]:
    return {"id": f"a{number}", "title": "T", "content": f"Text {number}.", "scores": {"impact": 5, "readiness": 2.5}, **more}


def write(path: Path, *rows: Any) -> Path:
    path.write_text("".join((r if isinstance(r, str) else json.dumps(r)) + "\n" for r in rows))
    return path


def read(path: Path, max_rejects: str = "0", rejects: Rejects | None = None) -> list[Label]:
    return list(read_labels(path, DIMENSIONS, rejects=rejects or Rejects(), max_rejects=max_rejects))


def test_labels_come_by_name(tmp_path: Path) -> None:
    labels = read(write(tmp_path / "l.jsonl", row(1, source="s", content_type="news", reference={"impact": 1}), row(2)))
    assert labels[0] == Label(
        Article("a1", "T", "Text 1.", "s", reference={"impact": 1.0}), {"readiness": 2.5, "impact": 5.0}, "news"
    )
    assert list(labels[1].scores) == DIMENSIONS


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (11, "score 11 of 'impact' is outside 0 to 10"),
        (-0.1, "score -0.1 of 'impact' is outside 0 to 10"),
        (math.nan, "score NaN of 'impact' is outside 0 to 10"),
        (math.inf, "score Infinity of 'impact' is outside 0 to 10"),
        (10**400, "score 1000"),
        (True, "score of 'impact' is not a number but true"),
        ("7", "score of 'impact' is not a number but \"7\""),
        (None, "score of 'impact' is not a number but null"),
        ([7], "score of 'impact' is not a number but a list"),
        ({"score": 7}, "score of 'impact' is not a number but an object"),
    ],
)
def test_a_bad_score_stops_the_run(tmp_path: Path, bad: Any, reason: str) -> None:
    path = write(tmp_path / "l.jsonl", row(1), row(2, scores={"readiness": 1, "impact": bad}))
    with pytest.raises(InputError) as caught:
        read(path)
    assert f"{path}:2: {reason}" in str(caught.value)
    assert "1 of 2 rows are bad" in str(caught.value)
    assert "--max-rejects 20 or --max-rejects 1%" in str(caught.value)


@pytest.mark.parametrize(
    ("scores", "reason"),
    [
        ({"readiness": 1}, "lacks dimension 'impact'"),
        ({"readiness": 1, "impacts": 2}, "lacks dimension 'impact' (it has 'impacts')"),
        (
            {"readiness": 1, "impact": 2, "readines": 3},
            "has dimension 'readines', which the filter lacks (nearest: 'readiness')",
        ),
        ({}, "lacks dimension 'readiness'"),
        (None, "has no scores"),
        ([1, 2], "its scores is not an object but a list"),
    ],
)
def test_dimensions_must_be_exactly_the_filters(tmp_path: Path, scores: Any, reason: str) -> None:
    path = write(tmp_path / "l.jsonl", row(1, scores=scores))
    with pytest.raises(InputError) as caught:
        read(path)
    assert f"{path}:1: {reason}" in str(caught.value)


def test_the_first_three_bad_rows_are_named(tmp_path: Path) -> None:
    bad = [row(n, scores={"readiness": n, "impact": 1}) for n in range(11, 20)]
    path = write(tmp_path / "l.jsonl", row(1), *bad)
    with pytest.raises(InputError, match="9 of 10 rows are bad") as caught:
        read(path)
    assert all(f"{path}:{line}: score" in str(caught.value) for line in (2, 3, 4))
    assert f"{path}:5" not in str(caught.value)


@pytest.mark.parametrize(
    ("allowed", "passes"),
    [("0", False), ("1", False), ("2", True), ("1%", False), ("1.99%", False), ("2%", True), ("100%", True)],
)
def test_some_bad_rows_may_be_allowed(tmp_path: Path, allowed: str, passes: bool) -> None:
    path = write(tmp_path / "l.jsonl", *(row(n) for n in range(98)), "{bad", row(99, content=""))
    rejects = Rejects()
    if passes:
        assert len(read(path, allowed, rejects)) == 98
    else:
        with pytest.raises(InputError, match="2 of 100 rows are bad"):
            read(path, allowed, rejects)
    assert rejects.count == 2
    assert [r.line for r in rejects.first] == [99, 100]


def test_only_bad_rows_is_an_error_whatever_is_allowed(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no row is a label"):
        read(write(tmp_path / "l.jsonl", "{bad"), "100%")


@pytest.mark.parametrize("text", ["", "-1", "1.5", "many", "101%", "nan%", "-1%", "%", "inf", "1 %%"])
def test_a_limit_that_is_none(text: str) -> None:
    with pytest.raises(InputError, match="neither a count nor a percentage"):
        parse_max_rejects(text)


def test_an_id_used_twice_stops_the_run_whatever_is_allowed(tmp_path: Path) -> None:
    for second, other in ((row(1, content="Another."), "text"), (row(1, scores={"readiness": 2.5, "impact": 6}), "scores")):
        path = write(tmp_path / "l.jsonl", row(1), row(2), second)
        with pytest.raises(InputError, match=f"id 'a1' has other {other} in line 1") as caught:
            read(path, "100%")
        assert f"{path}:3" in str(caught.value)


def test_exact_repeats_are_collapsed(tmp_path: Path) -> None:
    rejects = Rejects()
    assert len(read(write(tmp_path / "l.jsonl", row(1), row(1, source="elsewhere"), row(2)), rejects=rejects)) == 2
    assert rejects.collapsed == 1


def test_parquet_labels_nested_and_flat(tmp_path: Path) -> None:
    nested, flat = tmp_path / "nested", tmp_path / "flat"
    pq.write_table(pa.Table.from_pylist([row(n) for n in range(5)]), nested)
    labels = read(nested)
    assert labels[4].scores == {"readiness": 2.5, "impact": 5.0}
    flat.write_bytes(write_table(label_table(labels, DIMENSIONS)))
    assert read(flat) == labels
    scoreless = {key: value for key, value in row(1).items() if key != "scores"}
    pq.write_table(pa.Table.from_pylist([scoreless]).append_column("score.impact", pa.nulls(1, pa.float64())), nested)
    with pytest.raises(InputError, match="has no scores"):
        read(nested)


score = st.floats(0, 10)
label = st.builds(
    Label,
    st.builds(
        Article,
        st.uuids().map(str),
        st.text(max_size=9),
        st.text(min_size=1, max_size=20),
        st.text(max_size=5),
        reference=st.none()
        | st.fixed_dictionaries({}, optional={"impact": score, "readiness": score}).map(lambda found: found or None),
    ),
    st.fixed_dictionaries({"readiness": score, "impact": score}),
    st.none() | st.just("news"),
)


@given(st.lists(label, max_size=5))
def test_a_table_keeps_its_labels(labels: list[Label]) -> None:
    data = write_table(label_table(labels, DIMENSIONS))
    table = read_table(data)
    assert write_table(table) == data
    assert table["article"].to_pylist() == [article_digest(x.article.title, x.article.content) for x in labels]
    for name in ("id", "title", "content", "source"):
        assert table[name].to_pylist() == [getattr(x.article, name) for x in labels]
    assert table["content_type"].to_pylist() == [x.content_type for x in labels]
    for name in DIMENSIONS:
        assert table[f"score.{name}"].to_pylist() == [x.scores[name] for x in labels]
        true = [(x.article.reference or {}).get(name) for x in labels]
        assert (
            table[f"reference.{name}"].to_pylist() if f"reference.{name}" in table.column_names else [None] * len(labels)
        ) == true


GOLDEN = {
    # (odd, count): digests of the table written at once and row by row, by the code before there was one writer for both
    (False, 3): (
        "045e24a9421afc49eff0b483c7de7d3618439d10e826ee85e2307a582cd4f767",
        "a5a30b178ad8bafa8314b1646ac828d3545852c08f3d261cac217d79aaa79ee5",
    ),
    (False, 1203): (
        "10e98a2936f36bcb94bda07930323db277a28889a40342ae438d794cf4bf2621",
        "32ce8dca6b9402ab2bd04b23f7eda63db079a39344ee3c31b2d9c0e5ea1447bf",
    ),
    (True, 3): (
        "02f9d7bd68f47c374fc67fc1f8c2c287f7efda77fc39bb0c84b287663a2d15e4",
        "bd6fa397f0565f4e422b2788de5f50b0e341443f7144d3bccb1b7641bd210153",
    ),
    (True, 1203): (
        "762e3af6a63866a5eb5ccc8c4d4962dd7e916dfb0da335e26701b502367b7d07",
        "eb40f6491f900353fe4dea15f89a04d06d5b05054945c6897763fbcea5819b25",
    ),
}


def golden_labels(count: int, odd: bool) -> list[Label]:
    references: list[Any] = [None] * count
    if odd:
        kinds = ({"impact"}, {"impact", "readiness"}, set())
        references = [{"impact": n % 11, "readiness": 0.5} for n in range(count)]
        references = [{k: v for k, v in true.items() if k in kinds[n % 3]} or None for n, true in enumerate(references)]
    return [
        Label(
            Article(
                f"a{n % 700}-{n}",
                f"Title {n % 5}",
                f"Text {n} é\n" * (1 + n % 4),
                source="s" if n % 2 else "",
                language="fr" if n % 7 else "",
                url=f"https://example.org/{n}",
                published="2026-01-02" if n % 9 else "",
                reference=references[n],
                drawn_by="random" if odd and n % 5 else "",
            ),
            {"impact": (n * 7 % 101) / 10, "readiness": n % 10 + 0.1},
            "news" if n % 4 else None,
        )
        for n in range(count)
    ]


@pytest.mark.skipif(pa.__version__ != "26.0.1", reason="another Arrow may write other bytes")
@pytest.mark.parametrize(("odd", "count"), GOLDEN)
def test_labels_stored_long_ago_have_the_bytes_they_had(tmp_path: Path, odd: bool, count: int) -> None:
    labels = golden_labels(count, odd)
    table = label_table(labels, DIMENSIONS).sort_by([("article", "ascending"), ("id", "ascending")])
    path = tmp_path / "labels.parquet"
    feed = ((label.article.digest, label) for label in labels)
    assert write_label_table(path, feed, DIMENSIONS, references=odd, drawn=odd) == count
    assert (digest_bytes(write_table(table)), digest_bytes(path.read_bytes())) == GOLDEN[odd, count]


def test_a_label_of_other_dimensions_is_refused_while_it_is_written(tmp_path: Path) -> None:
    article = Article("1", "", "a")
    with pytest.raises(ValueError, match="lacks dimension 'impact'"):
        write_label_table(tmp_path / "x", [(article.digest, Label(article, {"readiness": 1}))], DIMENSIONS, references=False)


@settings(deadline=None)
@given(st.integers(0, 300), st.lists(st.integers(0, 300)))
def test_equal_tables_are_equal_bytes_however_they_are_cut(rows: int, cuts: list[int]) -> None:
    whole = pa.table({"x": pa.array([None if n % 7 == 3 else f"text {n % 5}" for n in range(rows)]), "y": np.arange(rows) / 3})
    edges = sorted({0, rows, *(cut for cut in cuts if cut < rows)})
    parts = [whole.slice(start, end - start) for start, end in pairwise(edges)]
    noted = pa.concat_tables([whole.slice(0, 0), *parts]).replace_schema_metadata({"reader": "noted"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(label_tables, "ROWS", 100)
        assert write_table(noted) == write_table(whole)
        assert read_table(write_table(whole)).equals(whole)


def test_text_that_is_not_utf_8_is_damage() -> None:
    text = pa.StringArray.from_buffers(1, pa.py_buffer(b"\0\0\0\0\2\0\0\0"), pa.py_buffer(b"\xc3\x28"))
    with pytest.raises(InputError, match="not a readable Parquet table"):
        read_table(write_table(pa.table({"x": text})))


def test_scores_follow_names_not_order() -> None:
    labels = [
        Label(Article("1", "", "a"), {"readiness": 1, "impact": 2}),
        Label(Article("2", "", "b", reference={"impact": 9.0}), {"readiness": 3, "impact": 4}),
    ]
    table = label_table(labels, DIMENSIONS)
    assert scores(table, DIMENSIONS).tolist() == [[1, 2], [3, 4]]
    assert scores(table.select(table.column_names[::-1]), DIMENSIONS).tolist() == [[1, 2], [3, 4]]
    assert scores(table, ["impact", "readiness"]).tolist() == [[2, 1], [4, 3]]
    true = references(table, DIMENSIONS)
    assert true is not None
    np.testing.assert_array_equal(true, [[np.nan, np.nan], [np.nan, 9]])
    assert references(table.drop_columns([f"reference.{name}" for name in DIMENSIONS]), DIMENSIONS) is None


def test_a_table_of_another_filter_is_refused() -> None:
    table = label_table([Label(Article("1", "", "a"), {"readiness": 1, "impact": 2})], DIMENSIONS)
    with pytest.raises(InputError, match="lacks dimension 'impacts' \\(it has 'impact'\\)"):
        scores(table, ["readiness", "impacts"])
    with pytest.raises(InputError, match="has dimension 'impact', which the filter lacks"):
        scores(table, ["readiness"])
    with pytest.raises(InputError, match="missing or not finite"):
        scores(with_columns(table, {"score.impact": pa.nulls(1, pa.float64())}), DIMENSIONS)
    with pytest.raises(InputError, match="missing or not finite"):
        scores(with_columns(table, {"score.impact": [math.nan]}), DIMENSIONS)
    with pytest.raises(ValueError, match="lacks dimension"):
        label_table([Label(Article("1", "", "a"), {"readiness": 1})], DIMENSIONS)


@pytest.mark.parametrize("data", [b"", b"PAR1", b"PAR1" + b"\0" * 50 + b"PAR1", b"nothing of the kind"])
def test_bytes_that_are_no_table(data: bytes) -> None:
    with pytest.raises(InputError, match="not a readable Parquet table"):
        read_table(data)


@pytest.mark.parametrize("texts", [["a" * 300_000 + str(n) for n in range(100)], ["a" * 300_000] * 200])
def test_a_table_that_unpacks_to_a_bomb_is_refused(texts: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "FREE_BYTES", 20_000_000)
    data = write_table(pa.table({"x": texts}))
    assert len(data) < 100_000
    with pytest.raises(InputError, match="would unpack"):
        read_table(data)


def test_damaged_bytes_are_an_error_and_never_a_crash() -> None:
    whole = write_table(
        label_table([Label(Article(str(n), "t", "c" * n), {"readiness": 1, "impact": 2}) for n in range(20)], DIMENSIONS)
    )
    rng, refused = random.Random(5), 0
    for _ in range(300):
        data = bytearray(whole)
        for _ in range(rng.randint(1, 6)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        try:
            read_table(bytes(data))
        except InputError:
            refused += 1
    assert refused > 30
