"""Step 3: what does not hold is named with its customers, after the pages are out; a warning stops nothing."""

import datetime as dt
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from common.digest import digest_of_parquet, sha256_of
from common.errors import ExitCode, InvalidData
from common.settings import Settings
from common.settings_uc1 import Uc1
from common.tools import Tools
from uc1_churn_prediction import uc1_03_data_validation_ge as validation
from uc1_churn_prediction import validation as pages
from uc1_churn_prediction.expectations import suite_of
from uc1_churn_prediction.results import ROW_NUMBER, Check, Column, RawCustomers, ValidCustomers
from uc1_churn_prediction.validation import _raised
from uc1_churn_prediction.validation import validate as pages_of

pytestmark = pytest.mark.usefixtures("own_state")
MADE = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)
UC1 = Uc1.model_validate({
    "table": "people", "entity": "who", "label": "left", "positive_label": "yes", "event_time": "seen",
    "numeric": ["age", "spend"], "categorical": ["plan"],
    "expectations": {"min_rows": 50, "max_null_share": 0.05, "required": ["plan"], "ranges": {"age": [18, 99]},
                     "sets": {"plan": ["basic", "pro"]}},
})  # fmt: skip


def people() -> pd.DataFrame:
    """100 people about whom nothing is wrong."""
    rows = range(100)
    return pd.DataFrame({
        "who": [1000 + row for row in rows], "age": [20 + row % 60 for row in rows],
        "spend": [row / 7 for row in rows], "plan": ["basic" if row % 3 else "pro" for row in rows],
        "seen": pd.Timestamp("2026-01-01", tz="UTC"), "left": ["yes" if row % 4 == 0 else "no" for row in rows],
    })  # fmt: skip


@pytest.fixture
def tools(own_settings: Settings) -> Tools:
    return Tools(own_settings.model_copy(update={"uc1": UC1}))


def snapshot_of(frame: pd.DataFrame, tools: Tools, where: Path) -> RawCustomers:
    """The frame as step 1 would have published it."""
    path = where / "people.parquet"
    table = pa.Table.from_pandas(frame, preserve_index=False)
    pq.write_table(table, path, coerce_timestamps="us")
    digest = digest_of_parquet(path)
    stored = tools.minio.publish(f"raw/people/{digest}.parquet", path, {"digest": digest})
    columns = tuple(Column(name=field.name, type=str(field.type)) for field in pq.read_schema(path))
    return RawCustomers(
        table="people", uri=stored.uri, digest=digest, sha256=sha256_of(path), rows=len(frame),
        size_bytes=path.stat().st_size, columns=columns, entity="who", label="left", event_time="seen",
    )  # fmt: skip


def validate(frame: pd.DataFrame, tools: Tools, where: Path) -> ValidCustomers:
    result = validation.run(tools, snapshot_of(frame, tools, where))
    assert isinstance(result, ValidCustomers)
    return result


def refusal(frame: pd.DataFrame, tools: Tools, where: Path) -> InvalidData:
    with pytest.raises(InvalidData) as raised:
        validate(frame, tools, where)
    assert raised.value.exit_code == ExitCode.BAD_DATA
    return raised.value


def test_a_sound_snapshot_passes_every_check_and_has_pages(tools: Tools, tmp_path: Path) -> None:
    valid = validate(people(), tools, tmp_path)
    assert [check for check in valid.checks if not check.success] == []
    page = tools.minio.get_bytes(tools.minio.key(valid.data_docs)).decode()
    assert "people" in page


def broken(frame: pd.DataFrame, column: str, rows: dict[int, Any]) -> pd.DataFrame:
    values = list(frame[column])
    for row, value in rows.items():
        values[row] = value
    return frame.assign(**{column: values})


def with_wrong_values() -> pd.DataFrame:
    frame = broken(people(), "age", {3: 17, 7: 200})
    frame = broken(frame, "plan", {5: "gold", 9: None})
    frame = broken(frame, "left", {2: None})
    return broken(frame, "seen", {4: None})


BREAKS = {
    "values": (with_wrong_values(), [
        "column age is between 18 and 99 (2 rows: who 1003, 1007)",
        "column plan is one of basic, pro (1 rows: who 1005)",
        "column plan has no nulls (1 rows: who 1009)", "column left has no nulls (1 rows: who 1002)",
        "column seen has no nulls (1 rows: who 1004)",
    ]),
    "identity": (broken(people(), "who", {1: 1000, 2: None}), [
        "column who is unique (2 rows: who 1000, 1000)", "column who has no nulls (1 rows: who None)",
    ]),
    "one class": (people().assign(left="yes"), ["column left has both classes (found 1)"]),
    "few rows of another class": (people().head(49).replace({"left": {"yes": "maybe"}}), [
        "column left has the positive class 'yes'", "at least 50 rows (found 49)",
    ]),
    "columns": (people().drop(columns=["plan", "left"]), ["column plan exists", "column left exists"]),
}  # fmt: skip


@pytest.mark.parametrize("case", BREAKS)
def test_what_is_broken_is_named_with_its_customers(case: str, tools: Tools, tmp_path: Path) -> None:
    frame, expected = BREAKS[case]
    error = refusal(frame, tools, tmp_path)
    counted, _, said = error.message.partition(" of people: ")
    assert sorted(said.rstrip(".").split("; ")) == sorted(expected)
    assert counted == f"{len(expected)} critical expectation{'s do' if len(expected) > 1 else ' does'} not hold"


def test_the_pages_are_out_before_the_refusal_and_name_the_customer(tools: Tools, tmp_path: Path) -> None:
    error = refusal(broken(people(), "plan", {3: "gold"}), tools, tmp_path)
    uri = error.hint.removeprefix("Data Docs: ")
    pages = [each.key for each in tools.minio.list(tools.minio.key(uri).removesuffix("index.html"))]
    (page,) = [key for key in pages if "/validations/" in key]
    assert "1003" in tools.minio.get_bytes(page).decode()


def test_of_many_customers_twenty_are_kept_and_the_rest_counted(tools: Tools, tmp_path: Path) -> None:
    from uc1_churn_prediction import validation as ge

    raw = snapshot_of(people().assign(age=5), tools, tmp_path)
    checks, _ = ge.validate(tmp_path / "people.parquet", raw, suite_of(UC1, raw, MADE), MADE)
    (check,) = [check for check in checks if not check.success]
    assert (check.unexpected, len(check.examples), check.examples[0]) == (100, 20, "1000")


def test_a_warning_is_reported_and_stops_nothing(tools: Tools, tmp_path: Path) -> None:
    valid = validate(broken(people(), "spend", dict.fromkeys(range(6))), tools, tmp_path)
    (warning,) = [check for check in valid.checks if not check.success]
    assert (warning.severity, warning.column, warning.name) == ("warning", "spend", "has at most 5% nulls")
    assert (warning.unexpected, warning.examples[:2]) == (6, ("1000", "1001"))


def test_rows_from_the_future_are_an_error_only_against_a_named_time(tools: Tools, tmp_path: Path) -> None:
    frame = broken(people(), "seen", {8: pd.Timestamp("2200-01-01", tz="UTC")})
    valid = validate(frame, tools, tmp_path)
    assert [(check.column, check.severity) for check in valid.checks if not check.success] == [("seen", "warning")]
    tools.settings = tools.settings.model_copy(update={"uc1": UC1.model_copy(update={"as_of": MADE})})
    assert "column seen is not in the future (1 rows: who 1008)" in refusal(frame, tools, tmp_path).message


def test_the_same_snapshot_has_the_same_pages_and_another_has_others(tools: Tools, tmp_path: Path) -> None:
    first, again = (validate(people(), tools, tmp_path) for _ in range(2))
    other = validate(people().head(90), tools, tmp_path)
    assert first.data_docs == again.data_docs != other.data_docs
    assert len({each.key.split("/")[1] for each in tools.minio.list("data-docs/")}) == 2


def test_checks_come_in_the_order_of_the_suite(tools: Tools, tmp_path: Path) -> None:
    valid = validate(people(), tools, tmp_path)
    suite = suite_of(UC1, valid.raw, MADE)
    held = [(check.name, check.column) for check in valid.checks]
    assert held[:-1] == [(each.name, each.column) for each in suite]
    assert held[-1] == ("no feature alone tells the classes apart (ROC AUC below 0.99)", "")
    assert len({(each.kind, each.column, str(each.arguments)) for each in suite}) == len(suite), "each once"


@pytest.mark.parametrize(
    ("info", "said"),
    [
        ({"raised_exception": False, "exception_message": None}, ""),
        ({"raised_exception": True, "exception_message": "no such metric"}, "no such metric"),
        ({"MetricConfigurationID(x)": {"exception_message": "no column", "exception_traceback": "..."}}, "no column"),
    ],
)
def test_an_expectation_that_raised_is_told_in_either_shape(info: dict[str, Any], said: str) -> None:
    assert _raised(info) == said


def test_a_check_says_whom_it_is_about() -> None:
    check = Check(
        name="is unique", column="id", severity="critical", success=False, unexpected=6, examples=tuple("abcdef")
    )
    assert validation._sentence(check, "id") == "column id is unique (6 rows: id a, b, c, d, e, ...)"


def test_in_parts_of_one_column_each_the_checks_are_those_of_the_whole(
    tools: Tools, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = people()
    frame.loc[3:9, "age"], frame.loc[5:60, "spend"] = 999, None
    raw = snapshot_of(frame, tools, tmp_path)
    suite = suite_of(UC1, raw, MADE)
    whole, _ = pages_of(tmp_path / "people.parquet", raw, suite, MADE)
    monkeypatch.setattr(pages, "CELLS_AT_ONCE", 1)
    assert len(pages.column_groups(raw, suite)) == 6
    parts, directory = pages_of(tmp_path / "people.parquet", raw, suite, MADE)
    assert parts == whole
    assert len(list(directory.rglob("validations/**/*.html"))) == 1
    assert any(check.unexpected == 7 and check.examples[0] == "1003" for check in parts)


def test_what_is_wrong_in_more_rows_than_anybody_reads_is_counted_alike_and_takes_less_of_the_page(
    tools: Tools, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = snapshot_of(people().assign(age=5), tools, tmp_path)
    suite = suite_of(UC1, raw, MADE)

    def seen() -> tuple[Any, str]:
        checks, directory = pages_of(tmp_path / "people.parquet", raw, suite, MADE)
        (page,) = directory.rglob("validations/**/*.html")
        return checks, page.read_text()

    whole, page = seen()
    monkeypatch.setattr(pages, "LISTED_WRONG", 99)
    counted, shorter = seen()
    assert counted == whole
    assert ("1000, 1001, 1002" in page, "1000, 1001, 1002" in shorter) == (True, False)


def test_where_every_row_is_wrong_they_are_counted_and_a_few_are_named(tools: Tools, tmp_path: Path) -> None:
    said = refusal(people().assign(age=-1), tools, tmp_path).message
    assert "age is between 18 and 99 (100 rows: who 1000, 1001, 1002, 1003, 1004, ...)" in said


@pytest.mark.parametrize(("positive", "values"), [(True, ["Yes", "No"]), ("Yes", [1, 0]), (1, [1.0, 0.0])])
def test_the_positive_class_is_found_however_it_is_written(
    own_settings: Settings, tmp_path: Path, positive: Any, values: list[Any]
) -> None:
    tools = Tools(own_settings.model_copy(update={"uc1": UC1.model_copy(update={"positive_label": positive})}))
    frame = people().assign(left=[values[row % 4 > 0] for row in range(100)])
    assert [check.name for check in validate(frame, tools, tmp_path).checks if not check.success] == []


def test_a_label_of_one_class_and_a_blank_one_are_refused_and_a_third_class_is_a_warning(
    tools: Tools, tmp_path: Path
) -> None:
    assert "left has both classes (found 1)" in refusal(people().assign(left="yes"), tools, tmp_path).message
    blank = people()
    blank.loc[7, "left"] = " "
    assert "left is never blank (1 rows: who 1007)" in refusal(blank, tools, tmp_path).message
    blank.loc[7, "left"] = "perhaps"
    broken = [check for check in validate(blank, tools, tmp_path).checks if not check.success]
    assert [(check.name, check.severity) for check in broken] == [("has two classes and no third (found 3)", "warning")]


def test_a_feature_that_gives_the_label_away_is_a_warning_that_names_it(tools: Tools, tmp_path: Path) -> None:
    frame = people()
    frame["spend"] = [1000.0 if left == "yes" else 1.0 for left in frame["left"]]
    broken = [check for check in validate(frame, tools, tmp_path).checks if not check.success]
    assert [(check.column, check.severity) for check in broken] == [("spend", "warning")]
    assert "does not give the label away (alone it has ROC AUC 1.000" in broken[0].name


def test_rows_without_an_id_are_named_by_their_number(tools: Tools, tmp_path: Path) -> None:
    frame = people().drop(columns="who")
    frame.loc[4, "age"] = 999
    raw = snapshot_of(frame, tools, tmp_path).model_copy(update={"entity": ROW_NUMBER})
    with pytest.raises(InvalidData, match=r"age is between 18 and 99 \(1 rows: row number 4\)"):
        validation.run(tools, raw)


def test_a_number_that_has_become_text_is_refused_by_its_name(tools: Tools, tmp_path: Path) -> None:
    said = refusal(people().assign(age="about forty"), tools, tmp_path).message
    assert "column age is between 18 and 99 (could not be evaluated" in said
    assert "Traceback" not in said


def test_nan_infinity_and_1e308_stop_nobody_where_no_range_forbids_them(tools: Tools, tmp_path: Path) -> None:
    frame = people()
    frame.loc[0:2, "spend"] = [float("nan"), float("inf"), 1e308]
    assert [check.name for check in validate(frame, tools, tmp_path).checks if not check.success] == []
