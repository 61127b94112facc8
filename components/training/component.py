"""KFP adapter of the train step."""

from kfp import dsl

from distillery.components.runtime.images import TORCH


@dsl.component(base_image=TORCH, install_kfp_package=False)
def train(
    store: str,
    filter_key: str,
    split: dsl.Input[dsl.Dataset],
    run: str,
    trainer: str,
    gpus: int,
    adapter: dsl.Output[dsl.Model],
) -> str:
    """Trains the student on a split and keeps the best adapter on validation.

    Args:
        store: URI of the object store, file:// or s3://; empty for the cluster's own.
        filter_key: Key of the published filter.
        split: The split.
        run: Name of this run.
        trainer: pod, or trainjob for several nodes.
        gpus: GPUs of the pod, or of each node.
        adapter: The adapter bundle, by digest.

    Returns:
        Digest of the adapter bundle.
    """
    from distillery.components.runtime.step import step_context
    from distillery.components.training.launch import launch_training

    with step_context("train", store, filter_key, run) as step:
        parts, key = split.metadata["digest"], step.filter_key
        given = step.parameters(trainer=trainer, gpus=gpus)
        record = launch_training(
            given["trainer"], step.store, step.filter, key, split=parts, gpus=given["gpus"], progress=step.progress
        )
        step.describe(adapter, record, record.outputs["adapter"])
        return str(step.keep(record).outputs["adapter"])
