"""KFP adapter of the exit step: the report, whatever happened."""

from kfp import dsl

from distillery.components.runtime.images import LIGHT


@dsl.component(base_image=LIGHT, install_kfp_package=False)
def report(
    store: str,
    run: str,
    html: dsl.Output[dsl.HTML],
    verdict: dsl.Output[dsl.Markdown],
    status: dsl.PipelineTaskFinalStatus,
):
    """Writes the run's report from what its steps left behind, also when one of them failed.

    Args:
        store: URI of the object store, file:// or s3://.
        run: Name of this run.
        html: The report, one self-contained page.
        verdict: The gates, in brief.
        status: How the run ended.
    """
    from pathlib import Path

    from distillery.components.reporting.publish import publish
    from distillery.components.runtime.notify import tell
    from distillery.components.runtime.step import step_context

    with step_context("report", store, "", run) as step:
        pages = publish(step.store, step.run, failed=status.state != "SUCCEEDED", message=status.error_message or "")
        Path(html.path).write_text(pages.html, encoding="utf-8")
        Path(verdict.path).write_text(pages.verdict, encoding="utf-8")
        step.keep(pages.record)
        tell(pages.ended, step.progress)
