"""`distillery drift`: are the scores of a corpus spread as the adapter's reference is?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from distillery.components.runtime.exit_codes import ExitCode
from distillery.pipelines.cli.options import JsonOpt, StoreOpt, SubjectArg, open_existing, store_uri
from distillery.pipelines.cli.printing import print_json

if TYPE_CHECKING:
    from distillery.components.drift.drift import Found

app = typer.Typer()


@app.command()
def drift(
    subject: SubjectArg,
    scores: Annotated[str, typer.Option("--scores", metavar="DIR|URI", help="what `distillery score` wrote")],
    reference: Annotated[
        str,
        typer.Option("--reference", metavar="DIR|URI", help="compare with these scores; default: the adapter's own reference"),
    ] = "",
    store: StoreOpt = None,
    as_json: JsonOpt = False,
) -> None:
    """Compare the scores of a corpus with the adapter's test predictions, later its first month. Exit code 5: drifted."""
    from distillery.components.artifacts.adapter import find_adapter, is_digest
    from distillery.components.drift.drift import drift as work
    from distillery.components.runtime.extras import LABELS, require
    from distillery.components.store import open_store
    from distillery.filters.loading import load_filter

    require(LABELS)
    opened = open_existing(store, write=True)
    if is_digest(subject):
        flt, adapter = find_adapter(opened, subject)
    else:
        flt, adapter = load_filter(subject), ""
    given = open_store(store_uri(reference), write=False) if reference else None
    found = work(opened, flt.name, open_store(store_uri(scores), write=False), adapter=adapter, given=given)
    if as_json:
        print_json(shown(found))
    else:
        print_found(found)
    if found.comparison.drifted:
        raise typer.Exit(ExitCode.DUE)


def shown(found: Found) -> dict[str, Any]:
    """Return what a look found as plain JSON values.

    Args:
        found: what it found.

    Returns:
        The figures of every feature, where the articles come from, and the articles that moved most.
    """
    from distillery.components.drift.statistics import ALPHA, LARGE, MIN_ARTICLES

    comparison = found.comparison
    mix = {
        name: {
            "psi": round(each.psi, 6),
            "more": [dict(zip(("name", "before", "now"), row, strict=True)) for row in each.more],
        }
        for name, each in comparison.mix.items()
    }
    return {
        "filter": found.scores.filter,
        "adapter": found.scores.adapter,
        "job": found.scores.job,
        "reference": {"kind": found.reference, "n": comparison.reference},
        "n": comparison.n,
        "look": found.number,
        "enough": comparison.enough,
        "drifted": [feature.name for feature in comparison.drifted],
        "bounds": {"psi": LARGE, "alpha": ALPHA, "articles": MIN_ARTICLES},
        "features": [feature._asdict() for feature in comparison.features],
        "mix": mix,
        "moved": [article._asdict() for article in found.moved],
        "looked_through": found.looked_through,
    }


def print_found(found: Found) -> None:
    """Print what a look found.

    Args:
        found: what it found.
    """
    from distillery.components.drift.statistics import ALPHA, LARGE, MIN_ARTICLES

    comparison = found.comparison
    what = {"test": "its test predictions", "first month": "its first month"}.get(found.reference, found.reference)
    sets = f"{comparison.n:,} articles against {comparison.reference:,} of {what}"
    if not comparison.enough:
        print(f"too few to say: {sets}; {MIN_ARTICLES} of each are needed")
        return
    print(f"{'feature':<32} {'index':>7} {'corrected p':>12} {'before':>7} {'now':>7}")
    for each in comparison.features:
        means = [f"{value:7.2f}" if value is not None else f"{'–':>7}" for value in (each.before, each.now)]
        mark = "  drifted" if each.drifted else ""
        print(f"{each.name:<32} {each.psi:7.3f} {each.adjusted:12.2g} {' '.join(means)}{mark}")
    for name, mix in comparison.mix.items():
        grown = ", ".join(f"{value or '(none)'} {before:.0%} → {now:.0%}" for value, before, now in mix.more[:3])
        print(f"by {name:<29} {mix.psi:7.3f}" + (f"  more of {grown}" if grown else ""))
    if found.moved:
        print(f"\nthe articles that moved most, of {found.looked_through:,}:")
    for article in found.moved:
        title = (article.title or article.id)[:60]
        print(f"  {article.feature} {article.score:.2f}, overall {article.overall:.2f} {article.tier}: {title}")
    bounds = f"from an index of {LARGE} with a corrected p below {ALPHA}"
    names = ", ".join(feature.name for feature in comparison.drifted)
    print(f"\n{'DRIFTED: ' + names if names else 'nothing drifted'} ({sets}; look {found.number}; {bounds})")
