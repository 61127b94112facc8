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
    poll: Annotated[
        float, typer.Option("--poll", metavar="SECONDS", min=0.1, max=3600, help="between two looks at a channel")
    ] = 5.0,
    wait: Annotated[
        float, typer.Option("--wait", metavar="MS", min=0, max=1000, help="what a batch that is not full waits for more")
    ] = 5.0,
    queue: Annotated[int, typer.Option("--queue", metavar="N", min=1, help="articles that may wait; beyond it: 429")] = 2048,
    body: Annotated[int, typer.Option("--body", metavar="MIB", min=1, max=1024, help="largest body; beyond it: 413")] = 8,
    grace: Annotated[
        int, typer.Option("--grace", metavar="SECONDS", min=1, max=3600, help="what requests in flight have after a signal")
    ] = 30,
    channel: ChannelOpt = "",
    store: StoreOpt = None,
    as_json: JsonOpt = False,
) -> None:
    """Serve promoted adapters over HTTP: POST /score, and the Open Inference Protocol. A signal ends it gracefully."""
    from distillery.components.runtime.extras import SERVER, require
    from distillery.components.runtime.settings import limit_threads

    for subject in subjects:
        require_filter(subject, channel)
    require(SERVER)
    limit_threads()  # in a container, to its own share of the machine; before torch is imported
    opened = open_existing(store)
    from distillery.components.runtime.progress import reporter
    from distillery.components.serving.app import Service, build
    from distillery.components.serving.batching import Batcher
    from distillery.components.serving.follow import Follower
    from distillery.components.serving.limits import MIB, ApiKeys, Bodies
    from distillery.components.serving.metrics import Metrics
    from distillery.components.serving.models import Shelf, load, pointed, targets
    from distillery.components.serving.server import Server, address_of, bound
    from distillery.components.serving.server import serve as listen
    from distillery.components.student.token_cache import TokenCache

    wanted, keys, metrics = targets(opened, subjects, channel), ApiKeys(api_key_file), Metrics()
    socket, progress, cache = bound(host, port), reporter("serve"), TokenCache()
    models = {target.name: load(opened, target, pointed(opened, target), progress, cache=cache) for target in wanted}
    shelf, batcher = Shelf(models), Batcher(wait=wait / 1000, queued=queue, turned=metrics.turned)
    follower = Follower(opened, wanted, shelf, metrics, every=poll, progress=progress)
    service = Service(
        shelf, batcher, bodies=Bodies(body * MIB), keys=keys, metrics=metrics, behind=follower.behind, say=progress.note
    )
    for target in wanted:
        metrics.took_over(target.name, target.channel, models[target.name])
    served = [{"filter": name, "adapter": model.adapter, "plan": model.plan} for name, model in models.items()]

    def listening(server: Server) -> None:
        service.draining = lambda: server.should_exit
        if as_json:
            print_json({"listening": address_of(socket), "serving": served})
            return
        for row in served:
            print(f"{row['filter']}  adapter {short(row['adapter'])}  {row['plan']}")
        print(f"listening on {address_of(socket)}", flush=True)

    follower.start()
    listen(build(service), socket, grace=grace, listening=listening)
    follower.stop()
    batcher.close()
