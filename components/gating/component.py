"""KFP adapter of the gate step."""

from typing import NamedTuple

from kfp import dsl

from components.images import LIGHT


@dsl.component(base_image=LIGHT, install_kfp_package=False)
def gate(store: str, filter_key: str, adapter: str, benchmark: str, run: str) -> NamedTuple(
    "Gated", [("verdict", str), ("decision", str)]
):
    """Holds a benchmark against the filter's gates.

    Args:
        store: URI of the object store, file:// or s3://.
        filter_key: Key of the published filter.
        adapter: Digest of the adapter bundle.
        benchmark: Digest of the benchmark.
        run: Name of this run.

    Returns:
        verdict: Digest of the verdict. decision: promote, approve or reject.
    """
    from typing import NamedTuple

    from components.gating.gate import gate as work
    from components.step import step_context

    with step_context("gate", store, filter_key, run) as step:
        record = work(step.store, step.filter, adapter=adapter, benchmark=benchmark, progress=step.progress)
        outputs = step.keep(record).outputs
        gated = NamedTuple("Gated", [("verdict", str), ("decision", str)])
        return gated(outputs["verdict"], outputs["decision"])
