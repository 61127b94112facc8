"""A filter whose articles come to a prefix, for tests of what starts a run."""

from __future__ import annotations

import json

from distillery.components.articles.input_files import local_input
from distillery.pipelines.cluster import submit
from tests.operator.test_oracle import OWN, PAID
from tests.operator.world import Town

DAY = 86_400.0
UPLOAD = submit.upload


def add(town: Town, file: str, *texts: str) -> None:
    """Put a file of articles into the prefix."""
    folder = town.labels.with_name("articles")
    folder.mkdir(exist_ok=True)
    rows = [json.dumps({"id": f"{file} {text}", "title": text, "content": f"The text of {text}."}) for text in texts]
    (folder / f"{file}.jsonl").write_text("\n".join(rows) + "\n")


def numbered(first: int, count: int) -> list[str]:
    return [f"article {number}" for number in range(first, first + count)]


def text(town: Town, retrain: str = "", *changes: tuple[str, str], run: str = "") -> str:
    more = "".join(f"  {section}: {{{said}}}\n" for section, said in (("retrain", retrain), ("run", run)) if said)
    data = f"{{articles: {town.labels.with_name('articles')}}}"
    oracle = () if PAID in changes else (("  oracle: {model: recorded}", f"  oracle: {OWN}"),)
    return town.text(("  gates:", f"{more}  gates:"), *oracle, *changes, data=data)


def files_of(town: Town, run: str) -> list[str]:
    """The files that a run was given."""
    with local_input(town.kubeflow.runs[run].parameters["articles"], parameter="articles") as path:
        return sorted(file.name for file in path.iterdir())
