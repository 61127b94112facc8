"""`distillery compare`: what is named, and the forms in which the answer comes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from distillery.components.store import Store
from distillery.filters.errors import InputError
from distillery.pipelines.inventory.compared import find_side, promoted_adapters
from tests.pipelines.test_get import Command, archive, command, full  # noqa: F401 - fixtures

SERVES, WAITS = "4bbd883ec4ec", "61f4b046e87d"


@pytest.mark.parametrize(
    ("named", "adapter"),
    [
        (SERVES, SERVES),
        (WAITS[:8], WAITS),
        ("village-gain", SERVES),
        ("village-gain/v1", SERVES),
        ("20261128-202508-0699dc", WAITS),
        ("20261128-202508", WAITS),
    ],
)
def test_adapters_runs_filters_and_versions_are_found(full: Store, named: str, adapter: str) -> None:  # noqa: F811
    assert find_side(full, named).adapter.startswith(adapter)


@pytest.mark.parametrize(
    ("named", "fault"),
    [
        ("nowhere", "nothing is named 'nowhere'"),
        ("", "nothing is named ''"),
        ("village-gain/v7", "nothing is named 'village-gain/v7'"),
        ("20261128-2024", "2 runs are meant"),
        ("20240502-110000-ba5e00", "came to no adapter"),
        ("ffffffff", "no adapter in this store begins with ffffffff"),
    ],
)
def test_what_names_nothing_is_one_error(full: Store, named: str, fault: str) -> None:  # noqa: F811
    with pytest.raises(InputError, match=fault) as error:
        find_side(full, named)
    assert error.value.hint


def test_a_run_is_judged_under_its_own_filter(full: Store) -> None:  # noqa: F811
    side = find_side(full, "20261128-202508")
    assert side.name == "run 20261128-202508-0699dc"
    assert side.outputs["filter_key"].startswith("filters/village-gain/v1/")


def test_the_answer_is_a_table_markdown_a_page_or_json(full: Store, command: Command, tmp_path: Path) -> None:  # noqa: F811
    at = ("--store", full.uri)
    shown = command("compare", SERVES, WAITS, *at)
    assert (shown.code, "\x1b" in shown.out) == (0, False), shown.err
    assert "Mean error (MAE)" in shown.out
    assert command("compare", SERVES, WAITS, "--md", *at).out.startswith("## village-gain\n")
    for name, begins in (("c.html", "<!doctype html>"), ("c.md", "## village-gain")):
        done = command("compare", SERVES, WAITS, "--out", tmp_path / name, *at)
        assert done.out == f"{tmp_path / name}\n"
        assert (tmp_path / name).read_text(encoding="utf-8").startswith(begins)
    found = json.loads(command("compare", SERVES, WAITS, "--json", *at).out)
    assert [side["letter"] for side in found["sides"]] == ["A", "B"]
    assert found["figures"][0]["path"] == "mae"
    assert found["articles"] == found["sides"][0]["articles"] or found["notes"]


def test_all_that_is_promoted_is_one_table(full: Store, command: Command) -> None:  # noqa: F811
    (row,) = promoted_adapters(full)
    assert (row.filter, row.channel, row.adapter[:12]) == ("village-gain", "production", SERVES)
    assert row.mae == pytest.approx(2.068, abs=1e-3)
    assert row.error is None
    assert json.loads(command("compare", "--all", "--json", "--store", full.uri).out)["items"] == [row.to_json()]
    assert "2.068" in command("compare", "--all", "--store", full.uri).out


def test_a_promoted_adapter_that_cannot_be_read_says_so_in_its_row(full: Store, command: Command) -> None:  # noqa: F811
    (bundle,) = Path(full.uri.removeprefix("file://")).glob(f"adapters/village-gain/{SERVES}*/student.json")
    bundle.write_text("{}", encoding="utf-8")
    (row,) = promoted_adapters(full)
    assert row.error
    assert "unreadable" in command("compare", "--all", "--store", full.uri).out


@pytest.mark.parametrize(
    ("typed", "fault"),
    [
        (("--all", SERVES), "compares all that is promoted"),
        ((), "0 to compare"),
        ((SERVES, WAITS, "--out", "c.pdf"), "a page has no form .pdf"),
        ((SERVES, WAITS, "--md", "--out", "c.html"), "is HTML, and --md asks for Markdown"),
    ],
)
def test_usage_that_says_two_things_is_refused(full: Store, command: Command, typed: tuple[str, ...], fault: str) -> None:  # noqa: F811
    refused = command("compare", *typed, "--store", full.uri)
    assert refused.code == 2
    assert fault in refused.err
