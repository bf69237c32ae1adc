"""Any text in a page of ours is text: no element, attribute or address beyond those of the template, and a policy."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from churn.model_card import Data, Interval, Metric, Texts, card
from common.config import load_settings
from common.lineage_graph import Graph
from common.lineage_page import as_page
from common.report import Run
from common.report_page import as_html, index_html
from common.runner import Outcome
from common.step import Section, Table
from tests.floor.toy import results, toy_02_sum
from tests.injection.corpora import ALL, HTML
from tests.injection.pages import CSP, Page, leads_to_a_script
from tests.model.test_model_card import FACTS
from tests.uc4.graphs import node
from uc5_fairness_docs.page import card_page, card_text, for_script

SETTINGS = load_settings()


def model_card(text: str) -> str:
    said = Texts(text, text, ((text, text),), text, (text,), (text,), (text,), (text,), ((text, text),), (text,), text)
    facts = replace(
        FACTS, name=text, version=text, digest=text, path=text, algorithm=text, date=text, replaced=text, label=text,
        parameters={"x": text}, inputs=[(text, text)], governance={"quality gate": text, "approved by": text},
        data=Data(text, text, text, 800, 200, (text,), text), texts=said,
        metrics=[Metric("roc_auc", 0.8, Interval(0.7, 0.9, text, 0.95), of) for of in ("", f"g: {text}")],
    )  # fmt: skip
    return card_page(card(facts), (text,))


def lineage(text: str) -> str:
    return as_page(Graph({text: node(text, title=text, subtitle=text)}, ()), text, text, [text])


def index(text: str, directory: Path) -> str:
    place = directory / "run" / "summary.json"
    place.parent.mkdir(exist_ok=True)
    said = dict.fromkeys(("run", "started", "environment"), text)
    steps = [{"state": "done"}]
    place.write_text(json.dumps({**said, "pipelines": [text], "seconds": 1.0, "exit_code": 0, "steps": steps}))
    return index_html(directory)


def report(text: str, directory: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    section = Section(
        title=text, text=text, facts=((text, text),), table=Table(columns=(text,), rows=((text,),)),
        links=((text, "https://example.org"),), pictures=((text, "s3://b/x.svg"),), pages=((text, "s3://b/x.html"),),
    )  # fmt: skip
    monkeypatch.setattr("common.report_page.code_version", lambda: "c0de")
    monkeypatch.setattr(results.Total, "sections", lambda self: (section,))
    monkeypatch.setattr(results.Total, "summary", lambda self: text)
    outcome = Outcome(toy_02_sum.run, "done", 1.0, results.Total(total=6))
    run = Run("r", ["toy"], datetime(2026, 1, 1, tzinfo=UTC), 1.0, (outcome,), 0, SETTINGS)
    return as_html(run, lambda uri: b"x", directory)


PAGES = ("model card", "lineage", "runs index", "report")


@pytest.fixture
def drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Callable[[str], str]]:
    return {
        "model card": model_card, "lineage": lineage, "runs index": partial(index, directory=tmp_path),
        "report": partial(report, directory=tmp_path, monkeypatch=monkeypatch),
    }  # fmt: skip


@pytest.mark.parametrize(
    "corpus", [HTML[::6], pytest.param((*HTML, *ALL[::3]), marks=pytest.mark.deep)], ids=["some", "all"]
)
@pytest.mark.parametrize("name", PAGES)
def test_a_page_with_any_text_in_it_has_the_elements_of_its_template(
    name: str, corpus: tuple[str, ...], drawn: dict[str, Callable[[str], str]]
) -> None:
    draw = drawn[name]
    honest = Page(draw("word"))
    assert honest.policy.startswith(CSP)
    for text in corpus:
        if not text or any("\ud800" <= each <= "\udfff" for each in text):
            continue
        page = Page(draw(text))
        assert set(page.elements) <= set(honest.elements), text
        assert without_lines(page) == without_lines(honest), text
        assert not any(map(leads_to_a_script, page.addresses)), text
        assert page.policy == honest.policy


def without_lines(page: Page) -> list[tuple[str, tuple[str, ...]]]:
    """A picture parts a long text into lines."""
    return [element for element in page.elements if element[0] not in ("text", "tspan")]


def test_no_text_ends_the_script_that_holds_a_pages_data() -> None:
    for text in filter(None, ALL):
        if not any("\ud800" <= each <= "\udfff" for each in text):
            held = for_script({"region": text, text: [text]})
            assert "<" not in held
            assert json.loads(held) == {"region": text, text: [text]}


def test_the_card_as_markdown_holds_no_element() -> None:
    for text in HTML[::4]:
        people, each = ((text, text),), (text,)
        said = Texts(text, text, people, text, each, each, each, each, people, each, text)
        facts = replace(FACTS, name=text, algorithm=text, governance={"x": text}, texts=said)
        assert Page(card_text(card(facts), ())).elements == []
