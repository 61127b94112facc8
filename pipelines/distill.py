"""The distill pipeline: from articles or labels to a promoted adapter, or to the reasons why not.

A laptop (kfp.local) and the Kubeflow backend run the same graph. Bulk data stay in the store; steps exchange digests, as small
artifacts where they can, so that the UI shows the way from labels to adapter. Reuse is the store's: each step finds its own
record by the digest of its inputs. `distillery.components.artifacts.steps` names the steps and their order.
"""

from kfp import dsl

from distillery.components.auditing.component import audit
from distillery.components.benchmarking.component import benchmark
from distillery.components.calibration.component import calibrate
from distillery.components.gating.component import gate
from distillery.components.labeling.component import label
from distillery.components.preflight.component import preflight
from distillery.components.promotion.component import hold, promote, reject
from distillery.components.reporting.component import report
from distillery.components.splitting.component import split
from distillery.components.training.component import train
from distillery.pipelines.placement import FIRST, LAST, ORACLE, TABLE, TRACKS, place, place_torch, starts_pods


@dsl.pipeline(name="distill", description="Distil an LLM's judgement of articles into a small student, gated and promoted")
def distill(
    filter: str,
    store: str = "",
    articles: str = "",
    labels: str = "",
    profile: str = "",
    overrides: list = [],  # noqa: B006 - KFP wants a literal default
    max_rejects: str = "0",
    marks: str = "",
    without_calibration: str = "",
    budget: float = 0.0,
    trainer: str = "pod",
    gpus: int = 0,
) -> None:
    """Calibrate, label, audit, split, train, benchmark and gate; then promote, hold or reject.

    Args:
        filter: A filter's name, name/vN, s3:// address, or the text of a filter.yaml.
        store: Object store, s3://bucket/prefix; empty for the cluster's own.
        articles: s3:// address of articles for the oracle to label; leave empty where labels are given.
        labels: s3:// address of labels that exist already; leave empty where articles are given.
        profile: A named set of overrides, such as laptop; empty for none.
        overrides: Settings for this run, a JSON list of "path=value".
        max_rejects: How many bad rows of labels may be left out, "20" or "1%".
        marks: What the calibration goes by: s3:// address of a JSON file of marks, "prefilter" or "reference"; may be empty.
        without_calibration: Why to label without a calibration that passed; recorded with the labels.
        budget: US dollars that the labels may cost, earlier runs included; 0 for no limit.
        trainer: pod trains in one pod, trainjob in a Kubeflow TrainJob over several nodes.
        gpus: GPUs of the training pod, or of each node of a TrainJob; 0 trains on the CPU.
    """
    run = dsl.PIPELINE_JOB_ID_PLACEHOLDER
    last = place(report(store=store, run=run), LAST)
    with dsl.ExitHandler(last, name="distill-steps"):
        ready = place(
            preflight(
                filter=filter,
                articles=articles,
                labels=labels,
                store=store,
                profile=profile,
                overrides=overrides,
                max_rejects=max_rejects,
                marks=marks,
                budget=budget,
                trainer=trainer,
                gpus=gpus,
                run=run,
            ),
            FIRST,
        ).outputs
        common = {"store": store, "filter_key": ready["filter_key"], "run": run}
        limits = {"max_rejects": max_rejects, "budget": budget}
        # Conditions compare fixed words of our own: kfp.local evaluates them as text.
        with dsl.If(ready["source"] == "articles", name="from-articles"):
            given = ready["articles"]
            judged_by = {"marks": marks, "waived": without_calibration, "budget": budget}
            calibrated = place(calibrate(articles=given, **judged_by, **common), ORACLE)
            asked = label(articles=given, labels="", without_calibration=without_calibration, **limits, **common)
            place(asked, ORACLE).after(calibrated)
        with dsl.Else(name="from-labels"):
            imported = label(articles="", labels=ready["labels"], without_calibration="", **limits, **common)
            place(imported, TABLE)
        label_set = dsl.OneOf(asked.output, imported.output)
        labelled = place(audit(label_set=label_set, **common), TABLE).outputs["labels"]
        parts = place(split(labels=labelled, **common), TABLE).outputs["parts"]
        student = train(split=parts, trainer=trainer, gpus=gpus, **common)
        adapter = starts_pods(place_torch(student, ready, gpus="train_gpus", keys=(TRACKS,))).outputs["adapter"]
        judged = benchmark(adapter=adapter, split=parts, **common)
        figures = place_torch(judged, ready, gpus="benchmark_gpus").outputs["figures"]
        gated = place(gate(adapter=adapter, benchmark=figures, **common))
        verdict = gated.outputs["verdict"]
        with dsl.If(gated.outputs["decision"] == "promote", name="passed"):
            place_torch(promote(verdict=verdict, **common), ready, gpus="benchmark_gpus", keys=(TRACKS,))
        with dsl.Elif(gated.outputs["decision"] == "approve", name="passed-awaits-approval"):
            place(hold(verdict=verdict, **common))
        with dsl.Else(name="rejected"):
            place(reject(verdict=verdict, **common))
