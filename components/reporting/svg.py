"""Inline SVG, written by hand: a plot is 1–20 kB, its text is real text and its colours follow the reader's theme.

matplotlib would give more kinds of plot at some 30 kB each, in colours fixed when the file was written.
Row figures use percentages, so they stretch with their table while dots stay round; others scale by viewBox.
Colours come from classes in report.css only. Every function returns Markup; texts in it are escaped here.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from markupsafe import Markup, escape

from distillery.components.reporting.formatting import number

Interval = tuple[float, float]
Place = Callable[[float, float], tuple[float, float]]
HEX_FROM = 400
"""From so many points on a scatter shows density in hexagons instead of single points."""


def _at(value: float, top: float, bottom: float = 0.0) -> str:
    share = 0.0 if top <= bottom else (value - bottom) / (top - bottom)
    return f"{100 * min(max(share, 0.0), 1.0):.2f}%"


def _row(inner: Iterable[str], title: str, height: int = 22) -> Markup:
    body = "".join(inner)
    return Markup(f'<svg class="row" role="img" width="100%" height="{height}"><title>{escape(title)}</title>{body}</svg>')


def _whisker(interval: Interval | None, top: float, bottom: float, y: float) -> str:
    if interval is None:
        return ""
    low, high = _at(interval[0], top, bottom), _at(interval[1], top, bottom)
    ends = "".join(f'<line class="whisker" x1="{x}" x2="{x}" y1="{y - 4}" y2="{y + 4}"/>' for x in (low, high))
    return f'<line class="whisker" x1="{low}" x2="{high}" y1="{y}" y2="{y}"/>{ends}'


def _mark(x: str, y: float, kind: str) -> str:
    """Return a mark that shape and colour both tell: a circle for good and plain, a diamond for bad, a ring for a label."""
    if kind == "bad":
        return f'<svg x="{x}" y="{y}" overflow="visible"><path class="mark bad" d="M0-6L6 0L0 6L-6 0Z"/></svg>'
    return f'<circle class="mark {kind}" cx="{x}" cy="{y}" r="4.5"/>'


def bullet(value: float | None, bound: float, *, above: bool, interval: Interval | None, good: bool, title: str) -> Markup:
    """Draw a gate: the allowed stretch shaded, the bound as a line, the value with its interval.

    Args:
        value: what was measured; None where it could not be.
        bound: of the gate.
        above: True if values at or above the bound are allowed.
        interval: of the value.
        good: False if the gate failed.
        title: text of the figure.

    Returns:
        One row of a table.
    """
    known = [x for x in (value, bound, *(interval or ())) if x is not None]
    bottom, top = min(0.0, *known), max(known) * 1.12
    if all(0 <= x <= 1 for x in known) and top > 0.5:
        top = 1.0
    if top <= bottom:
        top = bottom + 1
    y = 11.0
    inner = [f'<rect class="track" x="0" y="{y - 5}" width="100%" height="10" rx="3"/>']
    x = _at(bound, top, bottom)
    start, width = (x, f"{100 - float(x[:-1]):.2f}%") if above else ("0", x)
    inner.append(f'<rect class="allowed" x="{start}" y="{y - 5}" width="{width}" height="10" rx="3"/>')
    inner.append(f'<line class="bound" x1="{x}" x2="{x}" y1="{y - 9}" y2="{y + 9}"/>')
    inner.append(_whisker(interval, top, bottom, y))
    if value is not None:
        inner.append(_mark(_at(value, top, bottom), y, "good" if good else "bad"))
    return _row(inner, title)


def dot(
    value: float | None,
    *,
    top: float,
    title: str,
    interval: Interval | None = None,
    bottom: float = 0.0,
    bound: float | None = None,
    kind: str = "plain",
    other: float | None = None,
) -> Markup:
    """Draw a value with its interval on an axis that rows share.

    Args:
        value: what was measured; None where it could not be.
        top: end of the axis.
        title: text of the figure.
        interval: of the value.
        bottom: start of the axis.
        bound: drawn as an upright line, None for none.
        kind: "plain", or "bad" for one that stands out.
        other: a value to compare with, drawn as a ring.

    Returns:
        One row of a table.
    """
    y = 11.0
    inner = [f'<line class="grid" x1="0" x2="100%" y1="{y}" y2="{y}"/>']
    if bottom < 0 < top:
        zero = _at(0, top, bottom)
        inner.append(f'<line class="zero" x1="{zero}" x2="{zero}" y1="2" y2="20"/>')
    if bound is not None and bottom <= bound <= top:
        x = _at(bound, top, bottom)
        inner.append(f'<line class="bound" x1="{x}" x2="{x}" y1="2" y2="20"/>')
    inner.append(_whisker(interval, top, bottom, y))
    if other is not None:
        inner.append(_mark(_at(other, top, bottom), y, "ring"))
    if value is not None:
        inner.append(_mark(_at(value, top, bottom), y, kind))
    return _row(inner, title)


def bar(value: float | None, *, top: float, title: str, interval: Interval | None = None, kind: str = "") -> Markup:
    """Draw a bar from zero with its interval.

    Args:
        value: what was measured; None where it could not be.
        top: end of the axis.
        title: text of the figure.
        interval: of the value.
        kind: class of the bar in report.css; "" for none.

    Returns:
        One row of a table.
    """
    inner = [] if value is None else [f'<rect class="bar {kind}" x="0" y="4" width="{_at(value, top)}" height="14" rx="2"/>']
    inner.append(_whisker(interval, top, 0.0, 11.0))
    return _row(inner, title)


def pair(label: float | None, prediction: float | None, title: str) -> Markup:
    """Draw one score of one article: the oracle's as a ring, the student's as a dot.

    Args:
        label: the oracle's score, 0-10.
        prediction: the student's score, 0-10.
        title: text of the figure.

    Returns:
        One row of a table.
    """
    y = 8.0
    inner = [f'<line class="grid" x1="0" x2="100%" y1="{y}" y2="{y}"/>']
    if label is not None and prediction is not None:
        inner.append(f'<line class="miss" x1="{_at(label, 10)}" x2="{_at(prediction, 10)}" y1="{y}" y2="{y}"/>')
    inner += [_mark(_at(x, 10), y, kind) for x, kind in ((label, "ring"), (prediction, "plain")) if x is not None]
    return _row(inner, title, 16)


def axis(top: float, bottom: float = 0.0) -> Markup:
    """Draw the tick labels over a column of figures.

    Args:
        top: end of the axis.
        bottom: start of the axis.

    Returns:
        One row of a table.
    """
    steps = ticks(bottom, top, 4 if bottom < 0 else 3)
    parts = []
    for tick in steps:
        share = float(_at(tick, top, bottom)[:-1])
        anchor = "start" if share < 4 else "end" if share > 96 else "middle"
        parts.append(f'<text x="{share:.2f}%" y="11" text-anchor="{anchor}">{short(tick)}</text>')
    return Markup(f'<svg class="row axis" aria-hidden="true" width="100%" height="14">{"".join(parts)}</svg>')


def ticks(low: float, high: float, wanted: int = 5) -> list[float]:
    """Return round values between two ends.

    Args:
        low: the lower end.
        high: the upper end.
        wanted: about how many.

    Returns:
        The values in order; the lower end alone where the upper one is no higher.
    """
    if high <= low:
        return [low]
    raw = (high - low) / max(wanted, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 10) for i in range(first, math.floor(high / step + 1e-9) + 1)]


def short(value: float) -> str:
    """Return a number as a tick label.

    Args:
        value: the number.

    Returns:
        The number with at most six digits and a true minus sign.
    """
    return f"{value:g}".replace("-", "−")


def _frame(width: int, height: int, title: str, inner: Iterable[str], kind: str) -> Markup:
    return Markup(
        f'<svg class="{kind}" role="img" viewBox="0 0 {width} {height}"><title>{escape(title)}</title>{"".join(inner)}</svg>'
    )


def scatter(labels: Sequence[float | None], predictions: Sequence[float | None], title: str) -> Markup:
    """Draw the oracle's scores (across) against the student's (up), with the diagonal, ±1, and the mean per oracle score.

    Args:
        labels: the oracle's scores, 0-10; None where one is missing.
        predictions: the student's scores of the same articles, 0-10.
        title: text of the figure.

    Returns:
        A square plot; from HEX_FROM articles on it shows density.
    """
    left, size, floor = 22, 190, 202
    points = [(a, b) for a, b in zip(labels, predictions, strict=False) if a is not None and b is not None]

    def place(x: float, y: float) -> tuple[float, float]:
        return left + size * min(max(x, 0.0), 10.0) / 10, floor - size * min(max(y, 0.0), 10.0) / 10

    unit = size / 10
    inner = [
        f'<path class="band" d="M{left} {floor}V{floor - unit:g}L{left + size - unit:g} {floor - size}H{left + size}'
        f'V{floor - size + unit:g}L{left + unit:g} {floor}Z"/>',
        f'<line class="diagonal" x1="{left}" y1="{floor}" x2="{left + size}" y2="{floor - size}"/>',
        f'<path class="frame" d="M{left} {floor - size}V{floor}H{left + size}"/>',
    ]
    for tick in (0, 5, 10):
        x, y = place(tick, tick)
        inner.append(f'<text x="{x:g}" y="{floor + 12}" text-anchor="middle">{tick}</text>')
        inner.append(f'<text x="{left - 5}" y="{y + 3.5:g}" text-anchor="end">{tick}</text>')
    inner.append(_hexagons(points, place) if len(points) >= HEX_FROM else _circles(points, place))
    bins: dict[int, list[tuple[float, float]]] = {}
    for a, b in points:
        bins.setdefault(round(a), []).append((a, b))
    means = [
        (sum(a for a, _ in rows) / len(rows), sum(b for _, b in rows) / len(rows))
        for _, rows in sorted(bins.items())
        if len(rows) >= 3
    ]
    if len(means) > 1:
        line = "L".join("{:.1f} {:.1f}".format(*place(*mean)) for mean in means)
        inner.append(f'<path class="trend-halo" d="M{line}"/><path class="trend" d="M{line}"/>')
    return _frame(220, 220, title, inner, "scatter")


def _circles(points: Sequence[tuple[float, float]], place: Place) -> str:
    spots = (place(a, b) for a, b in points)
    return '<g class="points">' + "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.6"/>' for x, y in spots) + "</g>"


def _hexagons(points: Sequence[tuple[float, float]], place: Place) -> str:
    """Return the density in hexagons of radius 5; five steps of shade, each one path."""
    wide, high = 5 * math.sqrt(3), 7.5
    cells: Counter[tuple[int, int]] = Counter()
    for a, b in points:
        x, y = place(a, b)
        row = round(y / high)
        cells[(round(x / wide - (row % 2) / 2), row)] += 1
    most = max(cells.values(), default=1)
    shades: dict[int, list[str]] = {}
    for (column, row), n in cells.items():
        shade = min(5, 1 + int(5 * math.log1p(n - 1) / math.log1p(most)) if most > 1 else 5)
        x, y = (column + (row % 2) / 2) * wide, row * high
        shades.setdefault(shade, []).append(f"M{x:.1f} {y - 5:.1f}l4.33 2.5v5l-4.33 2.5l-4.33-2.5v-5z")
    return "".join(f'<path class="hex h{shade}" d="{"".join(paths)}"/>' for shade, paths in sorted(shades.items()))


def histogram(counts: Sequence[int], title: str) -> Markup:
    """Draw bars over whole scores from 0.

    Args:
        counts: articles by score.
        title: text of the figure.

    Returns:
        The plot.
    """
    most, width = max(counts, default=0) or 1, 200 / max(len(counts), 1)
    inner = [
        f'<rect class="bar" x="{i * width + 1:.1f}" y="{70 - 64 * n / most:.1f}" width="{max(width - 2, 0.5):.1f}" '
        f'height="{64 * n / most:.1f}"/>'
        for i, n in enumerate(counts)
    ]
    inner.append('<line class="frame" x1="0" x2="200" y1="70" y2="70"/>')
    inner += [f'<text x="{(i + 0.5) * width:.1f}" y="82" text-anchor="middle">{i}</text>' for i in range(0, len(counts), 5)]
    return _frame(200, 86, title, inner, "histogram")


def lines(
    series: Sequence[tuple[str, Sequence[float], str]], xs: Sequence[float], title: str, *, across: str, best: float
) -> Markup:
    """Draw curves over epochs, each named at its end, the kept epoch marked.

    Args:
        series: name, values and class in report.css of each curve.
        xs: the epochs, one or more.
        title: text of the figure.
        across: what the axis across shows.
        best: the epoch that was kept.

    Returns:
        The plot.
    """
    left, right, floor, roof = 40, 340, 170, 14
    low, high = min(xs), max(xs)
    top, bottom = max(y for _, ys, _ in series for y in ys) * 1.06 or 1.0, 0.0

    def at(x: float, y: float) -> tuple[float, float]:
        share = 0.5 if high <= low else (x - low) / (high - low)
        return left + 10 + (right - left - 20) * share, floor - (floor - roof) * (y - bottom) / (top - bottom)

    inner = []
    for tick in ticks(bottom, top, 4):
        y = at(low, tick)[1]
        inner.append(
            f'<line class="grid" x1="{left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{short(tick)}</text>'
        )
    every = max(1, math.ceil(len(xs) / 8))
    inner += [f'<text x="{at(x, 0)[0]:.1f}" y="{floor + 16}" text-anchor="middle">{short(x)}</text>' for x in xs[::every]]
    inner.append(f'<text x="{(left + right) / 2}" y="{floor + 32}" text-anchor="middle">{escape(across)}</text>')
    if best in xs:
        x = at(best, 0)[0]
        inner.append(f'<line class="kept" x1="{x:.1f}" x2="{x:.1f}" y1="{roof}" y2="{floor}"/>')
        inner.append(f'<text x="{x:.1f}" y="{roof - 3}" text-anchor="middle">kept</text>')
    for name, ys, kind in series:
        spots = [(*at(x, y), y) for x, y in zip(xs, ys, strict=True)]
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y, _ in spots)
        inner.append(f'<path class="curve {escape(kind)}" d="M{path}"/>')
        inner += [f'<circle class="curve-dot {escape(kind)}" cx="{x:.1f}" cy="{y:.1f}" r="3"/>' for x, y, _ in spots]
        x, y, last = spots[-1]
        inner.append(
            f'<text class="name {escape(kind)}" x="{right - 2}" y="{y - 9:.1f}" text-anchor="end">'
            f"{escape(name)} {number(last, 3)}</text>"
        )
    return _frame(350, 206, title, inner, "lines")


def score_curve(xs: Sequence[float], ys: Sequence[float], title: str) -> Markup:
    """Draw a score curve: raw score across, corrected score up, the diagonal for no correction.

    Args:
        xs: knots of the raw score, 0-10, rising.
        ys: the corrected score at each knot, 0-10.
        title: text of the figure.

    Returns:
        A square plot.
    """
    left, size, floor = 22, 120, 128
    points = list(zip(xs, ys, strict=False))

    def at(x: float, y: float) -> str:
        return f"{left + size * min(max(x, 0.0), 10.0) / 10:.1f} {floor - size * min(max(y, 0.0), 10.0) / 10:.1f}"

    inner = [
        f'<line class="diagonal" x1="{left}" y1="{floor}" x2="{left + size}" y2="{floor - size}"/>',
        f'<path class="frame" d="M{left} {floor - size}V{floor}H{left + size}"/>',
    ]
    for tick in (0, 10):
        x, y = at(tick, tick).split()
        inner.append(
            f'<text x="{x}" y="{floor + 12}" text-anchor="middle">{tick}</text>'
            f'<text x="{left - 5}" y="{float(y) + 3.5:g}" text-anchor="end">{tick}</text>'
        )
    if points:
        inner.append(f'<path class="curve student" d="M{"L".join(at(a, b) for a, b in points)}"/>')
    return _frame(150, 146, title, inner, "score-curve")
