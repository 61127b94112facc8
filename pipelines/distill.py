"""The distill pipeline: from articles or labels to a promoted adapter, or to the reasons why not.

One graph for a laptop (kfp.local), the Kubeflow backend and the operator. Steps exchange digests as strings; bulk data
stay in the store. Reuse is the store's: each step finds its own record by the digest of its inputs, so KFP's cache is off.
"""

from kfp import dsl

from components.auditing.component import audit
from components.benchmarking.component import benchmark
from components.calibration.component import calibrate
from components.gating.component import gate
from components.labeling.component import label
from components.preflight.component import preflight
from components.promotion.component import hold, promote, reject
from components.reporting.component import report
from components.splitting.component import split
from components.training.component import train


@dsl.pipeline(name="distill", description="Distil an LLM's judgement of articles into a small student, gated and promoted")
def distill(
    filter: str,
    store: str,
    articles: str = "",
    labels: str = "",
    profile: str = "",
    overrides: list = [],  # noqa: B006 - KFP wants a literal default
    max_rejects: str = "0",
    marks: str = "",
    without_calibration: str = "",
    budget: float = 0.0,
) -> None:
    """Calibrates and labels, audits, splits, trains, benchmarks, gates, and then promotes, holds or rejects.

    Args:
        filter: A filter's name, name/vN, or path.
        store: URI of the object store, file:// or s3://.
        articles: Articles for the oracle to label; leave empty where labels are given.
        labels: Labels that exist already; leave empty where articles are given.
        profile: A named set of overrides, such as laptop.
        overrides: Settings for this run, each "path=value".
        max_rejects: How many bad rows of labels may be left out, "20" or "1%".
        marks: What the calibration goes by: a JSON file of on-topic and off-topic articles, "prefilter" or "reference".
        without_calibration: Why to label without a calibration that passed; recorded with the labels.
        budget: US dollars that the labels may cost, earlier runs included; 0 for no limit.
    """
    run = dsl.PIPELINE_JOB_ID_PLACEHOLDER
    last = report(store=store, run=run)
    with dsl.ExitHandler(last, name="distill-steps"):
        ready = preflight(
            filter=filter,
            articles=articles,
            labels=labels,
            store=store,
            profile=profile,
            overrides=overrides,
            run=run,
        )
        key = ready.outputs["filter_key"]
        common = {"store": store, "filter_key": key, "max_rejects": max_rejects, "budget": budget, "run": run}
        with dsl.If(ready.outputs["articles"] != "", name="from-articles"):
            given = ready.outputs["articles"]
            calibrated = calibrate(
                store=store, filter_key=key, articles=given, marks=marks, waived=without_calibration, run=run
            )
            asked = label(articles=given, labels="", without_calibration=without_calibration, **common)
            asked.after(calibrated)
        with dsl.Else(name="from-labels"):
            imported = label(articles="", labels=ready.outputs["labels"], without_calibration="", **common)
        label_set = dsl.OneOf(asked.output, imported.output)
        audited = audit(store=store, filter_key=key, label_set=label_set, run=run)
        parts = split(store=store, filter_key=key, label_set=label_set, run=run).after(audited)
        student = train(store=store, filter_key=key, split=parts.output, run=run)
        judged = benchmark(store=store, filter_key=key, adapter=student.output, split=parts.output, run=run)
        gated = gate(store=store, filter_key=key, adapter=student.output, benchmark=judged.outputs["Output"], run=run)
        verdict = gated.outputs["verdict"]
        with dsl.If(gated.outputs["decision"] == "promote", name="passed"):
            promote(store=store, filter_key=key, verdict=verdict, run=run)
        with dsl.Elif(gated.outputs["decision"] == "approve", name="passed-awaits-approval"):
            hold(store=store, filter_key=key, verdict=verdict, run=run)
        with dsl.Else(name="rejected"):
            reject(store=store, filter_key=key, verdict=verdict, run=run)
