"""What one field of a filter says about another; the model calls this, so no reader of a filter can forget to.

Patterns are compiled by the very engine that will run them (RE2, linear time), which costs its import where a filter has
patterns, and nothing where it has none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, NamedTuple

from distillery.filters.characters import odd_characters
from distillery.filters.columns import column_faults, score_faults
from distillery.filters.cron import fault as cron_fault
from distillery.filters.errors import InputError
from distillery.filters.expressions import KEYWORDS, nearest, parse
from distillery.filters.metrics import BASELINES, METRICS
from distillery.filters.patterns import compile_fault
from distillery.filters.spec import ONLINE

if TYPE_CHECKING:
    from distillery.filters.gates import Gate
    from distillery.filters.spec import Spec

Path = tuple[str | int, ...]
NO_TYPE = frozenset({"none", "null", "other"})
RESERVED = KEYWORDS | {"overall", "content_type", "reasoning"}


class Fault(NamedTuple):
    """An inconsistency: where in the file, what is wrong, and how to fix it."""

    path: Path
    what: str
    hint: str


def faults(spec: Spec) -> Iterator[Fault]:
    """Find every inconsistency of a filter, in the order of the file's sections.

    Args:
        spec: the filter's spec.

    Yields:
        Faults; none if the filter can be used.
    """
    yield from (Fault(*fault) for fault in odd_characters(spec, ("spec",)))
    yield from _repeated("dimensions", "dimension", [dimension.name for dimension in spec.dimensions])
    for index, dimension in enumerate(spec.dimensions):
        if dimension.name in RESERVED:
            yield Fault(
                ("spec", "dimensions", index, "name"),
                f'"{dimension.name}" is a word of rules or replies',
                "choose another name",
            )
    if not any(dimension.weight for dimension in spec.dimensions):
        yield Fault(("spec", "dimensions"), "all weights are 0, so there is no overall score", "give one dimension a weight")
    yield from _tiers(spec)
    yield from _repeated("contentTypes", "content type", [kind.name for kind in spec.contentTypes])
    for index, kind in enumerate(spec.contentTypes):
        if kind.name in NO_TYPE:
            path = ("spec", "contentTypes", index, "name")
            yield Fault(path, f'"{kind.name}" is what an oracle replies where no type fits', "choose another name")
    yield from _rules(spec)
    yield from _patterns(spec)
    yield from _oracle(spec)
    if spec.student.instruction is not None and spec.student.mode == "regression":
        what = "an instruction is read in mode instruction alone"
        yield Fault(("spec", "student", "instruction"), what, "set mode to instruction, or leave it out")
    if spec.student.contentTypes == "head" and not spec.contentTypes:
        what, hint = "the filter has no content types to name", "state spec.contentTypes, or leave it out"
        yield Fault(("spec", "student", "contentTypes"), what, hint)
    if ".." in spec.student.baseModel.replace("\\", "/").split("/"):
        yield Fault(
            ("spec", "student", "baseModel"),
            f'"{spec.student.baseModel}" climbs out of its folder',
            "name it without ..",
        )
    if ".." in (spec.student.revision or ""):
        yield Fault(
            ("spec", "student", "revision"), f'"{spec.student.revision}" is no revision', "name a commit, tag or branch"
        )
    if spec.split.validation + spec.split.test >= 0.9:
        yield Fault(
            ("spec", "split"),
            "validation and test take 90% or more, so nothing is left to train on",
            "lower one of them",
        )
    if spec.training.layerDecay is not None and spec.training.strategy != "ddp":
        what = f"layerDecay needs whole copies of the optimizer, and strategy {spec.training.strategy} shares it out"
        yield Fault(("spec", "training", "layerDecay"), what, "leave it out, or set strategy to ddp")
    if spec.student.lora is None and spec.training.strategy != "ddp":
        what = f"every weight trains, and strategy {spec.training.strategy} is for adapters alone"
        yield Fault(("spec", "student", "lora"), what, "state lora, or set strategy to ddp")
    if spec.training.quantize != "none":
        at, named = ("spec", "training", "quantize"), spec.training.quantize
        if spec.student.lora is None:
            yield Fault(at, f"every weight trains, and {named} is for weights that are frozen", "leave it out, or state lora")
        if spec.training.strategy != "ddp":
            what = f"strategy {spec.training.strategy} shares out weights that {named} has packed, which was never tried"
            yield Fault(at, what, "leave it out, or set strategy to ddp")
    for index, gate in enumerate(spec.gates):
        yield from _gate(spec, gate, ("spec", "gates", index))
    names = [dimension.name for dimension in spec.dimensions]
    for column, what, hint in column_faults(spec.data.columns, names):
        yield Fault(("spec", "data", "columns", column), what, hint)
    data = spec.data
    for keys, what, hint in score_faults(data.dimensions, data.scale, data.scales, names):
        yield Fault(("spec", "data", *keys), what, hint)
    yield from _operation(spec)
    for index, registry in enumerate(spec.promotion.registries):
        if (registry.mlflow is None) == (registry.modelRegistry is None):
            what = "names two registries" if registry.mlflow else "names no registry"
            hint = 'give exactly one of "mlflow" and "modelRegistry", and another item for the other'
            yield Fault(("spec", "promotion", "registries", index), what, hint)


def _operation(spec: Spec) -> Iterator[Fault]:
    """Find what is wrong with the limits within which new articles start a run."""
    retrain, run = spec.retrain, spec.run
    if retrain is None:
        return
    if retrain.schedule is not None and (wrong := cron_fault(retrain.schedule)):
        yield Fault(("spec", "retrain", "schedule"), *wrong)
    if retrain.budget is not None and run is not None and run.budget is not None and retrain.budget > run.budget:
        what = f"a budget of {retrain.budget:g} is more than run.budget, {run.budget:g}, which holds for all runs together"
        yield Fault(("spec", "retrain", "budget"), what, "lower it, or raise run.budget")


def _repeated(section: str, noun: str, names: Sequence[str]) -> Iterator[Fault]:
    for index, name in enumerate(names):
        if name in names[:index]:
            yield Fault(("spec", section, index, "name"), f'{noun} "{name}" is defined twice', "rename or remove one of them")


def _tiers(spec: Spec) -> Iterator[Fault]:
    yield from _repeated("tiers", "tier", [tier.name for tier in spec.tiers])
    for index, tier in enumerate(spec.tiers[:-1]):
        if tier.when is None:
            yield Fault(
                ("spec", "tiers", index),
                f'tier "{tier.name}" has no "when", so the tiers after it are never reached',
                'add "when", or make it the last',
            )
    if spec.tiers[-1].when is not None:
        yield Fault(
            ("spec", "tiers", len(spec.tiers) - 1, "when"),
            "the last tier takes every article that is left",
            'remove its "when", or add a last tier without one',
        )


def _rules(spec: Spec) -> Iterator[Fault]:
    names = [*(dimension.name for dimension in spec.dimensions), "overall"]
    rules: list[tuple[Path, str | None]] = [
        *((("tiers", index, "when"), tier.when) for index, tier in enumerate(spec.tiers)),
        *((("gatekeepers", index, "when"), keeper.when) for index, keeper in enumerate(spec.gatekeepers)),
        *((("contentTypes", index, "unless"), kind.unless) for index, kind in enumerate(spec.contentTypes)),
    ]
    for path, rule in rules:
        try:
            if rule is not None:
                parse(rule, names)
        except InputError as error:
            yield Fault(("spec", *path), error.what, error.hint)


def _patterns(spec: Spec) -> Iterator[Fault]:
    groups = {
        "exclude": spec.prefilter.exclude,
        "unless": spec.prefilter.unless,
        "requireAny": spec.prefilter.requireAny,
    }
    if not any(groups.values()):
        return
    if find_spec("pyarrow") is None:  # without the engine nothing here can run them; whoever can, checks again
        return
    for key, patterns in groups.items():
        for index, pattern in enumerate(patterns):
            if reason := compile_fault(pattern):
                yield Fault(
                    ("spec", "prefilter", key, index),
                    f'pattern "{pattern[:60]}": {reason}',
                    "use RE2 syntax, which runs in linear time",
                )


def _oracle(spec: Spec) -> Iterator[Fault]:
    oracle, path = spec.oracle, ("spec", "oracle")
    if (oracle.apiKeyEnv or "").startswith("AWS_"):  # a filter from elsewhere must not send the store's own key away
        yield Fault((*path, "apiKeyEnv"), f"{oracle.apiKeyEnv} is the object store's", "name the oracle's own variable")
    if ONLINE.get(oracle.provider, oracle.provider) == "openai" and oracle.thinkingBudget is not None:
        yield Fault((*path, "thinkingBudget"), f"provider {oracle.provider} takes no thinkingBudget", "remove it")
    if oracle.provider == "vertex-batch" and oracle.batchPrefix is None:
        yield Fault(path, "provider vertex-batch needs a batchPrefix", "add batchPrefix: gs://bucket/folder")


def _gate(spec: Spec, gate: Gate, path: Path) -> Iterator[Fault]:
    metric = METRICS.get(gate.metric)
    if metric is None:
        yield Fault(
            (*path, "metric"),
            f'unknown metric "{gate.metric}"',
            f"{nearest(gate.metric, METRICS)}; `distillery filters metrics` lists all",
        )
        return
    known = {
        "tier": [tier.name for tier in spec.tiers],
        "dimension": [dimension.name for dimension in spec.dimensions],
        "baseline": list(BASELINES),
    }
    for argument, names in known.items():
        given = getattr(gate, argument)
        if given is not None and metric.argument != argument:
            yield Fault((*path, argument), f"metric {gate.metric} takes no {argument}", "remove it")
        elif given is not None and given not in names:
            yield Fault((*path, argument), f'{argument} "{given}" does not exist', nearest(given, names))
        elif given is None and metric.required and metric.argument == argument:
            yield Fault(path, f"metric {gate.metric} needs a {argument}", f"add one of: {', '.join(names)}")
    if (gate.below is None) == (gate.atLeast is None):
        fault = "has both below and atLeast" if gate.below is not None else "has no bound"
        yield Fault(path, f"gate on {gate.metric} {fault}", 'give exactly one of "below" and "atLeast"')
    elif gate.review is not None:
        name, bound = ("below", gate.below) if gate.below is not None else ("atLeast", gate.atLeast or 0.0)
        if (gate.review <= bound) if name == "below" else (gate.review >= bound):
            fault = f"gate on {gate.metric} has a review of {gate.review:g}, which passes already ({name}: {bound:g})"
            yield Fault((*path, "review"), fault, f"give a review {'above' if name == 'below' else 'below'} {bound:g}")
