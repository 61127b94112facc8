"""KFP adapters of a selection's steps."""

from typing import NamedTuple

from kfp import dsl

from distillery.components.runtime.images import LIGHT, TORCH


@dsl.component(base_image=LIGHT, install_kfp_package=False)
def candidates(store: str, filter_key: str, candidates: str, rule: str, trainer: str, gpus: int, run: str) -> NamedTuple(
    "Ready",
    [
        # kfp.local goes through a list of this name alone.
        ("Output", list),
        ("cpu_request", str),
        ("cpu_limit", str),
        ("memory_request", str),
        ("memory_limit", str),
        ("train_gpus", str),
        ("benchmark_gpus", str),
        ("nodes", dict),
    ],
):
    """Reads the candidates, refuses in seconds what would fail later, and publishes the filter of each.

    Args:
        store: URI of the object store.
        filter_key: Key of the published filter.
        candidates: The candidates, an address or a text.
        rule: Rule of the choice.
        trainer: pod or trainjob.
        gpus: GPUs of a candidate's pod.
        run: Name of this run.

    Returns:
        Output: Of each candidate its step and its filter's key. The rest: what this cluster gives to the tasks that load it.
    """
    from collections import namedtuple

    from distillery.components.choosing.steps import plan_candidates as work
    from distillery.components.runtime.step import step_context

    with step_context("candidates", store, filter_key, run) as step:
        given = step.parameters(candidates=candidates, rule=rule, trainer=trainer, gpus=gpus)
        planned = work(step.store, step.filter, **given)
        step.keep(planned.record)
        values = {"Output": planned.items, **planned.cluster._asdict()}
        return namedtuple("Ready", list(values))(**values)


@dsl.component(base_image=LIGHT, install_kfp_package=False)
def report(
    store: str,
    run: str,
    html: dsl.Output[dsl.HTML],
    verdict: dsl.Output[dsl.Markdown],
    status: dsl.PipelineTaskFinalStatus,
):
    """Writes what became of the selection, also when one of its steps failed.

    Args:
        store: URI of the object store, file:// or s3://.
        run: Name of this run.
        html: The selection, or why there is none, one self-contained page.
        verdict: The same in Markdown.
        status: How the run ended.
    """
    from pathlib import Path

    from distillery.components.choosing.ending import publish_selection
    from distillery.components.runtime.notify import tell
    from distillery.components.runtime.step import step_context

    with step_context("report", store, "", run) as step:
        pages = publish_selection(step.store, step.run, message=status.error_message or "")
        Path(html.path).write_text(pages.html, encoding="utf-8")
        Path(verdict.path).write_text(pages.verdict, encoding="utf-8")
        step.progress.note(pages.ended.sentence)
        step.keep(pages.record)
        tell(pages.ended, step.progress)


@dsl.component(base_image=TORCH, install_kfp_package=False)
def candidate(
    store: str,
    filter_key: str,
    step_name: str,
    split: dsl.Input[dsl.Dataset],
    run: str,
    trainer: str,
    gpus: int,
    adapter: dsl.Output[dsl.Model],
) -> str:
    """Trains one candidate on the split, and predicts the validation part with it.

    Args:
        store: URI of the object store.
        filter_key: Key of the candidate's filter.
        step_name: Its name among the run's steps.
        split: The split.
        run: Name of this run.
        trainer: pod, or trainjob for several nodes.
        gpus: GPUs of the pod, or of each node.
        adapter: The adapter bundle, by digest.

    Returns:
        Digest of the adapter bundle.
    """
    from distillery.components.choosing.steps import try_candidate as work
    from distillery.components.runtime.step import step_context

    with step_context(step_name, store, filter_key, run) as step:
        parts, key = split.metadata["digest"], step.filter_key
        given = step.parameters(trainer=trainer, gpus=gpus)
        record = work(step.store, step.filter, key, split=parts, **given, progress=step.progress)
        step.describe(adapter, record, record.outputs["adapter"])
        return str(step.keep(record).outputs["adapter"])


@dsl.component(base_image=TORCH, install_kfp_package=False)
def select_student(
    store: str,
    filter_key: str,
    candidates: str,
    rule: str,
    split: dsl.Input[dsl.Dataset],
    adapters: list,
    run: str,
    chosen: dsl.Output[dsl.Model],
) -> str:
    """Chooses one of the candidates on validation, and opens the test part for it.

    Args:
        store: URI of the object store.
        filter_key: Key of the published filter.
        candidates: The candidates, an address or a text.
        rule: Rule of the choice.
        split: The split.
        adapters: What the candidates left, so that the step waits for all of them.
        run: Name of this run.
        chosen: The chosen adapter bundle, by digest.

    Returns:
        Digest of the selection.
    """
    from distillery.components.choosing.steps import choose_student as work
    from distillery.components.runtime.step import step_context

    with step_context("select-student", store, filter_key, run) as step:
        given = step.parameters(candidates=candidates, rule=rule)
        _, record = work(step.store, step.filter, split=split.metadata["digest"], **given, progress=step.progress)
        step.describe(chosen, record, record.outputs["adapter"])
        return str(step.keep(record).outputs["selection"])
