"""Before labels are paid for: `select` a sample, `calibrate` the rubric with its oracle, measure the oracle's `noise`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from distillery.components.preflight.request import MARKS, absolute, absolute_overrides
from distillery.components.runtime.exit_codes import ExitCode
from distillery.components.runtime.whole_file import write_whole
from distillery.filters.errors import InputError
from distillery.pipelines.cli import completion
from distillery.pipelines.cli.options import (
    BudgetOpt,
    FilterArg,
    JsonOpt,
    MapOpt,
    PricesOpt,
    ProfileOpt,
    SetOpt,
    StoreOpt,
    YesOpt,
    settings,
    store_uri,
)
from distillery.pipelines.cli.printing import print_json

if TYPE_CHECKING:
    from distillery.components.sampling.draw import Affinity
    from distillery.components.store import Store
    from distillery.filters.filter import Filter

app = typer.Typer()

ArticlesOpt = Annotated[
    str, typer.Option("--articles", metavar="FILE", help="articles: a file or a folder of JSONL, CSV, Parquet …")
]
DISPUTED = 10  # articles that are listed; the page has all
EXIT_CODES = {
    "PASS": ExitCode.DONE,
    "WAIVED": ExitCode.DONE,
    "FAIL": ExitCode.REJECTED,
    "REVIEW": ExitCode.WAITING,
}


def _opened(
    filter: str, articles: str, store: str | None, profile: str, overrides: tuple[str, ...], prices: str = ""
) -> tuple[Store, Filter, str]:
    from distillery.components.runtime.extras import LABELS, require
    from distillery.components.store import open_store
    from distillery.pipelines.cli.spending import load

    require(LABELS)
    flt = load(filter, absolute_overrides(overrides), profile, prices)
    file = absolute(articles or flt.spec.data.articles or "")
    if not file:
        raise InputError("no articles are given", where="--articles", hint="give a file or a folder of JSONL, CSV or Parquet")
    return open_store(store_uri(store)), flt, file


RuleOpt = Annotated[list[str], typer.Option("--rule", metavar="RULE=SHARE", help="random, stratified, enrich, weak")]


@app.command()
def select(
    filter: FilterArg,
    n: Annotated[int, typer.Option("--n", min=1, max=1_000_000, help="articles to draw")],
    articles: ArticlesOpt = "",
    rule: RuleOpt = ["random=1"],  # noqa: B006
    examples: Annotated[str, typer.Option("--examples", metavar="FILE", help="enrich: articles of the kind that is rare")] = "",
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="also write the sample as JSON Lines")] = None,
    student: Annotated[
        list[str],
        typer.Option(
            "--student",
            metavar="ADAPTER",
            help="weak: whose disagreement counts; default: the newest three of the filter; repeatable",
            autocompletion=completion.filters_and_adapters,
        ),
    ] = [],  # noqa: B006
    source: Annotated[
        list[str], typer.Option("--source", metavar="NAME", help="draws from this source alone; repeatable")
    ] = [],  # noqa: B006
    exclude_trained: Annotated[
        bool, typer.Option("--exclude-trained", help="leaves out what the serving student was trained and judged on")
    ] = False,
    seed: Annotated[str, typer.Option("--seed", help="another one is another sample")] = "",
    store: StoreOpt = None,
    profile: ProfileOpt = "",
    set: SetOpt = [],  # noqa: B006 - typer reads the default
    map: MapOpt = [],  # noqa: B006
    as_json: JsonOpt = False,
) -> None:
    """Draw articles worth a label: at random, evenly over strata, toward what is rare, or where students disagree."""
    from distillery.components.articles.input_files import local_input
    from distillery.components.runtime.progress import reporter
    from distillery.components.sampling.draw import ENRICH, WEAK
    from distillery.components.sampling.select import FILE
    from distillery.components.sampling.select import select as work
    from distillery.components.store.layout import SAMPLES
    from distillery.pipelines.cli.ranking import doubt_of, trained_articles

    opened, flt, file = _opened(filter, articles, store, profile, settings(set, map))
    shares = _shares(rule)
    progress = reporter("select")
    affinity, by = _affinity(opened, flt, absolute(examples)) if shares.get(ENRICH) else (None, "")
    doubt, doubted_by = doubt_of(opened, flt, student, progress) if shares.get(WEAK) else (None, "")
    exclude = trained_articles(opened, flt) if exclude_trained else frozenset[str]()
    with local_input(file, parameter="--articles") as path:
        sample, digest = work(
            opened,
            flt,
            path,
            n,
            shares,
            seed=seed,
            exclude=exclude,
            sources=source,
            affinity=affinity,
            by=by,
            doubt=doubt,
            doubted_by=doubted_by,
            progress=progress,
        )
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_whole(out, opened.folder(SAMPLES, digest).read(FILE))
    found = {
        "sample": digest,
        "n": len(sample.articles),
        "corpus": sample.corpus,
        "drawn": sample.drawn(),
        "strata": sample.strata,
        "rejected": sample.rejected,
        "doubted_by": doubted_by or None,
        "excluded": len(exclude),
        "out": str(out) if out else None,
    }
    if as_json:
        print_json(found)
        return
    drawn = ", ".join(f"{name} {count:,}" for name, count in sample.drawn().items())
    print(f"{len(sample.articles):,} of {sample.corpus:,} articles: {drawn}\nsample: {digest}")
    if doubted_by:
        print(f"weak: by the disagreement of {doubted_by}")
    if exclude:
        print(f"left out: {len(exclude):,} articles that the student knows")
    if out is not None:
        print(f"articles: {out}")


def _shares(rules: list[str]) -> dict[str, float]:
    shares: dict[str, float] = {}
    for rule in rules:
        name, sign, share = rule.partition("=")
        try:
            shares[name] = float(share) if sign else 1.0
        except ValueError:
            raise InputError(f"{share!r} is not a share", where=f"--rule {rule}", hint="write --rule random=0.6") from None
    return shares


def _affinity(store: Store, flt: Filter, examples: str) -> tuple[Affinity | None, str]:
    from distillery.pipelines.cli.ranking import affinity_of

    return affinity_of(store, flt, examples)


@app.command()
def calibrate(
    filter: FilterArg,
    articles: ArticlesOpt = "",
    marks: Annotated[
        list[str],
        typer.Option(
            "--marks",
            metavar="FILE|FOLDER|reference|prefilter",
            help="marks that came back; repeatable",
            autocompletion=completion.marks,
        ),
    ] = [],  # noqa: B006 - typer reads the default
    n: Annotated[int, typer.Option("--n", help="articles a sample; 60, or 120 where nobody has to look")] = 0,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="the page to mark articles on")] = Path("review.html"),
    accept: Annotated[str, typer.Option("--accept", metavar="REASON", help="go on with a REVIEW, and say why")] = "",
    store: StoreOpt = None,
    budget: BudgetOpt = None,
    prices: PricesOpt = "",
    yes: YesOpt = False,
    profile: ProfileOpt = "",
    set: SetOpt = [],  # noqa: B006 - typer reads the default
    map: MapOpt = [],  # noqa: B006
    as_json: JsonOpt = False,
) -> None:
    """Judge rubric and oracle on a sample before labels are paid for: PASS 0, FAIL 3, REVIEW (or not marked yet) 4."""
    from distillery.components.calibration.calibrate import calibrate as work
    from distillery.components.calibration.calibrate import sample_size
    from distillery.components.runtime.progress import reporter
    from distillery.pipelines.cli.spending import agree

    opened, flt, file = _opened(filter, articles if not accept else articles or "-", store, profile, settings(set, map), prices)
    given = [one if one in MARKS else absolute(one) for one in marks]
    if not accept:
        agree(opened, file, [(flt, 2 * sample_size(given, n))], budget=budget, yes=yes)
    record = work(
        opened,
        flt,
        articles=file,
        marks=given,
        n=n,
        accept=accept,
        budget=budget,
        progress=reporter("calibrate"),
    )
    outputs = record.outputs
    page = None
    if "review" in outputs:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_whole(out, opened.get(outputs["review"]))
        page = str(out)
    if as_json:
        print_json({"filter": flt.name, **outputs, "reused": record.reused, "page": page})
    else:
        accepted = f", accepted: {outputs['accepted']['reason']}" if outputs["accepted"] else ""
        print(f"{outputs['verdict']}{' (as before)' if record.reused else ''}{accepted}")
        for reason in outputs["reasons"]:
            print(f"  {reason}")
        print(_figures(outputs["figures"]))
        if lines := _agreement(outputs.get("agreement")):
            print(lines)
        if page:
            print(f"articles to look at: {page}")
            if outputs["marks"]["by"] == "nobody" and "fresh" in outputs["samples"]:
                print("judge before you edit: a changed rubric uses up the fresh sample, and new articles must be marked")
    raise typer.Exit(ExitCode.DONE if outputs["usable"] else EXIT_CODES[outputs["verdict"]])


def _figures(figures: dict[str, Any]) -> str:
    lines = []
    for name, sample in figures.items():
        if "off_topic_high" in sample:
            off, on = sample["off_topic_high"], sample["on_topic_low"]
            lines.append(
                f"{name:<12} {sample['n']} articles: off-topic scored high {off['wrong']} of {off['n']}, "
                f"on-topic scored low {on['wrong']} of {on['n']}"
            )
    return "\n".join(lines)


def _agreement(found: dict[str, Any] | None) -> str:
    """Return how far reviewers agree, and the first articles of which they do not."""
    if not found:
        return ""
    from distillery.components.artifacts.calibration_marks import Agreement
    from distillery.components.calibration.agreement import in_words
    from distillery.components.calibration.review import WORDS
    from distillery.filters.errors import one_line

    agreement = Agreement.model_validate(found, strict=False)
    rows = [
        f"  {one_line(row.id)} ({row.sample}): {', '.join(f'{name} {WORDS[mark]}' for name, mark in row.marks.items())}"
        for row in agreement.disputed[:DISPUTED]
    ]
    more = len(agreement.disputed) - len(rows)
    return "\n".join([in_words(agreement), *rows, *([f"  and {more} more; the page lists all"] if more else [])])


@app.command()
def noise(
    filter: FilterArg,
    articles: ArticlesOpt = "",
    repeat: Annotated[int, typer.Option("--repeat", min=1, max=20, help="labels of each article")] = 3,
    second_oracle: Annotated[
        str, typer.Option("--second-oracle", metavar="PROVIDER:MODEL|path=value,…", help="compare with it")
    ] = "",
    n: Annotated[int, typer.Option("--n", min=10, max=120, help="articles")] = 50,
    store: StoreOpt = None,
    budget: BudgetOpt = None,
    prices: PricesOpt = "",
    yes: YesOpt = False,
    profile: ProfileOpt = "",
    set: SetOpt = [],  # noqa: B006 - typer reads the default
    map: MapOpt = [],  # noqa: B006
    as_json: JsonOpt = False,
) -> None:
    """Label some articles several times: how far the oracle is from itself, and from another one."""
    from distillery.components.calibration.noise import measure, second
    from distillery.components.runtime.progress import reporter
    from distillery.pipelines.cli.spending import agree

    opened, flt, file = _opened(filter, articles, store, profile, settings(set, map), prices)
    other = None
    if second_oracle:
        from distillery.pipelines.cli.spending import load

        named = second(second_oracle)
        another = any(setting.startswith("oracle.model=") for setting in named)  # whose price is not that of the first
        overrides = absolute_overrides([*settings(set, map), *(["oracle.price=null"] if another else []), *named])
        other = load(filter, overrides, profile, prices)
    agree(opened, file, [(flt, n * repeat), *([(other, n)] if other else [])], budget=budget, yes=yes)
    record = measure(opened, flt, articles=file, repeat=repeat, second=other, n=n, budget=budget, progress=reporter("noise"))
    document = record.outputs
    if as_json:
        print_json({"filter": flt.name, **document})
        return
    floor = document["floor"]
    if floor:
        low, high = floor["interval"]
        print(f"noise floor {floor['mae']:.3f} ({low:.3f}–{high:.3f}): {floor['n']} articles, {floor['repeat']} labels each")
    if found := document["second"]:
        print(f"{found['model']} differs by {found['mae']:.3f}, on average {found['bias']:+.3f}, over {found['n']} articles")
    print(f"{'dimension':<40}{'floor':>8}{'bias':>8}{'MAE':>8}")
    for name in flt.dimensions:
        own = f"{floor['dimensions'][name]:.3f}" if floor else "–"
        its = found["dimensions"][name] if found else None
        print(f"{name:<40}{own:>8}" + (f"{its['bias']:>+8.3f}{its['mae']:>8.3f}" if its else f"{'–':>8}{'–':>8}"))
