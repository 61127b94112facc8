"""What a plan says beside which steps run: the memory they take, and whether the base model knows the articles' languages."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Literal

from distillery.components.articles.languages import same_language
from distillery.components.artifacts.step_record import StepRecord
from distillery.components.store import NotFound, StoreError
from distillery.pipelines.steps import RunState

Action = Literal["reuse", "run", "skip"]


@dataclass
class Planned:
    """What a run would do about one step.

    Attributes:
        step: Name of the step.
        action: reuse, run or skip.
        why: Reasons, one line each; empty where the step is reused.
        cost: What it would take, in words; empty where that is nothing or not known.
        seconds: How long it would take, about; None where that is nothing or not known.
        usd: What the oracle would be paid, in US dollars, about; None where that is nothing or not known.
        articles: What the oracle would be asked about; None for other steps, and where they were not counted.
        inputs_digest: Digest of its inputs, where it is reused.
        record: The record that is reused; None where there is none.
    """

    step: str
    action: Action
    why: list[str] = field(default_factory=list)
    cost: str = ""
    inputs_digest: str | None = None
    record: StepRecord | None = None
    seconds: float | None = None
    usd: float | None = None
    articles: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the step as `plan --json` prints it.

        Returns:
            JSON values by field.
        """
        return {k: getattr(self, k) for k in ("step", "action", "why", "cost", "seconds", "usd", "articles", "inputs_digest")}


def tell_languages(steps: list[Planned], languages: Counter[str], run: RunState) -> None:
    """Say where the base model was made for other languages than the articles', where a student is to be trained.

    Args:
        steps: what each step would do; the training gets the remark.
        languages: articles by the language that they declare; empty where the input was not looked at.
        run: the run, with what its reused steps left.
    """
    from distillery.components.student.languages import languages_of

    train = next((step for step in steps if step.step == "train" and step.action == "run"), None)
    base = run.filter.spec.student.baseModel
    known = languages_of(base)
    if train is None or known is None:
        return
    counts = languages or _audited_languages(run)
    others = Counter({name: n for name, n in counts.items() if name and not any(same_language(name, own) for own in known)})
    if others:
        named = ", ".join(f"{name} {n:,}" for name, n in others.most_common(5))
        share = others.total() / counts.total()
        train.why.append(
            f"language: {base} was made for {', '.join(sorted(known))}, and {share:.0%} of the articles are in others "
            f"({named}): expect larger errors there, shown by language in the report; a base of many languages may serve better"
        )


def _audited_languages(run: RunState) -> Counter[str]:
    """Return articles by language as an audit that is reused counted them; none where there is none."""
    from distillery.components.artifacts.audit import read_audit

    digest = run.outputs.get("audit")
    if not isinstance(digest, str):
        return Counter()
    try:
        return Counter({row.value: row.n for row in read_audit(run.store, digest).languages.table})
    except (NotFound, StoreError):
        return Counter()


def tell_memory(steps: list[Planned], run: RunState) -> None:
    """Say what the steps that load the student take, where they run.

    Args:
        steps: what each step would do; those that load the student get the remark.
        run: the run, whose base model is on this machine.

    Raises:
        InputError: it is more than there is, or a package is missing.
    """
    from distillery.components.student.devices import require_packing
    from distillery.components.student.fit import require_gpu_here, require_room_here
    from distillery.components.student.gpu_memory import gpu_need
    from distillery.components.student.memory import body_in

    loading = {step.step: step for step in steps if step.action == "run" and step.step in ("train", "benchmark")}
    if loading:
        spec, dims, body = run.filter.spec, len(run.filter.dimensions), body_in(run.base.path, run.base.ref)
        for need in require_room_here(body, spec.student, spec.training, dims):
            if need.step in loading:
                loading[need.step].why.append(f"memory: at most {need}")
        if "train" in loading:
            require_packing(spec.training)
            if here := require_gpu_here(body, spec.student, spec.training, dims):
                loading["train"].why.append(f"memory of the GPU: at most {here}")
            elif spec.training.quantize != "none":
                least = gpu_need(body, spec.student, spec.training, dims)
                loading["train"].why.append(f"memory of a GPU, if it trained on one: {least}")
