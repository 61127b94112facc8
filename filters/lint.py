"""What a schema can't see: a rubric nobody could apply, a tier nobody reaches, gates that let a useless student pass.

Whether a tier or a cap can be reached is tried out on some 30,000 score vectors built from the filter's own thresholds, which
takes milliseconds; a rule that holds only in a sliver between them may be called unreachable, hence warnings, not errors.
Tokens are estimated at 1.3 per word, without a tokenizer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal, NamedTuple

from distillery.filters.document import read_document
from distillery.filters.errors import install_line
from distillery.filters.expressions import Expression, parse
from distillery.filters.faults import shown
from distillery.filters.filter import Filter
from distillery.filters.gates import Gate
from distillery.filters.metrics import EXACT, METRICS
from distillery.filters.normal_form import normal_texts
from distillery.filters.pattern_lint import remarks
from distillery.filters.patterns import INNER_EDGE, matching, widened
from distillery.filters.prompt import rubric
from distillery.filters.spec import Dimension

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Samples = NDArray[np.float64]

TOKENS_PER_WORD = 1.3
CONTEXT = 32_768  # tokens that any oracle of today takes
REPLY = 1_000  # tokens left for the reply
SEEN = 0.3  # share of what the oracle reads that the student should see at least
FASTEST = 3e-4  # learning rate at which all weights of a base model still learn; an adapter takes three times as much
SHORT = 20  # characters
CHEAPEST = 0.005  # US dollars for a million tokens, below what any service asks

ORDINARY = (
    "The city council met on Tuesday evening to talk about the school roof, which has leaked since spring. Parents asked "
    "for a date; the mayor named none. Repairs may begin next year, at a cost of 400,000, if the budget passes."
)


class Finding(NamedTuple):
    """A remark on a valid filter.

    Attributes:
        level: error (would not do what it says), warning (probably not meant) or note (worth a look).
        where: path in the file.
        message: what is odd.
        hint: how to fix it.
        file: name of the file; empty where there is none.
        line: line in the file, from 1; None where it is not known.
    """

    level: Literal["error", "warning", "note"]
    where: str
    message: str
    hint: str
    file: str = ""
    line: int | None = None


def lint(flt: Filter, text: str | None = None) -> list[Finding]:
    """Look for what a schema can't see.

    Args:
        flt: the filter.
        text: the file itself, for what the model no longer shows; None if there is none.

    Returns:
        Findings, errors first.
    """
    found = [*_rubric(flt), *_tried_out(flt), *_escapes(text or ""), *_price(flt), *_lengths(flt), *_gates(flt)]
    for number, line in enumerate((text or "").splitlines(), 1):
        if "TODO" in line:
            found.append(Finding("warning", f"line {number}", "something is still to do", "write it out", line=number))
    return sorted(found, key=lambda finding: ("error", "warning", "note").index(finding.level))


def render_findings(findings: Sequence[Finding]) -> str:
    """Show findings as text: a line each, and a last one that counts.

    Args:
        findings: from `lint`.

    Returns:
        The text.
    """
    if not findings:
        return "no findings"
    lines = [f"{finding.level}: {finding.where}: {finding.message}; {finding.hint}" for finding in findings]
    return "\n".join([*lines, f"{len(findings)} finding{'s' if len(findings) > 1 else ''}"])


def _rubric(flt: Filter) -> Iterator[Finding]:
    spec = flt.spec
    for dimension in spec.dimensions:
        yield from _dimension(dimension, f"spec.dimensions[{dimension.name}]", _mentioned(flt))
    total = sum(dimension.weight for dimension in spec.dimensions)
    if abs(total - 1) > 1e-6:
        hint = "they are normalised, but readers will take them for shares: make them sum to 1"
        yield Finding("warning", "spec.dimensions", f"weights sum to {total:g}", hint)
    if not spec.scope.outOfScope:
        hint = "name what sounds alike but is not meant: an oracle without scope rules scores tutorials 10"
        yield Finding("warning", "spec.scope.outOfScope", "nothing is out of scope", hint)
    texts = {"spec.description": spec.description, "spec.scope.judge": spec.scope.judge}
    texts |= {f"spec.contentTypes[{kind.name}].description": kind.description for kind in spec.contentTypes}
    for where, words in texts.items():
        if len(words.strip()) < SHORT:
            yield Finding("warning", where, f"only {len(words.strip())} characters", "say what is meant, in a sentence")


def _dimension(dimension: Dimension, where: str, mentioned: set[str]) -> Iterator[Finding]:
    anchors = [anchor.score for anchor in dimension.anchors]
    if len(dimension.description.strip()) < SHORT:
        yield Finding("warning", f"{where}.description", "too short to be applied", "say what counts, and what does not")
    if not anchors:
        yield Finding("warning", f"{where}.anchors", "no anchors", "describe 3 to 6 points of the scale, from 0 up")
    elif len(anchors) < 3:
        yield Finding("warning", f"{where}.anchors", f"only {len(anchors)}", "describe at least bottom, middle and top")
    elif min(anchors) > 2 or max(anchors) < 8:
        yield Finding("warning", f"{where}.anchors", "bottom or top of the scale is not described", "anchor 0–2 and 8–10 too")
    if len(set(anchors)) < len(anchors):
        yield Finding("error", f"{where}.anchors", "one score has two meanings", "merge them")
    elif anchors != sorted(anchors):
        yield Finding("note", f"{where}.anchors", "not in order", "list them from low to high")
    if any(len(anchor.meaning.strip()) < 4 for anchor in dimension.anchors):
        yield Finding(
            "warning", f"{where}.anchors", "a meaning of under four characters", "say what such an article looks like"
        )
    if dimension.weight == 0 and dimension.name not in mentioned:
        yield Finding("note", where, "weight 0 and in no rule, so it decides nothing", "give it a weight, use it, or remove it")


def _mentioned(flt: Filter) -> set[str]:
    return {name for _, rule in _all_rules(flt) for name in _parsed(flt, rule).names}


def _all_rules(flt: Filter) -> list[tuple[str, str]]:
    spec = flt.spec
    return [
        *((f"spec.tiers[{tier.name}].when", tier.when) for tier in spec.tiers if tier.when),
        *((f"spec.gatekeepers[{index}].when", keeper.when) for index, keeper in enumerate(spec.gatekeepers)),
        *((f"spec.contentTypes[{kind.name}].unless", kind.unless) for kind in spec.contentTypes if kind.unless),
    ]


def _parsed(flt: Filter, rule: str) -> Expression:
    return parse(rule, [*flt.dimensions, "overall"])


def samples(flt: Filter, seed: int = 0) -> Samples:
    """Make score vectors around every threshold of the filter's rules.

    Args:
        flt: the filter.
        seed: decides the random ones.

    Returns:
        Vectors (n, D), with overalls around every threshold of those.
    """
    import numpy as np

    from distillery.filters.verdict import weights

    rng, names, share = np.random.default_rng(seed), flt.dimensions, weights(flt)
    marks: dict[str, set[float]] = {name: {0.0, 10.0} for name in (*names, "overall")}
    for _, rule in _all_rules(flt):
        for name, threshold in _parsed(flt, rule).thresholds:
            marks[name] |= {threshold - 0.01, threshold, threshold + 0.01}
    for keeper in flt.spec.gatekeepers:
        marks["overall"] |= {keeper.cap, keeper.cap + 0.01}
    n = 10_000
    mixed = rng.uniform(0, 10, (n, len(names)))
    for column, name in enumerate(names):  # half of the values on a threshold
        on_mark = rng.random(n) < 0.5
        mixed[on_mark, column] = rng.choice(sorted(marks[name]), on_mark.sum())
    target = rng.choice(sorted(marks["overall"]), n)
    steered = mixed.copy()
    free = rng.random((n, len(names))) < 0.5  # these move until the overall meets its target
    gap = target - (mixed * share * ~free).sum(axis=1)
    room = (share * free).sum(axis=1)
    fill = np.divide(gap, room, out=np.zeros(n), where=room > 0)[:, None]
    steered[free] = np.broadcast_to(fill, steered.shape)[free]
    level = np.repeat(np.linspace(0, 10, 2001)[:, None], len(names), axis=1)
    rows: Samples = np.clip(np.concatenate([mixed, steered, level]), 0, 10)
    return rows


def _tried_out(flt: Filter) -> Iterator[Finding]:
    if find_spec("numpy") and find_spec("pyarrow"):
        yield from _rules(flt)
        yield from _prefilter(flt)
    else:
        hint = f"{install_line('light')}; then lint again"
        yield Finding("warning", "spec", "tiers, caps and prefilter were not tried out: numpy or pyarrow is missing", hint)


def _rules(flt: Filter) -> Iterator[Finding]:
    import numpy as np

    from distillery.filters.verdict import judge, weighted_mean

    rows = samples(flt)
    verdicts = judge(flt, rows)
    columns = dict(zip(flt.dimensions, rows.T, strict=True))
    uncapped = columns | {"overall": weighted_mean(flt, rows)}
    capped = columns | {"overall": verdicts.overall}
    for tier in flt.spec.tiers:
        if tier.name in set(verdicts.tier):
            continue
        alone = np.ones(len(rows), bool) if tier.when is None else _parsed(flt, tier.when).holds(uncapped)
        after = alone if tier.when is None else _parsed(flt, tier.when).holds(capped)
        if not alone.any():
            why, hint = "its rule never holds", "scores and overall lie between 0 and 10"
        elif not after.any():
            why, hint = "gatekeepers cap every such article below it", "raise the cap, or lower the tier"
        else:
            taken = dict.fromkeys(verdicts.tier[after].tolist())
            why, hint = f"tiers before it ({', '.join(taken)}) take every such article", "put the narrower tier first"
        yield Finding("warning", f"spec.tiers[{tier.name}]", f"can't be reached: {why}", hint)
    for index, keeper in enumerate(flt.spec.gatekeepers):
        holds = _parsed(flt, keeper.when).holds(uncapped)
        where = f"spec.gatekeepers[{index}]"
        if not (holds & (uncapped["overall"] > keeper.cap)).any():
            why = "no article it holds for has an overall above its cap" if holds.any() else "its rule never holds"
            yield Finding("warning", where, f"never caps anything: {why}", "lower the cap, or remove it")
        elif holds.all():
            yield Finding("warning", where, "caps every article: its rule always holds", "narrow the rule")
    for kind in flt.spec.contentTypes:
        lifted = kind.unless is not None and _parsed(flt, kind.unless).holds(uncapped)
        if not (~np.asarray(lifted) & (uncapped["overall"] > kind.cap)).any():
            yield Finding("note", f"spec.contentTypes[{kind.name}]", "never caps anything", "lower the cap, or mind `unless`")


def _prefilter(flt: Filter) -> Iterator[Finding]:
    prefilter = flt.spec.prefilter
    groups = {"exclude": prefilter.exclude, "unless": prefilter.unless, "requireAny": prefilter.requireAny}
    if prefilter.unless and not prefilter.exclude:
        yield Finding("warning", "spec.prefilter.unless", "has no effect without exclude", "remove it, or add exclude")
    if not any(groups.values()):
        return
    texts = normal_texts(["", ORDINARY])
    effect = {"exclude": "leaves every article out", "unless": "undoes every exclude", "requireAny": "requires nothing"}
    for key, patterns in groups.items():
        for index, pattern in enumerate(patterns):
            where = f"spec.prefilter.{key}[{index}]"
            if any(matching(texts, pattern).to_pylist()):
                yield Finding(
                    "error" if key == "exclude" else "warning", where, f"matches any text, so it {effect[key]}", "narrow it"
                )
            if INNER_EDGE.search(widened(pattern)):
                yield Finding("warning", where, "has a \\b that sees no letter beyond ASCII", r"write (^|\W) in its place")
            yield from (Finding("warning", where, what, hint) for what, hint in remarks(pattern))


def _escapes(text: str) -> Iterator[Finding]:
    r"""Find patterns in double quotes with codes of characters, which are gone before RE2 sees them: "\x2e" is any one."""
    escaped = read_document(text, "").escaped if "\\" in text else ()
    for path in sorted(path for path in escaped if path[:2] == ("spec", "prefilter")):
        what = "names a character by its code in double quotes, so YAML reads the code, and the pattern never sees it"
        yield Finding("warning", shown(path), what, "use single quotes")


def _price(flt: Filter) -> Iterator[Finding]:
    oracle, where = flt.spec.oracle, "spec.oracle.price"
    if (price := oracle.price) is None:
        return
    if oracle.provider == "replay":
        yield Finding(
            "note", where, "recorded replies cost nothing, so it is not read", "keep it for the provider that is paid"
        )
    elif not price.input and not price.output and not oracle.baseUrl:
        yield Finding("warning", where, "says that the model is free, so no budget holds", "give its price")
    if any(0 < usd < CHEAPEST for usd in (price.input, price.output)):
        message = f"under ${CHEAPEST:g} for a million tokens: maybe meant for a thousand, or for one"
        yield Finding("warning", where, message, "give US dollars for a million tokens")
    if price.output < price.input:
        yield Finding("warning", where, "replies are cheaper than prompts", "check whether input and output are swapped")
    if price.cached is not None and price.cached > price.input:
        yield Finding("warning", f"{where}.cached", "a cached token costs more than another", "check it, or leave it out")


def _lengths(flt: Filter) -> Iterator[Finding]:
    spec = flt.spec
    prompt, article = len(rubric(flt).split()) * TOKENS_PER_WORD, spec.oracle.maxWords * TOKENS_PER_WORD
    if prompt + REPLY + article > CONTEXT:
        message = (
            f"the rubric takes about {prompt:,.0f} of {CONTEXT:,} tokens, which leaves the article too few for {article:,.0f}"
        )
        yield Finding("warning", "spec.oracle.maxWords", message, "shorten the rubric, or lower maxWords")
    if spec.student.maxLength < SEEN * article:
        message = f"the student sees about {spec.student.maxLength / article:.0%} of the text that the oracle judges"
        yield Finding("warning", "spec.student.maxLength", message, "raise maxLength, set headTail, or lower oracle.maxWords")
    if spec.student.lora is None and spec.training.learningRate > FASTEST:
        message = f"{spec.training.learningRate:g} is an adapter's rate, and every weight trains: they forget what they knew"
        yield Finding("warning", "spec.training.learningRate", message, f"lower it to {FASTEST:g} or less, or state lora")
    if (
        "://" not in (base := spec.student.baseModel)
        and base.count("/") == 1
        and base[0] not in "./"
        and not spec.student.revision
    ):
        yield Finding("warning", "spec.student.revision", f"{base} may change under you", "pin a commit")


def _gates(flt: Filter) -> Iterator[Finding]:
    gates = flt.spec.gates
    metrics = {gate.metric for gate in gates}
    wanted = {
        "tier_recall": "a student that never predicts the best tier could pass",
        "spearman": "a student that ranks at random could pass",
        "score_compression": "a student that predicts the middle for everything could pass",
        "skill": "a student hardly better than a simple baseline could pass",
    }
    for metric in wanted.keys() - metrics if len(flt.spec.tiers) > 1 else wanted.keys() - metrics - {"tier_recall"}:
        yield Finding("warning", "spec.gates", f"no gate on {metric}: {wanted[metric]}", f"add a gate on {metric}")
    seen: set[tuple[object, ...]] = set()
    for index, gate in enumerate(gates):
        yield from _gate(gate, f"spec.gates[{index}]")
        key = (gate.metric, gate.tier, gate.dimension, gate.baseline, gate.by, gate.below is None)
        if key in seen:
            yield Finding("note", f"spec.gates[{index}]", f"a second gate on {gate.metric}", "keep the stricter one")
        seen.add(key)


def _gate(gate: Gate, where: str) -> Iterator[Finding]:
    if (gate.atLeast is not None) != METRICS[gate.metric].high:
        better, key = ("more", "atLeast") if METRICS[gate.metric].high else ("less", "below")
        yield Finding("warning", where, f"the wrong way round: {better} {gate.metric} is better", f'use "{key}"')
    if gate.by == "interval" and gate.metric in EXACT:
        yield Finding("error", where, f"{gate.metric} has no interval, so nothing passes", "judge by: point, or leave by out")
    if gate.metric == "skill" and gate.atLeast is not None and gate.atLeast < 0:
        yield Finding("warning", where, f"a student behind {gate.baseline} could be promoted", "raise the bound to 0 or more")
    if gate.metric == "mae_vs_incumbent" and (gate.by == "point" or (gate.below or 0) > 0):
        what = "a student that is not shown to be better than the adapter in use could be promoted"
        yield Finding("warning", where, what, "judge by: interval, with a bound of 0 or less")
    share = gate.metric.startswith("tier_") or gate.metric.endswith("spearman")
    if gate.atLeast is not None and share and gate.atLeast > 1:
        yield Finding("error", where, f"{gate.metric} is never above 1, so nothing passes", "give a share, such as 0.7")
    if gate.below is not None and gate.metric.endswith("mae") and gate.below <= 0 and gate.metric != "mae_vs_incumbent":
        yield Finding("error", where, "an error is never below 0, so nothing passes", "raise the bound")
