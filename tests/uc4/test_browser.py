"""The page in a real browser: a person looks for something, follows it up and down, and reads what is known of it."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from common.lineage_graph import Graph
from common.lineage_page import as_page
from tests.uc4.graphs import graph, node

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="chromium and chromedriver are not installed")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--window-size=1400,800",
)  # fmt: skip


def stream() -> Graph:
    made = graph(("table", "load"), ("load", "snapshot"), ("snapshot", "train"), ("train", "model"),
                 ("snapshot", "check"), ("check", "docs"), jobs="load train check")  # fmt: skip
    snapshot = node("snapshot", subtitle="objects · 7 rows")
    facts, columns = (("version", "d1"), ("note", "<b>bold?</b>")), (("id", "int64"),)
    told = type(snapshot)(
        **{**vars(snapshot), "facts": facts, "columns": columns, "checks": (("id: unique", "holds"),)}
    )
    return Graph({**made.nodes, "snapshot": told}, made.edges)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM or ""
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    try:
        yield driver
    finally:
        driver.quit()


@pytest.fixture
def page(browser: Any, tmp_path: Path) -> Any:
    file = tmp_path / "lineage.html"
    file.write_text(as_page(stream(), "Lineage of table", "If table changes: model.", ["table"]))
    browser.get(file.as_uri())
    return browser


def lit(page: Any) -> set[str]:
    return set(page.execute_script("return [...document.querySelectorAll('g.node.on')].map(g => g.dataset.id)"))


def click(page: Any, name: str) -> None:
    page.find_element("css selector", f"g.node[data-id='{name}'] .box").click()


def scale(page: Any) -> float:
    return float(
        page.execute_script("return new DOMMatrix(getComputedStyle(document.querySelector('.view')).transform).a")
    )


def test_a_click_lights_the_way_up_and_down_and_leaves_the_rest_in_the_dark(page: Any) -> None:
    click(page, "train")
    assert lit(page) == {"table", "load", "snapshot", "train", "model"}
    page.find_element("css selector", "[data-way=up]").click()
    assert lit(page) == {"table", "load", "snapshot", "train"}
    page.find_element("css selector", "[data-way=down]").click()
    assert lit(page) == {"train", "model"}


def test_a_click_shows_what_is_known_as_text(page: Any) -> None:
    click(page, "snapshot")
    about = page.find_element("id", "about").text
    for said in ("snapshot", "d1", "<b>bold?</b>", "int64", "id: unique", "holds", "made from", "goes into"):
        assert said in about, said


def test_search_finds_by_a_part_of_the_name_and_goes_there(page: Any) -> None:
    from selenium.webdriver.common.keys import Keys

    page.find_element("id", "search").send_keys("MOD", Keys.ENTER)
    assert page.find_element("css selector", "#about h2").text == "model"
    assert lit(page) == {"table", "load", "snapshot", "train", "model"}
    page.find_element("tag name", "body").send_keys(Keys.ESCAPE)
    assert lit(page) == set()
    assert page.find_element("id", "start").is_displayed()


def test_the_picture_comes_closer_and_goes_back_to_fit(page: Any) -> None:
    before = scale(page)
    page.find_element("id", "closer").click()
    assert scale(page) > before
    page.find_element("id", "fit").click()
    assert scale(page) == pytest.approx(before)


def test_no_label_leaves_its_box_and_no_label_lies_on_another(page: Any) -> None:
    boxes = page.execute_script(
        "return [...document.querySelectorAll('g.node')].map(g => {"
        " const r = e => { const b = e.getBoundingClientRect();"
        " return [b.left, b.top, b.right, b.bottom]; }; return [r(g.querySelector('.box')),"
        " [...g.querySelectorAll('text')].map(r)]; })"
    )
    for (left, top, right, bottom), texts in boxes:
        for x0, y0, x1, y1 in texts:
            assert left <= x0
            assert x1 <= right
            assert top <= y0
            assert y1 <= bottom + 0.5


def test_the_page_runs_without_an_error_and_asks_nobody_for_anything(page: Any) -> None:
    click(page, "model")
    assert [entry for entry in page.get_log("browser") if entry["level"] == "SEVERE"] == []
    assert page.execute_script("return performance.getEntriesByType('resource').length") == 0
