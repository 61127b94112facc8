"""What the calibrate step of the made-up run put out."""

from __future__ import annotations

from typing import Any

from distillery.components.artifacts.rubric_calibration import CalibrationOutputs
from tests.reporting.documents import digest, read


def calibrated(**changes: Any) -> CalibrationOutputs:
    return read(CalibrationOutputs, {**calibrated_fields(), **changes})


def calibrated_fields() -> dict[str, Any]:
    """A calibration's outputs: PASS on both samples."""

    def share(wrong: int, n: int, low: float, high: float) -> dict[str, Any]:
        return {"wrong": wrong, "n": n, "share": wrong / n, "interval": [low, high]}

    sample = {"verdict": "PASS", "dead": 0, "variance": {}, "dead_dimensions": [], "reasons": []}
    first = {"off_topic_high": share(2, 85, 0.0065, 0.0818), "on_topic_low": share(1, 24, 0.0074, 0.2024)}
    fresh = {"off_topic_high": share(0, 87, 0.0, 0.0423), "on_topic_low": share(0, 18, 0.0, 0.1759)}
    return {
        "verdict": "PASS",
        "usable": True,
        "accepted": None,
        "document": "calibrations/sustainability-technology/made-up.json",
        "samples": {},
        "reasons": [],
        "marks": {"by": "person", "digest": digest("marks"), "on": 42, "off": 172},
        "figures": {
            "calibration": {**sample, "n": 120, **first},
            "fresh": {**sample, "n": 119, **fresh},
            "redundancy": {"n": 67, "over": "articles not marked off-topic", "pc1_share": 0.58, "pairs": []},
        },
    }
