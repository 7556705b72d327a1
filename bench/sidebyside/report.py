# SPDX-License-Identifier: MIT
"""From figures to medians and ratios, and those as text and JSON. A result is a dictionary as it stands in the JSON:

{"key", "title", "unit",
 "measured": {"date", "commit", "seconds": x or null, "rounds", "others": the mean of others_by_round, "others_by_round": [..]},
 "sides": {name: {"values": [..], "median": x or null, "why": "" or why there is none}},
 "comparisons": [{"ours", "peer", "mark", "lower", "ceiling", "ratio": x or null, "met": true, false or null}]}
"""
import json
import os
import statistics


def compare(comparison, sides):
    """ratio: how far ours is ahead of the peer; with a mark that is a figure, ours itself."""
    ours = sides.get(comparison.ours, {}).get("median")
    peer = sides.get(comparison.peer, {}).get("median") if comparison.peer else None
    ratio = ours
    if comparison.peer:
        ratio = None if not ours or not peer else peer / ours if comparison.lower else ours / peer
    met = None
    if ratio is not None and comparison.mark is not None:
        met = ratio <= comparison.mark if comparison.lower and not comparison.peer else ratio >= comparison.mark
    return {"ours": comparison.ours, "peer": comparison.peer, "mark": comparison.mark, "lower": comparison.lower,
            "ceiling": comparison.ceiling, "ratio": ratio, "met": met}


def result(key, title, unit, values, why, comparisons, measured):
    """values: a list for each side, in the unit; why: for sides without any."""
    sides = {name: {"values": figures, "median": statistics.median(figures) if figures else None, "why": why.get(name, "")}
             for name, figures in values.items()}
    return {"key": key, "title": title, "unit": unit, "measured": measured, "sides": sides,
            "comparisons": [compare(comparison, sides) for comparison in comparisons]}


def number(value):
    """Three significant digits."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def verdict(comparison, unit):
    """"1.53x of redis, mark 1.5x: met"."""
    sign = "at most" if comparison["lower"] and not comparison["peer"] else "at least"
    if comparison["peer"]:
        text = f"{number(comparison['ratio'])}x {comparison['peer']}"
        mark = f"{comparison['mark']:g}x" if comparison["mark"] is not None else ""
    else:
        text = f"{number(comparison['ratio'])} {unit}"
        mark = f"{comparison['mark']:g} {unit}" if comparison["mark"] is not None else ""
    if comparison["ratio"] is None:
        return f"not measured{': mark ' + mark if mark else ''}"
    if not mark:
        return text
    return f"{text}, mark {sign} {mark}: {'met' if comparison['met'] else 'NOT met'}"


def text_of(results):
    """One block a row: its sides with medians and rounds, then its comparisons."""
    lines = []
    for row in results:
        lines.append(f"{row['title']} [{row['key']}]")
        for name, side in row["sides"].items():
            rounds = " ".join(number(value) for value in side["values"])
            lines.append(f"    {name:<36} {number(side['median']):>9} {row['unit']:<6} {'(' + rounds + ')' if rounds else side['why']}")
        lines += [f"  > {comparison['ours']}: {verdict(comparison, row['unit'])}" for comparison in row["comparisons"]]
    return "\n".join(lines) + "\n"


def when(measured):
    """A line's last column: what the figures rest on."""
    seconds = f" of {measured['seconds']:g} s" if measured["seconds"] else ""
    return f"{measured['date'][:16].replace('T', ' ')}, {measured['commit']}, {measured['rounds']}{seconds}, {measured['others']}"


def line_of(row, comparison):
    ours, peer = row["sides"].get(comparison["ours"]), row["sides"].get(comparison["peer"])
    sign = "≤" if comparison["lower"] and not comparison["peer"] else "≥"
    unit = "×" if comparison["peer"] else " " + row["unit"]
    mark = f"{sign} {comparison['mark']:g}{unit}" if comparison["mark"] is not None else ""
    ratio = number(comparison["ratio"]) + "×" if comparison["peer"] and comparison["ratio"] is not None else ""
    word = {True: "met", False: "**not met**", None: "ceiling" if comparison.get("ceiling") else ""}[comparison["met"]]
    if ours is None or ours["median"] is None or (peer is not None and peer["median"] is None):
        word = "not measured"
    cells = [row["title"], f"{comparison['ours']}: {number(ours and ours['median'])} {row['unit']}",
             f"{comparison['peer']}: {number(peer['median'])}" if peer else "", ratio, mark, word, when(row["measured"])]
    return "| " + " | ".join(cells) + " |"


def markdown_of(results, machine):
    """The table of a page."""
    head = (f"Medians. {machine['processor']}, {machine['cores']} cores, {machine['memory_gib']} GiB, Linux {machine['kernel']}. "
            "Last column: end (UTC), commit, rounds, and how many processors were busy with something else, on average.")
    lines = [head, "", "| work | rdrive | peer | ratio | mark | | measured |", "|---|---|---|---|---|---|---|"]
    lines += [line_of(row, comparison) for row in results for comparison in row["comparisons"]]
    return "\n".join(lines) + "\n"


def merge(old, new, keys):
    """New results take the place of old ones of the same key; those that the new run left out stay. In the order of keys, and
    without rows that are no more."""
    by_key = {row["key"]: row for row in (*old, *new)}
    return [by_key[key] for key in keys if key in by_key]


def load(path):
    """Without what an earlier version of this wrote, which told less."""
    if not os.path.exists(path):
        return []
    with open(path, encoding="utf-8") as file:
        return [row for row in json.load(file)["results"] if "others_by_round" in row["measured"]]


def json_of(machine, results):
    return json.dumps({"machine": machine, "results": results}, indent=1) + "\n"
