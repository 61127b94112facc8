"""A plot of named points with intervals: what one gives for another, such as error for speed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from markupsafe import Markup, escape

from distillery.components.reporting.formatting import number
from distillery.components.reporting.svg import short, ticks

LEFT, RIGHT, ROOF, FLOOR = 44, 250, 12, 190
NAMES: Final = 270  # where names begin, beside the frame: points of like figures would lie under one another's
WIDTH: Final = 420
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
    floor = max(FLOOR, ROOF + LINE * len(points))

    def at(x: float, y: float) -> tuple[float, float]:
        return LEFT + (RIGHT - LEFT) * x / high, floor - (floor - ROOF) * (y - bottom) / (top - bottom)

    inner = [f'<path class="frame" d="M{LEFT} {ROOF}V{floor}H{RIGHT}"/>']
    for tick in ticks(bottom, top, 4):
        y = at(0, tick)[1]
        inner.append(f'<line class="grid" x1="{LEFT}" x2="{RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        inner.append(f'<text x="{LEFT - 5}" y="{y + 4:.1f}" text-anchor="end">{short(tick)}</text>')
    for tick in ticks(0.0, high, 4):
        inner.append(f'<text x="{at(tick, bottom)[0]:.1f}" y="{floor + 14}" text-anchor="middle">{short(tick)}</text>')
    inner.append(f'<text x="{(LEFT + RIGHT) / 2}" y="{floor + 30}" text-anchor="middle">{escape(across)}</text>')
    names = _apart({point: at(point.x, point.y)[1] for point in points}, floor)
    for point, height in names.items():
        x, y = at(point.x, point.y)
        inner.append(f'<line class="grid" x1="{x:.1f}" x2="{NAMES - 3}" y1="{y:.1f}" y2="{height:.1f}"/>')
        name = point.name if len(point.name) <= LONGEST else f"{point.name[:LONGEST]}…"
        inner.append(f'<text x="{NAMES}" y="{height + 4:.1f}">{escape(name)}</text>')
    for point in sorted(points, key=lambda point: point.kind == "good"):
        x, y = at(point.x, point.y)
        if point.interval:
            (_, low), (_, up) = at(point.x, point.interval[0]), at(point.x, point.interval[1])
            inner.append(f'<line class="whisker" x1="{x:.1f}" x2="{x:.1f}" y1="{low:.1f}" y2="{up:.1f}"/>')
        hover = f"{point.name}: {number(point.y, 3)} at {number(point.x, 1)} {across}"
        mark = f'<circle class="mark {escape(point.kind)}" cx="{x:.1f}" cy="{y:.1f}" r="4.5">'
        inner.append(f"{mark}<title>{escape(hover)}</title></circle>")
    box = f"0 0 {WIDTH} {floor + 36:.0f}"
    return Markup(
        f'<svg class="lines" role="img" viewBox="{box}"><title>{escape(title)}</title>{"".join(map(str, inner))}</svg>'
    )


def _apart(heights: dict[Point, float], floor: float) -> dict[Point, float]:
    """Return the heights of names, moved down where one would lie on another, and up where the last would leave the frame."""
    ordered = sorted(heights.items(), key=lambda item: item[1])
    moved, last = list[float](), -LINE
    for _, height in ordered:
        last = max(height, last + LINE)
        moved.append(last)
    bound = floor
    for at in reversed(range(len(moved))):
        moved[at] = min(moved[at], bound)
        bound = moved[at] - LINE
    return {point: height for (point, _), height in zip(ordered, moved, strict=True)}
