"""`distillery registries`: model registries follow a channel, and whatever one of them lacks is made right."""

from __future__ import annotations

import typer

from distillery.components.runtime.exit_codes import ExitCode
from distillery.filters.errors import InputError
from distillery.pipelines.cli.options import ChannelOpt, FilterArg, JsonOpt, StoreOpt, open_existing
from distillery.pipelines.cli.printing import print_json

app = typer.Typer()


@app.command()
def registries(filter: FilterArg, channel: ChannelOpt = "", store: StoreOpt = None, as_json: JsonOpt = False) -> None:
    """Make the model registries of a filter hold what its channel says; what they hold already is left alone."""
    from distillery.components.artifacts.channel import on_channel
    from distillery.components.registries.follow import follow_channel
    from distillery.filters.loading import load_filter

    flt = on_channel(load_filter(filter), channel)
    if not flt.spec.promotion.registries:
        hint = "name one, such as `registries: [{mlflow: {uri: https://mlflow.example.com}}]`"
        raise InputError("names no registry", where="spec.promotion.registries", hint=hint)
    found = follow_channel(open_existing(store), flt)
    if as_json:
        rows = [each._asdict() for each in found]
        print_json({"filter": flt.name, "channel": flt.spec.promotion.channel, "registries": rows})
    else:
        for each in found:
            print(each.sentence)
    if any(each.state == "behind" for each in found):
        raise typer.Exit(ExitCode.FAILED)
