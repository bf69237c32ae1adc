"""Lineage graphs for tests: the one that UC1 and UC2 make, through a server, and random ones."""

import random
from typing import Any

from common.lineage_graph import Graph, Node

Document = dict[str, Any]


def node(name: str, kind: str = "object", title: str = "", subtitle: str = "objects") -> Node:
    return Node(name, kind, "s3://mlops", name, title or name, subtitle)


def graph(*edges: tuple[str, str], jobs: str = "") -> Graph:
    names = sorted({name for edge in edges for name in edge})
    return Graph({n: node(n, "job" if n in jobs.split() else "object") for n in names}, tuple(sorted(set(edges))))


def at_random(seed: int) -> Graph:
    """Some tens of nodes; edges go mostly forward, and some back, as from a service to what it logs."""
    dice = random.Random(seed)
    names = [f"n{number:02}" for number in range(dice.randint(2, 40))]
    edges = set()
    for _ in range(dice.randint(1, 2 * len(names))):
        a, b = dice.sample(names, 2)
        edges.add((a, b) if a < b or dice.random() < 0.1 else (b, a))
    kinds = ("job", "object", "model")
    return Graph({name: node(name, dice.choice(kinds)) for name in names}, tuple(sorted(edges)))
