"""The pages in a real browser: move the threshold, and read what changed."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from churn.fairness import count_by_group, judge
from churn.features import as_features, as_labels
from churn.model import onnx_probabilities
from common.config import load_settings
from tests.uc2.world import COLUMNS, people, trained
from tests.uc5.browser import browser, missing, open_page
from uc5_fairness_docs.analysis import analysed, judged
from uc5_fairness_docs.holdout import Holdout, grouped
from uc5_fairness_docs.page import fairness_page
from uc5_fairness_docs.subjects import Subject

pytestmark = pytest.mark.skipif(bool(missing()), reason=f"the pages need a browser: {missing()}")


@pytest.fixture(scope="module")
def holdout() -> Holdout:
    """The sample's people; with the first of them for those who were trained on."""
    import numpy as np

    frame = people()
    held = np.arange(len(frame)) >= 800
    tools: Any = SimpleNamespace(settings=load_settings())
    groupings, groups = grouped(tools, frame, held)
    labels = as_labels(frame["churned"], True)[held]
    return Holdout(frame[held].reset_index(drop=True), labels, groups, groupings, 800)


@pytest.fixture(scope="module")
def page(holdout: Holdout, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of both models, as step 1 makes it."""
    path = tmp_path_factory.mktemp("page") / "fairness.html"
    path.write_text(fairness_page(analysis(holdout)))
    return path


def analysis(holdout: Holdout, **settings_of_uc5: Any) -> dict[str, Any]:
    """What step 1 finds in both models."""
    said = {"data_uri": "s3://b/</script><b>data.parquet"}
    versions = [
        SimpleNamespace(
            version=str(n + 1),
            digest=model.digest,
            algorithm=model.algorithm,
            state=("champion", "proposed")[n],
            tags=said,
        )
        for n, model in enumerate(trained())
    ]
    subjects: Any = tuple(
        Subject(version, COLUMNS, 0.5, model.files["model.onnx"])  # type: ignore[arg-type]
        for version, model in zip(versions, trained(), strict=True)
    )
    settings = load_settings()
    settings = settings.model_copy(update={"uc5": settings.uc5.model_copy(update=settings_of_uc5)})
    verdicts = tuple(judged(settings, subject, holdout) for subject in subjects)
    return analysed(settings, subjects, holdout, verdicts)


@pytest.fixture(scope="module")
def driver() -> Iterator[Any]:
    with browser() as running:
        yield running


@pytest.fixture
def opened(driver: Any, page: Path) -> Any:
    open_page(driver, page)
    return driver


def text(driver: Any, css: str) -> str:
    return str(driver.execute_script("return document.querySelector(arguments[0]).firstChild.textContent", css))


def slide(driver: Any, css: str, value: float) -> None:
    """Move a slider as a finger does: its value, then the event."""
    driver.execute_script(
        "const it = document.querySelector(arguments[0]); it.value = arguments[1];"
        "it.dispatchEvent(new Event('input', {bubbles: true}))", css, value,
    )  # fmt: skip


def click(driver: Any, css: str) -> None:
    driver.execute_script("document.querySelector(arguments[0]).click()", css)


def differences(holdout: Holdout, threshold: float) -> dict[str, float]:
    """What Python says of the baseline at a threshold, by gender."""
    scores = onnx_probabilities(_session(), as_features(holdout.frame, COLUMNS))
    counted = count_by_group(holdout.labels, scores >= threshold, holdout.groups["gender"])
    limits = {"gender": {"demographic_parity": 1.0, "equalized_odds": 1.0}}
    return {gap.criterion: gap.value for gap in judge({"gender": counted}, limits, confidence=0.95)}


def _session() -> Any:
    from churn.model import session

    return session(trained()[0].files["model.onnx"])


def test_the_page_opens_without_a_complaint_and_its_models_answer_as_the_served_files_do(opened: Any) -> None:
    body = opened.find_element("tag name", "body")
    assert body.get_attribute("data-ready") == "yes"
    assert float(body.get_attribute("data-apart0")) < 1e-5
    assert float(body.get_attribute("data-apart1")) < 1e-5


@pytest.mark.parametrize("threshold", [0.5, 0.25, 0.105])
def test_moving_the_threshold_shows_the_differences_that_python_computes(
    opened: Any, holdout: Holdout, threshold: float
) -> None:
    slide(opened, "#threshold", threshold * 200)
    assert text(opened, "#threshold-value") == f"{threshold:.3f}"
    said = differences(holdout, threshold)
    assert float(text(opened, "#gap-demographic_parity")) == pytest.approx(said["demographic_parity"], abs=6e-4)
    assert float(text(opened, "#gap-equalized_odds")) == pytest.approx(said["equalized_odds"], abs=6e-4)


def test_an_open_difference_says_so_without_covering_its_number(driver: Any, holdout: Holdout, tmp_path: Path) -> None:
    found = analysis(holdout, max_equalized_odds_difference=0.01, limits={})
    assert "open" in {gap["state"] for gap in found["models"][0]["gaps"]}
    (tmp_path / "page.html").write_text(fairness_page(found))
    open_page(driver, tmp_path / "page.html")
    assert "passed" in text(driver, "h1 .badge.open")
    covered = """
    const box = (each, css) => each.querySelector(css).getBoundingClientRect();
    const meet = (one, other) => one.left < other.right && other.left < one.right
      && one.top < other.bottom && other.top < one.bottom;
    const all = [...document.querySelectorAll(".verdict")];
    return all.filter(each => meet(box(each, ".value"), box(each, ".badge"))).length"""
    assert driver.execute_script(covered) == 0


def test_a_lower_threshold_finds_more_of_those_who_leave_and_says_yes_to_more(opened: Any) -> None:
    found, selected = text(opened, "#found"), text(opened, "#selected")
    slide(opened, "#threshold", 40)
    assert float(text(opened, "#found").rstrip(" %")) > float(found.rstrip(" %"))
    assert int(text(opened, "#selected").replace(",", "")) > int(selected.replace(",", ""))


def test_one_groups_own_threshold_moves_that_group_alone(opened: Any) -> None:
    def rates() -> list[str]:
        cells = opened.find_elements("css selector", "#groups .rates span[data-rate=selection_rate]")
        return [cell.text.split("\n")[0] for cell in cells]

    before = rates()
    slide(opened, "input[data-group=M]", 10)
    after = rates()
    assert (after[0], after[2]) == (before[0], before[2])
    assert after[1] != before[1]
    assert text(opened, "#threshold-value") == "per group"


@pytest.mark.parametrize("criterion", ["demographic_parity", "equal_opportunity", "equalized_odds"])
def test_a_criterions_button_finds_thresholds_that_nearly_meet_it(opened: Any, criterion: str) -> None:
    click(opened, "#slicings button[data-value=age]")
    click(opened, f"button[data-strategy={criterion}]")
    assert float(text(opened, f"#gap-{criterion}")) <= (0.05 if criterion == "equalized_odds" else 0.015)


def test_the_cheapest_threshold_falls_as_a_miss_costs_more(opened: Any) -> None:
    click(opened, "button[data-strategy=together]")
    slide(opened, "#ratio", 1)
    dear = float(text(opened, "#threshold-value"))
    slide(opened, "#ratio", 15)
    assert float(text(opened, "#threshold-value")) < dear


def test_changing_a_customer_changes_the_answer_and_undoing_brings_it_back(opened: Any) -> None:
    before = text(opened, "b[data-score='1']")
    slide(opened, "input[data-feature=support_tickets]", 12)
    assert text(opened, "b[data-score='1']") != before
    click(opened, "#undo")
    assert text(opened, "b[data-score='1']") == before


# Every change of a number that is said to turn a decision: whether it does, and whether it does one step before.
TURNS = """
return DATA.cases.flatMap((_, i) => {
  choose(i);
  const says = values => scoreOf(0, values) >= threshold(0), first = says(state.values);
  return changesThatTurn().flatMap(({ name, here, to }) => {
    const { kind, whole, range, grid } = DATA.features.find(each => each.name === name);
    if (kind !== "number" || here === null) return [];
    const before = to - Math.sign(to - here) * (whole ? 1 : (range[1] - range[0]) / 5e3);
    const keeps = (here - before) * Math.sign(to - here) >= 0 || says({ ...state.values, [name]: before }) === first;
    const turns = says({ ...state.values, [name]: to }) !== first;
    return [{ turns, keeps, beyond: to < grid[0] || to > grid[grid.length - 1] }];
  });
});
"""


def test_a_change_that_turns_a_decision_is_the_nearest_between_the_values_tried_and_the_ends_are_tried(
    opened: Any,
) -> None:
    found = opened.execute_script(TURNS)
    assert len(found) > 20
    assert all(each["turns"] and each["keeps"] for each in found)
    assert any(each["beyond"] for each in found)
    assert "of the values tried" in opened.find_element("css selector", "#what-if").text.lower()


def test_where_people_are_left_out_nobody_of_the_table_is_on_the_page_and_it_says_so_and_works(
    driver: Any, holdout: Holdout, tmp_path: Path
) -> None:
    found = analysis(holdout, show_people=False)
    inputs = [*COLUMNS.names]
    real = {tuple(row) for row in as_features(holdout.frame, COLUMNS)[inputs].astype(object).to_numpy().tolist()}
    assert not real & {tuple(case["values"][name] for name in inputs) for case in found["cases"]}
    assert {(case["label"], case["nearest"], len(case["groups"])) for case in found["cases"]} == {(None, None, 0)}
    (tmp_path / "page.html").write_text(fairness_page(found))
    open_page(driver, tmp_path / "page.html")
    assert text(driver, "#who").startswith("Made-up customer 1 of 60")
    assert text(driver, "#nearest").startswith("Left out")
    assert float(driver.find_element("tag name", "body").get_attribute("data-apart1")) < 1e-5
    before = text(driver, "b[data-score='1']")
    slide(driver, "input[data-feature=support_tickets]", 12)
    assert text(driver, "b[data-score='1']") != before


def test_small_groups_say_so_and_crossed_ones_are_there(opened: Any) -> None:
    click(opened, "#slicings button[data-value^='gender ×']")  # noqa: RUF001
    rows = opened.find_elements("css selector", "#groups .group")
    assert len(rows) == 12
    marked = {row.text.split("\n")[0]: "small" in row.text for row in rows}
    rows_of = {row.text.split("\n")[0]: int(row.text.split("\n")[1].split(" rows")[0].replace(",", "")) for row in rows}
    assert marked == {name: count < 200 for name, count in rows_of.items()}
    assert set(marked.values()) == {True, False}


def test_on_a_phone_nothing_is_wider_than_the_screen(opened: Any) -> None:
    metrics = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
    opened.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        assert opened.execute_script("return document.documentElement.scrollWidth") <= 390
    finally:
        opened.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
