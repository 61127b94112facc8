"""KFP adapter of the train step."""

from kfp import dsl

from components.images import TORCH


@dsl.component(base_image=TORCH, install_kfp_package=False)
def train(store: str, filter_key: str, split: str, run: str) -> str:
    """Trains the student on a split and keeps the best adapter on validation.

    Args:
        store: URI of the object store, file:// or s3://.
        filter_key: Key of the published filter.
        split: Digest of the split.
        run: Name of this run.

    Returns:
        Digest of the adapter bundle.
    """
    from components.step import step_context
    from components.training.train import train as work

    with step_context("train", store, filter_key, run) as step:
        record = work(step.store, step.filter, split=split, progress=step.progress)
        return str(step.keep(record).outputs["adapter"])
