"""`distillery review`: articles for people to score, and what they gave back."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from distillery.filters.errors import InputError
from distillery.pipelines.cli.options import ChannelOpt, JsonOpt, StoreOpt, SubjectArg, open_existing, require_filter
from distillery.pipelines.cli.printing import print_json
from distillery.pipelines.cli.share import ReplaceOpt, run_meant

if TYPE_CHECKING:
    from distillery.components.artifacts.review import Review

app = typer.Typer()


@app.command()
def review(
    subject: SubjectArg,
    out: Annotated[
        str, typer.Option("--out", metavar="FILE", help="write articles to score: .xlsx, .html, or .json for Label Studio")
    ] = "",
    read: Annotated[
        list[str], typer.Option("--read", metavar="FILE|FOLDER", help="read what a reviewer gave back; repeatable")
    ] = [],  # noqa: B006
    count: Annotated[int, typer.Option("--count", min=1, max=500, help="how many articles")] = 40,
    seed: Annotated[int, typer.Option("--seed", min=0, help="another one draws other articles")] = 42,
    reviewer: Annotated[
        list[str], typer.Option("--reviewer", metavar="NAME", help=".xlsx: a person with columns of their own; repeatable")
    ] = [],  # noqa: B006
    as_labels: Annotated[
        str, typer.Option("--as-labels", metavar="FILE", help="with --read: write people's scores as labels, .jsonl")
    ] = "",
    channel: ChannelOpt = "",
    store: StoreOpt = None,
    replace: ReplaceOpt = False,
    as_json: JsonOpt = False,
) -> None:
    """Write the test articles that are worth a person's hour, or read scores back and say how far all agree."""
    if bool(out) == bool(read):
        what = "--out and --read are two commands" if out else "neither --out nor --read is given"
        raise InputError(what, hint="give --out FILE to write articles, or --read FILE for what a reviewer gave back")
    if as_labels and not read:
        raise InputError("there are no scores yet", where="--as-labels", hint="give the reviewers' files with --read")
    if out:
        _write(subject, out, count, seed, reviewer, channel, store, replace, as_json)
    else:
        _read(subject, read, as_labels, channel, store, replace, as_json)


def _write(
    subject: str,
    out: str,
    count: int,
    seed: int,
    reviewers: list[str],
    channel: str,
    store: str | None,
    replace: bool,
    as_json: bool,
) -> None:
    from distillery.components.reviewing.draw import counted, draw, read_judged
    from distillery.components.reviewing.forms import form_for, labeling_config, write_form
    from distillery.components.sharing.targets import local_path, new_file

    to = local_path(out)
    suffix = form_for(to)
    if reviewers and suffix != ".xlsx":
        raise InputError("only a workbook has columns for people", where="--reviewer", hint="leave it out, or name it .xlsx")
    if wrong := next((name for name in reviewers if not name.strip() or ":" in name or reviewers.count(name) > 1), None):
        raise InputError(
            f"{wrong!r} can't be a reviewer's name here", where="--reviewer", hint="distinct names without a colon"
        )
    opened, flt, summary = run_meant(store, subject, channel)
    judged = read_judged(opened, flt, summary)
    drawn = draw(judged, count, seed)
    files = {to: write_form(suffix, judged, drawn, reviewers)}
    if suffix == ".json":
        files[to.with_suffix(".config.xml")] = labeling_config(judged).encode()
    for path, data in files.items():
        with new_file(path, replace=replace) as file:
            file.write(data)
    why = counted(drawn)
    if as_json:
        print_json({"out": str(to), "filter": flt.name, "adapter": judged.adapter, "articles": len(drawn), "drawn_by": why})
        return
    print(f"{len(drawn)} articles: {', '.join(f'{number} by {name}' for name, number in why.items())}")
    print("\n".join(map(str, files)))
    print(f"then      distillery review {subject} --read FILE")


def _read(
    subject: str, files: list[str], as_labels: str, channel: str, store: str | None, replace: bool, as_json: bool
) -> None:
    from distillery.components.reviewing.agreement import review_of
    from distillery.components.reviewing.draw import read_judged
    from distillery.components.reviewing.labels import as_lines, label_rows
    from distillery.components.reviewing.read import read_reviews
    from distillery.components.sharing.targets import local_path, new_file
    from distillery.components.store.layout import reviewed_key

    require_filter(subject, channel)
    to = local_path(as_labels) if as_labels else None
    if to is not None and to.suffix.lower() != ".jsonl":
        raise InputError("labels of a review are JSON Lines", where=f"--as-labels {as_labels}", hint="name it .jsonl")
    _, flt, summary = run_meant(store, subject, channel)
    opened = open_existing(store, write=True)
    judged = read_judged(opened, flt, summary)
    found = read_reviews(judged, files)
    for line in found.left_out:
        print(f"left out: {line}", file=sys.stderr)
    told = review_of(judged, found.scores)
    key = reviewed_key(flt.name, judged.adapter)
    told.put(opened, key)
    labels = None
    if to is not None:
        rows = label_rows(judged, told)
        with new_file(to, replace=replace) as file:
            file.write(as_lines(rows))
        labels = {"out": str(to), "articles": len(rows)}
    if as_json:
        shown = told.model_dump(mode="json", exclude={"scores", "format"})
        print_json({**shown, "key": key, "left_out": found.left_out, "labels": labels})
        return
    print("\n".join(agreement_lines(told)))
    if labels is not None:
        print(f"labels    {labels['out']} ({labels['articles']} articles)")


def agreement_lines(told: Review) -> list[str]:
    """Return how far people, oracle and student agree, a line each.

    Args:
        told: the review.

    Returns:
        Lines of text.
    """
    lines = [f"{each.name}: {each.articles} articles, {each.scores} scores" for each in told.reviewers]
    for pair in told.pairs:
        low, high = pair.interval
        span = f"{pair.mae:.2f} points apart ({low:.2f} to {high:.2f})"
        lines.append(f"{pair.left} and {pair.right}: {span} over {pair.n} articles, bias {pair.bias:+.2f}")
    if told.overall.value is not None and told.overall.interval is not None:
        low, high = told.overall.interval
        lines.append(f"Krippendorff's alpha of the overall score: {told.overall.value:.2f} ({low:.2f} to {high:.2f})")
    return lines
