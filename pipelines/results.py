"""What a person reads at the end of a run: verdict, gates, errors beside the baselines, what to type next."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from distillery.components.runtime.exit_codes import ExitCode

if TYPE_CHECKING:
    from distillery.components.artifacts.benchmark import Benchmark
    from distillery.components.artifacts.step_record import StepRecord
    from distillery.filters.filter import Filter

EXIT_CODES = {
    "promote": ExitCode.DONE,
    "reject": ExitCode.REJECTED,
    "approve": ExitCode.WAITING,
    "pinned": ExitCode.WAITING,
    "blocked": ExitCode.WAITING,
    "refused": ExitCode.WAITING,
    "superseded": ExitCode.WAITING,
}
SENTENCES = {
    "promote": "PROMOTED: {name} {adapter} passed every gate and is on its channel.",
    "approve": "AWAITING APPROVAL: {name} {adapter} passed every gate; a person must approve it.",
    "reject": "REJECTED: {name} {adapter} failed {failed}; the channel stays as it was.",
    "pinned": "NOT PROMOTED, {channel} IS PINNED {who}: {name} {adapter} passed every gate and waits.",
    "blocked": "NOT PROMOTED, {channel} WAS ROLLED BACK FROM IT {who}: {name} {adapter} passed every gate.",
    "superseded": "NOT PROMOTED, ITS FILTER OBJECT ASKS FOR SOMETHING ELSE: {name} {adapter} passed every gate and is kept.",
    "refused": "NOT PROMOTED, IT WAS REFUSED FOR {channel} {who}: {name} {adapter} passed every gate.",
}


def outcome_of(outputs: Mapping[str, Any]) -> str:
    """Return how a run ended: what the gates decided, unless a person's word stands against it or nothing was to be done.

    Args:
        outputs: of all steps of the run, by name.

    Returns:
        A key of `EXIT_CODES`: promote, reject, approve (a person must), or what a person said: pinned, blocked (rolled
        back), refused, or superseded (the cluster's Filter object asks for something else).
    """
    if outputs.get("promoted"):
        return "promote"
    return str((outputs.get("held") or {}).get("why") or outputs["decision"])


def result_of(store: Any, uri: str, run: str, outputs: dict[str, Any], records: dict[str, StepRecord]) -> dict[str, Any]:
    """Return what `distill --json` prints.

    Args:
        store: where verdict and benchmark are.
        uri: of the store.
        run: name of the run.
        outputs: of all its steps, by name.
        records: of its steps, by step.

    Returns:
        Plain JSON values.
    """
    from distillery.components.artifacts.benchmark import read_benchmark
    from distillery.components.artifacts.verdict import read_verdict

    verdict, outcome = read_verdict(store, outputs["name"], outputs["verdict"]), outcome_of(outputs)
    benchmark = read_benchmark(store, outputs["adapter"], outputs["test"], outputs["benchmark"])
    return {
        "filter": outputs["name"],
        "verdict": outcome,
        "promoted": outputs["adapter"] if outcome == "promote" else None,
        "held": outputs.get("held"),
        "adapter": outputs["adapter"],
        "channel": outputs.get("channel"),
        "gates": [rule.to_json() for rule in verdict.rules],
        "losses": [] if outcome == "reject" else benchmark.losses(),
        "n": benchmark.n,
        "mae": benchmark.mae,
        "overall_mae": benchmark.overall_mae,
        "spearman": benchmark.spearman,
        "baselines": {name: {"mae": row.mae} for name, row in benchmark.baselines.items()},
        "store": uri,
        "run": run,
        "report": f"{uri}/{outputs['report']}" if "report" in outputs else None,
        "digests": {k: outputs[k] for k in ("label_set", "split", "test", "adapter", "benchmark", "verdict")},
        "steps": {name: {"reused": record.reused, "seconds": record.facts.get("seconds")} for name, record in records.items()},
    }


def number(value: float | None) -> str:
    """Return a number at three decimals, or a dash where there is none.

    Args:
        value: the number.

    Returns:
        The text.
    """
    return "–" if value is None else f"{value:,.3f}"


def shown_path(uri: str) -> str:
    """Return a file:// address as a path, others as they are.

    Args:
        uri: the address.

    Returns:
        The text.
    """
    from distillery.components.store import Address

    address = Address.parse(uri)
    return uri if address.in_bucket else address.path


def print_summary(result: dict[str, Any], *, filter: str, store: str, channel: str) -> None:
    """Print how a run ended: gates, errors beside the baselines, the verdict, and what to type next.

    Args:
        result: what `result_of` returned.
        filter: as the user named it.
        store: as the user named it; empty where the next command finds it by itself.
        channel: the option that names the run's channel in the next commands; empty where they need none.
    """
    from rich.console import Console
    from rich.table import Table

    console = Console()
    failed = [rule for rule in result.get("gates", ()) if rule["verdict"] == "fail"]
    sentence, adapter = _sentence(result, failed), result["adapter"][:12]
    gates = Table(title=None, box=None, pad_edge=False, padding=(0, 2))
    for column in ("gate", "value", "bound", "verdict"):
        gates.add_column(column, justify="left" if column in {"gate", "verdict"} else "right")
    for rule in result["gates"]:
        style = {"fail": "bold red", "review": "bold yellow", "pass": ""}.get(rule["verdict"], "dim")
        gates.add_row(rule_name(rule), number(rule["value"]), number(rule["bound"]), rule["verdict"], style=style)
    console.print()
    console.print(gates)
    best, error = min(((n, row["mae"]) for n, row in result["baselines"].items()), key=lambda pair: pair[1])
    console.print(
        f"\nMAE {result['mae']:.3f} on {result['n']:,} articles it has never seen"
        f" (best baseline, {best.replace('_', ' ')}: {error:.3f})",
        highlight=False,
    )
    console.print(f"\n{sentence}\n", style="bold", highlight=False)
    place = f" --store {shlex.quote(store)}" if store else ""
    lines = [f"report    {shown_path(result['report'])}"] if result["report"] else []
    if result["verdict"] == "promote":
        lines += [
            f"score     distillery score {filter} ARTICLES.jsonl --out scores{channel}{place}",
            f"history   distillery history {filter}{channel}{place}",
        ]
    elif result["verdict"] == "approve":
        lines.append(f"approve   distillery approve {filter} {adapter} --reason WHY{channel}{place}")
    elif result["held"]:
        lines += [f"unpin     distillery unpin {filter} --reason WHY{channel}{place}"] if result["verdict"] == "pinned" else []
        lines.append(f"promote   distillery promote {adapter} --to {result['channel']} --reason WHY{place}")
    else:
        lines.append(f"score     distillery score {adapter} ARTICLES.jsonl --out scores{place}")
    for text in lines:
        console.print(text, highlight=False, soft_wrap=True)


def _sentence(result: dict[str, Any], failed: list[dict[str, Any]]) -> str:
    """Return the verdict in one sentence."""
    held = result["held"] or {}
    who = f"BY {held.get('by') or 'SOMEBODY'}" + (f" ({held['reason']})" if held.get("reason") else "")
    facts = {"name": result["filter"], "adapter": result["adapter"][:12], "channel": result["channel"]}
    sentence = SENTENCES[result["verdict"]].format(failed=_names(failed), who=who, **facts)
    if doubts := [rule for rule in result.get("gates", ()) if rule["verdict"] == "review"]:
        between = f"failed no gate, and {_names(doubts)} {'is' if len(doubts) == 1 else 'are'} for a person to decide"
        sentence = sentence.replace("passed every gate; a person must approve it", between).replace(
            "passed every gate", between
        )
    if not result["losses"]:
        return sentence
    return f"{sentence.removesuffix('.')}, THOUGH IT IS {' AND '.join(result['losses'])}."


def _names(rules: list[dict[str, Any]]) -> str:
    names = [rule_name(rule) for rule in rules]
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def rule_name(rule: dict[str, Any]) -> str:
    """Return a gate as people call it: "tier_recall high", "dimension_mae".

    Args:
        rule: of a verdict.

    Returns:
        The text.
    """
    return f"{rule['metric']} {rule['argument']}" if rule["argument"] else str(rule["metric"])


def print_benchmark(benchmark: Benchmark, flt: Filter) -> None:
    """Print the figures of a benchmark with their intervals, and its alarms.

    Args:
        benchmark: of any adapter on any labelled set.
        flt: the filter that it was judged for.
    """
    from rich.console import Console
    from rich.table import Table

    from distillery.components.artifacts.content_caps import caps_told

    console = Console()
    table = Table(box=None, pad_edge=False, padding=(0, 2))
    for column in ("metric", "value", "95% interval"):
        table.add_column(column, justify="left" if column == "metric" else "right")

    def row(name: str, value: float | None, path: str) -> None:
        interval = benchmark.interval(path)
        table.add_row(name, number(value), f"{interval[0]:.3f} – {interval[1]:.3f}" if interval else "")

    row("mae", benchmark.mae, "mae")
    row("rmse", benchmark.rmse, "rmse")
    row("overall_mae", benchmark.overall_mae, "overall_mae")
    row("spearman", benchmark.spearman, "spearman")
    row("tier_agreement", benchmark.tier_agreement, "tier_agreement")
    row("score_compression", benchmark.score_compression, "score_compression")
    for name, dimension in benchmark.dimensions.items():
        row(f"  {name}", dimension.mae, f"dimensions.{name}.mae")
    for name, tier in benchmark.tiers.items():
        row(f"  recall {name}", tier.recall, f"tiers.{name}.recall")
        row(f"  precision {name}", tier.precision, f"tiers.{name}.precision")
    languages = benchmark.slices.get("language", [])
    for language in languages if len(languages) > 1 else []:
        low, high = language.interval or (None, None)
        shown = f"{low:.3f} – {high:.3f}" if low is not None and high is not None else ""
        table.add_row(f"  mae in {language.value}, {language.n:,} articles", number(language.mae), shown)
    for name, baseline in benchmark.baselines.items():
        table.add_row(f"  baseline {name} mae", number(baseline.mae), "")
    console.print(table)
    console.print(f"\n{benchmark.n:,} articles, adapter {benchmark.adapter[:12]}", highlight=False)
    if caps := caps_told(flt, benchmark.caps):
        console.print(caps, highlight=False)
    for alarm in benchmark.alarms:
        console.print(f"alarm: {alarm}", style="bold red", highlight=False)
