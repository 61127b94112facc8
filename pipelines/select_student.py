"""The select-student pipeline: candidates trained side by side on one split, one chosen on validation.

It is `distillery select-student` with a pod for each candidate, and ends with the same document; its last step tells how it
ended, whatever happened. Labels come in as in `distill`; an oracle is asked only where a calibration of the filter's rubric
has passed already.
"""

from kfp import dsl

from distillery.components.auditing.component import audit
from distillery.components.choosing.component import candidate, report, select_student
from distillery.components.choosing.component import candidates as read_candidates
from distillery.components.labeling.component import label
from distillery.components.preflight.component import preflight
from distillery.components.splitting.component import split
from distillery.pipelines.placement import FIRST, LAST, LIGHT, ORACLE, TABLE, TRACKS, place, place_torch, starts_pods

AT_ONCE = 16  # candidates; what has no room on the cluster waits for it


@dsl.pipeline(name="select-student", description="Train candidates side by side on one split and choose a student")
def select(
    filter: str,
    candidates: str,
    rule: str = "cheapest within 0.02 of the best",
    store: str = "",
    articles: str = "",
    labels: str = "",
    profile: str = "",
    overrides: list = [],  # noqa: B006 - KFP wants a literal default
    max_rejects: str = "0",
    budget: float = 0.0,
    trainer: str = "pod",
    gpus: int = 0,
) -> None:
    """Label, audit and split; train each candidate; choose one, and judge it on the test part.

    Args:
        filter: A filter's name, name/vN, s3:// address, or the text of a filter.yaml.
        candidates: s3:// address of the file of candidates, or its text.
        rule: What is chosen on validation, "cheapest within 0.02 of the best" (points of MAE), or best.
        store: Object store, s3://bucket/prefix; empty for the cluster's own.
        articles: s3:// address of articles for the oracle to label; leave empty where labels are given.
        labels: s3:// address of labels that exist already; leave empty where articles are given.
        profile: A named set of overrides, such as laptop; empty for none.
        overrides: Settings for this run, a JSON list of "path=value".
        max_rejects: How many bad rows of labels may be left out, "20" or "1%".
        budget: US dollars that the labels may cost, earlier runs included; 0 for no limit.
        trainer: pod trains a candidate in one pod, trainjob in a Kubeflow TrainJob over several nodes.
        gpus: GPUs of each candidate's pod, or of each node of a TrainJob; 0 trains on the CPU.
    """
    run = dsl.PIPELINE_JOB_ID_PLACEHOLDER
    last = place(report(store=store, run=run), LAST)
    with dsl.ExitHandler(last, name="selection-steps"):
        ready = place(
            preflight(
                filter=filter,
                articles=articles,
                labels=labels,
                store=store,
                profile=profile,
                overrides=overrides,
                max_rejects=max_rejects,
                marks="",
                budget=budget,
                trainer=trainer,
                gpus=gpus,
                run=run,
            ),
            FIRST,
        ).outputs
        common = {"store": store, "filter_key": ready["filter_key"], "run": run}
        who = {"trainer": trainer, "gpus": gpus}
        wanted = {"candidates": candidates, "rule": rule}
        planned = place(read_candidates(**wanted, **who, **common), LIGHT)
        given = {"articles": ready["articles"], "labels": ready["labels"], "max_rejects": max_rejects, "budget": budget}
        labelled = place(label(without_calibration="", **given, **common), ORACLE).after(planned)
        labelled = place(audit(label_set=labelled.output, **common), TABLE).outputs["labels"]
        parts = place(split(labels=labelled, **common), TABLE).outputs["parts"]
        cluster = planned.outputs
        # kfp.local would hand each.filter_key in place of any other task's output: in the loop there is none but resources.
        # No name: Kubeflow's driver would keep the loop's outputs under it, and look for them under "for-loop-2" (seen: 2.14.3
        # with a loop of the root, "for-loop-1").
        with dsl.ParallelFor(items=cluster["Output"], parallelism=AT_ONCE) as each:
            its = {"store": store, "filter_key": each.filter_key, "step_name": each.step, "run": run}
            student = candidate(split=parts, **who, **its)
            starts_pods(place_torch(student, cluster, gpus="train_gpus", keys=(TRACKS,)))
        adapters = dsl.Collected(student.outputs["Output"])
        chosen = select_student(split=parts, adapters=adapters, **wanted, **common)
        place_torch(chosen, cluster, gpus="benchmark_gpus")
