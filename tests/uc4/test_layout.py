"""The picture: no box on another, no line through a box, no label over its edge; the same graph, the same picture."""

import itertools
import re

import pytest

from common.lineage_graph import Graph
from common.lineage_layout import HEIGHT, Layout, layout_of, width_of
from common.lineage_page import as_page
from common.lineage_svg import as_svg, shortened, wrapped
from tests.uc4.graphs import at_random, graph, node

SEEDS = range(60)


def boxes(made: Graph, layout: Layout) -> dict[str, tuple[float, float, float, float]]:
    return {n: (x, y, x + width_of(made.nodes[n].kind), y + HEIGHT) for n, (x, y) in layout.boxes.items()}


@pytest.mark.parametrize("seed", SEEDS)
def test_no_box_lies_on_another_and_all_are_inside_the_picture(seed: int) -> None:
    made = at_random(seed)
    layout = layout_of(made)
    placed = boxes(made, layout)
    for (x0, y0, x1, y1), (u0, v0, u1, v1) in itertools.combinations(placed.values(), 2):
        assert x1 <= u0 or u1 <= x0 or y1 <= v0 or v1 <= y0
    for x0, y0, x1, y1 in placed.values():
        assert min(x0, y0) >= 0
        assert x1 <= layout.width
        assert y1 <= layout.height + 1e-6


@pytest.mark.parametrize("seed", SEEDS)
def test_no_line_goes_through_a_box(seed: int) -> None:
    made = at_random(seed)
    layout = layout_of(made)
    placed = boxes(made, layout)
    for edge, points in layout.lines.items():
        for (x, y), (to_x, to_y) in itertools.pairwise(points):
            if y == to_y:  # along a lane: level, from one side of a layer to the other
                left, right = min(x, to_x), max(x, to_x)
                for name, (x0, y0, x1, y1) in placed.items():
                    assert name in edge or not (left < x1 and x0 < right and y0 < y < y1), (edge, name)


def test_what_follows_stands_to_the_right_but_for_edges_that_close_a_circle() -> None:
    made = graph(("a", "j"), ("j", "b"), ("b", "k"), ("k", "a"), ("a", "k"), jobs="j k")
    layout = layout_of(made)
    right = {edge for edge in made.edges if layout.boxes[edge[0]][0] < layout.boxes[edge[1]][0]}
    assert right == set(made.edges) - {("k", "a")}


def test_the_same_graph_gives_the_same_picture() -> None:
    first, second = (as_svg(at_random(5), layout_of(at_random(5))) for _ in range(2))
    assert first == second


def test_an_empty_graph_is_a_picture_and_a_page_that_says_what_to_do() -> None:
    assert as_svg(Graph(), layout_of(Graph())).startswith("<svg")
    assert "No lineage yet" in as_page(Graph(), "Lineage", "")


@pytest.mark.parametrize("text", ["a-very-long-model-name-with-many-parts", "x" * 90, "raw/customers.parquet", "short"])
def test_labels_fit_their_box(text: str) -> None:
    assert all(len(line) <= 20 for line in wrapped(text, 20))
    assert len(wrapped(text, 20)) <= 2
    assert len(shortened(text, 12)) <= 12


def test_names_from_elsewhere_are_text_and_never_markup() -> None:
    bad = "</script><script>alert(1)</script>\"'<img src=x onerror=alert(2)>"
    made = Graph({bad: node(bad, title=bad, subtitle=bad)}, ())
    page = as_page(made, bad, bad, [bad])
    assert "<script>alert" not in page
    assert "<img" not in page
    assert page.count("<script") == 2


def test_the_page_loads_nothing_from_anywhere() -> None:
    page = as_page(at_random(1), "Lineage", "text")
    assert re.findall(r'(?:src|href)="', page) == []
    assert re.findall(r"https?://(?!www\.w3\.org/2000/svg)", page) == []
    assert "default-src 'none'" in page


def test_what_is_up_and_down_the_stream_is_told_apart_and_depth_counts_steps() -> None:
    made = graph(("a", "j"), ("j", "b"), ("b", "k"), ("k", "c"), ("x", "k"), jobs="j k")
    assert made.reach("b", "up") == {"b", "j", "a"}
    assert made.reach("b", "down") == {"b", "k", "c"}
    assert made.reach("a", "down", depth=1) == {"a", "j", "b"}
    assert made.reach("c", "up") == {"c", "k", "b", "x", "j", "a"}
