"""A corpus scored by a student that reads numbers out of the text."""

from __future__ import annotations

import gzip
import json
import os
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from distillery.components.articles.articles import Rejects, article_digest, read_labels
from distillery.components.articles.label_table import read_table
from distillery.components.runtime.progress import Progress, quiet
from distillery.components.scoring.score import score
from distillery.components.store import StoreError, digest_file, open_store
from distillery.filters.errors import InputError
from distillery.filters.loading import load_filter_text

FILTER = load_filter_text(
    """\
apiVersion: llm-distillery.io/v1alpha1
kind: Filter
metadata: {name: demo}
spec:
  version: 3
  description: A filter for tests.
  scope: {judge: Whether a technology helps.}
  dimensions:
    - {name: readiness, weight: 0.5, description: How close to everyday use it is.}
    - {name: benefit, weight: 0.5, description: How much good it does.}
  tiers: [{name: high, when: "overall >= 6"}, {name: low}]
  gatekeepers: [{when: "readiness < 1", cap: 2.9, because: lab-only technology}]
  prefilter: {minChars: 5, exclude: [casino]}
  oracle: {model: recorded}
  student: {baseModel: tiny/base}
  gates: [{metric: mae, below: 0.8}]
""",
    "demo.yaml",
)


class Reader:
    """Predicts the two numbers at the start of each content; remembers what it was shown."""

    def __init__(self, dimensions: Sequence[str] = ("readiness", "benefit")) -> None:
        self.dimensions, self.seen = list(dimensions), list[tuple[str, str]]()

    def predict(self, texts: Sequence[tuple[str, str]], progress: Progress = quiet) -> NDArray[np.float64]:
        self.seen += texts
        return np.array([[float(word) for word in content.split()[:2]] for _, content in texts])

    def scores(self, raw: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.clip(raw, 0, 10)


ROWS: list[dict[str, Any]] = [
    {"id": "good", "title": "T", "content": "7 8 text", "source": "s", "language": "en", "url": "u", "published": "2026"},
    {"id": "casino", "content": "9 9 a casino"},
    {"id": "short", "content": "9 9"},
    {"id": "capped", "content": "0.5 9.25 <script>text</script>"},
    {"id": "beyond", "content": "12 -3 text"},
]


ADAPTER = "a" * 64


def run(student: Reader, articles: Path, out: Path, **more: Any) -> dict[str, Any]:
    return score(FILTER, student, articles, out, **{"adapter": ADAPTER, **more})


def listed(out: Path) -> list[str]:
    """What a person sees there."""
    return sorted(path.name for path in out.iterdir() if not path.name.startswith("."))


def corpus(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def rows_of(out: Path) -> pa.Table:
    return pa.concat_tables([pq.read_table(part) for part in sorted(out.glob("part-*.parquet"))])


@pytest.mark.parametrize("fmt", ["parquet", "jsonl"])
@pytest.mark.parametrize("chunk", [1, 2, 2048])
def test_rows_in_rows_out(tmp_path: Path, fmt: Any, chunk: int) -> None:
    student, out = Reader(), tmp_path / "out"
    articles = corpus(tmp_path / "a.jsonl", [*ROWS, "{bad"])
    counts = run(student, articles, out, fmt=fmt, chunk=chunk)
    assert listed(out) == ["_SUCCESS", "_job", "_rejects.jsonl", f"part-00000.{fmt}"]
    part = out / f"part-00000.{fmt}"
    frame = pq.read_table(part) if fmt == "parquet" else pa.Table.from_pylist([json.loads(line) for line in part.open()])
    assert frame["id"].to_pylist() == [row["id"] for row in ROWS]
    assert frame["prefiltered"].to_pylist() == [None, "matches casino", "shorter than 5 characters", None, None]
    assert frame["score.readiness"].to_pylist() == [7.0, None, None, 0.5, 10.0]
    assert frame["score.benefit"].to_pylist() == [8.0, None, None, 9.25, 0.0]
    assert frame["overall"].to_pylist() == [7.5, None, None, 2.9, 5.0]
    assert frame["tier"].to_pylist() == ["high", None, None, "low", "low"]
    assert [bool(reason) for reason in frame["reason"].to_pylist()] == [False, False, False, True, False]
    assert frame["article"][0].as_py() == article_digest("T", "7 8 text")
    assert frame["url"][0].as_py() == "u"
    assert student.seen == [("T", "7 8 text"), ("", "0.5 9.25 <script>text</script>"), ("", "12 -3 text")]
    assert {key: counts[key] for key in ("articles", "scored", "prefiltered", "rejected", "tiers")} == {
        "articles": 5,
        "scored": 3,
        "prefiltered": 2,
        "rejected": 1,
        "tiers": {"high": 1, "low": 2},
    }
    success = json.loads((out / "_SUCCESS").read_text())
    assert success["parts"] == [{"name": part.name, "rows": 5, "sha256": digest_file(part)}]
    assert (success["filter"], success["version"], success["scored"]) == ("demo", 3, 3)
    assert success["files"] == [["a.jsonl", articles.stat().st_size, digest_file(articles)]]
    assert (success["adapter"], success["articles"]) == (ADAPTER, 5)
    assert json.loads((out / "_rejects.jsonl").read_text())["line"] == 6


def test_many_rows_make_several_parts(tmp_path: Path) -> None:
    rows = [{"id": f"a{n}", "content": f"{n % 10} 5 text {n}"} for n in range(50)]
    counts = run(Reader(), corpus(tmp_path / "a", rows), tmp_path / "out", chunk=8, shards=3)
    assert counts["parts"] == ["part-00000.parquet", "part-00001.parquet", "part-00002.parquet"]
    frame = rows_of(tmp_path / "out")
    assert frame["id"].to_pylist() == [row["id"] for row in rows]
    again = run(Reader(), tmp_path / "a", tmp_path / "again", chunk=3, shards=7)
    assert again["tiers"] == counts["tiers"]
    assert rows_of(tmp_path / "again").equals(frame)


def test_rejects_of_all_parts_in_one_file_with_their_lines(tmp_path: Path) -> None:
    rows = [json.dumps({"id": f"a{n}", "content": f"{n % 10} 5 text"}) if n % 7 else "{bad" for n in range(60)]
    counts = run(Reader(), corpus(tmp_path / "a", rows), tmp_path / "out", shards=5)
    rejects = [json.loads(line) for line in (tmp_path / "out" / "_rejects.jsonl").read_text().splitlines()]
    assert [reject["line"] for reject in rejects] == [n + 1 for n in range(0, 60, 7)]
    assert {reject["file"] for reject in rejects} == {"a"}
    assert (counts["articles"], counts["rejected"]) == (51, 9)


def test_readers_of_datasets_see_the_rows_alone(tmp_path: Path, s3_uri: str) -> None:
    from pyarrow import dataset

    rows = [json.dumps({"id": f"a{n}", "content": f"{n % 10} 5 text"}) if n % 7 else "{bad" for n in range(60)]
    run(Reader(), corpus(tmp_path / "a", rows), tmp_path / "out", shards=5)
    assert (tmp_path / "out" / "_rejects.jsonl").exists()
    found = dataset.dataset(tmp_path / "out", format="parquet").to_table()
    assert found["id"].to_pylist() == [f"a{n}" for n in range(60) if n % 7]
    run(Reader(), tmp_path / "a", f"{s3_uri}/scores/x", shards=5)  # type: ignore[arg-type]
    bucket, _, prefix = s3_uri.removeprefix("s3://").partition("/")
    listed = boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"]).list_objects_v2(Bucket=bucket, Prefix=prefix)
    names = {each["Key"].removeprefix(f"{prefix}/scores/x/").partition("/")[0] for each in listed["Contents"]}
    assert {name for name in names if not name.startswith("part-")} == {"_SUCCESS", "_job", "_probe", "_rejects.jsonl"}


def test_a_corpus_that_is_all_prefiltered(tmp_path: Path) -> None:
    student = Reader()
    counts = run(student, corpus(tmp_path / "a", [ROWS[1]]), tmp_path / "out")
    assert (counts["scored"], counts["prefiltered"], counts["tiers"]) == (0, 1, {"high": 0, "low": 0})
    assert student.seen == []


def test_scores_can_be_read_back_as_labels(tmp_path: Path) -> None:
    run(Reader(), corpus(tmp_path / "a", [ROWS[0]]), tmp_path / "out", fmt="jsonl")
    row = json.loads((tmp_path / "out" / "part-00000.jsonl").read_text()) | {"content": "7 8 text"}
    (label,) = read_labels(corpus(tmp_path / "l", [row]), FILTER.dimensions, rejects=Rejects())
    assert label.scores == {"readiness": 7.0, "benefit": 8.0}


def test_finished_scores_are_not_made_again_nor_overwritten(tmp_path: Path) -> None:
    articles, out = corpus(tmp_path / "a", ROWS), tmp_path / "out"
    first = run(Reader(), articles, out)
    before = (out / "part-00000.parquet").read_bytes()
    student = Reader()
    again = run(student, articles, out)
    assert (first["reused"], again["reused"], student.seen) == (False, True, [])
    assert again["tiers"] == first["tiers"]
    corpus(articles, ROWS[:2])
    with pytest.raises(InputError, match=r"holds scores of other articles.*; give another place, or delete this one$"):
        run(Reader(), articles, out)
    assert (out / "part-00000.parquet").read_bytes() == before
    (out / "_job" / "plan.json").unlink()  # as an earlier version left it
    with pytest.raises(InputError, match="holds scores already"):
        run(Reader(), articles, out)


class Stop(Exception):
    pass


class Mortal(Reader):
    """Dies once it has been shown an article."""

    def __init__(self, last: str) -> None:
        super().__init__()
        self.last = last

    def predict(self, texts: Sequence[tuple[str, str]], progress: Progress = quiet) -> NDArray[np.float64]:
        if any(self.last in content for _, content in texts):
            raise Stop
        return super().predict(texts, progress)


def test_a_stopped_run_goes_on_with_the_parts_that_are_left(tmp_path: Path) -> None:
    articles = corpus(tmp_path / "a", [{"id": f"a{n}", "content": f"5 {n % 10} number {n};"} for n in range(100)])
    whole = run(Reader(), articles, tmp_path / "whole", shards=10)
    with pytest.raises(Stop):
        run(Mortal("number 47;"), articles, tmp_path / "out", shards=10)
    assert not (tmp_path / "out" / "_SUCCESS").exists()
    student = Reader()
    counts = run(student, articles, tmp_path / "out", shards=10)
    assert 50 <= len(student.seen) < 70
    assert not counts["reused"]
    for name in counts["parts"]:
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert counts["articles"] == whole["articles"] == 100


def test_a_corpus_that_breaks_off_is_no_result(tmp_path: Path) -> None:
    data = "".join(json.dumps({"id": f"a{n}", "content": f"5 {n % 10} {hash(n)} text"}) + "\n" for n in range(3000)).encode()
    (tmp_path / "a.gz").write_bytes(gzip.compress(data)[:-200])
    with pytest.raises(InputError, match="is cut short"):
        run(Reader(), tmp_path / "a.gz", tmp_path / "out", chunk=10)
    assert not (tmp_path / "out").exists()


class Replaces(Reader):
    """Something else writes the corpus while the first articles are scored."""

    def __init__(self, change: Callable[[], object]) -> None:
        super().__init__()
        self.change = change

    def predict(self, texts: Sequence[tuple[str, str]], progress: Progress = quiet) -> NDArray[np.float64]:
        if not self.seen:
            self.change()
        return super().predict(texts, progress)


@pytest.mark.parametrize(
    ("how", "shards"),
    [("in place", 4), ("renamed over it", 4), ("deleted", 4), ("in place", 1), ("grown", 1), ("touched", 1)],
)
def test_a_corpus_that_changes_while_it_is_scored_is_no_result(tmp_path: Path, how: str, shards: int) -> None:
    rows = [{"id": f"a{n}", "content": f"{n % 10} 5 text {n}"} for n in range(600)]
    articles = corpus(tmp_path / "a", rows)
    changes: dict[str, Callable[[], object]] = {
        "in place": lambda: corpus(articles, rows[:300]),
        "renamed over it": lambda: corpus(tmp_path / "new", rows[:300]).replace(articles),
        "grown": lambda: corpus(articles, [*rows, *rows]),
        "touched": lambda: os.utime(articles, ns=(1, 1)),
        "deleted": articles.unlink,
    }
    says = "is there no more" if how == "deleted" else "was changed since it was planned; score what is there now"
    with pytest.raises(InputError, match=says) as caught:
        run(Replaces(changes[how]), articles, tmp_path / "out", shards=shards, chunk=10)
    assert str(articles) in str(caught.value)
    assert not (tmp_path / "out" / "_SUCCESS").exists()


@pytest.mark.parametrize("fmt", ["gz", "parquet"])
def test_a_torn_file_that_was_changed_is_said_to_be_changed(tmp_path: Path, fmt: str) -> None:
    rows = [{"id": f"a{n}", "content": f"{n % 10} 5 {random.Random(n).randbytes(300).hex()}"} for n in range(2000)]
    articles = tmp_path / "a"
    if fmt == "gz":
        articles.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))
    else:
        pq.write_table(pa.Table.from_pylist(rows), articles, row_group_size=100)
    student = Replaces(lambda: articles.write_bytes(articles.read_bytes()[:100_000]))
    with pytest.raises(InputError, match="was changed since it was planned"):
        run(student, articles, tmp_path / "out", chunk=10)


def test_a_corpus_without_an_article_is_no_result(tmp_path: Path) -> None:
    def never() -> Reader:
        raise AssertionError("the student was opened before the corpus was looked at")

    with pytest.raises(InputError, match=r"/a: no row is an article: a:1: is not JSON"):
        run(never, corpus(tmp_path / "a", ["{bad"]), tmp_path / "out")  # type: ignore[arg-type]
    with pytest.raises(
        InputError, match=r"/prose: is neither JSON Lines nor a table with a header: it begins with 'Some prose\.'"
    ):
        run(never, corpus(tmp_path / "prose", ["Some prose.", "No table."]), tmp_path / "out")  # type: ignore[arg-type]
    assert not (tmp_path / "out" / "_SUCCESS").exists()
    for name in ("empty", "none"):
        if name == "empty":
            corpus(tmp_path / name, [])
        with pytest.raises(InputError, match=r"is empty|no such file"):
            run(Reader(), tmp_path / name, tmp_path / "fresh")
    assert not (tmp_path / "fresh").exists()


def test_a_finished_folder_says_in_what_it_differs(tmp_path: Path) -> None:
    articles, out = corpus(tmp_path / "a", ROWS), tmp_path / "out"
    run(Reader(), articles, out, fmt="jsonl", shards=2)
    for change, says in (
        ({"fmt": "parquet"}, r"holds scores as jsonl; add --format jsonl, give another place"),
        ({"fmt": "jsonl", "shards": 1}, r"holds scores in 2 parts, not 1; add --shards 2, give"),
        ({"fmt": "jsonl", "adapter": "b" * 64}, "holds scores of another adapter"),
    ):
        with pytest.raises(InputError, match=says):
            run(Reader(), articles, out, **change)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="holds scores of other articles"):
        run(Reader(), corpus(tmp_path / "b", ROWS[:1]), out, fmt="jsonl", shards=2)
    (out / "_job" / "plan.json").write_text("[torn")
    with pytest.raises(InputError, match="holds a plan that can't be read"):
        run(Reader(), articles, out, fmt="jsonl", shards=2, adapter="b" * 64)
    assert run(Reader(), articles, out, fmt="jsonl", shards=2)["reused"], "_SUCCESS says whose the plan was"


def test_into_a_store_on_s3(tmp_path: Path, s3_uri: str) -> None:
    articles = corpus(tmp_path / "a", ROWS)
    counts = run(Reader(), articles, f"{s3_uri}/scores/x", shards=2)  # type: ignore[arg-type]
    assert counts["out"] == f"{s3_uri}/scores/x"
    store = open_store(f"{s3_uri}/scores/x")
    ids = [id for name in counts["parts"] for id in read_table(store.get(name))["id"].to_pylist()]
    assert ids == [row["id"] for row in ROWS]
    assert run(Reader(), articles, f"{s3_uri}/scores/x", shards=2)["reused"]  # type: ignore[arg-type]


@pytest.mark.parametrize("dimensions", [["benefit", "readiness"], ["readiness"], ["readiness", "benefit", "x"]])
def test_a_student_of_other_dimensions_is_refused(tmp_path: Path, dimensions: list[str]) -> None:
    with pytest.raises(InputError, match="not the filter's dimensions in their order"):
        run(Reader(dimensions), corpus(tmp_path / "a", ROWS), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("raw", [[[np.nan, 1.0]], [[np.inf, 1.0]], [[1.0]], [[1.0, 1.0], [1.0, 1.0]]])
def test_a_student_without_numbers_is_refused(tmp_path: Path, raw: list[list[float]]) -> None:
    student = Reader()
    student.scores = lambda _: np.array(raw)  # type: ignore[method-assign]
    with pytest.raises(InputError, match="are not finite numbers"):
        run(student, corpus(tmp_path / "a", ROWS[:1]), tmp_path / "out")
    assert not (tmp_path / "out" / "_SUCCESS").exists()


def test_an_out_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(StoreError, match="can't be written"):
        run(Reader(), corpus(tmp_path / "a", ROWS), tmp_path / "out")
    assert (tmp_path / "out").read_text() == "mine"


def test_progress_is_told_within_a_chunk_and_counts_on(tmp_path: Path) -> None:
    class Slow(Reader):
        """Tells of each article, as a student tells of each pass."""

        def predict(self, texts: Sequence[tuple[str, str]], progress: Progress = quiet) -> NDArray[np.float64]:
            for done in range(len(texts)):
                progress(done + 1, len(texts), "articles")
            return super().predict(texts)

    class Told(Progress):
        def __init__(self) -> None:
            self.seen = list[int]()

        def __call__(self, done: int, total: int | None = None, unit: str = "", **facts: float | str) -> None:
            assert total is None  # of a corpus that is read as it comes
            self.seen.append(done)

    articles, told = corpus(tmp_path / "a.jsonl", [{"content": f"{n % 10} 5 text {n}"} for n in range(7)]), Told()
    run(Slow(), articles, tmp_path / "out", chunk=3, shards=2, progress=told)
    assert set(told.seen) == set(range(1, 8))
    assert told.seen == sorted(told.seen)
