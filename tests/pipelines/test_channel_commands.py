"""Commands that move a channel, with students that were really trained: what a person says, and what the gates say of it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from distillery.components.artifacts.filter import publish_filter
from distillery.components.promotion.promote import hold
from distillery.components.store import Store, open_store
from distillery.filters.loading import load_filter
from distillery.pipelines.laptop.chain import run_through
from distillery.pipelines.steps import RunState
from tests.pipelines.harness import Ran, run_here, write_filter

SEEDS = (3, 4)
REQUIRED = {"channel": "production", "approval": "required"}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, tiny_encoder: Path, labels_file: Path) -> Path:
    """A folder with a store in which two students were trained and judged; nothing was promoted."""
    folder = tmp_path_factory.mktemp("trained")
    flt = load_filter(str(write_filter(folder / "filter.yaml", tiny_encoder)))
    for seed in SEEDS:
        changed = load_filter(str(folder / "filter.yaml"), overrides=[f"training.seed={seed}"])
        run_through("gate", RunState(open_store(str(folder / ".distillery")), changed, labels=str(labels_file)))
    assert flt.name == "small-town"
    return folder


class Town(NamedTuple):
    """A copy of what was trained, for one test."""

    folder: Path
    base: Path
    labels: Path

    @property
    def store(self) -> Store:
        return open_store(str(self.folder / ".distillery"))

    def filter(self, **spec: Any) -> Path:
        return write_filter(self.folder / "filter.yaml", self.base, **spec)

    def __call__(self, *arguments: str | Path) -> Ran:
        return run_here(*arguments, cwd=self.folder)

    def held(self, seed: int) -> str:
        """Hold the student of this seed, as a run does; return its digest."""
        overrides = [f"training.seed={seed}", "promotion.approval=required"]
        flt = load_filter(str(self.folder / "filter.yaml"), overrides=overrides)
        records = run_through("gate", RunState(self.store, flt, labels=str(self.labels)))
        key = publish_filter(self.store, flt)
        hold(self.store, flt, verdict=records["gate"].outputs["verdict"], filter_key=key)
        return str(records["train"].outputs["adapter"])

    def serving(self) -> list[str]:
        return [entry["adapter"] for entry in self("history", "filter.yaml", "--json").json["history"]]


@pytest.fixture
def town(trained: Path, tmp_path: Path, tiny_encoder: Path, labels_file: Path) -> Town:
    shutil.copytree(trained, tmp_path / "town")
    return Town(tmp_path / "town", tiny_encoder, labels_file)


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ({"gates": [{"metric": "mae", "below": 0.001}]}, "mae: "),
        ({"gates": [{"metric": "mae", "below": 9.0}, {"metric": "articles", "atLeast": 5000}]}, "is less than 5000"),
        (  # the gate stays, and what it judges is another tier now
            {
                "tiers": [{"name": "high", "when": "overall >= 9.99"}, {"name": "low"}],
                "gates": [{"metric": "tier_recall", "tier": "high", "atLeast": 0.0}],
            },
            "tier_recall high: ",
        ),
    ],
    ids=["a gate tightened", "a gate added", "a tier moved"],
)
def test_approve_judges_by_the_filter_as_it_is_now(town: Town, spec: dict[str, Any], says: str) -> None:
    adapter = town.held(3)
    town.filter(**spec)
    refused = town("approve", "filter.yaml")
    assert refused.code == 3, refused.err
    (line,) = [line for line in refused.err.splitlines() if line.startswith("error: ")]
    assert f"adapter {adapter[:12]}: fails the gates of small-town as they are now: " in line
    assert says in line
    assert town.serving() == []
    town.filter()
    approved = town("approve", "filter.yaml")
    assert approved.code == 0, approved.err
    assert town.serving() == [adapter]


def test_approve_compares_with_what_serves_now(town: Town) -> None:
    other = town.held(4)
    assert town("approve", "filter.yaml").code == 0
    town.held(3)
    town.filter(gates=[{"metric": "mae", "below": 9.0}, {"metric": "mae_vs_incumbent", "below": -8.0}])
    refused = town("approve", "filter.yaml")
    assert refused.code == 3, refused.err
    assert "mae_vs_incumbent: " in refused.err
    assert town.serving() == [other]


def test_what_a_candidate_was_judged_on_is_gone(town: Town) -> None:
    town.held(3)
    for folder in ("judgements", "datasets", "steps"):
        shutil.rmtree(town.folder / ".distillery" / folder)
    gone = town("approve", "filter.yaml")
    assert gone.code == 2, gone.err
    assert "can't be judged again: " in gone.err
    assert town.serving() == []
