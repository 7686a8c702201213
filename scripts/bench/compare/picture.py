"""The results as a picture: cycles per frame of the others as multiples of mvswitch's, in SVG."""

from __future__ import annotations

from textwrap import wrap
from xml.sax.saxutils import escape

BAR, GAP, LEFT, RIGHT, TOP, WIDTH = 12, 14, 100, 130, 64, 860
COLOURS = {"testpmd": "#8a94a6", "ovs": "#d9822b"}
TITLES = {"testpmd": "testpmd io (drivers alone)", "ovs": "OVS-DPDK"}


def bars(scenario: dict) -> list[tuple[str, dict]]:
    """Program, and its cycles in terms of mvswitch's."""
    found = []
    ours = scenario["ratios"]["mvswitch/testpmd"]
    if ours:
        found.append(("testpmd", {"median": 1 / ours["median"], "min": 1 / ours["max"], "max": 1 / ours["min"]}))
    if scenario["ratios"]["ovs/mvswitch"]:
        found.append(("ovs", scenario["ratios"]["ovs/mvswitch"]))
    return found


def svg(results: dict, caption: str) -> str:
    """The whole file."""
    shown = [(scenario, found) for scenario in results["scenarios"] if (found := bars(scenario))]
    most = max((ratio["max"] for _, found in shown for _, ratio in found), default=1.0)
    unit = (WIDTH - LEFT - RIGHT) / max(most, 1.2)
    parts, y = [], TOP
    for scenario, found in shown:
        middle = y + len(found) * BAR / 2 + 4
        parts.append(f'<text x="{LEFT - 8}" y="{middle:.1f}" text-anchor="end">{escape(scenario["name"])}'
                     f'<title>{escape(scenario["title"])}</title></text>')
        for program, ratio in found:
            width, centre = ratio["median"] * unit, y + BAR / 2
            low, high = LEFT + ratio["min"] * unit, LEFT + ratio["max"] * unit
            parts.append(f'<rect x="{LEFT}" y="{y}" width="{width:.1f}" height="{BAR - 2}" fill="{COLOURS[program]}"/>')
            parts.append(f'<path d="M{low:.1f} {centre - 1:.1f}H{high:.1f}" stroke="#222"/>')
            parts.append(f'<text x="{high + 6:.1f}" y="{centre + 3:.1f}">{ratio["median"]:.2f}</text>')
            y += BAR
        y += GAP
    one = LEFT + unit
    caption_lines = wrap(caption, 170)
    small = "\n".join(f'<text x="8" y="{y + 8 + 12 * place}" font-size="9" fill="#555">{escape(line)}</text>'
                      for place, line in enumerate(caption_lines))
    legend = "".join(f'<rect x="{LEFT + place * 210}" y="32" width="10" height="10" fill="{COLOURS[name]}"/>'
                     f'<text x="{LEFT + 16 + place * 210}" y="41">{title}</text>'
                     for place, (name, title) in enumerate(TITLES.items()))
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y + 8 + 12 * len(caption_lines)}" font-family="sans-serif"
 font-size="11">
<rect width="100%" height="100%" fill="#fff"/>
<text x="{LEFT}" y="20" font-size="14">Cycles per frame, as multiples of mvswitch's (longer: slower than mvswitch)</text>
{legend}
{chr(10).join(parts)}
<path d="M{one:.1f} {TOP - 10}V{y - GAP + 4}" stroke="#1a7f37" stroke-width="1.5"/>
<text x="{one + 4:.1f}" y="{TOP - 4}" fill="#1a7f37">mvswitch = 1</text>
{small}
</svg>
"""
