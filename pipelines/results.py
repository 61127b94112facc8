"""What a person reads at the end of a run: verdict, gates, errors beside the baselines, what to type next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from distillery.components.artifacts.step_record import StepRecord

EXIT_CODES = {"promote": 0, "reject": 3, "approve": 4}
SENTENCES = {
    "promote": "PROMOTED: {name} {adapter} passed every gate and is on its channel.",
    "approve": "AWAITING APPROVAL: {name} {adapter} passed every gate; a person must approve it.",
    "reject": "REJECTED: {name} {adapter} failed {failed}; the channel stays as it was.",
}


def result_of(store: Any, uri: str, run: str, outputs: dict[str, Any], records: dict[str, StepRecord]) -> dict[str, Any]:
    """What `distill --json` prints."""
    from distillery.components.benchmarking.benchmark import read_benchmark
    from distillery.components.gating.gate import read_verdict

    verdict = read_verdict(store, outputs["name"], outputs["verdict"])
    benchmark = read_benchmark(store, outputs["adapter"], outputs["test"], outputs["benchmark"])
    return {
        "filter": outputs["name"],
        "verdict": outputs["decision"],
        "promoted": outputs["adapter"] if outputs["decision"] == "promote" else None,
        "adapter": outputs["adapter"],
        "gates": verdict["rules"],
        "n": benchmark["n"],
        "mae": benchmark["mae"],
        "overall_mae": benchmark["overall_mae"],
        "spearman": benchmark["spearman"],
        "baselines": {name: {"mae": row["mae"]} for name, row in benchmark["baselines"].items()},
        "store": uri,
        "run": run,
        "report": f"{uri}/{outputs['report']}" if "report" in outputs else None,
        "digests": {k: outputs[k] for k in ("label_set", "split", "test", "adapter", "benchmark", "verdict")},
        "steps": {name: {"reused": record.reused, "seconds": record.facts.get("seconds")} for name, record in records.items()},
    }


def number(value: float | None) -> str:
    return "–" if value is None else f"{value:,.3f}"


def shown_path(uri: str) -> str:
    """A file:// URI as a path; others as they are."""
    return unquote(urlsplit(uri).path) if uri.startswith("file://") else uri


def print_summary(result: dict[str, Any], *, filter: str, store: str) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    failed = [rule for rule in result["gates"] if rule["verdict"] == "fail"]
    sentence = SENTENCES[result["verdict"]].format(name=result["filter"], adapter=result["adapter"][:12], failed=_names(failed))
    gates = Table(title=None, box=None, pad_edge=False, padding=(0, 2))
    for column in ("gate", "value", "bound", "verdict"):
        gates.add_column(column, justify="left" if column in {"gate", "verdict"} else "right")
    for rule in result["gates"]:
        style = {"fail": "bold red", "pass": ""}.get(rule["verdict"], "dim")
        gates.add_row(rule_name(rule), number(rule["value"]), bound(rule), rule["verdict"], style=style)
    console.print()
    console.print(gates)
    best, error = min(((n, row["mae"]) for n, row in result["baselines"].items()), key=lambda pair: pair[1])
    console.print(
        f"\nMAE {result['mae']:.3f} on {result['n']:,} articles it has never seen"
        f" (best baseline, {best.replace('_', ' ')}: {error:.3f})",
        highlight=False,
    )
    console.print(f"\n{sentence}\n", style="bold", highlight=False)
    where = "" if store == ".distillery" else f" --store {store}"
    lines = [f"report    {shown_path(result['report'])}"] if result["report"] else []
    if result["verdict"] == "promote":
        lines += [
            f"score     distillery score {filter} ARTICLES.jsonl --out scores{where}",
            f"history   distillery history {filter}{where}",
        ]
    elif result["verdict"] == "approve":
        lines.append(f"approve   distillery approve {filter}{where}")
    else:
        lines.append(f"score     distillery score {result['adapter'][:12]} ARTICLES.jsonl --out scores{where}")
    for text in lines:
        console.print(text, highlight=False, soft_wrap=True)


def _names(rules: list[dict[str, Any]]) -> str:
    names = [rule_name(rule) for rule in rules]
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def rule_name(rule: dict[str, Any]) -> str:
    """A gate as people say it: "tier_recall high", "dimension_mae"."""
    return f"{rule['metric']} {rule['argument']}" if rule.get("argument") else str(rule["metric"])


def bound(rule: dict[str, Any]) -> str:
    found = rule.get("bound")
    return str(found) if not isinstance(found, int | float) else number(found)


def print_benchmark(result: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    intervals = result["intervals"]

    def row(table: Table, name: str, value: float | None, key: str) -> None:
        low, high = intervals.get(key) or (None, None)
        table.add_row(name, number(value), "" if low is None else f"{low:.3f} – {high:.3f}")

    table = Table(box=None, pad_edge=False, padding=(0, 2))
    for column in ("metric", "value", "95% interval"):
        table.add_column(column, justify="left" if column == "metric" else "right")
    for name in ("mae", "rmse", "overall_mae", "spearman", "tier_agreement", "score_compression"):
        row(table, name, result[name], name)
    for name, found in result["dimensions"].items():
        row(table, f"  {name}", found["mae"], f"dimensions.{name}.mae")
    for name, found in result["tiers"].items():
        row(table, f"  recall {name}", found["recall"], f"tiers.{name}.recall")
        row(table, f"  precision {name}", found["precision"], f"tiers.{name}.precision")
    for name, found in result["baselines"].items():
        table.add_row(f"  baseline {name} mae", number(found["mae"]), "")
    console.print(table)
    console.print(f"\n{result['n']:,} articles, adapter {result['adapter'][:12]}", highlight=False)
    for alarm in result["alarms"]:
        console.print(f"alarm: {alarm}", style="bold red", highlight=False)
