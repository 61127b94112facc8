"""What the head that names content types finds on the demo, with the kinds that its generator planted as the oracle's types.

    python -m tests.benchmarks.content_types --store DIR

The demo's own replies name no type. Here each names the kind of its article, the filter caps two of them, and all else is as in
`make run`. What was stopped goes on.
"""

from __future__ import annotations

import argparse
import gzip
import json
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from distillery.components.artifacts.adapter import find_adapter, find_summary
from distillery.components.artifacts.content_caps import CapFigures, caps_told, read_caps
from distillery.components.store import open_store
from distillery.filters.loading import INSTALLED, load_filter
from tests.demo.generator.corpus import generate

NAME: Final = "demo-types"
KINDS: Final = {"promo": "press_release", "off-topic": "other_beat"}
TYPES: Final = """\
  contentTypes:
    - {name: press_release, description: "Praise without evidence, by or for the maker.", cap: 2.0}
    - {name: other_beat, description: "Sport, celebrities, finance, electronics or AI infrastructure.", cap: 0.5}
"""
SETTINGS: Final = ("training.learningRate=0.002", "student.contentTypes=head")


def filter_text() -> str:
    """The filter of `make run` under another name, with two content types."""
    text = (INSTALLED / "sustainability-technology" / "v2" / "filter.yaml").read_text("utf-8")
    for old, new in (("name: sustainability-technology", f"name: {NAME}"), ("  prefilter:\n", f"{TYPES}  prefilter:\n")):
        assert text.count(old) >= 1
        text = text.replace(old, new, 1)
    return text


def typed_replies(lines: Iterable[str], articles: int, first: str) -> Iterator[str]:
    """The demo's recorded replies, each with the type of its article before its first dimension; a copy has its original's."""
    drafts = {article.id: article for article in generate(articles)}
    for line in lines:
        row = json.loads(line)
        article = drafts[row["id"]]
        kind = KINDS.get(drafts[article.copy_of or article.id].planted, "none")
        reply = row["reply"].replace(f'"{first}"', f'"content_type": "{kind}",\n  "{first}"', 1)
        yield json.dumps({**row, "reply": reply}) + "\n"


def figures(folder: Path) -> tuple[str, CapFigures]:
    """Distil the demo with the head; return what is told of the caps, and their figures."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "distillery.pipelines.cli.main"]
    subprocess.run([*command, "demo", "--out", str(folder / "demo")], check=True, stdout=sys.stderr)
    flt, replies, store = folder / "filter.yaml", folder / "replies.jsonl", folder / "store"
    flt.write_text(filter_text(), "utf-8")
    recorded = Path(__file__).parents[2] / "components" / "demo" / "replies.jsonl.gz"
    with gzip.open(recorded, "rt", encoding="utf-8") as lines:
        replies.write_text("".join(typed_replies(lines, 1500, load_filter(str(flt)).dimensions[0])), "utf-8")
    words = ["distill", str(flt), "--articles", str(folder / "demo" / "articles.jsonl"), "--marks", "reference"]
    words += ["--profile", "laptop", "--store", str(store), "--set", f"oracle.replies={replies}"]
    words += [word for setting in SETTINGS for word in ("--set", setting)]
    subprocess.run([*command, *words], check=True, stdout=sys.stderr)
    opened = open_store(str(store))
    subject = find_adapter(opened, NAME, channel=load_filter(str(flt)).spec.promotion.channel)
    found = read_caps(opened, subject.filter, find_summary(opened, subject.adapter).outputs)
    assert found is not None
    return caps_told(subject.filter, found), found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is typed and print the sentence."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--store", required=True, type=Path, help="folder; gets articles, replies and filter, too")
    told, found = figures(parser.parse_args(arguments).store)
    print(told)
    print(found.model_dump_json())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
