"""The card: valid, complete where there are sources, silent where there are none, and harmless to read."""

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from jsonschema import Draft7Validator

from churn.model_card import Data, Facts, Interval, Metric, Picture, Texts, card, filled, missing
from common.paths import ROOT
from uc5_fairness_docs.card_facts import governance
from uc5_fairness_docs.page import card_page, card_text

SCHEMA = json.loads((ROOT / "uc5_fairness_docs/schema/model_card.schema.json").read_text())
FACTS = Facts(
    name="churn", version="3", digest="d" * 64, path="s3://b/model.onnx", algorithm="gradient_boosting",
    date="2026-01-02", replaced="replaces v2", parameters={"max_iter": "150"}, inputs=[("age", "float32")],
    threshold=0.5, label="churned",
    data=Data("customers", "s3://b/data.parquet", "abc", 800, 200, ("gender",), "0123456789"),
    metrics=[Metric("roc_auc", 0.86, Interval(0.84, 0.88, "bootstrap", 0.95)),
             Metric("roc_auc", 0.8, Interval(0.7, 0.9, "bootstrap", 0.9), "gender: O"),
             Metric("demographic_parity_difference", 0.02, Interval(-0.01, 0.05, "Newcombe", 0.9975), "by gender", 0.1,
                    "holds")],
    governance={"quality gate": "passed", "fairness gate": "passed", "approved by": "Ada", "drift": "0.3"},
    pictures=[Picture("ROC curve", "iVBORw0KGgo=")],
    texts=Texts("Says who leaves.", "More.", (("Team", "team@example.org"),), "Apache-2.0", ("Us",), ("Calling",),
                ("Not people",), ("Some",), (("Unfair", "Measured"),), ("https://example.org",), "Us, 2026"),
)  # fmt: skip
NOTHING = replace(FACTS, date="", replaced="", parameters={}, metrics=[], governance={}, pictures=[], texts=Texts())


def errors(made: dict[str, Any]) -> list[str]:
    return [error.message for error in Draft7Validator(SCHEMA).iter_errors(made)]


@pytest.mark.parametrize("facts", [FACTS, NOTHING])
def test_the_card_is_valid_whatever_is_known(facts: Facts) -> None:
    assert errors(card(facts)) == []


def test_the_schema_does_refuse_what_is_none() -> None:
    assert errors({**card(FACTS), "approvals": []})
    assert errors({**card(FACTS), "model_details": {"name": 3}})
    assert errors({**card(FACTS), "quantitative_analysis": {"graphics": {"collection": [{"name": 3}]}}})


def test_a_card_with_every_source_misses_nothing_and_says_each_once() -> None:
    made = card(FACTS)
    assert missing(made) == ()
    assert made["model_details"]["governance"]["approved by"] == "Ada"
    assert made["quantitative_analysis"]["performance_metrics"][1] == {
        "type": "roc_auc", "value": "0.800000", "slice": "gender: O",
        "confidence_interval": {"lower_bound": "0.700000", "upper_bound": "0.900000", "method": "bootstrap",
                                "level": "0.9"},
    }  # fmt: skip
    assert filled(made) > 40


def test_what_has_no_source_is_left_out_of_the_json_and_named_on_the_page() -> None:
    made = card(NOTHING)
    gone = missing(made)
    assert {"owners", "licence", "approval", "drift", "metrics", "plots", "limitations", "training parameters"} <= set(
        gone
    )
    assert "owners" not in made["model_details"]
    for shown in (card_page(made, gone), card_text(made, gone)):
        assert ", ".join(gone) in shown
        assert "None" not in shown


def test_a_difference_above_its_limit_that_may_be_chance_is_in_the_card_and_its_badge_is_not_plainly_passed() -> None:
    gap = Metric("equalized_odds_difference", 0.283, Interval(-0.05, 0.5, "Newcombe", 0.99), "by gender", 0.1, "open")
    said = {**FACTS.governance, "fairness notes": "not certain: the hit rate of 'M' is 0.283 above that of 'O'"}
    made = card(replace(FACTS, metrics=[*FACTS.metrics, gap], governance=said))
    assert made["quantitative_analysis"]["performance_metrics"][-1].items() >= {"limit": "0.1", "state": "open"}.items()
    assert '<span class="badge open">fairness gate: passed, 1 open</span>' in card_page(made, ())
    assert '<span class="badge good">fairness gate: passed</span>' in card_page(card(FACTS), ())
    for shown in (card_page(made, ()), card_text(made, ())):
        assert "above the limit, maybe by chance" in shown
        assert "not certain: the hit rate of " in shown


def test_every_interval_says_how_it_was_computed_and_at_which_level() -> None:
    page, text = card_page(card(FACTS), ()), card_text(card(FACTS), ())
    assert "ROC AUC: bootstrap at 95 %" in page
    assert "ROC AUC: bootstrap at 90 %" in page
    for shown in (page, text):
        assert "by gender: Newcombe at 99.75 %" in shown


def test_an_approval_says_for_which_environment_it_is() -> None:
    tags = {"approved_by": "ada", "approved_for": "staging", "approved_digest": "d" * 64}
    version: Any = SimpleNamespace(tags=tags, digest="d" * 64, state="champion", gate="passed")
    report: Any = SimpleNamespace(champion=SimpleNamespace(verdict="passed", notes=()), page="s3://b/page")
    said = governance(version, report)
    assert said["approved by"] == "ada for staging"
    assert ">approved by ada for staging<" in card_page(card(replace(FACTS, governance=said)), ())
    version.tags["approved_digest"] = "e" * 64
    assert governance(version, report)["approved by"] == ""


def test_text_of_the_configuration_cannot_become_markup_or_another_row() -> None:
    made = card(replace(FACTS, texts=replace(FACTS.texts, overview="<script>alert(1)</script>", users=("a|b\n| c |",))))
    assert "<script>" not in card_page(made, ())
    assert "&lt;script&gt;" in card_page(made, ())
    text = card_text(made, ())
    assert "<script>" not in text
    assert "- a\\|b \\| c \\|" in text


def test_the_page_holds_its_plots_and_asks_nobody() -> None:
    page = card_page(card(FACTS), ())
    assert "data:image/png;base64,iVBORw0KGgo=" in page
    assert "default-src &#39;none&#39;" in page or "default-src 'none'" in page
    assert 'src="http' not in page
    assert "<link" not in page
