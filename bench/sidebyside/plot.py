# SPDX-License-Identifier: MIT
"""Lines over a logarithmic axis as an SVG picture, without a library, in the style of the bars (chart.py)."""
import html
import math

from .chart import STYLE

WIDTH, PANEL_HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 1000, 230, 70, 230, 30, 34
COLOURS = ("#2f9e6e", "#d9822b", "#4c7bd9", "#a05ec0")


def _rounded_up(value):
    """The least round number that is not less."""
    power = 10 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10) if step * power >= value * 0.999999)


def _panel(top, panel, positions, labels):
    title, unit, lines = panel
    highest = _rounded_up(max(value for _, values in lines for value in values))
    base = top + PANEL_HEIGHT - BOTTOM

    def y_of(value):
        return base - (PANEL_HEIGHT - TOP - BOTTOM) * value / highest

    parts = [f'<text x="8" y="{top + 16}">{html.escape(title)}</text>']
    for part in (0, 0.5, 1):
        y = y_of(highest * part)
        parts.append(f'<line class="line" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="faint" x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{highest * part:g} {unit}</text>')
    for x, label in zip(positions, labels):
        parts.append(f'<text class="faint" x="{x:.1f}" y="{base + 18}" text-anchor="middle">{html.escape(label)}</text>')
    for i, (name, values) in enumerate(lines):
        colour = COLOURS[i]
        points = " ".join(f"{x:.1f},{y_of(value):.1f}" for x, value in zip(positions, values))
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
        y = top + TOP + 18 * i + 10
        parts.append(f'<rect x="{WIDTH - RIGHT + 16}" y="{y - 9}" width="10" height="10" rx="2" fill="{colour}"/>')
        parts.append(f'<text x="{WIDTH - RIGHT + 32}" y="{y}">{html.escape(name)}</text>')
    return parts


def draw(title, subtitle, xs, labels, panels):
    """panels: (title, unit, [(name of a line, its value at each of xs)])."""
    span = math.log(xs[-1] / xs[0])
    positions = [LEFT + (WIDTH - LEFT - RIGHT) * math.log(x / xs[0]) / span for x in xs]
    height = 50 + PANEL_HEIGHT * len(panels)
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}">',
             f"<style>{STYLE}</style>", f'<text class="title" x="8" y="20">{html.escape(title)}</text>',
             f'<text class="faint" x="8" y="38">{html.escape(subtitle)}</text>']
    for i, panel in enumerate(panels):
        parts += _panel(50 + PANEL_HEIGHT * i, panel, positions, labels)
    return "\n".join(parts) + "\n</svg>\n"
