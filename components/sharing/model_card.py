"""The card of an exported adapter: what it scores, how well, and how to use it; every sentence follows from a document."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

from distillery.components.artifacts.benchmark import Benchmark
from distillery.components.artifacts.folder_meta import LabelSetMeta
from distillery.components.reporting.gather import gather
from distillery.components.reporting.markdown import sections
from distillery.components.reporting.markdown_text import plain, table
from distillery.components.sharing.bundle_copy import FILTER, BundleCopy
from distillery.components.store import Store
from distillery.components.student.pooling import OWN

READS: Final = {
    "mean": " on the mean of its tokens",
    "cls": " on its first token",
    "last": " on its last token",
    "attention": " on the mean of its tokens as a trained query weighs them",
}


class Form(NamedTuple):
    """The form in which an adapter is exported.

    Attributes:
        library: what loads it, as the Hub calls that.
        use: how to use it, as Markdown.
        beside: what the files beside the card are.
        types: by what a reader has the content type, where the student names it.
    """

    library: str
    use: str
    beside: str
    types: str = "which `content_types.json` names, and the code of this page doesn't"


def peft_form(bundle: BundleCopy, *, inside: bool) -> Form:
    """Return the form of a folder that peft and transformers load; where every weight was trained, transformers alone.

    Args:
        bundle: the adapter.
        inside: True if the base model lies beside the card.

    Returns:
        The form.
    """
    lora = bundle.student.facts.lora is not None
    return Form(
        "peft" if lora else "transformers",
        f"With {'`peft`, ' if lora else ''}`transformers` and `numpy`, in this folder:\n\n"
        f"```python\n{bundle.snippet(inside=inside)}```",
        "`manifest.json` names every file of the adapter by its SHA-256, and the adapter's digest is that of it.",
    )


def model_card(store: Store, bundle: BundleCopy, form: Form, *, plots: Sequence[str] = ()) -> str:
    """Return the README.md.

    Args:
        store: where benchmark, verdict and the rest of the run are.
        bundle: the adapter.
        form: what is special about this export.
        plots: pictures below the card's folder.

    Returns:
        Markdown with a head in YAML; nothing in it is left to be filled in.
    """
    flt = bundle.filter
    # Without what was measured: an adapter that is exported again is the same folder.
    context = replace(gather(store, flt, bundle.summary), measurements=())
    spec = flt.spec
    parts = [
        f"# {flt.name} v{spec.version}",
        plain(spec.description, 2_000),
        _what(bundle, context.label_set),
        "## What it scores",
        table(
            ["dimension", "what it means", "weight"],
            [[f"`{each.name}`", plain(each.description, 1_000), f"{each.weight:g}"] for each in spec.dimensions],
            right=2,
        ),
        f"What to judge: {plain(spec.scope.judge, 2_000)}",
        *([f"Out of scope: {', '.join(map(plain, spec.scope.outOfScope))}."] if spec.scope.outOfScope else []),
        *_rules(bundle, form),
        "## How to use it",
        form.use,
        "## How good it is",
        *(f"![{_title(path)}]({path})" for path in plots),
        sections(context).strip() or "No figures were kept of this adapter.",
        "## Where it is from",
        _origin(bundle, form),
    ]
    return f"{_head(bundle, form, context.benchmark)}\n" + "\n\n".join(part for part in parts if part) + "\n"


def _title(path: str) -> str:
    return path.rpartition("/")[2].partition(".")[0].replace("_", " ")


def _what(bundle: BundleCopy, labels: LabelSetMeta | None) -> str:
    facts, teacher = bundle.student.facts, ""
    if labels is not None:
        teacher = f"the model {plain(str(labels.oracle.get('model')))}" if labels.oracle else "people, or a program of theirs,"
    kept = f"{facts.maxLength} tokens{' with its instruction' if facts.instruction else ''} of an article, title first"
    how = "all its weights, trained," if facts.lora is None else f"LoRA of rank {facts.lora.r}"
    on = "" if facts.pooling == OWN[facts.base.kind] else READS[facts.pooling]
    return (
        f"A student of `{facts.base.ref.replace('`', '')}`: {how} and a linear head{on} give "
        f"{len(facts.dimensions)} scores from 0 to 10. It reads {kept}"
        + (f", and learnt from scores that {teacher} gave other articles." if teacher else ".")
    )


def _rules(bundle: BundleCopy, form: Form) -> list[str]:
    spec, types = bundle.filter.spec, bundle.student.types
    tiers = [f"`{tier.name}`" + (f" where `{tier.when}`" if tier.when else " otherwise") for tier in spec.tiers]
    caps = [f"- {plain(each.because)}: where `{each.when}`, at most {each.cap:g}" for each in spec.gatekeepers]
    named = [] if types is None else [row.name for row in types.file.types if row.threshold is not None]
    caps += [
        f"- content type {each.name}, {form.types}: at most {each.cap:g}" + (f", unless `{each.unless}`" if each.unless else "")
        for each in spec.contentTypes
        if each.name in named
    ]
    never = ", ".join(f"{each.name} ({each.cap:g})" for each in spec.contentTypes if each.name not in named)
    return [
        "The overall score is the weighted mean of the dimensions" + (", then capped:" if caps else "."),
        "\n".join(caps),
        f"The student never names these content types, so their caps do not apply: {never}." if never else "",
        f"Tiers, the first that holds: {', '.join(tiers)}.",
    ]


def _origin(bundle: BundleCopy, form: Form) -> str:
    facts = bundle.student.facts
    rows = [
        ["adapter", f"`{bundle.digest}`"],
        ["base model", f"{plain(facts.base.ref)}, files `{facts.base.digest}`"],
        ["split", f"`{facts.split}`"],
        ["trainable parameters", f"{facts.trainable_parameters:,}"],
    ]
    return (
        f"{table(['what', 'which'], rows, right=2)}\n\n"
        f"{form.beside} "
        "`golden.json` has texts and the scores that a loaded student must give them; this export was read back and gave them. "
        f"`{FILTER}` is the whole filter, without places and keys."
    )


def _head(bundle: BundleCopy, form: Form, benchmark: Benchmark | None) -> str:
    """Return the head; JSON is YAML, and quotes whatever a name holds."""
    facts, name = bundle.student.facts, bundle.filter.name
    head: dict[str, Any] = {
        "library_name": form.library,
        "pipeline_tag": "text-classification",
        "tags": [*(["lora"] if facts.lora else []), "regression", "llm-distillery"],
    }
    if bundle.on_hub():
        head["base_model"] = facts.base.ref
    if benchmark is not None:
        tongues = [each.value for each in benchmark.slices.get("language", [])]
        if known := [tongue for tongue in tongues if len(tongue) in (2, 3) and tongue.isalpha()]:
            head["language"] = known
        figures = {"mae": benchmark.mae, "rmse": benchmark.rmse, "spearmanr": benchmark.spearman}
        metrics = [{"type": kind, "value": round(value, 4)} for kind, value in figures.items() if value is not None]
        task = {"type": "text-classification", "name": "scores from 0 to 10"}
        data = {"type": name, "name": f"frozen test part of {benchmark.n} articles", "split": "test"}
        head["model-index"] = [{"name": name, "results": [{"task": task, "dataset": data, "metrics": metrics}]}]
    return "---\n" + "".join(f"{key}: {json.dumps(value)}\n" for key, value in head.items()) + "---\n"
