"""KFP adapters of what follows a verdict: promote, hold for approval, or reject."""

from kfp import dsl

from distillery.components.runtime.images import LIGHT, TORCH


@dsl.component(base_image=TORCH, install_kfp_package=False)
def promote(store: str, filter_key: str, verdict: str, run: str) -> str:
    """Points the filter's channel at the adapter that passed, after reading its stored bytes back, unless it is pinned.

    Args:
        store: URI of the object store, file:// or s3://.
        filter_key: Key of the published filter.
        verdict: Digest of a passing verdict.
        run: Name of this run.

    Returns:
        Digest of the adapter that passed; the step's record says whether it was promoted.
    """
    from distillery.components.promotion.promote import promote as work
    from distillery.components.registries.follow import follow_channel
    from distillery.components.runtime.step import step_context

    with step_context("promote", store, filter_key, run) as step:
        record = work(step.store, step.filter, verdict=verdict, filter_key=filter_key, run=step.run, progress=step.progress)
        follow_channel(step.store, step.filter, progress=step.progress)
        return str(step.keep(record).outputs["adapter"])


@dsl.component(base_image=LIGHT, install_kfp_package=False)
def hold(store: str, filter_key: str, verdict: str, run: str) -> str:
    """Adds a candidate that passed its gates and waits for a person's approval; no pod waits with it.

    Args:
        store: URI of the object store, file:// or s3://.
        filter_key: Key of the published filter.
        verdict: Digest of a passing verdict.
        run: Name of this run.

    Returns:
        Digest of the candidate adapter.
    """
    from distillery.components.promotion.promote import hold as work
    from distillery.components.runtime.step import step_context

    with step_context("hold", store, filter_key, run) as step:
        record = work(step.store, step.filter, verdict=verdict, filter_key=filter_key, run=step.run, progress=step.progress)
        return str(step.keep(record).outputs["adapter"])


@dsl.component(base_image=LIGHT, install_kfp_package=False)
def reject(store: str, filter_key: str, verdict: str, run: str) -> str:
    """Says which gates failed; the channel stays as it is.

    Args:
        store: URI of the object store, file:// or s3://.
        filter_key: Key of the published filter.
        verdict: Digest of a failing verdict.
        run: Name of this run.

    Returns:
        The reasons, one line a rule.
    """
    from distillery.components.promotion.promote import reject as work
    from distillery.components.runtime.step import step_context

    with step_context("reject", store, filter_key, run) as step:
        record = work(step.store, step.filter, verdict=verdict)
        return "\n".join(step.keep(record).outputs["reasons"])
