"""Where the boxes of a lineage graph go: layers from left to right, few crossings, no box on another or on a line.

The usual steps (Sugiyama, Tagawa and Toda 1981): turn the edges that close a cycle around, give each node the layer of
its longest path, lead long edges through places of their own in the layers between, order each layer by where its
neighbours are, then pull boxes towards their neighbours as far as their distance allows.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from common.lineage_graph import Edge, Graph

WIDTH, JOB_WIDTH, HEIGHT = 190, 160, 62
GAP_X, GAP_Y = 48, 20
LANE = 16  # what a long edge takes of a layer that it passes
SWEEPS = 12


@dataclass(frozen=True)
class Layout:
    """The top left corner of each box, the points that each edge passes, and the size of it all."""

    boxes: Mapping[str, tuple[float, float]]
    lines: Mapping[Edge, tuple[tuple[float, float], ...]]
    width: float
    height: float


def layout_of(graph: Graph) -> Layout:
    """Places for every node and edge of the graph; the same graph always gets the same."""
    turned = _turned(graph)
    forward = {edge: (edge[1], edge[0]) if edge in turned else edge for edge in graph.edges}
    level = _levels(list(graph.nodes), set(forward.values()))
    chains = {edge: _chain(number, *forward[edge], level) for number, edge in enumerate(graph.edges)}
    links = {pair for chain in chains.values() for pair in itertools.pairwise(chain)}
    layers = _ordered(_layers(level), links)
    middle = _placed(layers, links, graph)
    return _drawn(graph, level, middle, chains, turned)


def width_of(kind: str) -> int:
    """How wide a box is: steps are narrower than what they make."""
    return JOB_WIDTH if kind == "job" else WIDTH


def _turned(graph: Graph) -> set[Edge]:
    """The edges that lead back to where a walk along the stream came from."""
    back: set[Edge] = set()
    done: set[str] = set()

    def walk(node: str, path: tuple[str, ...]) -> None:
        for following in graph.next(node, up=False):
            if following in path:
                back.add((node, following))
            elif following not in done:
                walk(following, (*path, following))
        done.add(node)

    sources = [node for node in graph.nodes if not graph.next(node, up=True)]
    for node in [*sources, *graph.nodes]:
        if node not in done:
            walk(node, (node,))
    return back


def _levels(nodes: Sequence[str], edges: Iterable[Edge]) -> dict[str, int]:
    """The length of the longest path that ends at a node; a node without one is put before what it leads to."""
    above: dict[str, list[str]] = {node: [] for node in nodes}
    below: dict[str, list[str]] = {node: [] for node in nodes}
    for a, b in sorted(edges):
        above[b].append(a)
        below[a].append(b)
    level: dict[str, int] = {}

    def of(node: str) -> int:
        if node not in level:
            level[node] = max((of(each) + 1 for each in above[node]), default=0)
        return level[node]

    for node in nodes:
        of(node)
    for node in nodes:
        if not above[node] and below[node]:
            level[node] = min(level[each] for each in below[node]) - 1
    return level


def _chain(number: int, start: str, end: str, level: dict[str, int]) -> list[str]:
    """The edge as nodes of neighbouring layers: where it is longer, through lanes, which get levels too."""
    lanes = []
    for between in range(level[start] + 1, level[end]):
        lane = f"\0{number:05}/{between:05}"
        level[lane] = between
        lanes.append(lane)
    return [start, *lanes, end]


def _layers(level: Mapping[str, int]) -> list[list[str]]:
    layers: list[list[str]] = [[] for _ in range(max(level.values(), default=-1) + 1)]
    for node, at in level.items():
        layers[at].append(node)
    return layers


def _neighbours(links: Iterable[Edge]) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    left: dict[str, list[str]] = {}
    right: dict[str, list[str]] = {}
    for a, b in sorted(links):
        right.setdefault(a, []).append(b)
        left.setdefault(b, []).append(a)
    return left, right


def _ordered(layers: list[list[str]], links: set[Edge]) -> list[list[str]]:
    """Each layer sorted by the mean place of its neighbours, sweeping to and fro; the order with fewest crossings."""
    left, right = _neighbours(links)
    best, fewest = [list(layer) for layer in layers], _crossings(layers, right)
    for sweep in range(SWEEPS):
        near = right if sweep % 2 else left
        for layer in reversed(layers) if sweep % 2 else layers:
            place = {node: n for each in layers for n, node in enumerate(each)}
            means = {node: _mean([place[each] for each in near.get(node, [])], place[node]) for node in layer}
            layer.sort(key=lambda node: (means[node], node))
        if (crossings := _crossings(layers, right)) < fewest:
            best, fewest = [list(layer) for layer in layers], crossings
    return best


def _crossings(layers: Sequence[Sequence[str]], right: Mapping[str, Sequence[str]]) -> int:
    count = 0
    for layer, following in itertools.pairwise(layers):
        place = {node: n for n, node in enumerate(following)}
        ends = [sorted(place[each] for each in right.get(node, ())) for node in layer]
        count += sum(a > b for n, upper in enumerate(ends) for lower in ends[n + 1 :] for a in upper for b in lower)
    return count


def _placed(layers: Sequence[Sequence[str]], links: set[Edge], graph: Graph) -> dict[str, float]:
    """The middle of each node: as near to its neighbours' as the order and the distances allow."""
    left, right = _neighbours(links)
    height = {node: HEIGHT if node in graph.nodes else LANE for layer in layers for node in layer}
    middle: dict[str, float] = {}
    for layer in layers:
        middle.update(_apart(layer, dict.fromkeys(layer, 0.0), height))
    for sweep in range(SWEEPS):
        near = (left, right)[sweep % 2] if sweep < SWEEPS - 2 else None
        for layer in reversed(layers) if sweep % 2 else layers:
            both = {node: near.get(node, []) if near else left.get(node, []) + right.get(node, []) for node in layer}
            wish = {node: _mean([middle[each] for each in both[node]], middle[node]) for node in layer}
            middle.update(_apart(layer, wish, height))
    return middle


def _apart(layer: Sequence[str], wish: Mapping[str, float], height: Mapping[str, float]) -> dict[str, float]:
    """The places nearest to the wished ones (least squares) that keep the order and the distances."""
    offset, at = [], 0.0
    for before, node in zip([None, *layer], layer, strict=False):
        at += (height[before] + height[node]) / 2 + GAP_Y if before is not None else 0.0
        offset.append(at)
    blocks: list[list[float]] = []  # sum of wishes, count: pooled while they would stand in the wrong order
    for node, own in zip(layer, offset, strict=True):
        blocks.append([wish[node] - own, 1])
        while len(blocks) > 1 and blocks[-2][0] / blocks[-2][1] > blocks[-1][0] / blocks[-1][1]:
            last = blocks.pop()
            blocks[-1] = [blocks[-1][0] + last[0], blocks[-1][1] + last[1]]
    means = [total / count for total, count in blocks for _ in range(int(count))]
    return {node: mean + own for node, mean, own in zip(layer, means, offset, strict=True)}


def _drawn(
    graph: Graph, level: Mapping[str, int], middle: Mapping[str, float], chains: Mapping[Edge, list[str]],
    turned: set[Edge],
) -> Layout:  # fmt: skip
    columns = _columns(graph, level)
    top = min((middle[node] - HEIGHT / 2 for node in graph.nodes), default=0.0)
    top = min([top, *(y - LANE / 2 for y in middle.values())])
    boxes = {node: (columns[level[node]][0], middle[node] - HEIGHT / 2 - top) for node in graph.nodes}
    lines = {}
    for edge, chain in chains.items():
        points = _points(graph, chain, [columns[level[node]] for node in chain], [middle[n] - top for n in chain])
        lines[edge] = tuple(reversed(points)) if edge in turned else tuple(points)
    width = max((x + wide for x, wide in columns), default=0.0)
    height = max((y - top + (HEIGHT if node in graph.nodes else LANE) / 2 for node, y in middle.items()), default=0.0)
    return Layout(boxes, lines, width, height)


def _columns(graph: Graph, level: Mapping[str, int]) -> list[tuple[float, float]]:
    """Left side and width of each layer: as wide as its widest box."""
    columns: list[tuple[float, float]] = []
    for at in range(max(level.values(), default=-1) + 1):
        wide = max((width_of(graph.nodes[n].kind) for n, own in level.items() if own == at and n in graph.nodes),
                   default=JOB_WIDTH)  # fmt: skip
        left = columns[-1][0] + columns[-1][1] + GAP_X if columns else 0.0
        columns.append((left, wide))
    return columns


def _points(
    graph: Graph, chain: Sequence[str], columns: Sequence[tuple[float, float]], middles: Sequence[float]
) -> list[tuple[float, float]]:
    """From the right side of the first box to the left side of the last, straight along every lane between."""
    points = [(columns[0][0] + width_of(graph.nodes[chain[0]].kind), middles[0])]
    for (x, wide), y in zip(columns[1:-1], middles[1:-1], strict=True):
        points += [(x, y), (x + wide, y)]
    return [*points, (columns[-1][0], middles[-1])]


def _mean(values: Sequence[float], default: float) -> float:
    return sum(values) / len(values) if values else default
