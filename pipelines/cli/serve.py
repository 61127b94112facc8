"""`distillery serve`: promoted adapters answer over HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from distillery.pipelines.cli import completion
from distillery.pipelines.cli.options import ChannelOpt, JsonOpt, StoreOpt, open_existing, require_filter
from distillery.pipelines.cli.printing import print_json, short

app = typer.Typer()

SubjectsArg = Annotated[
    list[str],
    typer.Argument(
        metavar="FILTER|ADAPTER...",
        help="filters, whose channels are followed, or adapters' digests (8 digits do)",
        autocompletion=completion.filters_and_adapters,
    ),
]


@app.command()
def serve(
    subjects: SubjectsArg,
    host: Annotated[str, typer.Option("--host", help="address to listen at; 0.0.0.0 for all")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0: any that is free")] = 8080,
    api_key_file: Annotated[
        Path | None, typer.Option("--api-key-file", metavar="FILE", help="keys of which each request has one, one a line")
    ] = None,
    channel: ChannelOpt = "",
    store: StoreOpt = None,
    as_json: JsonOpt = False,
) -> None:
    """Serve promoted adapters over HTTP: POST /score, and the Open Inference Protocol. A signal ends it gracefully."""
    from distillery.components.runtime.extras import SERVER, require

    for subject in subjects:
        require_filter(subject, channel)
    require(SERVER)
    opened = open_existing(store)
    from distillery.components.runtime.progress import reporter
    from distillery.components.serving.app import Service, build
    from distillery.components.serving.batching import Batcher
    from distillery.components.serving.limits import ApiKeys
    from distillery.components.serving.metrics import Metrics
    from distillery.components.serving.models import Shelf, load, pointed, targets
    from distillery.components.serving.server import address_of, bound
    from distillery.components.serving.server import serve as listen

    wanted, keys, metrics = targets(opened, subjects, channel), ApiKeys(api_key_file), Metrics()
    socket, progress = bound(host, port), reporter("serve")
    models = {target.name: load(opened, target, pointed(opened, target), progress) for target in wanted}
    batcher = Batcher(turned=metrics.turned)
    service = Service(Shelf(models), batcher, keys=keys, metrics=metrics)
    for target in wanted:
        metrics.took_over(target.name, target.channel, models[target.name])
    served = [{"filter": name, "adapter": model.adapter, "plan": model.plan} for name, model in models.items()]

    def listening(_: object) -> None:
        if as_json:
            print_json({"listening": address_of(socket), "serving": served})
            return
        for row in served:
            print(f"{row['filter']}  adapter {short(row['adapter'])}  {row['plan']}")
        print(f"listening on {address_of(socket)}", flush=True)

    listen(build(service), socket, listening=listening)
    batcher.close()
