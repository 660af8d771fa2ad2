# SPDX-License-Identifier: GPL-3.0-or-later
"""What was measured, as a Markdown table, a chart (SVG) and JSON."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import median
from typing import NamedTuple
from xml.sax.saxutils import escape

from . import measure

GROWTH_LIMIT = 1.2  # an entry of the largest table, by one of the smallest
PEAK_LIMIT = 250  # MiB


class Line(NamedTuple):
    """One comparison. ``ours`` and ``theirs``: seconds, one for each round.

    ``limit``: what the ratio ours / theirs is to stay below or at; None where there is no target.
    """

    group: str
    name: str
    ours: list
    against: str
    theirs: list
    limit: float | None = None

    @property
    def ratio(self):
        return measure.ratio(self.ours, self.theirs)

    @property
    def met(self):
        return self.limit is None or self.ratio <= self.limit

    @property
    def range(self):
        """The smallest and the largest of the rounds' ratios."""
        ratios = [a / b for a, b in zip(self.ours, self.theirs, strict=True)]
        return min(ratios), max(ratios)


class Growth(NamedTuple):
    """Microseconds an entry for tables of different sizes: ``entries`` -> one number, the median of the rounds."""

    name: str
    costs: dict

    @property
    def rise(self):
        """The largest size by the smallest."""
        return self.costs[max(self.costs)] / self.costs[min(self.costs)]

    @property
    def met(self):
        return self.rise <= GROWTH_LIMIT

    @property
    def spread(self):
        """The dearest size by the cheapest."""
        return max(self.costs.values()) / min(self.costs.values())


def write(folder, machine, lines, growth, peaks):
    """Write results.json, results.md and results.svg into a folder.

    ``machine``: dict of text, what it ran on; ``lines``: Lines; ``growth``: Growths; ``peaks``: dict, name -> MiB.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.md").write_text(markdown(machine, lines, growth, peaks))
    (folder / "results.svg").write_text(chart(lines))
    data = {
        "machine": machine,
        "comparisons": [dict(line._asdict(), ratio=line.ratio, met=line.met, range=line.range) for line in lines],
        "cost_of_an_entry": [dict(each._asdict(), rise=each.rise, met=each.met, spread=each.spread) for each in growth],
        "peak_mib": peaks,
    }
    (folder / "results.json").write_text(json.dumps(data, indent=1) + "\n")


def markdown(machine, lines, growth, peaks):
    text = [f"{name}: {value}  " for name, value in machine.items()]
    for group in dict.fromkeys(line.group for line in lines):
        text += ["", f"## {group}", "", "| | this collection | against | | ratio | of the rounds | target |", "|---|---:|---|---:|---:|---|---|"]
        for line in lines:
            if line.group == group:
                target = "" if line.limit is None else verdict(line.limit, line.met)
                low, high = line.range
                text.append(
                    f"| {line.name} | {seconds(median(line.ours))} | {line.against} | {seconds(median(line.theirs))} "
                    f"| {line.ratio:.2f} | {len(line.ours)}: {low:.2f} to {high:.2f} | {target} |"
                )
    if growth:
        sizes = list(growth[0].costs)
        text += ["", "## Cost of an entry, in microseconds", ""]
        text += ["| entries | " + " | ".join(f"{entries:,}" for entries in sizes) + f" | {sizes[-1]:,} / {sizes[0]:,} | target | dearest / cheapest |"]
        text += ["|---|" + "---:|" * (len(sizes) + 1) + "---|---:|"]
        for each in growth:
            costs = " | ".join(f"{each.costs[size]:.1f}" for size in sizes)
            text.append(f"| {each.name} | {costs} | {each.rise:.2f} | {verdict(GROWTH_LIMIT, each.met)} | {each.spread:.2f} |")
    if peaks:
        text += ["", "## Peak of resident memory", "", "| | MiB | target |", "|---|---:|---|"]
        text += [f"| {name} | {peak:.0f} | {verdict(PEAK_LIMIT, peak <= PEAK_LIMIT)} |" for name, peak in peaks.items()]
    return "\n".join(text) + "\n"


def verdict(limit, met):
    return f"≤ {limit:.3g} {'✓' if met else '✗'}"


def seconds(value):
    """A time with three digits: ``8.31 s``, ``145 ms``, ``19.5 ms``."""
    if value >= 1:
        return f"{value:.3g} s"
    return f"{value * 1000:.3g} ms"


# ---------------------------------------------------------------------------------------------------------------------
# the chart

_WIDTH, _LEFT, _BAR, _ROW, _TOP = 900, 330, 13, 42, 70
_STYLE = """
text { font: 13px system-ui, sans-serif; fill: #24292f } .group { font-weight: 600; font-size: 15px } .small { font-size: 11px; fill: #57606a }
.ours { fill: #1a7f64 } .theirs { fill: #b0b8c1 } .paper { fill: #ffffff }
@media (prefers-color-scheme: dark) {
 text { fill: #e6edf3 } .small { fill: #9aa4af } .ours { fill: #3fb895 } .theirs { fill: #57606a } .paper { fill: #0d1117 } }
"""


def chart(lines):
    """Pairs of bars; the longer of each pair has the full width, since the pairs lie seconds and milliseconds apart."""
    rows, y = [], _TOP
    for group in dict.fromkeys(line.group for line in lines):
        rows.append(f'<text class="group" x="20" y="{y}">{escape(group)}</text>')
        y += 14
        for line in lines:
            if line.group == group:
                rows += _pair(line, y)
                y += _ROW
        y += 26
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {y}" width="{_WIDTH}" height="{y}" role="img">'
        f"<title>Time that the collection takes, beside what it is compared with</title><style>{_STYLE}</style>"
        f'<rect class="paper" width="{_WIDTH}" height="{y}" rx="6"/>'
        f'<rect class="ours" x="20" y="18" width="{_BAR}" height="{_BAR}"/><text x="40" y="29">this collection</text>'
        f'<rect class="theirs" x="160" y="18" width="{_BAR}" height="{_BAR}"/><text x="180" y="29">what it is compared with</text>'
        f'<text class="small" x="370" y="29">medians; each pair of bars has a scale of its own</text>'
    )
    return head + "\n" + "\n".join(rows) + "\n</svg>\n"


def _pair(line, y):
    ours, theirs = median(line.ours), median(line.theirs)
    room = _WIDTH - _LEFT - 110
    longest = max(ours, theirs)
    parts = [
        f'<text x="{_LEFT - 12}" y="{y + 13}" text-anchor="end">{escape(line.name)}</text>',
        f'<text class="small" x="{_LEFT - 12}" y="{y + 28}" text-anchor="end">{escape(line.against)}</text>',
    ]
    for kind, value, top in (("ours", ours, y + 2), ("theirs", theirs, y + 4 + _BAR)):
        width = max(2, room * value / longest)
        parts.append(f'<rect class="{kind}" x="{_LEFT}" y="{top}" width="{width:.1f}" height="{_BAR}" rx="2"/>')
        parts.append(f'<text class="small" x="{_LEFT + width + 6:.1f}" y="{top + 10}">{seconds(value)}</text>')
    return parts
