"""The content digest: equal for equal content however it is held, different for any other content."""

import datetime as dt
import decimal
import math
import os
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common import digest
from common.digest import TableDigest, digest_of_parquet, sha256_of

UTC = dt.UTC
CELLS: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    "whole": (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    "real": (pa.float64(), st.floats(allow_nan=False)),
    "text": (pa.string(), st.text(st.characters(exclude_categories=["Cs"]), max_size=8)),
    "yes": (pa.bool_(), st.booleans()),
    "day": (pa.date32(), st.dates()),
    "when": (pa.timestamp("us", "UTC"), st.datetimes(timezones=st.just(UTC))),
    "money": (pa.decimal128(20, 2), st.decimals(-(10**9), 10**9, places=2)),
    "raw": (pa.binary(), st.binary(max_size=4)),
    "many": (pa.list_(pa.int32()), st.lists(st.integers(0, 3), max_size=3)),
}
SCHEMA = pa.schema([(name, kind) for name, (kind, _) in CELLS.items()])
ROW = st.fixed_dictionaries({name: st.none() | cell for name, (_, cell) in CELLS.items()})


def table_of(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(rows, SCHEMA)


def of(table: pa.Table, batch_rows: int = 1000) -> str:
    made = TableDigest(table.schema)
    for batch in table.to_batches(batch_rows):
        made.update(batch)
    return made.hexdigest()


@given(st.lists(ROW, max_size=8), st.randoms(use_true_random=False), st.integers(1, 8))
@settings(max_examples=int(os.environ.get("PROPERTY_EXAMPLES", "200")), deadline=None)
def test_neither_order_nor_batches_count(rows: list[dict[str, Any]], random: Any, batch_rows: int) -> None:
    shuffled, columns = list(rows), list(SCHEMA.names)
    random.shuffle(shuffled)
    random.shuffle(columns)
    assert of(table_of(shuffled).select(columns), batch_rows) == of(table_of(rows))


@given(st.lists(ROW, min_size=1, max_size=5), st.data())
@settings(max_examples=int(os.environ.get("PROPERTY_EXAMPLES", "300")), deadline=None)
def test_any_changed_value_counts(rows: list[dict[str, Any]], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(rows) - 1))
    name = data.draw(st.sampled_from(SCHEMA.names))
    other = data.draw(st.none() | CELLS[name][1])
    changed = [dict(row) for row in rows]
    changed[at][name] = other
    same = rows[at][name] == other and (rows[at][name] is None) == (other is None)
    assert (of(table_of(changed)) == of(table_of(rows))) is same


@given(st.lists(ROW, min_size=1, max_size=4))
@settings(max_examples=int(os.environ.get("PROPERTY_EXAMPLES", "100")), deadline=None)
def test_a_row_more_or_twice_counts(rows: list[dict[str, Any]]) -> None:
    assert len({of(table_of(rows)), of(table_of([*rows, rows[0]])), of(table_of(rows[1:]))}) == 3


def test_values_that_trade_places_count() -> None:
    one = pa.table({"a": [1, 2], "b": [3, 4]})
    assert of(one) != of(pa.table({"a": [1, 2], "b": [4, 3]})), "between rows"
    assert of(one) != of(pa.table({"a": [3, 4], "b": [1, 2]})), "between columns"


def test_names_and_types_count() -> None:
    values = [1, 2, None]
    tables = [
        pa.table({"a": pa.array(values, pa.int64())}),
        pa.table({"b": pa.array(values, pa.int64())}),
        pa.table({"a": pa.array(values, pa.int32())}),
        pa.table({"a": pa.array(values, pa.float64())}),
        pa.table({"a": pa.array(["1", "2", None])}),
    ]
    assert len({of(table) for table in tables}) == len(tables)


@pytest.mark.parametrize(
    "pair",
    [
        ([None], [0]),
        ([""], [None]),
        ([0.0], [math.nan]),
        ([None], [math.nan]),
        (["a\0"], ["a"]),
        ([[]], [None]),
    ],
    ids=str,
)
def test_lookalikes_are_told_apart(pair: tuple[list[Any], list[Any]]) -> None:
    kind = pa.array(pair[0] + pair[1]).type
    one, other = (pa.table({"a": pa.array(values, kind)}) for values in pair)
    assert of(one) != of(other)


def test_the_two_zeros_are_one_and_every_not_a_number_is_one() -> None:
    assert of(pa.table({"a": [0.0]})) == of(pa.table({"a": [-0.0]}))
    assert of(pa.table({"a": [math.nan]})) == of(pa.table({"a": [-math.nan]}))


def test_how_a_column_is_encoded_does_not_count() -> None:
    plain = pa.array(["x", None, "y", "x"])
    held = [
        plain, plain.dictionary_encode(), plain.cast(pa.large_string()), plain.cast(pa.string_view()),
        pa.DictionaryArray.from_arrays(pa.array([1, 2, 0, 1]), pa.array(["y", "x", None])),
        pa.concat_arrays([pa.array(["?"]), plain]).slice(1),
    ]  # fmt: skip
    assert len({of(pa.table({"a": array})) for array in held}) == 1


def test_what_lies_under_a_null_does_not_count() -> None:
    mask = pa.array([False, True])
    one = pa.Array.from_buffers(pa.int64(), 2, [mask_bits(mask), pa.py_buffer(bytes(8) + b"\x07" * 8)])
    assert one.to_pylist() == [0, None]
    assert of(pa.table({"a": one})) == of(pa.table({"a": pa.array([0, None], pa.int64())}))


def mask_bits(null: pa.Array) -> pa.Buffer:
    return pa.array([not each for each in null.to_pylist()]).buffers()[1]


def test_which_parquet_writer_made_the_file_does_not_count(tmp_path: Path) -> None:
    table = pa.table(
        {"id": range(5000), "s": [f"name {i % 7}" for i in range(5000)], "x": [i / 3 for i in range(5000)]}
    )
    pq.write_table(table, tmp_path / "a", compression="zstd", row_group_size=100)
    pq.write_table(table, tmp_path / "b", compression="none", use_dictionary=False, version="1.0", store_schema=False)
    table.to_pandas().sample(frac=1, random_state=1).to_parquet(tmp_path / "c", index=False)
    assert sha256_of(tmp_path / "a") != sha256_of(tmp_path / "b")
    assert {digest_of_parquet(tmp_path / name) for name in "abc"} == {of(table)}


def test_the_digest_of_a_known_table_never_changes() -> None:
    """It names objects in S3 for ever: another value here needs another RECIPE."""
    table = pa.table({
        "id": [1, 2, 3], "x": [0.5, None, 1e300], "s": ["a", "é", None], "b": [True, False, None],
        "t": pa.array([0, 1, None], pa.timestamp("us", "UTC")), "d": pa.array([decimal.Decimal("1.50"), None, None]),
    })  # fmt: skip
    assert digest.RECIPE == 1
    assert of(table) == "6bc0eaface4e201e60ecc9979772c43f091084521f8c6d110626fd36f83839f1"


def test_an_empty_table_has_a_digest_of_its_schema() -> None:
    assert of(pa.table({"a": pa.array([], pa.int64())})) != of(pa.table({"a": pa.array([], pa.string())}))
    assert of(pa.Table.from_pandas(pd.DataFrame({"a": [1]}))) == of(pa.table({"a": [1]}))
