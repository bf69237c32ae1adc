"""The lineage graph as one self-contained page: zoom, pan, search, the way up and down, and what is known of a node."""

import json
from collections.abc import Collection
from typing import Any

from common.lineage_graph import WORDS, Graph
from common.lineage_layout import layout_of
from common.lineage_svg import as_svg


def as_page(graph: Graph, title: str, text: str, focus: Collection[str] = (), direction: str = "both") -> str:
    """The page. `text` is shown beside the picture until a node is chosen; nothing is loaded from anywhere."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("common", "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    known = {"nodes": {name: _known(graph, name) for name in graph.nodes}, "edges": list(graph.edges),
             "focus": sorted(focus), "direction": direction}  # fmt: skip
    data = json.dumps(known, ensure_ascii=False).replace("<", "\\u003c").replace("\u2028", " ").replace("\u2029", " ")
    kinds = [kind for kind in WORDS if any(node.kind == kind for node in graph.nodes.values())]
    picture = as_svg(graph, layout_of(graph), focus, title)
    return environment.get_template("lineage.html.j2").render(
        title=title, text=text, kinds=[(kind, WORDS[kind]) for kind in kinds], picture=Markup(picture),  # noqa: S704 - our own SVG, whose texts are escaped where it is drawn
        data=Markup(data), count=len(graph.nodes),  # noqa: S704 (both are escaped where they are made)
    )  # fmt: skip


def _known(graph: Graph, name: str) -> dict[str, Any]:
    node = graph.nodes[name]
    return {
        "title": node.title, "kind": node.kind, "words": node.words, "name": node.name, "facts": node.facts,
        "columns": node.columns, "checks": node.checks,
    }  # fmt: skip
