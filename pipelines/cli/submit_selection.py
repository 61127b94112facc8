"""`distillery submit select-student`: a selection on a Kubeflow cluster, a pod for each candidate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from distillery.components.artifacts.steps import SELECT, SELECTION
from distillery.pipelines.cli.options import (
    ArticlesOpt,
    BudgetOpt,
    FilterArg,
    JsonOpt,
    LabelsOpt,
    MapOpt,
    MappingOpt,
    PricesOpt,
    ProfileOpt,
    RejectsOpt,
    SetOpt,
    StoreOpt,
    YesOpt,
    in_all,
    settings,
)
from distillery.pipelines.cli.printing import print_json
from distillery.pipelines.cli.publish import EndpointOpt, LightOpt, TorchOpt
from distillery.pipelines.cli.select_student import DEFAULT_RULE, CandidatesOpt, RuleOpt
from distillery.pipelines.cli.spending import priced
from distillery.pipelines.cli.submitting import (
    AccountOpt,
    GpusOpt,
    NamespaceOpt,
    TrainerOpt,
    WatchOpt,
    prepare_agreed,
    start_claimed,
    store_address,
    tell,
    watch_run,
)

if TYPE_CHECKING:
    from distillery.pipelines.cluster.kubeflow import Kubeflow


app = typer.Typer()


@app.command("select-student")
def select_student(
    filter: FilterArg,
    candidates: CandidatesOpt,
    labels: LabelsOpt = "",
    articles: ArticlesOpt = "",
    rule: RuleOpt = DEFAULT_RULE,
    store: StoreOpt = None,
    profile: ProfileOpt = "",
    set: SetOpt = [],  # noqa: B006 - typer reads the default
    map: MapOpt = [],  # noqa: B006
    mapping: MappingOpt = "",
    max_rejects: RejectsOpt = "0",
    budget: BudgetOpt = None,
    prices: PricesOpt = "",
    yes: YesOpt = False,
    trainer: TrainerOpt = "pod",
    gpus: GpusOpt = 0,
    watch: WatchOpt = False,
    endpoint: EndpointOpt = "",
    namespace: NamespaceOpt = "",
    service_account: AccountOpt = "",
    light_image: LightOpt = "",
    torch_image: TorchOpt = "",
    as_json: JsonOpt = False,
) -> None:
    """Start `select-student` on the cluster: candidates side by side. What is trained already is reused."""
    from distillery.components.preflight.request import RunRequest
    from distillery.components.store import open_store
    from distillery.pipelines.cluster.submit import prepare_selection

    uri = store_address(store)
    opened = open_store(uri)
    changed = settings(set, map, mapping, filter=filter, profile=profile)
    limit = in_all(budget)
    request = RunRequest(filter, uri, articles, labels, profile, changed, max_rejects, "", "", limit, trainer, gpus)
    asked = priced(request.absolute(), prices)
    prepared = prepare_selection(
        opened, asked, candidates, rule=rule, prepare=lambda: prepare_agreed(opened, asked, budget=budget, yes=yes)
    )
    kubeflow, claimed = start_claimed(opened, prepared, endpoint, namespace, service_account, light_image, torch_image)
    if watch:
        follow_selection(kubeflow, uri, claimed.run, as_json=as_json)
    else:
        tell(kubeflow, claimed, uri, as_json=as_json)


def follow_selection(kubeflow: Kubeflow, uri: str, run: str, *, as_json: bool) -> None:
    """Follow a selection to its end, and print it.

    Args:
        kubeflow: Where the run runs.
        uri: The store's address.
        run: The run's id.
        as_json: True for one JSON object.

    Raises:
        Exit: The run came to no selection; with the exit code of its cause.
    """
    from distillery.components.artifacts.run_summary import Failure
    from distillery.components.choosing.sheet import selection_sheet
    from distillery.components.choosing.steps import read_selected
    from distillery.pipelines.cli.ending import end_failed
    from distillery.pipelines.cli.select_student import selection_json
    from distillery.pipelines.cli.sheets import print_sheet
    from distillery.pipelines.results import shown_path

    watched, opened = watch_run(kubeflow, uri, run, SELECTION)
    record = watched.records.get(SELECT)
    if record is None:
        failure = watched.failure or Failure(step=SELECT, kind="fault", message="it ended without a record")
        end_failed(failure, watched, uri, again="submission")
    selected = read_selected(opened, record)
    report = watched.outputs.get("report")
    page = f"{uri}/{report}" if report else None
    if as_json:
        print_json({**selection_json(selected), "run": run, "store": uri, "report": page})
    else:
        print_sheet(selection_sheet(selected))
        if page:
            print(f"report    {shown_path(page)}")
