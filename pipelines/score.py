"""The score pipeline: a corpus through a promoted adapter, over the cluster.

One small task starts an Indexed Job and waits. Kubernetes places, retries and queues the Job's pods at some 10 ms each; a KFP
task for each part would cost a driver pod and some 10 s.
"""

from kfp import dsl, kubernetes

from distillery.components.scoring.component import score as score_step
from distillery.pipelines.placement import TELLS, Weight, place, starts_pods

WAITING = Weight(cpu=("50m", "1"), memory=("256Mi", "1Gi"), hours=30 * 24, keys=(TELLS,))  # a large corpus takes days

# The pod that waits deletes its Job where it is ended, and an eviction looks like a cancel: autoscalers leave its node alone.
STAYS = {"cluster-autoscaler.kubernetes.io/safe-to-evict": "false", "karpenter.sh/do-not-disrupt": "true"}


@dsl.pipeline(name="score", description="Score a corpus over the cluster with a promoted adapter")
def score(
    adapter: str,
    articles: str,
    store: str = "",
    channel: str = "production",
    shards: int = 0,
    parallelism: int = 0,
    out: str = "",
    columns: list = [],  # noqa: B006 - KFP wants a literal default
) -> None:
    """Score every article of a corpus once: prefilter, student, tiers.

    Args:
        adapter: A filter's name, for what its channel points at, or an adapter's digest.
        articles: s3:// address of a file (JSONL, CSV, Parquet …), or of a prefix of such files.
        store: Object store, s3://bucket/prefix; empty for the cluster's own.
        channel: Which channel of the filter.
        shards: Parts that the corpus is cut into; 0 for parts of 64 MB.
        parallelism: Pods at once; 0 for as many as there are parts, 1,000 at most.
        out: Where the scores go, s3://bucket/prefix; empty for scores/ in the store.
        columns: Columns of the files by our names, a JSON list of "column=name", such as "headline=title".
    """
    task = score_step(
        store=store,
        adapter=adapter,
        articles=articles,
        channel=channel,
        shards=shards,
        parallelism=parallelism,
        out=out,
        columns=columns,
        run=dsl.PIPELINE_JOB_ID_PLACEHOLDER,
    )
    starts_pods(place(task, WAITING))
    for key, value in STAYS.items():
        kubernetes.add_pod_annotation(task, key, value)
