"""`embedded load`: a file becomes a table, whole or not at all; each type is one that every value has."""

import datetime as dt
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from common.errors import InvalidData, UsageError
from embedded.load import refuse_name
from tests.tables import public
from tests.tables.conftest import Loader


def types(loaded: object) -> dict[str, str]:
    return {column.name: column.postgres for column in loaded.columns}  # type: ignore[attr-defined]


def notes(loaded: object) -> dict[str, str]:
    return {column.name: column.note for column in loaded.columns}  # type: ignore[attr-defined]


def test_blank_texts_and_words_for_missing_become_null_in_columns_of_numbers_only(loader: Loader) -> None:
    loaded = loader.text("total,word\n29.85,NA\n ,x\nNA,\n1e3,y\n")
    assert loader.rows(loaded) == [(29.85, "NA"), (None, "x"), (None, None), (1000.0, "y")]
    assert "1 blank texts became NULL" in notes(loaded)["total"]
    assert "1 values such as 'NA' became NULL" in notes(loaded)["total"]


def test_each_column_gets_the_narrowest_type_that_every_value_has(loader: Loader) -> None:
    loaded = loader.text(
        "whole,real,flag,day,moment,zoned,german,us\n"
        "1,1.5,True,2020-01-31,2020-01-31 10:00,2020-01-31T10:00:00+02:00,31.01.2020,01/31/2020\n"
        "-2,2,false,2020-02-01,2020-02-01 11:30:15.5,2020-02-01 00:00:00Z,01.02.2020,02/01/2020\n"
    )
    assert list(types(loaded).values()) == ["bigint", "double precision", "boolean", "date", "timestamp", "timestamptz",
                                            "date", "date"]  # fmt: skip
    first = loader.rows(loaded)[0]
    assert first[5] == dt.datetime(2020, 1, 31, 8, tzinfo=dt.UTC)
    assert (first[6], first[7]) == (dt.date(2020, 1, 31), dt.date(2020, 1, 31))


def test_codes_with_leading_zeros_and_numbers_beyond_64_bits_stay_text(loader: Loader) -> None:
    loaded = loader.text("code,big\n007,12345678901234567890\n100,1\n")
    assert types(loaded) == {"code": "text", "big": "text"}
    assert loader.rows(loaded)[0] == ("007", "12345678901234567890")


def test_mixed_date_formats_stay_text_and_row_and_column_are_named(loader: Loader) -> None:
    loaded = loader.text("when,either\n2020-01-01,01/02/2020\n31/12/2020,03/04/2020\n")
    assert types(loaded) == {"when": "text", "either": "text"}
    assert "more than one format, row 1 has '2020-01-01', row 2 has '31/12/2020'" in notes(loaded)["when"]
    assert "its dates fit %d/%m/%Y and %m/%d/%Y" in notes(loaded)["either"]


def test_one_word_among_numbers_is_named_with_its_row(loader: Loader) -> None:
    loaded = loader.text("x\n" + "1\n" * 20 + "abc\n")
    assert notes(loaded)["x"] == "kept as text: numbers, but row 21 has 'abc'"


def test_names_stay_as_they_are_and_long_ones_are_cut_apart(loader: Loader) -> None:
    long = "x" * 70
    loaded = loader.text(f'"a ""b""",select,naïve,名前,it\'s,Age,age,{long}1,{long}2\n1,2,3,4,5,6,7,8,9\n')
    names = list(types(loaded))
    assert names[:7] == ['a "b"', "select", "naïve", "名前", "it's", "Age", "age"]
    assert all(len(name) == 63 for name in names[7:])
    assert names[7] != names[8]
    assert loader.rows(loaded) == [tuple(range(1, 10))]
    assert any(f"column {long}1 is called {names[7]}" in note for note in loaded.notes)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found_and_quotes_hold_what_is_in_them(loader: Loader, delimiter: str) -> None:
    row = delimiter.join(['"x, y; z"', '"a\nb"', '"q""q"'])
    assert loader.rows(loader.text(f"a{delimiter}b{delimiter}c\n{row}\n")) == [("x, y; z", "a\nb", 'q"q')]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
def test_other_encodings_are_read(loader: Loader, encoding: str) -> None:
    assert loader.rows(loader.text("größe\nÉté\n".encode(encoding)))[0] == ("Été",)


def test_a_load_again_replaces_and_one_that_fails_leaves_the_table_as_it_was(loader: Loader, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a\n1\n")
    loaded = loader.file(path, "again and again")
    path.write_text("b,c\n2,x\n3,y\n")
    assert loader.rows(loader.file(path, "again and again")) == [(2, "x"), (3, "y")]
    path.write_text("b,c\n2,x\n3\n")
    with pytest.raises(InvalidData, match="broken on line 3: it has 1 values where the header names 2 columns"):
        loader.file(path, "again and again")
    assert loader.rows(loaded) == [(2, "x"), (3, "y")]
    assert loader.sql("SELECT relname FROM pg_class WHERE relname LIKE 'load\\_%'") == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"), (b" \n\n", "is empty"), (b"a,b\n", "has a header and no rows"),
        (b"<!DOCTYPE html><html></html>", "is a web page"), (b"\n <html>", "is a web page"),
        (b"PK\x03\x04", "is a ZIP archive or a workbook"), (b"\x1f\x8b\x08", "is compressed"),
        (b"PAR1", "is not a whole parquet file"), (b"a\n\x00\n", "zero bytes"), (b"a,a\n1,2\n", "more than one column"),
        (b"a,b\n1,2,3\n", "broken on line 2"),
        (",".join(f"x{n}" for n in range(2000)).encode() + b"\n", "2,000 columns"),
    ],
)  # fmt: skip
def test_what_is_no_table_is_refused_in_one_sentence(loader: Loader, content: bytes, said: str) -> None:
    with pytest.raises(InvalidData) as raised:
        loader.text(content)
    assert said in raised.value.message
    assert "\n" not in raised.value.message
    assert int(raised.value.exit_code) == 65


@pytest.mark.parametrize("kept", [0.3, 0.9])
def test_html_and_a_truncated_file_under_a_parquet_name_are_refused(
    loader: Loader, tmp_path: Path, kept: float
) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"a": list(range(10_000))}), path)
    whole = path.read_bytes()
    with pytest.raises(InvalidData, match="not a whole parquet file"):
        loader.text(whole[: int(len(whole) * kept)], "cut.parquet")
    with pytest.raises(InvalidData, match="web page"):
        loader.text("<html>not found</html>", "page.parquet")


def test_a_parquet_file_keeps_the_types_that_it_says(loader: Loader, tmp_path: Path) -> None:
    table = pa.table({
        "Id": pa.array([1, 2], pa.int32()), "id": pa.array([1.5, None]), "t": pa.array(["a", None]),
        "at": pa.array([dt.datetime(2020, 1, 1, tzinfo=dt.UTC)] * 2, pa.timestamp("us", "UTC")),
        "tags": pa.array([["x"], []]), "ok": pa.array([True, False]), "d": pa.array([dt.date(2020, 1, 1)] * 2),
    })  # fmt: skip
    pq.write_table(table, tmp_path / "t.parquet")
    loaded = loader.file(tmp_path / "t.parquet")
    assert list(types(loaded).values()) == ["integer", "double precision", "text", "timestamptz", "text", "boolean",
                                            "date"]  # fmt: skip
    assert loader.rows(loaded)[1][:3] == (2, None, None)


@pytest.mark.deep
def test_a_row_that_is_too_wide_for_a_page_is_refused_in_one_sentence(loader: Loader) -> None:
    names, values = (",".join(each) for each in zip(*((f"x{n}", "1.5") for n in range(1100)), strict=True))
    with pytest.raises(InvalidData, match="wider than the 8 kB"):
        loader.text(f"{names}\n{values}\n")


@pytest.mark.parametrize("table", ["", "x" * 64, "customers", "customers_latest"])
def test_names_that_no_table_may_have_are_refused(table: str) -> None:
    with pytest.raises(UsageError):
        refuse_name(table)


def test_telco_totals_are_numbers_though_some_are_blank(loader: Loader, tmp_path: Path) -> None:
    loaded = loader.file(public.telco(tmp_path / "telco.csv", 200))
    assert types(loaded)["TotalCharges"] == "double precision"
    assert "blank texts became NULL" in notes(loaded)["TotalCharges"]
    assert types(loaded)["SeniorCitizen"] == "bigint"


@pytest.mark.deep
@pytest.mark.timeout(80)  # minutes, where DuckDB is let to optimize
def test_a_thousand_columns_are_loaded(loader: Loader) -> None:
    names, row = [f"c{number}" for number in range(1000)], ["1.5", "NA", "2020-01-31", "x"] * 250
    loaded = loader.text("\n".join([",".join(names), *[",".join(row)] * 20]) + "\n")
    assert (len(loaded.columns), loaded.rows) == (1000, 20)
    assert [types(loaded)[name] for name in ("c0", "c2", "c999")] == ["double precision", "date", "text"]
