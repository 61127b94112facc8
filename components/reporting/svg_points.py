"""A plot of named points with intervals: what one gives for another, such as error for speed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from markupsafe import Markup, escape

from distillery.components.reporting.formatting import number
from distillery.components.reporting.svg import short, ticks

LEFT, RIGHT, ROOF, FLOOR = 44, 340, 12, 190
LONGEST: Final = 24  # characters of a name
LINE: Final = 12.0  # height of a name


class Point(NamedTuple):
    """A named point.

    Attributes:
        name: what it is.
        x: across.
        y: up.
        interval: of y; None for none.
        kind: "good" for the one that stands out, or "plain".
    """

    name: str
    x: float
    y: float
    interval: tuple[float, float] | None
    kind: str = "plain"


def trade_off(points: Sequence[Point], title: str, *, across: str) -> Markup:
    """Draw named points, each with the interval of what stands up.

    Args:
        points: any number.
        title: text of the figure.
        across: what the axis across shows.

    Returns:
        The plot; an empty frame where there are no points.
    """
    ups = [end for point in points for end in (point.y, *(point.interval or ()))]
    bottom, top = min(ups, default=0.0), max(ups, default=1.0)
    room = (top - bottom or 1.0) * 0.08
    bottom, top = max(0.0, bottom - room), top + room
    high = max((point.x for point in points), default=1.0) * 1.08 or 1.0

    def at(x: float, y: float) -> tuple[float, float]:
        return LEFT + (RIGHT - LEFT) * x / high, FLOOR - (FLOOR - ROOF) * (y - bottom) / (top - bottom)

    inner = [f'<path class="frame" d="M{LEFT} {ROOF}V{FLOOR}H{RIGHT}"/>']
    for tick in ticks(bottom, top, 4):
        y = at(0, tick)[1]
        inner.append(f'<line class="grid" x1="{LEFT}" x2="{RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        inner.append(f'<text x="{LEFT - 5}" y="{y + 4:.1f}" text-anchor="end">{short(tick)}</text>')
    for tick in ticks(0.0, high, 4):
        inner.append(f'<text x="{at(tick, bottom)[0]:.1f}" y="{FLOOR + 14}" text-anchor="middle">{short(tick)}</text>')
    inner.append(f'<text x="{(LEFT + RIGHT) / 2}" y="{FLOOR + 30}" text-anchor="middle">{escape(across)}</text>')
    names = _apart({point: at(point.x, point.y)[1] for point in points})
    for point in sorted(points, key=lambda point: point.kind == "good"):
        x, y = at(point.x, point.y)
        if point.interval:
            (_, low), (_, up) = at(point.x, point.interval[0]), at(point.x, point.interval[1])
            inner.append(f'<line class="whisker" x1="{x:.1f}" x2="{x:.1f}" y1="{low:.1f}" y2="{up:.1f}"/>')
        hover = f"{point.name}: {number(point.y, 3)} at {number(point.x, 1)} {across}"
        mark = f'<circle class="mark {escape(point.kind)}" cx="{x:.1f}" cy="{y:.1f}" r="4.5">'
        inner.append(f"{mark}<title>{escape(hover)}</title></circle>")
        left = x > (LEFT + RIGHT) / 2
        name = point.name if len(point.name) <= LONGEST else f"{point.name[:LONGEST]}…"
        anchor, beside = ("end", x - 8) if left else ("start", x + 8)
        inner.append(f'<text x="{beside:.1f}" y="{names[point] + 4:.1f}" text-anchor="{anchor}">{escape(name)}</text>')
    return Markup(
        f'<svg class="lines" role="img" viewBox="0 0 350 226"><title>{escape(title)}</title>{"".join(map(str, inner))}</svg>'
    )


def _apart(heights: dict[Point, float]) -> dict[Point, float]:
    """Return the heights of names, moved down where one would lie on another."""
    moved, last = dict[Point, float](), -LINE
    for point, height in sorted(heights.items(), key=lambda item: item[1]):
        last = max(height, last + LINE)
        moved[point] = last
    return moved
