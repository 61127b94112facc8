"""KFP adapter of the calibrate step."""

from kfp import dsl

from distillery.components.runtime.images import LIGHT


@dsl.component(base_image=LIGHT, install_kfp_package=False)
def calibrate(store: str, filter_key: str, articles: str, marks: str, waived: str, budget: float, run: str) -> str:
    """Judges the filter's rubric with its oracle on a sample and on a fresh one; done already, it does nothing.

    Args:
        store: URI of the object store, file:// or s3://.
        filter_key: Key of the published filter.
        articles: Articles to draw the samples from.
        marks: JSON file of on-topic and off-topic articles, "prefilter", "reference", or empty.
        waived: Reason to go on without a calibration; recorded with the labels.
        budget: US dollars that the labels may cost, those of the samples and earlier runs included; 0 for no limit.
        run: Name of this run.

    Returns:
        PASS, REVIEW, FAIL or WAIVED. Labelling refuses where it is neither a PASS nor accepted nor waived.
    """
    from distillery.components.calibration.calibrate import calibrate as work
    from distillery.components.runtime.step import step_context

    with step_context("calibrate", store, filter_key, run) as step:
        given = step.parameters(articles=articles, marks=marks, without_calibration=waived, budget=budget)
        waived, limit = given.pop("without_calibration"), given.pop("budget") or None
        record = work(step.store, step.filter, **given, waived=waived, budget=limit, once=True, progress=step.progress)
        return str(step.keep(record).outputs["verdict"])
