"""One value that many writers write in many types, and the same meaning whichever it is."""

from __future__ import annotations

import json
import math
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distillery.components.articles.articles import Article, Label, Rejects, as_article, read_articles, read_labels
from distillery.components.articles.cells import is_missing, short_text

NAMED = UUID("e94915e2-7c07-49fb-9ebd-5a9b98324c44")


class NotAvailable:
    """pandas.NA, which answers every comparison with itself and has no truth."""

    def __ne__(self, other: object) -> Any:
        return self

    def __bool__(self) -> bool:
        raise TypeError("boolean value of NA is ambiguous")


class NotATime(datetime):
    """pandas.NaT: a date that is unequal to itself, and has an isoformat."""

    def __ne__(self, other: object) -> bool:
        return True


def written(path: Path, columns: dict[str, Any]) -> Path:
    pq.write_table(pa.table({"content": [f"Text {n}." for n in range(2)], **columns}), path)
    return path


def read(path: Path) -> tuple[list[Article], Rejects]:
    rejects = Rejects()
    return list(read_articles(path, rejects=rejects)), rejects


def labels(path: Path) -> tuple[list[Label], Rejects]:
    rejects = Rejects()
    return list(read_labels(path, ["substance", "effect"], rejects=rejects, max_rejects="1")), rejects


@pytest.mark.parametrize(
    "value",
    [None, math.nan, Decimal("NaN"), NotAvailable(), NotATime(2024, 1, 1), "\\N"],
    ids=["null", "NaN", "decimal", "NA", "NaT", "of a database"],
)
def test_what_says_nothing_is_missing_in_every_text_column(value: Any) -> None:
    assert is_missing(value)
    row = dict.fromkeys(("id", "title", "source", "language", "url", "published", "drawn_by"), value)
    article = as_article({"content": "Text.", **row})
    assert article == as_article({"content": "Text."})
    with pytest.raises(ValueError, match="has no content"):
        as_article({"content": value})


def test_nan_in_a_file_is_missing_whatever_its_format(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text('{"id": "a", "title": NaN, "content": "Text.", "source": NaN, "published": NaN, "language": NaN}\n')
    expected = Article("a", "", "Text.")
    assert read(file)[0] == [expected]
    table = written(tmp_path / "a.parquet", {"id": ["a", "b"], "source": [math.nan, math.nan], "url": [math.nan, 7.0]})
    articles, _ = read(table)
    assert [(a.source, a.url) for a in articles] == [("", ""), ("", "7")]


@pytest.mark.parametrize("word", ["nan", "NaN", "NaT", "<NA>", "None", "NA", "NULL", "null", "#N/A"])
def test_what_a_writer_makes_of_a_missing_value_is_missing_but_no_id_title_or_language(word: str) -> None:
    article = as_article({"id": word, "title": word, "content": word, "source": word, "published": word, "language": word})
    assert (article.source, article.published) == ("", "")
    assert (article.id, article.title, article.content) == (word, word, word)
    assert article.language == ("nan" if word == "nan" else "")  # Min Nan Chinese


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1000.0, "1000"),
        (Decimal("1000.00"), "1000"),
        (Decimal("1E+3"), "1000"),
        (-0.0, "0"),
        (0.1, "0.1"),
        (1e-7, "0.0000001"),
        (float(2**53 - 1), "9007199254740991"),
        (2**63 - 1, "9223372036854775807"),
        (Decimal(10**30 + 1), str(10**30 + 1)),
        (NAMED, str(NAMED)),
        (NAMED.bytes, str(NAMED)),
        (b"a1", "a1"),
        (b"\x00\xff\x10", "00ff10"),
        (date(2024, 1, 2), "2024-01-02"),
        (" a1 ", "a1"),
    ],
)
def test_a_number_or_a_uuid_is_the_text_a_person_would_write(value: Any, text: str) -> None:
    assert short_text(value) == text


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        (float(2**53), "lost digits"),
        (1.23e16, "lost digits"),
        (-1e300, "lost digits"),
        (math.inf, "not a finite number"),
        (Decimal("Infinity"), "not a finite number"),
        (True, "not text but true"),
        ({}, "not text but an object"),
    ],
)
def test_a_number_that_lost_digits_is_refused(value: Any, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        short_text(value)
    with pytest.raises(ValueError, match=f"its id .*{fault}"):
        as_article({"id": value, "content": "Text."})


@settings(deadline=None)
@given(st.integers(-(2**53) + 1, 2**53 - 1))
def test_a_whole_number_is_one_text_in_every_type(number: int) -> None:
    assert short_text(number) == short_text(float(number)) == short_text(Decimal(number)) == str(number)


@settings(deadline=None)
@given(st.floats(allow_nan=False, allow_infinity=False).filter(lambda value: abs(value) < 2**53))
def test_a_fraction_keeps_all_its_digits(value: float) -> None:
    text = short_text(value)
    assert float(text) == value
    assert "e" not in text


@pytest.mark.parametrize(
    "width", [pa.float64(), pa.float32(), pa.int16(), pa.decimal128(9, 2), pa.dictionary(pa.int8(), pa.int64())]
)
def test_ids_of_every_number_type_are_the_same_ids(tmp_path: Path, width: pa.DataType) -> None:
    numbers = pa.array([7, 1000], pa.int16()).cast(width.value_type if pa.types.is_dictionary(width) else width)
    column = numbers.dictionary_encode() if pa.types.is_dictionary(width) else numbers
    assert [a.id for a in read(written(tmp_path / "a.parquet", {"id": column}))[0]] == ["7", "1000"]


@pytest.mark.parametrize(
    ("kind", "values", "ids"),
    [
        (pa.binary(16), [NAMED.bytes, b"sixteen letters!"], [str(NAMED), str(UUID(bytes=b"sixteen letters!"))]),
        (pa.binary(), [b"a1", b"\xff\x01"], ["a1", "ff01"]),
        (pa.large_binary(), [b"a1", NAMED.bytes], ["a1", str(NAMED)]),
        (pa.binary(3), [b"abc", b"\xff\x01\x02"], ["abc", "ff0102"]),
    ],
)
def test_binary_ids_are_read(tmp_path: Path, kind: pa.DataType, values: list[bytes], ids: list[str]) -> None:
    assert [a.id for a in read(written(tmp_path / "a.parquet", {"id": pa.array(values, kind)}))[0]] == ids


@pytest.mark.parametrize(
    ("column", "published"),
    [
        (pa.array([1704067200123456789] * 2, pa.timestamp("ns")), "2024-01-01T00:00:00.123456789"),
        (pa.array([1704067200000456000] * 2, pa.timestamp("ns")), "2024-01-01T00:00:00.000456"),
        (pa.array([1704067200000000001] * 2, pa.timestamp("ns", "+02:00")), "2024-01-01T02:00:00.000000001+02:00"),
        (pa.array([1704067200] * 2, pa.timestamp("s", "Mars/Olympus")), "2024-01-01T00:00:00+00:00"),
        (pa.array([-1] * 2, pa.timestamp("ns")), "1969-12-31T23:59:59.999999999"),
    ],
)
def test_dates_finer_or_stranger_than_pythons_are_read(tmp_path: Path, column: pa.Array, published: str) -> None:
    articles, rejects = read(written(tmp_path / "a.parquet", {"published": column}))
    assert ({a.published for a in articles}, rejects.count) == ({published}, 0)


@pytest.mark.parametrize(
    "column",
    [
        pa.array([10**9, 0], pa.date32()),
        pa.array([2**52, 0], pa.timestamp("s")),
        pa.array([-(2**62), 0], pa.timestamp("us")),
        pa.array([10**17, 0], pa.date64()),
        pa.array([2**61, 0], pa.timestamp("ms", "Europe/Paris")),
    ],
)
def test_a_date_outside_all_years_is_the_fault_of_its_row(tmp_path: Path, column: pa.Array) -> None:
    articles, rejects = read(written(tmp_path / "a.parquet", {"published": column}))
    assert len(articles) == 1
    assert articles[0].published.startswith("1970-01-01")
    assert [reject.reason for reject in rejects.first] == ["its published is a date outside the years 1 to 9999"]


def test_decimal_scores_are_numbers_flat_and_nested(tmp_path: Path) -> None:
    score = pa.array([Decimal("5.25"), Decimal("10.01")], pa.decimal128(5, 2))
    other = pa.array([Decimal("2.00")] * 2, pa.decimal128(5, 2))
    nested = pa.StructArray.from_arrays([score, other], ["substance", "effect"])
    for columns in ({"score.substance": score, "score.effect": other}, {"scores": nested}):
        found, rejects = labels(written(tmp_path / "a.parquet", columns))
        assert [label.scores for label in found] == [{"substance": 5.25, "effect": 2.0}]
        assert [reject.reason for reject in rejects.first] == ["score \"10.01\" of 'substance' is outside 0 to 10"]


def test_fields_that_a_struct_has_for_other_rows_are_no_scores_of_this_one(tmp_path: Path) -> None:
    scores = [{"substance": 5.0, "effect": 2.0}, {"substance": 5.0, "effect": None}]
    kind = pa.struct([("substance", pa.float64()), ("effect", pa.float64()), ("style", pa.float64())])
    references = pa.array(
        [{"substance": 1.0}, {"substance": math.nan}], pa.struct([("substance", pa.float64()), ("effect", pa.float64())])
    )
    found, rejects = labels(written(tmp_path / "a.parquet", {"scores": pa.array(scores, kind), "reference": references}))
    assert [(label.scores, label.article.reference) for label in found] == [
        ({"substance": 5.0, "effect": 2.0}, {"substance": 1.0})
    ]
    assert [reject.reason for reject in rejects.first] == ["score of 'effect' is not a number but null"]


def test_a_long_dictionary_is_not_counted_into_every_row(tmp_path: Path) -> None:
    column = pa.array([chr(97 + n) * 900_000 for n in range(12)]).dictionary_encode()
    pq.write_table(pa.table({"content": column}), tmp_path / "a.parquet")
    assert len(read(tmp_path / "a.parquet")[0]) == 12


@pytest.mark.parametrize(
    ("value", "title"),
    [(1984, "1984"), (24.0, "24"), (date(2024, 5, 7), "2024-05-07"), ("1984", "1984"), (b"caf\xc3\xa9", "café")],
)
def test_a_title_that_a_sheet_took_for_a_number_or_a_date_is_one(value: Any, title: str) -> None:
    assert as_article({"content": "Text.", "title": value}).title == title
    with pytest.raises(ValueError, match="its content is not text"):
        as_article({"content": 1984, "title": value})
    with pytest.raises(ValueError, match="its title is not text but true"):
        as_article({"content": "Text.", "title": True})


def test_texts_that_a_table_calls_bytes_are_texts(tmp_path: Path) -> None:
    for kind in (pa.binary(), pa.large_binary()):
        content = pa.array([b"Caf\xc3\xa9.", b"\xff\xfe"], kind)
        pq.write_table(pa.table({"content": content, "title": pa.array([b"T", b"T"], kind)}), tmp_path / "a.parquet")
        articles, rejects = read(tmp_path / "a.parquet")
        assert [(article.title, article.content) for article in articles] == [("T", "Café.")]
        assert [reject.reason for reject in rejects.first] == ["its content is not UTF-8"]


def test_recorded_replies_find_articles_by_ids_of_any_number_type(tmp_path: Path) -> None:
    from distillery.components.labeling.oracles.replay import _read

    file = tmp_path / "replies.jsonl"
    file.write_text("".join(json.dumps({"id": value, "reply": "x"}) + "\n" for value in (1000.0, 7, " a ")))
    assert set(_read(file)) == {"id 1000", "id 7", "id a"}
