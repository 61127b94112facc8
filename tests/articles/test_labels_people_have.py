"""Labels of other systems: the two forms of the earlier one, saved data sets, other names and scales. Nothing is guessed."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from distillery.components.articles.articles import Label, Rejects, read_articles, read_labels
from distillery.components.articles.folders import shards
from distillery.filters.columns import ScoreForm
from distillery.filters.errors import InputError
from tests.articles.test_whole_tables import mutated

DIMENSIONS = ["agency", "progress"]
Scores = dict[str, Any]
# Ways in which the earlier system kept scores.
EARLIER: dict[str, Callable[[Scores], dict[str, Any]]] = {
    "numbers": lambda scores: {"uplifting_analysis": {"dimensions": scores}},
    "reasoned": lambda scores: {
        "uplifting_analysis": {"dimensions": {name: {"score": cell, "evidence": "so it says"} for name, cell in scores.items()}}
    },
    "labels": lambda scores: {"labels": [*scores.values()], "dimension_names": [*scores]},
}


def article(number: int, **more: Any) -> dict[str, Any]:
    return {"id": f"a{number}", "title": f"T{number}", "content": f"Text number {number}.", **more}


def rows(form: str, count: int = 6) -> list[dict[str, Any]]:
    return [article(number, **EARLIER[form]({"progress": number / 2, "agency": number})) for number in range(count)]


def jsonl(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row, default=float) + "\n" for row in rows))
    return path


def parquet(path: Path, *rows: dict[str, Any]) -> Path:
    pq.write_table(pa.Table.from_pylist(list(rows)), path)
    return path


def arrow(path: Path, *rows: dict[str, Any], batch: int = 4, **options: Any) -> Path:
    table = pa.Table.from_pylist(list(rows))
    with pa.ipc.new_stream(str(path), table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table, max_chunksize=batch)
    return path


WRITERS: dict[str, Callable[..., Path]] = {"jsonl": jsonl, "parquet": parquet, "arrow": arrow}


def read(path: Path, form: ScoreForm | None = None, rejects: Rejects | None = None, **more: Any) -> list[Label]:
    rejects = rejects if rejects is not None else Rejects()
    return list(read_labels(path, DIMENSIONS, rejects=rejects, form=form or ScoreForm(), **{"max_rejects": "100%", **more}))


def reasons(path: Path, form: ScoreForm | None = None, **more: Any) -> list[str]:
    rejects = Rejects()
    with suppress(InputError):
        read(path, form, rejects, **more)
    return [reject.reason for reject in rejects.first]


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("form", EARLIER)
def test_both_forms_of_the_earlier_system_are_read_by_name(tmp_path: Path, form: str, kind: str) -> None:
    labels = read(WRITERS[kind](tmp_path / "labels", *rows(form)))
    assert [label.scores for label in labels] == [{"agency": number, "progress": number / 2} for number in range(6)]
    assert [label.article.title for label in labels] == [f"T{number}" for number in range(6)]


def test_tables_of_one_kind_of_cell_keep_them_as_text(tmp_path: Path) -> None:
    texts = [
        {key: json.dumps(cell) if isinstance(cell, list | dict) else cell for key, cell in row.items()}
        for row in rows("labels")
    ]
    assert len(read(parquet(tmp_path / "labels", *texts))) == 6
    (tmp_path / "labels.csv").write_text(
        'id,title,content,labels,dimension_names\n1,T,Text,"[3, 4]","[""agency"",""progress""]"\n'
    )
    assert read(tmp_path / "labels.csv")[0].scores == {"agency": 3, "progress": 4}


def test_a_content_type_beside_the_dimensions_is_the_labels(tmp_path: Path) -> None:
    row = article(1, uplifting_analysis={"dimensions": {"agency": 1, "progress": 2}, "content_type": "finance"})
    assert read(jsonl(tmp_path / "l", row), content_types=["finance"])[0].content_type == "finance"
    assert "content_type is" in reasons(jsonl(tmp_path / "l", row), content_types=["war"])[0]
    assert read(jsonl(tmp_path / "l", row | {"content_type": "war"}), content_types=["war"])[0].content_type == "war"


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({}, "has no scores"),
        ({"labels": [1, 2]}, "its labels have no dimension_names"),
        ({"labels": [1], "dimension_names": ["agency", "progress"]}, "has 1 labels for 2 dimension_names"),
        ({"labels": [1, 2], "dimension_names": ["agency", "agency"]}, "has the key 'agency' twice"),
        ({"labels": [1, 2], "dimension_names": ["agency", "progres"]}, "lacks dimension 'progress' (it has 'progres')"),
        ({"labels": [1, 11], "dimension_names": ["agency", "progress"]}, "score 11 of 'progress' is outside 0 to 10"),
        ({"labels": [1, None], "dimension_names": ["agency", "progress"]}, "score of 'progress' is not a number but null"),
        ({"u_analysis": {"dimensions": {"agency": 1}}}, "lacks dimension 'progress'"),
        ({"u_analysis": {"dimensions": [1, 2]}}, "has no scores"),
        ({"u_analysis": {"dimensions": {"agency": 1, "progress": 2, "wonder": 3}}}, "has dimension 'wonder'"),
        (
            {"a_analysis": {"dimensions": {"agency": 1}}, "b_analysis": {"dimensions": {"agency": 1}}},
            "has scores of several filters, 'a_analysis' and 'b_analysis'",
        ),
        (
            {"u_analysis": {"dimensions": {"agency": {"score": 3, "max": 5}, "progress": 1}}},
            "has another number beside it: 'max' is 5",
        ),
        (
            {"u_analysis": {"dimensions": {"agency": {"score": 3, "out_of": 100}, "progress": 1}}},
            "has another number beside it",
        ),
        (
            {"u_analysis": {"dimensions": {"agency": {"score": {"score": 3}}, "progress": 1}}},
            "score of 'agency' is not a number but an object",
        ),
        (
            {"u_analysis": {"dimensions": {"agency": {"value": 3}, "progress": 1}}},
            "score of 'agency' is not a number but an object",
        ),
        ({"u_analysis": {"dimensions": {"agency": {"score": "3"}, "progress": 1}}}, "is not a number but"),
        ({"u_analysis": {"dimensions": {"agency": {"score": True}, "progress": 1}}}, "is not a number but true"),
    ],
)
def test_what_states_no_score_is_a_bad_row(tmp_path: Path, more: dict[str, Any], says: str) -> None:
    assert says in reasons(jsonl(tmp_path / "l", article(1, **more)))[0]


def test_what_may_stand_beside_a_score(tmp_path: Path) -> None:
    beside = {"score": 3, "reasoning": "4 of 5 say so", "evidence": ["7"], "confidence": 0.9, "max": 10, "min": 0, "sure": True}
    points = {"agency": beside, "progress": 1}
    assert read(jsonl(tmp_path / "l", article(1, u_analysis={"dimensions": points})))[0].scores["agency"] == 3
    assert read(jsonl(tmp_path / "l", article(1, points=points)), columns={"points": "scores"})[0].scores["agency"] == 3
    assert "not a number but an object" in reasons(jsonl(tmp_path / "l", article(1, scores=points)))[0]


def test_scores_come_before_the_earlier_forms(tmp_path: Path) -> None:
    row = article(1, scores={"agency": 1, "progress": 2}, labels=["green", "hope"], u_analysis={"dimensions": {"agency": 9}})
    assert read(jsonl(tmp_path / "l", row))[0].scores == {"agency": 1, "progress": 2}


def test_articles_are_read_of_the_same_files_without_a_word(tmp_path: Path) -> None:
    for form in EARLIER:
        rejects = Rejects()
        assert len(list(read_articles(parquet(tmp_path / "l", *rows(form)), rejects=rejects))) == 6
        assert rejects.notes() == []


# Names and scales


def test_a_column_of_objects_is_read_by_its_path(tmp_path: Path) -> None:
    row = article(1, verdict={"by": "x", "points": {"agency": 1, "progress": 2}}, meta={"head": "T"})
    for writer in WRITERS.values():
        labels = read(writer(tmp_path / "l", row), columns={"verdict.points": "scores", "meta.head": "title"})
        assert (labels[0].scores, labels[0].article.title) == ({"agency": 1, "progress": 2}, "T")
    both = {"a_analysis": {"dimensions": {"agency": 1}}, "b_analysis": {"dimensions": {"agency": 3, "progress": 4}}}
    assert read(jsonl(tmp_path / "l", article(1, **both)), columns={"b_analysis.dimensions": "scores"})[0].scores["agency"] == 3


def test_a_column_whose_own_name_has_a_dot_is_no_path(tmp_path: Path) -> None:
    row = article(1, **{"v.points": {"agency": 1, "progress": 2}, "v": {"points": {"agency": 8, "progress": 8}}})
    for writer in WRITERS.values():
        assert read(writer(tmp_path / "l", row), columns={"v.points": "scores"})[0].scores["agency"] == 1


def test_a_path_that_no_row_has_is_told(tmp_path: Path) -> None:
    rejects = Rejects()
    read(jsonl(tmp_path / "l", *rows("labels")), rejects=rejects, columns={"x.y": "title"})
    assert rejects.notes() == ["no row has a column 'x.y', which would be read as 'title'"]


@pytest.mark.parametrize("form", EARLIER)
def test_names_within_scores_are_read_as_ours(tmp_path: Path, form: str) -> None:
    path = jsonl(tmp_path / "l", article(1, **EARLIER[form]({"Agency (0-10)": 3, "progress": 1})))
    assert read(path, ScoreForm({"Agency (0-10)": "agency"}))[0].scores == {"agency": 3, "progress": 1}
    twice = jsonl(tmp_path / "l", article(1, **EARLIER[form]({"Agency": 3, "agency": 2, "progress": 1})))
    assert reasons(twice, ScoreForm({"Agency": "agency"})) == ["states scores of 'agency' under two names"]


@pytest.mark.parametrize(
    ("scale", "cell", "score"),
    [
        ((0, 100), 37, 3.7),
        ((0, 100), 100, 10),
        ((0, 1), 0.25, 2.5),
        ((1, 5), 1, 0),
        ((1, 5), 5, 10),
        ((1, 5), 2, 2.5),
        ((5, 1), 5, 0),
        ((5, 1), 1, 10),
        ((-1, 1), 0, 5),
        ((0, 10), 7.5, 7.5),
    ],
)
@pytest.mark.parametrize("form", EARLIER)
def test_another_scale_becomes_ours(tmp_path: Path, form: str, scale: tuple[float, float], cell: float, score: float) -> None:
    path = jsonl(tmp_path / "l", article(1, **EARLIER[form]({"agency": cell, "progress": 9})))
    assert read(path, ScoreForm(scales={"agency": scale}))[0].scores == {"agency": pytest.approx(score), "progress": 9}
    table = parquet(tmp_path / "l", article(1, scores={"agency": Decimal(str(cell)), "progress": Decimal(9)}))
    assert read(table, ScoreForm(scales={"agency": scale}))[0].scores["agency"] == pytest.approx(score)


@pytest.mark.parametrize(("scale", "cell"), [((0, 100), 101), ((1, 5), 0), ((5, 1), 6), ((1, 5), "3"), ((1, 5), float("nan"))])
def test_a_score_outside_its_scale_is_a_bad_row(tmp_path: Path, scale: tuple[float, float], cell: Any) -> None:
    path = jsonl(tmp_path / "l", article(1, scores={"agency": cell, "progress": 9}))
    says = "is not a number" if isinstance(cell, str) else f"is outside {min(scale)} to {max(scale)}"
    assert says in reasons(path, ScoreForm(scales={"agency": scale}))[0]


def test_bad_rows_count_and_the_scale_that_is_missing_is_named(tmp_path: Path) -> None:
    good = [article(number, scores={"agency": 40 + number, "progress": 7}) for number in range(9)]
    path = jsonl(tmp_path / "l", *good, article(9, scores={"agency": 400, "progress": 7}))
    with pytest.raises(InputError, match="10 of 10 rows are bad") as error:
        read(path, max_rejects="0")
    assert "--set 'data.scale=[0, 100]'" in str(error.value)
    form = ScoreForm(scales={"agency": (0, 100)})
    with pytest.raises(InputError, match=r"1 of 10 rows are bad.*score 400 of 'agency' is outside 0 to 100"):
        read(path, form, max_rejects="0")
    assert len(read(path, form, max_rejects="1")) == 9


# Data sets as `datasets` saves them


def saved(folder: Path, **parts: list[dict[str, Any]]) -> Path:
    folder.mkdir()
    (folder / "dataset_dict.json").write_text(json.dumps({"splits": [*parts]}))
    for name, part in parts.items():
        (folder / name).mkdir()
        for number, start in enumerate(range(0, len(part), 5)):
            arrow(folder / name / f"data-{number:05}-of-00009.arrow", *part[start : start + 5], batch=2)
        (folder / name / "dataset_info.json").write_text("{}")
        (folder / name / "state.json").write_text('{"_data_files": []}')
        (folder / name / "cache-0f3a9c.arrow").write_bytes(b"what a map kept")
    return folder


def test_a_saved_data_set_is_read_whole(tmp_path: Path) -> None:
    folder = saved(tmp_path / "set", train=rows("reasoned", 10), test=rows("reasoned", 10)[:3])
    rejects = Rejects()
    labels = read(folder, rejects=rejects)
    assert (len(labels), rejects.collapsed, rejects.count, rejects.notes()) == (10, 3, 0, [])
    assert all(file.name.startswith("data-") for _, file in shards(folder))


def test_a_data_set_of_a_hub_is_read_beside_its_card(tmp_path: Path) -> None:
    (tmp_path / "set" / "data").mkdir(parents=True)
    (tmp_path / "set" / "README.md").write_text("---\ndataset_info: {features: []}\n---\n# A card\n")
    (tmp_path / "set" / "dataset_infos.json").write_text("{}")
    for number in range(2):
        parquet(
            tmp_path / "set" / "data" / f"train-0000{number}-of-00002.parquet", *rows("labels")[number * 3 : number * 3 + 3]
        )
    assert len(read(tmp_path / "set")) == 6


def test_an_arrow_file_that_is_cut_compressed_or_no_table_of_articles_says_so(tmp_path: Path) -> None:
    path = arrow(tmp_path / "l.arrow", *rows("labels", 9))
    data = path.read_bytes()
    for size in (5, 60, len(data) // 2, len(data) - 40):
        (tmp_path / "cut").write_bytes(data[:size])
        with pytest.raises(InputError, match="is cut short"):
            read(tmp_path / "cut")
    (tmp_path / "more").write_bytes(data + b"what is this")
    assert len(read(tmp_path / "more")) == 9  # the end is stated
    with pytest.raises(InputError, match=r"compressed columns, which is not read; save it without"):
        read(arrow(tmp_path / "z.arrow", *rows("labels", 9), compression="zstd"))
    with pytest.raises(InputError, match=r"has no column 'content' .*--map body=content"):
        read(arrow(tmp_path / "b.arrow", {"body": "x"}))
    nothing = pa.schema([("content", pa.string())])
    with pa.ipc.new_stream(str(tmp_path / "none.arrow"), nothing):
        pass
    with pytest.raises(InputError, match="has no rows"):
        read(tmp_path / "none.arrow")


def test_an_arrow_stream_that_states_more_rows_than_it_has_bytes_is_refused(tmp_path: Path) -> None:
    table = pa.table({"content": pa.nulls(10**7, pa.null())})
    with pa.ipc.new_stream(str(tmp_path / "l.arrow"), table.schema) as writer:
        writer.write_table(table)
    with pytest.raises(InputError, match=r"as only a bomb does|not text"):
        read(tmp_path / "l.arrow")
    repeated = pa.table(
        {"content": pa.DictionaryArray.from_arrays(pa.array([0] * 10**5, pa.int8()), pa.array(["x" * 9 * 2**20]))}
    )
    with pa.ipc.new_stream(str(tmp_path / "d.arrow"), repeated.schema) as writer:
        writer.write_table(repeated)
    with pytest.raises(InputError, match="as only a bomb does"):
        list(read_articles(tmp_path / "d.arrow", rejects=Rejects()))


def test_one_bad_text_is_its_rows_fault(tmp_path: Path) -> None:
    good = [article(number, scores={"agency": 1, "progress": 2}) for number in range(5)]
    data = arrow(tmp_path / "l.arrow", *good, batch=5).read_bytes()
    (tmp_path / "l.arrow").write_bytes(data.replace(b"Text number 3.", b"Text number \xff."))
    labels, rejects = [], Rejects()
    labels = read(tmp_path / "l.arrow", rejects=rejects)
    assert [label.article.id for label in labels] == ["a0", "a1", "a2", "a4"]
    assert [(reject.line, reject.reason) for reject in rejects.first] == [(4, "has a cell that is damaged")]


@pytest.mark.parametrize("count", [30, pytest.param(3_000, marks=pytest.mark.slow)])
def test_mutated_labels_of_other_systems_add_up_and_never_crash(tmp_path: Path, count: int) -> None:
    random_ = random.Random(18)
    originals = [
        WRITERS[kind](tmp_path / "original", *rows(form, 10)).read_bytes() for kind in ("jsonl", "arrow") for form in EARLIER
    ]
    for number in range(count):
        (tmp_path / "m").write_bytes(mutated(random_.choice(originals), random_))
        rejects = Rejects()
        try:
            labels = read(tmp_path / "m", rejects=rejects)
        except InputError:
            continue
        assert len(labels) + rejects.count + rejects.collapsed == rejects.rows, number
        assert all(0 <= score <= 10 for label in labels for score in label.scores.values())


def test_a_stream_is_read_from_any_file_object() -> None:
    out = io.BytesIO()
    with pa.ipc.new_stream(out, pa.schema([("content", pa.string())])):
        pass
    assert out.getvalue()[:4] == b"\xff\xff\xff\xff"
