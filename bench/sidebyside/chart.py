# SPDX-License-Identifier: MIT
"""The comparisons as an SVG picture, without a library: one bar each, in groups, as long as what was reached is of the mark.
The line is the mark. Colours are readable on light and dark ground alike."""
import html

from .report import number, verdict

WIDTH, LEFT, RIGHT, LINE, TOP, GROUP = 1000, 330, 340, 20, 52, 26
SPAN = WIDTH - LEFT - RIGHT   # a bar of this length is FULL times the mark
FULL = 2.0
MET, SHORT = "#2f9e6e", "#d9822b"

# By how a row's key begins.
GROUPS = (("put-", "Writes over the network"), ("get-", "Reads over the network"), ("http-", "HTTP"), ("batch-", "Batches"),
          ("engine-", "The storage engine alone"))

STYLE = """
text { font: 12px system-ui, sans-serif; fill: #444; }
.title { font-size: 15px; font-weight: 600; }
.group { font-weight: 600; }
.faint { fill: #777; }
.line { stroke: #777; stroke-dasharray: 3 3; }
@media (prefers-color-scheme: dark) { text { fill: #ddd; } .faint { fill: #aaa; } .line { stroke: #aaa; } }
"""


def reached(comparison):
    """Of the mark: 1 is all of it. None where there is nothing to judge."""
    if comparison["mark"] is None or comparison["ratio"] is None:
        return None
    if comparison["lower"] and not comparison["peer"]:
        return comparison["mark"] / comparison["ratio"] if comparison["ratio"] else FULL
    return comparison["ratio"] / comparison["mark"]


def bars(results):
    """(row, comparison, part of the mark) for all that is judged."""
    return [(row, comparison, reached(comparison)) for row in results for comparison in row["comparisons"]
            if reached(comparison) is not None]


def label(row, comparison):
    return row["title"] + ("" if comparison["ours"] == "rdrive" else " · " + comparison["ours"].replace("rdrive, ", ""))


def figures(row, comparison):
    ours = row["sides"][comparison["ours"]]["median"]
    shown = f"{number(ours)} {row['unit']}; " if comparison["peer"] else ""
    return shown + verdict(comparison, row["unit"]).rsplit(":", 1)[0]


def group_of(row):
    return next((name for prefix, name in GROUPS if row["key"].startswith(prefix)), "")


def bar(row, comparison, part, y):
    length = max(min(part, FULL) / FULL * SPAN, 1)
    return [f'<text x="{LEFT - 8}" y="{y + 14}" text-anchor="end">{html.escape(label(row, comparison))}</text>',
            f'<rect x="{LEFT}" y="{y + 3}" width="{length:.1f}" height="{LINE - 6}" rx="2" fill="{MET if part >= 1 else SHORT}"/>',
            f'<text class="faint" x="{LEFT + SPAN + 8}" y="{y + 14}">{html.escape(figures(row, comparison))}</text>']


def subtitle(results, machine):
    days = sorted({row["measured"]["date"][:10] for row in results})
    others = max((row["measured"]["others"] for row in results), default=0)
    return (f"medians; {machine['processor']}, {machine['cores']} cores; {' to '.join(dict.fromkeys((days[0], days[-1])))}; "
            f"others kept at most {others:g} of the processors busy")


def draw(results, machine):
    parts = []
    y = TOP
    group = None
    for row, comparison, part in bars(results):
        if group_of(row) != group:
            group = group_of(row)
            parts.append(f'<text class="group" x="8" y="{y + 18}">{html.escape(group)}</text>')
            y += GROUP
        parts += bar(row, comparison, part, y)
        y += LINE
    mark_x = LEFT + SPAN / FULL
    height = y + 40
    head = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}">',
            f"<style>{STYLE}</style>",
            '<text class="title" x="8" y="20">rdrive beside its peers: what is reached of each mark</text>',
            f'<text class="faint" x="8" y="38">{html.escape(subtitle(results, machine))}</text>' if results else "",
            f'<text class="faint" x="{mark_x}" y="{TOP - 2}" text-anchor="middle">the mark</text>']
    foot = [f'<line class="line" x1="{mark_x}" x2="{mark_x}" y1="{TOP + 4}" y2="{y}"/>',
            f'<text class="faint" x="{LEFT}" y="{height - 14}">bars end at twice the mark</text></svg>']
    return "\n".join(head + parts + foot) + "\n"
