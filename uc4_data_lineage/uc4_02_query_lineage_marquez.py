"""UC4 step 2: what depends on a dataset or a model, and what it is made from.

Reads    the lineage graph, from the lineage server; the states of model versions, from the registry
Writes   lineage/<name>/<digest>.html and .svg, to object storage
Returns  Impact
Raises   UsageError (2) where lineage knows nothing of that name, or several things

Run it alone:  python uc4_data_lineage/uc4_02_query_lineage_marquez.py customers --direction down --depth 3
"""

import re
from typing import TYPE_CHECKING, Any

from common.cli import main
from common.flags import Flag
from common.keys import digest_of
from common.step import step
from common.tools import Tools
from uc4_data_lineage.results import Impact, Known, Versions

if TYPE_CHECKING:
    from common.lineage_graph import Graph

ALIVE = ("champion", "proposed")
FLAGS = (
    Flag("name", "uc4.focus", "DATASET|MODEL", "a dataset, model, service or step; its last part is enough"),
    Flag("--direction", "uc4.direction", "up|down|both", "what it is made from, what depends on it, or both"),
    Flag("--depth", "uc4.depth", "N", "how many steps away"),
)


@step(
    needs=("marquez", "mlflow", "minio"),
    settings=("uc4.focus", "uc4.direction", "uc4.depth", "uc1.table", "uc1.query"),
    deadline_seconds=120,
)
def run(tools: Tools) -> Impact:
    """Find what is meant, walk the graph from there, and publish the answer."""
    focus, graph = around(tools)
    return published(tools, graph, answer(tools, graph, focus))


def around(tools: Tools) -> "tuple[str, Graph]":
    """The node that is asked about, and the graph around it: only the direction and the steps that are wanted."""
    from common.lineage import namespaces
    from common.lineage_graph import graph_of
    from uc4_data_lineage.focus import asked, chosen

    uc4, text = tools.settings.uc4, focus_of(tools)
    found = tools.marquez.search(asked(text)) or tools.marquez.search("")
    focus = chosen(text, found, namespaces(tools.settings))
    graph = graph_of(tools.marquez.graph(focus, uc4.depth))
    return focus, graph.only(graph.reach(focus, uc4.direction, uc4.depth))


def focus_of(tools: Tools) -> str:
    """What is asked about: where nobody says, the table that everything begins with."""
    return tools.settings.uc4.focus or tools.settings.uc1.table or "query"


def answer(tools: Tools, graph: "Graph", focus: str) -> Impact:
    """The answer as data and in words."""
    from uc4_data_lineage import impact

    uc4, versions = tools.settings.uc4, versions_of(tools, graph)
    nodes = tuple(Known(id=n.id, kind=n.kind, name=n.name, namespace=n.namespace, version=n.version)
                  for n in graph.nodes.values())  # fmt: skip
    return Impact(
        focus=focus_of(tools), node=focus, direction=uc4.direction, depth=uc4.depth, nodes=nodes, edges=graph.edges,
        versions=versions, sentence=impact.sentence(graph, focus, uc4.direction, versions),
        written=impact.text(graph, focus, uc4.direction, versions),
    )  # fmt: skip


def versions_of(tools: Tools, graph: "Graph") -> tuple[Versions, ...]:
    """What the registry says of the models in the graph: lineage knows models, the registry their lives."""
    names = sorted({node.name for node in graph.nodes.values() if node.kind == "model"})
    return tuple(_versions(tools, name) for name in names)


def _versions(tools: Tools, name: str) -> Versions:
    known = tools.mlflow.versions(name)
    alive = tuple((each.version, each.state) for each in known if each.state in ALIVE)
    return Versions(model=name, alive=alive, others=len(known) - len(alive))


def published(tools: Tools, graph: "Graph", made: Impact) -> Impact:
    """Put page and picture where the report finds them, named by what they show."""
    from common.lineage_layout import layout_of
    from common.lineage_page import as_page
    from common.lineage_svg import as_svg
    from uc4_data_lineage import impact

    said = impact.in_short(graph, made.node, made.direction, made.versions)
    graph = impact.with_versions(graph, made.versions)
    title, where = f"Lineage of {made.focus}", key(made)
    page = as_page(graph, title, said, [made.node], made.direction)
    picture = as_svg(graph, layout_of(graph), [made.node], title)
    uri = tools.minio.put_bytes(f"{where}.html", page.encode())
    tools.context.effect("page", uri)
    return made.model_copy(update={"page": uri, "picture": tools.minio.put_bytes(f"{where}.svg", picture.encode())})


def key(made: Impact) -> str:
    """A name for S3 out of what was asked, and the digest of the answer."""
    slug = re.sub(r"[^a-zA-Z0-9]+", "-", made.focus).strip("-").lower() or "lineage"
    return f"lineage/{slug}/{made.identity()[:16]}"


def observe(tools: Tools) -> dict[str, Any]:
    """What the graph is now, without times: the same graph gives the same answer."""
    focus, graph = around(tools)
    bad = sorted(node.id for node in graph.nodes.values() if node.state in ("failed", "aborted"))
    made = answer(tools, graph, focus)
    pages = tools.minio.exists(f"{key(made)}.html") and tools.minio.exists(f"{key(made)}.svg")
    return {"answer": digest_of([made.identity(), bad]), "published": pages}


if __name__ == "__main__":
    main(__file__)
