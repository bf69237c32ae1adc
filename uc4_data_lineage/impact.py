"""Impact in plain words: what follows when something changes, what it is made from, and the stream as a tree."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from common.lineage_graph import KINDS, Graph, Node
from uc4_data_lineage.results import Versions

PLURAL = {"table": "tables", "object": "objects", "data_repository": "data versions", "feature_view": "feature views",
          "model": "models", "service": "services"}  # fmt: skip
TOLD_FIRST = ("feature_view", "model", "service")
NOTHING_BELOW = "nothing that is known depends on it"
NOTHING_ABOVE = "nothing that is known: the stream begins here"


def sentence(graph: Graph, focus: str, direction: str, versions: Sequence[Versions]) -> str:
    """One sentence: what a person wants to know before changing something."""
    title = graph.nodes[focus].title
    if direction == "up":
        return f"{title} is made from: {_listed(graph, focus, 'up', versions) or NOTHING_ABOVE}."
    return f"If {title} changes: {_listed(graph, focus, 'down', versions) or NOTHING_BELOW}."


def _listed(graph: Graph, focus: str, way: str, versions: Sequence[Versions]) -> str:
    """Those that people use, or where there are none of them, whatever there is."""
    nodes = _datasets(graph, focus, way)
    told = [node for node in nodes if node.kind in TOLD_FIRST] if way == "down" else []
    return ", ".join(_kind_of(kind, of_kind, versions) for kind, of_kind in _by_kind(told or nodes))


def text(graph: Graph, focus: str, direction: str, versions: Sequence[Versions]) -> str:
    """The whole answer for a terminal: in short, and the stream as a tree."""
    lines = [in_short(graph, focus, direction, versions)]
    for way, said in (("down", "From it, step by step:"), ("up", "To it, step by step, backwards:")):
        if direction in (way, "both") and graph.next(focus, up=way == "up"):
            lines += ["", said, *tree(graph, focus, way == "up")]
    return "\n".join(lines)


def in_short(graph: Graph, focus: str, direction: str, versions: Sequence[Versions]) -> str:
    """What it is, what follows when it changes, and what it is made from."""
    node = graph.nodes[focus]
    known = dict(with_versions(graph, versions).nodes[focus].facts)
    more = "".join(f", {known[label]}" for label in ("rows", "versions") if label in known)
    lines = [f"{node.title}: {node.words} {node.name} on {node.namespace}{more}"]
    if direction != "up":
        lines += ["", f"If {node.title} changes:", *_table(graph, focus, "down", versions, NOTHING_BELOW)]
    if direction != "down":
        lines += ["", f"{node.title} is made from:", *_table(graph, focus, "up", versions, NOTHING_ABOVE)]
    return "\n".join(lines)


def _table(graph: Graph, focus: str, way: str, versions: Sequence[Versions], nothing: str) -> list[str]:
    nodes = _datasets(graph, focus, way)
    lines = [f"  {_word(kind, of_kind):15} {_named(kind, of_kind, versions)}" for kind, of_kind in _by_kind(nodes)]
    if way == "down" and (steps := _steps(graph.nodes[each].name for each in graph.reach(focus, way))):
        lines.append(f"  {'runs again':15} {steps}")
    return lines or [f"  {nothing}"]


def _steps(names: Iterable[str]) -> str:
    """Such as "uc1 steps 01, 02, 03; uc2 step 01": jobs are called <pipeline>.<pipeline>_<number>_<what it does>."""
    numbers: dict[str, list[str]] = {}
    for pipeline, _, step in (name.partition(".") for name in sorted(names)):
        if step.startswith(f"{pipeline}_"):
            numbers.setdefault(pipeline, []).append(step.split("_")[1])
    return "; ".join(f"{pipeline} step{'s' * (len(own) > 1)} {', '.join(own)}" for pipeline, own in numbers.items())


def with_versions(graph: Graph, versions: Sequence[Versions]) -> Graph:
    """The graph, in which models say which of their versions are in use."""
    known = {each.model: each for each in versions}
    nodes = {name: _versioned(node, known.get(node.name)) for name, node in graph.nodes.items()}
    return replace(graph, nodes=nodes)


def _versioned(node: Node, known: Versions | None) -> Node:
    if node.kind != "model" or known is None or not known.alive:
        return node
    facts = (("versions", _versions(known).strip()), *node.facts)
    return replace(node, subtitle=f"model · {', '.join(_alive(known))}", facts=facts)


def tree(graph: Graph, start: str, up: bool) -> list[str]:
    """The stream as an indented tree. What comes a second time is named, and not gone into again."""
    lines, seen = [graph.nodes[start].title], {start}

    def grow(node: str, indent: str) -> None:
        below = sorted(graph.next(node, up), key=lambda each: graph.nodes[each].name)
        for number, each in enumerate(below):
            last = number == len(below) - 1
            again = each in seen
            lines.append(f"{indent}{'└─' if last else '├─'} {_in_tree(graph.nodes[each])}{' (above)' if again else ''}")
            if not again:
                seen.add(each)
                grow(each, indent + ("   " if last else "│  "))

    grow(start, "")
    return lines


def _in_tree(node: Node) -> str:
    return node.name.split(".")[-1] if node.kind == "job" else f"{node.title} ({node.words})"


def _datasets(graph: Graph, focus: str, way: str) -> list[Node]:
    found = (graph.nodes[each] for each in graph.reach(focus, way) - {focus})
    return sorted((node for node in found if node.kind != "job"), key=lambda node: node.name)


def _by_kind(nodes: Iterable[Node]) -> list[tuple[str, list[Node]]]:
    known = list(nodes)
    groups = [(kind, [node for node in known if node.kind == kind]) for kind in KINDS]
    return [(kind, group) for kind, group in groups if group]


def _kind_of(kind: str, nodes: Sequence[Node], versions: Sequence[Versions]) -> str:
    return f"{_word(kind, nodes)} {_named(kind, nodes, versions)}"


def _word(kind: str, nodes: Sequence[Node]) -> str:
    return PLURAL[kind] if len(nodes) > 1 or kind == "object" else nodes[0].words


def _named(kind: str, nodes: Sequence[Node], versions: Sequence[Versions]) -> str:
    if kind != "model":
        return ", ".join(node.title for node in nodes)
    known = {each.model: each for each in versions}
    return ", ".join(node.title + _versions(known.get(node.name)) for node in nodes)


def _versions(known: Versions | None) -> str:
    """Such as " v3 (champion), v4"; those that are no longer in use are counted."""
    if known is None:
        return ""
    said = _alive(known)
    said += [f"{known.others} that {'is' if known.others == 1 else 'are'} no longer used"] if known.others else []
    return f" {', '.join(said)}" if said else ""


def _alive(known: Versions) -> list[str]:
    return [f"v{number}" + (f" ({state})" if state != "proposed" else "") for number, state in known.alive]
