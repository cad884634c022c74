"""The results as a picture: per row how far it is from its bar, on a logarithmic scale."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from contrib.bench.measure import Row, Spread
from reconciler.report.svg import DIM, GUEST, HOST, INK, LINE, PANEL, Svg

_WIDE, _LEFT, _RIGHT, _ROW, _TOP, _BOTTOM = 1080, 500, 190, 30, 64, 34
_SCALE = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
TITLE = "How far each figure is from its bar"
"""What the picture shows."""
_LEGEND = "Times the bar: on its left side it is reached. Line: least to most of the runs; point: median."


def draw(rows: Sequence[Row]) -> str:
    """All rows with a bar. What has to be large is turned over, so that for each of them less is better."""
    shown = [row for row in rows if row.bar is not None]
    spreads = [_times_the_bar(row) for row in shown]
    low = min([0.1, *(spread.low for spread in spreads)])
    high = max([2.0, *(spread.high for spread in spreads)])
    left, right = math.log10(low) - 0.05, math.log10(high) + 0.05

    def x(value: float) -> float:
        return _LEFT + (math.log10(value) - left) / (right - left) * (_WIDE - _LEFT - _RIGHT)

    svg = Svg()
    high_y = _TOP + _ROW * len(shown)
    svg.text(20, 26, TITLE, size=15, font_weight="bold")
    svg.text(20, 46, _LEGEND, size=11, fill=DIM)
    svg.box(_LEFT, _TOP, x(1) - _LEFT, high_y - _TOP, fill=PANEL)
    for mark in (m for m in _SCALE if left <= math.log10(m) <= right):
        svg.add("line", x1=x(mark), y1=_TOP, x2=x(mark), y2=high_y, stroke=INK if mark == 1 else LINE)
        label = "the bar" if mark == 1 else f"{mark:g} ×"
        svg.text(x(mark), high_y + 18, label, fill=DIM, text_anchor="middle")
    for number, (row, spread) in enumerate(zip(shown, spreads, strict=True)):
        _row(svg, _TOP + _ROW * (number + 0.5), row, spread, x)
    met = sum(row.met() for row in shown)
    return svg.render(_WIDE, high_y + _BOTTOM, TITLE, f"{met} of {len(shown)} bars are reached.")


def _row(svg: Svg, y: float, row: Row, spread: Spread, x: Callable[[float], float]) -> None:
    role = GUEST if row.met() else HOST
    svg.text(20, y + 4, row.what, room=_LEFT - 40)
    svg.add("line", x1=x(spread.low), y1=y, x2=x(spread.high), y2=y, stroke=role, stroke_width=3)
    svg.add("circle", cx=x(spread.median), cy=y, r=5, fill=role)
    assert row.bar is not None
    reached = row.reached().median
    value = f"{reached:.3g} {'×' if row.bar.peer else row.unit}"
    svg.text(_WIDE - _RIGHT + 12, y + 4, f"{value} ({row.bar.text(row.unit)})", room=_RIGHT - 24)


def _times_the_bar(row: Row) -> Spread:
    """1 is just reached, and less is better."""
    assert row.bar is not None
    reached, limit = row.reached(), row.bar.limit
    if row.bar.how == "at most":
        return Spread(*(value / limit for value in reached))
    return Spread(limit / reached.high, limit / reached.median, limit / reached.low)
