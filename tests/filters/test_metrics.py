"""The list of metrics that the schema promises is printed, and every place that speaks of it names the command."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from distillery.filters.crd import schema_text
from distillery.filters.errors import InputError
from distillery.filters.loading import load_filter
from distillery.filters.metrics import BASELINES, METRICS
from distillery.pipelines.cli.filters import app

COMMAND = "distillery filters metrics"


def test_every_metric_is_listed_with_its_meaning_argument_and_bound() -> None:
    lines = CliRunner().invoke(app, ["metrics"]).stdout.splitlines()
    assert [line.split()[0] for line in lines[:-1]] == list(METRICS)
    for line, metric in zip(lines, METRICS.values(), strict=False):
        assert metric.meaning in line
        assert line.split()[1] == ("atLeast" if metric.high else "below")
        assert metric.argument is None or line.endswith(f"a {metric.argument}")
    assert all(name in lines[-1] for name in BASELINES)


def test_the_list_may_be_had_as_json() -> None:
    rows = json.loads(CliRunner().invoke(app, ["metrics", "--json"]).stdout)["metrics"]
    assert {row["metric"]: row["meaning"] for row in rows} == {name: metric.meaning for name, metric in METRICS.items()}


def test_schema_and_faults_name_the_command() -> None:
    assert COMMAND in schema_text()
    with pytest.raises(InputError, match=rf'unknown metric "mea"; did you mean "mae"\?; `{COMMAND}` lists all'):
        load_filter("uplifting", overrides=["gates[0].metric=mea"])
