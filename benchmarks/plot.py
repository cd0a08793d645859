"""The figures as a picture: how many times as fast as each peer we are, and what more of the same costs. Plain SVG."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping
from xml.sax.saxutils import escape

from benchmarks.report import OURS, ratio
from benchmarks.runner import Table

_WIDTH, _LEFT, _RIGHT, _BAR, _PLOT = 860, 330, 60, 16, 180
_COLOURS = ("#2b6cb0", "#c05621", "#2f855a", "#805ad5", "#718096", "#b83280")
_TEXT = 'font-family="sans-serif" font-size="12" fill="currentColor"'


def svg(table: Table) -> str:
    """The whole picture."""
    peers = dict.fromkeys(tool for findings in table.values() for tool in findings if tool != OURS)
    colours = {OURS: "#222222", **dict(zip(peers, _COLOURS, strict=False))}
    bars, height = _bars(table, colours)
    lines, all_height = _growth(table, height, colours)
    style = 'style="background:#fff;color:#222"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{all_height}" {style}>'
    return "\n".join([head, *bars, *lines, "</svg>"]) + "\n"


def _bars(table: Table, colours: Mapping[str, str]) -> tuple[list[str], int]:
    """A bar for each peer in each row, as long as the logarithm of how many times our time its time is."""
    found = [
        (row, tool, 1 / ratio(findings[OURS], other))
        for row, findings in table.items()
        if not row.key.startswith("10 ")
        for tool, other in findings.items()
        if tool != OURS and other.runs and findings[OURS].runs and ratio(findings[OURS], other) > 0
    ]
    shown = dict.fromkeys(tool for _, tool, _ in found)
    parts = [_said(10, 20, "how many times our time each peer takes (logarithmic; left of the line it is faster)")]
    parts += [_said(10 + 130 * number, 40, tool, colours[tool]) for number, tool in enumerate(shown)]
    most = max([4.0, *(times for _, _, times in found)])
    scale = (_WIDTH - _LEFT - _RIGHT) / (math.log(most) + math.log(4))
    zero, top, last = _LEFT + scale * math.log(4), 56, ""
    for row, tool, times in found:
        if row.key != last:
            top += 8
            parts.append(_said(10, top + 12, f"{row.key}  {row.title}"[:52]))
            last = row.key
        length = max(-math.log(4), math.log(times)) * scale
        parts.append(
            f'<rect x="{min(zero, zero + length):.1f}" y="{top}" width="{abs(length):.1f}" height="{_BAR - 4}" '
            f'fill="{colours[tool]}"/>'
        )
        parts.append(_said(max(zero, zero + length) + 4, top + 11, f"{times:.1f}"))
        top += _BAR
    parts.append(_line(((zero, 50), (zero, top)), "#222"))
    return parts, top + 20


def _growth(table: Table, top: int, colours: Mapping[str, str]) -> tuple[list[str], int]:
    """Time by number of steps, files and stages, both logarithmic: a flat cost per unit is a straight line."""
    series: dict[str, dict[str, list[tuple[int, float]]]] = {}
    for row, findings in table.items():
        if row.key.startswith("10 "):
            _, kind, size = row.key.split()
            for tool, found in findings.items():
                if found.runs:
                    median = statistics.median(run.wall_s for run in found.runs)
                    series.setdefault(kind, {}).setdefault(tool, []).append((int(size), median))
    parts: list[str] = []
    for number, (kind, tools) in enumerate(series.items()):
        parts += _panel(kind, tools, (20 + number * 280, top + 20), colours)
    return parts, top + (_PLOT + 70 if series else 0)


def _panel(
    kind: str, tools: dict[str, list[tuple[int, float]]], place: tuple[int, int], colours: Mapping[str, str]
) -> list[str]:
    left, top = place
    points = [point for values in tools.values() for point in values]
    sizes = [math.log(size) for size, _ in points]
    times = [math.log(max(time_s, 1e-3)) for _, time_s in points]

    def at(size: int, time_s: float) -> tuple[float, float]:
        wide = (math.log(size) - min(sizes)) / (max(sizes) - min(sizes) or 1)
        high = (math.log(max(time_s, 1e-3)) - min(times)) / (max(times) - min(times) or 1)
        return left + 10 + wide * 210, top + 15 + (1 - high) * _PLOT

    parts = [_said(left, top, f"seconds by number of {kind}")]
    for tool, values in tools.items():
        colour = colours[tool]
        parts.append(_line([at(*value) for value in values], colour))
        parts += [_said(at(*value)[0] + 3, at(*value)[1] - 3, f"{value[1]:.2g}", colour) for value in values]
        parts.append(_said(at(*values[-1])[0] - 40, at(*values[-1])[1] + 14, tool, colour))
    smallest, largest = min(size for size, _ in points), max(size for size, _ in points)
    parts.append(_said(left, top + _PLOT + 35, f"{smallest:,}"))
    parts.append(_said(left + 190, top + _PLOT + 35, f"{largest:,}"))
    return parts


def _line(points: Iterable[tuple[float, float]], colour: str) -> str:
    text = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline points="{text}" fill="none" stroke="{colour}" stroke-width="1.5"/>'


def _said(x: float, y: float, text: str, colour: str = "currentColor") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" {_TEXT.replace("currentColor", colour)}>{escape(text)}</text>'
