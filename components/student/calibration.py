"""Per-dimension isotonic calibration, kept only where it helps on articles it was not fitted to.

Five cross-fitted folds of the validation part decide; the curves that are kept are fitted on all of it. Isotonic curves
can't change an article's rank within a dimension (beyond ties), so this moves scores, not order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
FOLDS = 5
MIN_ARTICLES = 50  # fewer leave each fold too few to say anything


@dataclass(frozen=True)
class Calibration:
    """knots: for each dimension, x (rising raw scores) and y; used only if `kept`. MAE in score points on validation."""

    kept: bool
    knots: list[tuple[list[float], list[float]]]
    mae_raw: float
    mae_calibrated: float

    def apply(self, raw: Floats) -> Floats:
        """(n, D) raw → (n, D) calibrated and clamped to 0–10; beyond the outer knots the curve is flat."""
        scores = raw
        if self.kept:
            scores = np.stack([np.interp(raw[:, d], x, y) for d, (x, y) in enumerate(self.knots)], axis=1)
        return np.clip(scores, 0.0, 10.0)


def _fit(raw: Floats, labels: Floats) -> tuple[list[float], list[float]]:
    from sklearn.isotonic import IsotonicRegression

    curve = IsotonicRegression(out_of_bounds="clip").fit(raw, labels)
    x, y = curve.X_thresholds_.tolist(), curve.y_thresholds_.tolist()
    return ([x[0], x[0] + 1.0], [y[0], y[0]]) if len(x) == 1 else (x, y)


def calibrate(raw: Floats, labels: Floats, seed: int) -> Calibration:
    """Fit and decide. raw, labels: (n, D) of the validation part, label scores 0–10."""
    mae_raw = float(np.abs(np.clip(raw, 0, 10) - labels).mean())
    if len(raw) < MIN_ARTICLES:
        return Calibration(False, [], mae_raw, mae_raw)
    fold = np.random.default_rng(seed).permutation(len(raw)) % FOLDS
    crossed = np.empty_like(raw)
    for d in range(raw.shape[1]):
        for held in range(FOLDS):
            x, y = _fit(raw[fold != held, d], labels[fold != held, d])
            crossed[fold == held, d] = np.interp(raw[fold == held, d], x, y)
    mae_calibrated = float(np.abs(np.clip(crossed, 0, 10) - labels).mean())
    kept = mae_calibrated < mae_raw
    knots = [_fit(raw[:, d], labels[:, d]) for d in range(raw.shape[1])] if kept else []
    return Calibration(kept, knots, mae_raw, mae_calibrated)
