"""The lineage graph as an SVG picture: readable on light and on dark, on its own or inside the page."""

import itertools
from collections.abc import Collection, Sequence
from html import escape

from common.lineage_graph import Graph, Node
from common.lineage_layout import HEIGHT, Layout, width_of

MARGIN = 24
# What fits: a wide typeface has 8 px a character at the title's size, 6.4 px at the subtitle's.
TITLE_PX, SUBTITLE_PX = 8.0, 6.4
STYLE = """
svg.lineage{--paper:#f6f7f9;--card:#fff;--ink:#1c2330;--soft:#5b6576;--line:#8d99ad;--focus:#d9480f;--job:#eef1f6;
--table:#2357c6;--object:#0b7285;--data_repository:#5f3dc4;--feature_view:#2b8a3e;--model:#a61e4d;--service:#b35900;
--bad:#c0392b}
@media (prefers-color-scheme:dark){svg.lineage{--paper:#12161e;--card:#1a202b;--ink:#e7eaf0;--soft:#9aa5b8;
--line:#56627a;--focus:#ff922b;--job:#232b39;--table:#8fb2ff;--object:#66d9e8;--data_repository:#b197fc;
--feature_view:#69db7c;--model:#faa2c1;--service:#ffc078;--bad:#ff8574}}
svg.lineage .paper{fill:var(--paper)}
svg.lineage text{font-family:system-ui,sans-serif;fill:var(--ink)}
svg.lineage .title{font-size:13px;font-weight:600}
svg.lineage .subtitle{font-size:11px;fill:var(--soft)}
svg.lineage .box{fill:var(--card);stroke:var(--kind);stroke-width:1.5}
svg.lineage .job .box{fill:var(--job);stroke:var(--line);stroke-width:1}
svg.lineage .band{fill:var(--kind)}
svg.lineage .failed .box,svg.lineage .aborted .box{stroke:var(--bad);stroke-width:2}
svg.lineage .focus .box{stroke:var(--focus);stroke-width:3.5}
svg.lineage path.edge{fill:none;stroke:var(--line);stroke-width:1.5}
svg.lineage marker path{fill:var(--line)}
""" + "".join(
    f"svg.lineage .{kind}{{--kind:var(--{kind})}}\n"
    for kind in ("table", "object", "data_repository", "feature_view", "model", "service")
)


def as_svg(graph: Graph, layout: Layout, focus: Collection[str] = (), title: str = "Lineage") -> str:
    """The whole picture; what is in focus has a border of its own."""
    width, height = layout.width + 2 * MARGIN, layout.height + 2 * MARGIN
    edges = "".join(_edge(a, b, points) for (a, b), points in layout.lines.items())
    boxes = "".join(_box(node, *layout.boxes[name], name in focus) for name, node in graph.nodes.items())
    return (
        f'<svg class="lineage" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}"'
        f' width="{width:.0f}" height="{height:.0f}" role="img" aria-label="{escape(title)}">'
        f"<title>{escape(title)}</title><style>{STYLE}</style>"
        '<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0L8 4L0 8z"/></marker></defs>'
        f'<rect class="paper" width="100%" height="100%"/><g class="view"><g transform="translate({MARGIN} {MARGIN})">'
        f"{edges}{boxes}</g></g></svg>"
    )


def _edge(a: str, b: str, points: Sequence[tuple[float, float]]) -> str:
    return (f'<path class="edge" data-from="{escape(a)}" data-to="{escape(b)}" d="{_path(points)}"'
            ' marker-end="url(#arrow)"/>')  # fmt: skip


def _path(points: Sequence[tuple[float, float]]) -> str:
    """Curves that leave and arrive level; straight where the line passes a layer."""
    drawn = [f"M{points[0][0]:.0f} {points[0][1]:.1f}"]
    for (x, y), (to_x, to_y) in itertools.pairwise(points):
        bend = (to_x - x) / 2
        drawn.append(f"C{x + bend:.0f} {y:.1f} {to_x - bend:.0f} {to_y:.1f} {to_x:.0f} {to_y:.1f}")
    return "".join(drawn)


def _box(node: Node, x: float, y: float, in_focus: bool) -> str:
    classes = " ".join(part for part in ("node", node.kind, node.state, "focus" if in_focus else "") if part)
    wide, left, round_off = width_of(node.kind), 16, 14 if node.kind == "job" else 5
    band = "" if node.kind == "job" else f'<rect class="band" width="6" height="{HEIGHT}" rx="3"/>'
    said = escape(f"{node.words} {node.name}")
    lines = wrapped(node.title, int((wide - left - 8) / TITLE_PX))
    subtitle = shortened(node.subtitle, int((wide - left - 6) / SUBTITLE_PX))
    first = 27 if len(lines) == 1 else 20
    titles = "".join(f'<text class="title" x="{left}" y="{first + 16 * n}">{escape(line)}</text>'
                     for n, line in enumerate(lines))  # fmt: skip
    return (
        f'<g class="{escape(classes)}" data-id="{escape(node.id)}" transform="translate({x:.0f} {y:.1f})" tabindex="0"'
        f' role="button" aria-label="{said}"><title>{said}</title>'
        f'<rect class="box" width="{wide}" height="{HEIGHT}" rx="{round_off}"/>{band}{titles}'
        f'<text class="subtitle" x="{left}" y="{first + 16 * len(lines) + 1}">{escape(subtitle)}</text></g>'
    )


def wrapped(text: str, characters: int) -> list[str]:
    """The text in at most two lines, broken after a space, a slash, a dash or a dot where there is one."""
    if len(text) <= characters:
        return [text]
    breaks = [n + 1 for n, letter in enumerate(text[:characters]) if letter in " /-._"]
    at = breaks[-1] if breaks else characters
    return [text[:at].rstrip(), shortened(text[at:], characters)]


def shortened(text: str, characters: int) -> str:
    """The text; where it is too long for its box, without its middle: names differ at both ends."""
    if len(text) <= characters:
        return text
    head = (characters - 1) // 2
    return f"{text[:head]}…{text[len(text) - (characters - 1 - head) :]}"
