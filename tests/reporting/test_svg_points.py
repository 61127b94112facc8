"""A plot of named points: each is there, within the frame, its name readable."""

from __future__ import annotations

import itertools
import re

from distillery.components.reporting.svg_points import FLOOR, LEFT, RIGHT, ROOF, Point, trade_off


def test_points_lie_within_the_frame_and_names_apart() -> None:
    points = [Point(f"student {at}", 100.0 * at, 0.6 + at / 1000, (0.55, 0.65)) for at in range(6)]
    plot = str(trade_off(points, "error", across="articles a second"))
    spots = [(float(x), float(y)) for x, y in re.findall(r'<circle class="mark plain" cx="([\d.]+)" cy="([\d.]+)"', plot)]
    assert len(spots) == 6
    assert all(LEFT <= x <= RIGHT and ROOF <= y <= FLOOR for x, y in spots)
    heights = sorted(float(y) for y in re.findall(r'y="([\d.]+)">student', plot))
    assert len(heights) == 6
    assert min(b - a for a, b in itertools.pairwise(heights)) >= 11.9


def test_many_points_of_like_figures_have_names_within_the_picture() -> None:
    points = [Point(f"student {at}", 100.0, 0.6 + at / 1e6, None) for at in range(20)]
    plot = str(trade_off(points, "error", across="articles a second"))
    heights = sorted(float(y) for y in re.findall(r'y="([\d.]+)">student', plot))
    (bottom,) = re.findall(r'viewBox="0 0 \d+ (\d+)"', plot)
    assert len(heights) == 20
    assert heights[0] > 0
    assert heights[-1] < float(bottom)
    assert min(b - a for a, b in itertools.pairwise(heights)) >= 11.9


def test_names_from_outside_are_text() -> None:
    plot = str(trade_off([Point("<script>", 1.0, 1.0, None, "good")], "t & t", across="<b>"))
    assert "<script>" not in plot
    assert "<b>" not in plot


def test_one_point_and_none_are_drawn() -> None:
    assert "<circle" in trade_off([Point("one", 0.0, 0.0, None)], "one", across="x")
    assert "<circle" not in trade_off([], "none", across="x")
