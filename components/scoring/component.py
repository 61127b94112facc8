"""KFP adapter of the score step."""

from kfp import dsl

from distillery.components.runtime.images import LIGHT


@dsl.component(base_image=LIGHT, install_kfp_package=False)
def score(
    store: str,
    adapter: str,
    articles: str,
    channel: str,
    shards: int,
    parallelism: int,
    out: str,
    columns: list,
    run: str,
    counts: dsl.Output[dsl.Metrics],
    scores: dsl.Output[dsl.Dataset],
) -> str:
    """Scores a corpus over the cluster by an Indexed Job.

    Args:
        store: URI of the object store; empty for the cluster's own.
        adapter: A filter's name, or an adapter's digest.
        articles: s3:// address of a file or a prefix of files.
        channel: Channel of the filter.
        shards: Parts; 0 chooses.
        parallelism: Pods at once; 0 chooses.
        out: Where the scores go; empty for the store.
        columns: Columns of the files by our names, a JSON list of "column=name".
        run: Name of this run.
        counts: Articles, scored, prefiltered, rejected, and each tier.
        scores: Where the scores are.

    Returns:
        Address of the scores.
    """
    from distillery.components.runtime.step import step_context
    from distillery.components.scoring.notice import announced
    from distillery.components.scoring.step import score_on_cluster

    with step_context("score", store, "", run) as step:
        given = step.parameters(
            adapter=adapter,
            articles=articles,
            channel=channel,
            shards=shards,
            parallelism=parallelism,
            out=out,
            columns=columns,
        )
        with announced(given["adapter"], step.run, step.progress) as told:
            record = score_on_cluster(step.store, **given, progress=step.progress)
            told |= (found := step.keep(record).outputs)
        step.describe(scores, record, found["job"])
        scores.metadata["address"] = found["scores"]
        for name in ("articles", "scored", "prefiltered", "rejected"):
            counts.log_metric(name, found[name])
        for name, number in found["tiers"].items():
            counts.log_metric(f"tier {name}", number)
        return str(found["scores"])
