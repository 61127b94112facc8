"""`distillery measure`, as typed, and where its figures are shown then."""

from __future__ import annotations

from pathlib import Path

from distillery.components.artifacts.measurement import read_measurement
from distillery.components.store import open_store
from tests.pipelines.harness import run_here
from tests.sharing.conftest import ADAPTER
from tests.sharing.conftest import copied_home as copied_home
from tests.sharing.conftest import home as home


def test_what_is_measured_is_kept_and_shown(copied_home: Path) -> None:
    ran = run_here("measure", "filter.yaml", "--count", "30", "--json", cwd=copied_home)
    assert ran.code == 0, ran.err
    kept = read_measurement(open_store(str(copied_home / ".distillery")), "village-gain", ADAPTER)
    assert kept is not None
    assert ran.json == {"filter": "village-gain", "adapter": ADAPTER, **kept.to_json()}
    assert kept.articles == 30
    ran = run_here("measure", ADAPTER[:12], "--count", "20", cwd=copied_home)
    assert [line.split()[0] for line in ran.out.splitlines()][:4] == ["village-gain", "machine", "alone", "together"]
    described = run_here("describe", "adapters", ADAPTER[:12], "--json", cwd=copied_home).json["measurements"]
    assert [each["machine"] for each in described] == [kept.machine], "the later one took the earlier one's place"
    assert [each["articles"] for each in described] == [20]
    assert kept.machine in run_here("report", ADAPTER[:12], "--md", cwd=copied_home).out.replace("\\", "")


def test_a_torn_document_of_measurements_is_one_line_here_and_stops_nothing_else(copied_home: Path) -> None:
    torn = copied_home / ".distillery" / "judgements" / ADAPTER / "measured.json"
    torn.write_text('{"format": 1, "measurements": 7}')
    ran = run_here("measure", ADAPTER[:12], "--count", "5", cwd=copied_home)
    assert ran.code != 0
    assert "delete it, and measure again" in ran.errors[-1]
    report = run_here("report", ADAPTER[:12], "--md", cwd=copied_home)
    assert report.code == 0
    assert "not readable: measurements of adapter" in report.err
    assert run_here("describe", "adapters", ADAPTER[:12], cwd=copied_home).code == 0
    torn.unlink()
    assert run_here("measure", ADAPTER[:12], "--count", "5", cwd=copied_home).code == 0


def test_of_an_adapter_that_is_not_there_nothing_is_measured(copied_home: Path) -> None:
    ran = run_here("measure", "0" * 12, cwd=copied_home)
    assert (ran.code, "no adapter in this store begins with 000000000000" in ran.err) == (2, True)
