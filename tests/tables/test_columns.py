"""What each column of an unknown table is: features, and what is left out and why; and the proposal for a new one."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from churn.columns import choose_columns
from churn.customers import UnfitForTraining
from churn.features import FeatureColumns, as_features, as_labels
from churn.proposal import Proposal, propose
from churn.separation import separation
from common.config import load_settings
from common.postgres import Source
from tests.tables import public
from uc1_churn_prediction.measured import measure
from uc1_churn_prediction.profile_table import as_yaml

ROWS = 300
TABLE = pd.DataFrame({
    "id": [f"c{n}" for n in range(ROWS)], "RowNumber": range(1, ROWS + 1), "spend": [1.5, None, 2.25] * 100,
    "visits": [n * 7 % 101 for n in range(ROWS)], "active": [True, False, True] * 100, "plan": ["a", None, "b"] * 100,
    "note": [f"free text {n % 290}" for n in range(ROWS)], "same": "x",
    "nothing": pd.Series([None] * ROWS, dtype="str"),
    "total": [" " if n % 50 == 0 else f"{n * 1.5}" for n in range(ROWS)], "zip": [f"0{n % 30:03}" for n in range(ROWS)],
    "seen": pd.Timestamp("2026-01-01", tz="UTC"), "left": [0, 1, 0] * 100, "Visits": [1, 2, 3] * 100,
})  # fmt: skip


@pytest.fixture(autouse=True)
def own_state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MLOPS_STATE_DIR", str(tmp_path / "state"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    pq.write_table(pa.Table.from_pandas(TABLE, preserve_index=False), tmp_path / "t.parquet")
    return tmp_path / "t.parquet"


def test_inference_takes_what_can_be_learned_from_and_says_why_not_of_the_rest(path: Path) -> None:
    chosen = choose_columns(measure(path), excluded={"id": "the entity", "left": "the label"})
    assert chosen.columns == FeatureColumns(("spend", "visits", "active", "total", "Visits"), ("plan", "zip"))
    assert dict(chosen.left_out) == {
        "id": "the entity", "left": "the label", "RowNumber": "an id: another value in each row",
        "note": "an id or free text: 290 values in 300 rows", "same": "constant: one value in every row",
        "nothing": "no value at all", "seen": "a time: turn it into an age or a count in a query",
    }  # fmt: skip


def test_columns_without_any_value_of_any_type_have_none_and_say_so(tmp_path: Path) -> None:
    kinds = {"whole": pa.int64(), "real": pa.float64(), "flag": pa.bool_(), "text": pa.string(), "day": pa.date32()}
    table = {name: pa.nulls(300, kind) for name, kind in kinds.items()} | {"spend": pa.array(np.linspace(1, 90, 300))}
    pq.write_table(pa.table(table), tmp_path / "t.parquet")
    facts = measure(tmp_path / "t.parquet")
    assert [(each.nulls, each.known, each.distinct) for each in facts if each.name in kinds] == [(300, 0, 0)] * 5
    assert dict(choose_columns(facts).left_out) == dict.fromkeys(kinds, "no value at all")


def test_named_columns_are_taken_in_that_order_and_a_missing_one_is_refused_by_name(path: Path) -> None:
    facts = measure(path)
    assert choose_columns(facts, numeric=["visits"], categorical=["plan"]).columns.names == ("visits", "plan")
    with pytest.raises(UnfitForTraining, match="tenure"):
        choose_columns(facts, numeric=["tenure"])
    with pytest.raises(UnfitForTraining, match="no column to learn from"):
        choose_columns([each for each in facts if each.name == "id"], excluded={"id": "the entity"})


def test_a_feature_that_is_called_like_an_answer_is_refused(path: Path) -> None:
    facts = measure(path)
    with pytest.raises(UnfitForTraining, match="may not be called 'label'"):
        choose_columns(
            [*facts, *(f.__class__(**{**f.__dict__, "name": "label"}) for f in facts[2:3])], numeric=["label"]
        )


def test_columns_that_differ_in_case_alone_are_counted_apart(path: Path) -> None:
    facts = {each.name: each for each in measure(path)}
    assert (facts["visits"].distinct, facts["Visits"].distinct) == (101, 3)


def test_blank_texts_are_numbers_that_nobody_filled_in_and_words_are_refused() -> None:
    frame = pd.DataFrame({"x": ["1.5", " ", None, "", "2"]})
    assert as_features(frame, FeatureColumns(("x",), ()))["x"].isna().tolist() == [False, True, True, True, False]
    with pytest.raises(UnfitForTraining, match="'x' is named as numeric but holds text: \"many\""):
        as_features(pd.DataFrame({"x": ["many"]}), FeatureColumns(("x",), ()))


def test_a_whole_number_as_a_category_is_the_same_whether_its_column_has_nulls_or_not() -> None:
    columns = FeatureColumns((), ("x",))
    with_nulls = as_features(pd.DataFrame({"x": [1, None, 2]}), columns)["x"].tolist()
    assert with_nulls == ["1", "", "2"]
    assert as_features(pd.DataFrame({"x": [1, 2]}), columns)["x"].tolist() == ["1", "2"]


@pytest.mark.parametrize(
    ("values", "positive"),
    [
        (["Yes", "No"], "Yes"), (["Yes", "No"], True), (["True", "False"], "true"), ([1.0, 0.0], 1),
        (["1.0", "0.0"], 1),
        ([True, False], "yes"), (["Attrited Customer", "Existing Customer"], "Attrited Customer"),
        (["churned", "stayed"], "Churned"), ([2, 1], 2.0), ([2.0, 1.0], "2"), ([" >50K", " <=50K"], ">50K"),
    ],
)  # fmt: skip
def test_labels_are_understood_however_they_are_written(values: list[object], positive: object) -> None:
    assert as_labels(pd.Series(values), positive).tolist() == [1, 0]


def test_a_blank_label_is_no_label() -> None:
    with pytest.raises(UnfitForTraining, match="1 rows have no label"):
        as_labels(pd.Series(["Yes", "No", " "]), "Yes")


def test_a_column_that_gives_the_label_away_has_an_area_of_one_in_every_disguise() -> None:
    random = np.random.default_rng(0)
    labels = (random.random(1000) < 0.3).astype(np.int8)
    leaks = [labels * -2.0 + 5, np.where(labels, np.nan, 1.0), np.where(labels, random.random(1000) + 1, 0.5)]
    assert [separation(pd.Series(each), labels) for each in leaks] == [1.0, 1.0, 1.0]
    assert separation(pd.Series(np.where(labels, "moved away", "")), labels) == 1.0
    assert 0.45 < separation(pd.Series(random.random(1000)), labels) < 0.6
    assert separation(pd.Series([f"id {n}" for n in range(1000)]), labels) == 0.5


EXPECTED = {
    "telco": ("customerID", "Churn", "Yes"), "bank": ("CustomerId", "Exited", 1),
    "cards": ("CLIENTNUM", "Attrition_Flag", "Attrited Customer"), "marketing": (None, "y", "yes"),
    "awkward": ("Kunden Nr.", "label?", "weg"),
}  # fmt: skip


@pytest.mark.parametrize("name", EXPECTED)
def test_the_proposal_for_a_well_known_table_finds_its_id_and_its_label_and_loads_as_a_configuration(
    tmp_path: Path, name: str
) -> None:
    csv = getattr(public, name)(tmp_path / "t.csv", 400)
    frame = pd.read_csv(csv, sep=";" if name == "marketing" else ",", keep_default_na=False, na_values=[""])
    pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), tmp_path / "t.parquet")
    proposal = propose(measure(tmp_path / "t.parquet"))
    assert (proposal.entity, proposal.label, proposal.positive_label) == EXPECTED[name]
    file = tmp_path / "mine.yaml"
    file.write_text(as_yaml(Source(name), proposal, len(frame)))
    uc1 = load_settings(config_file=file).uc1
    assert (uc1.entity, uc1.label, uc1.positive_label) == EXPECTED[name]
    assert (uc1.numeric, uc1.categorical) == (proposal.columns.numeric, proposal.columns.categorical)
    assert uc1.model_name == f"{name}-predictor"
    assert set(yaml.safe_load(file.read_text())["uc1"]) >= {"table", "event_time", "ordered", "expectations"}


def proposed(tmp_path: Path, **columns: object) -> Proposal:
    table = pd.DataFrame({"spend": np.linspace(1, 90, 300), "region": ["n", "s", "w"] * 100, **columns})
    pq.write_table(pa.Table.from_pandas(table, preserve_index=False), tmp_path / "t.parquet")
    return propose(measure(tmp_path / "t.parquet"))


@pytest.mark.parametrize("name", ["EmployeeNumber", "Member No.", "emp_no", "POLICY NUM", "Kunden-Nr", "customer"])
def test_whole_numbers_that_are_called_a_number_and_come_once_each_are_an_id(tmp_path: Path, name: str) -> None:
    for numbers in (range(7, 607, 2), np.arange(7.0, 607.0, 2)):  # as of a file in which some had none
        assert proposed(tmp_path, **{name: numbers, "left": ["yes", "no", "no"] * 100}).entity == name


@pytest.mark.parametrize("name", ["piano", "Distinct Called Numbers", "Number of visits"])
def test_other_numbers_are_none(tmp_path: Path, name: str) -> None:
    found = proposed(tmp_path, **{name: range(7, 607, 2), "left": ["yes", "no", "no"] * 100})
    assert (found.entity, name in found.columns.numeric) == (None, True)


def test_a_status_that_says_of_some_that_they_are_gone_is_rather_the_label_than_any_two_values(tmp_path: Path) -> None:
    status, married = ["Stayed", "Churned", "Joined"] * 100, ["Yes", "No"] * 150
    found = proposed(tmp_path, **{"Customer Status": status, "Married": married})
    assert (found.label, found.positive_label) == ("Customer Status", "Churned")
    assert found.why["label"].endswith("the others count as no; or Married")
    assert proposed(tmp_path, Status=status, churn=married).label == "churn"
    assert (
        proposed(tmp_path, is_canceled=[0, 1, 0] * 100, Status=["Check-Out", "Canceled", "No-Show"] * 100).label
        == "is_canceled"
    )


def test_of_a_status_the_value_that_says_gone_is_meant_and_one_that_denies_it_is_no_status(tmp_path: Path) -> None:
    found = proposed(tmp_path, state=["Active", "Left trial", "Cancelled"] * 100)
    assert (found.label, found.positive_label) == ("state", "Cancelled")
    denied = proposed(tmp_path, state=["Not cancelled", "No data", "Pending"] * 100, married=["Yes", "No"] * 150)
    assert denied.label == "married"


def test_a_number_that_is_only_called_one_is_learned_from_where_there_is_an_id(tmp_path: Path) -> None:
    columns = {"id": [f"k{n}" for n in range(300)], "balance_num": range(7, 607, 2), "Visit Number": range(9, 609, 2)}
    found = proposed(tmp_path, **columns, left=["yes", "no", "no"] * 100)
    assert found.entity == "id"
    assert {"balance_num", "Visit Number"} <= set(found.columns.numeric)


def test_where_nothing_could_be_the_label_the_proposal_loads_and_says_what_is_to_be_done(tmp_path: Path) -> None:
    found = proposed(tmp_path)
    assert (found.label, found.why["label"]) == (
        None, "no column has exactly two values in every row: set it, or make one in a query"
    )  # fmt: skip
    file = tmp_path / "mine.yaml"
    file.write_text(as_yaml(Source("mine"), found, 300))
    assert load_settings(config_file=file).uc1.label is None


def test_the_order_of_incomes_is_proposed_and_unknown_has_no_place_in_it(tmp_path: Path) -> None:
    frame = pd.read_csv(public.cards(tmp_path / "t.csv", 400))
    pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), tmp_path / "t.parquet")
    assert propose(measure(tmp_path / "t.parquet")).ordered["Income_Category"] == public.INCOMES
