"""Counting by DuckDB beside numpy: every kind of column and bin, whatever the batches, in one pass."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pytest

from churn.histograms import Bins, Histogram
from common.errors import InvalidData
from uc3_drift_retraining import sources
from uc3_drift_retraining.comparands import refuse_texts_for_numbers
from uc3_drift_retraining.counting import bins_of, count
from uc3_drift_retraining.streams import Columns, Sampler, Stream, sample_of

COLUMNS = Columns(("age", "spend", "tail", "flag", "nothing", "gone"), ("place",))


def people(rows: int, seed: int = 0) -> pa.Table:
    random = np.random.default_rng(seed)
    spend = random.lognormal(3, 0.4, rows)
    spend[random.random(rows) < 0.1] = np.nan
    return pa.table(
        {
            "age": random.integers(18, 90, rows), "spend": spend, "tail": random.lognormal(3, 3, rows),
            "flag": random.random(rows) < 0.4, "nothing": pa.nulls(rows, pa.float64()),
            "place": random.choice(["north", "south", "it's", ""], rows),
        }
    )  # fmt: skip


def stream(table: pa.Table, batch_rows: int = 1000) -> Stream:
    def batches() -> Iterator[pa.RecordBatch]:
        yield from table.to_batches(max_chunksize=batch_rows)

    return Stream("people", "people", table.schema, batches)


def by_numpy(table: pa.Table, name: str, bins: Bins) -> tuple[list[int], int]:
    values = table[name].cast(pa.float64()).to_numpy()
    known = values[np.isfinite(values)]
    counts = np.bincount(np.searchsorted(bins.edges, known, side="left"), minlength=bins.size)
    return counts.tolist(), len(values) - len(known)


@pytest.fixture(scope="module")
def bins() -> dict[str, Bins | None]:
    return bins_of(stream(people(20_000)), COLUMNS)


@pytest.mark.parametrize("name", ["age", "spend", "tail"])
def test_numbers_are_counted_as_numpy_counts_them(bins: dict[str, Bins | None], name: str) -> None:
    table, cut = people(7000, seed=1), bins[name]
    found = count(stream(table), bins, COLUMNS)[name]
    assert cut is not None
    assert found is not None
    counts, nulls = by_numpy(table, name, cut)
    assert found.nulls == nulls
    # A value on an edge may fall on either side of it, by rounding.
    assert np.abs(np.array(found.counts) - counts).sum() <= 4


def test_texts_quotes_and_empty_ones_are_counted(bins: dict[str, Bins | None]) -> None:
    table = people(3000, seed=2)
    found = count(stream(table), bins, COLUMNS)["place"]
    assert found is not None
    words = table["place"].to_pylist()
    assert dict(zip(found.bins.values, found.counts, strict=False)) == {
        each: words.count(each) for each in ("it's", "north", "south")
    }
    assert found.nulls == words.count("")


def test_all_null_and_missing_columns_are_no_crash(bins: dict[str, Bins | None]) -> None:
    found = count(stream(people(500)), bins, COLUMNS)
    assert found["gone"] is None
    assert found["nothing"] is not None
    assert (found["nothing"].known, found["nothing"].nulls) == (0, 500)


def test_a_stream_without_rows_counts_nothing(bins: dict[str, Bins | None]) -> None:
    found = count(stream(people(0)), bins, COLUMNS)["age"]
    assert isinstance(found, Histogram)
    assert found.rows == 0


def test_new_texts_are_named(bins: dict[str, Bins | None]) -> None:
    table = people(100).set_column(5, "place", pa.array(["mars"] * 100))
    found = count(stream(table), bins, COLUMNS, Sampler(50))["place"]
    assert found is not None
    assert (found.counts[-1], found.others) == (100, ("mars",))


@pytest.mark.parametrize("rows", [50, 999, 10_000])
def test_a_sample_has_the_asked_size_keeps_the_order_and_is_the_same_each_time(rows: int) -> None:
    table = pa.table({"age": np.arange(rows)})
    columns = Columns(("age",), ())
    first = sample_of(stream(table, 64), columns, 300)["age"].to_pylist()
    assert len(first) == min(rows, 300)
    assert first == sorted(first)
    assert first == sample_of(stream(table, 64), columns, 300)["age"].to_pylist()
    if rows > 300:
        assert abs(np.mean(first) / rows - 0.5) < 0.1


def test_a_feature_that_older_objects_of_the_log_lack_is_null_there() -> None:
    schema = pa.schema([("age", pa.float32()), ("income", pa.float32())])
    aligned = sources._with_columns(pa.table({"age": pa.array([1.0], pa.float32())}), schema)
    assert aligned.to_pylist() == [{"age": 1.0, "income": None}]


def test_texts_where_the_model_takes_numbers_are_bad_data_and_named() -> None:
    spoken = people(10).set_column(0, "age", pa.array(["young"] * 10))
    with pytest.raises(InvalidData, match="Column age of people is string"):
        refuse_texts_for_numbers(COLUMNS, stream(spoken))


def test_infinite_numbers_are_nulls_as_in_training(bins: dict[str, Bins | None]) -> None:
    table = people(4).set_column(1, "spend", pa.array([np.inf, -np.inf, 20.0, np.nan]))
    found = count(stream(table), bins, COLUMNS)["spend"]
    assert found is not None
    assert (found.known, found.nulls) == (1, 3)


def test_golden_predictions_and_refusals_are_no_traffic_and_features_have_their_own_names() -> None:
    logged = pa.table(
        {
            "golden": [False, True, False], "status": pa.array([200, 200, 400], pa.int16()),
            "prediction": [0.1, 0.2, None], "feature.prediction": [7.0, 8.0, None], "age": [30.0, 40.0, None],
        }
    )  # fmt: skip
    kept = sources.answered(logged)
    assert kept.to_pylist() == [{"golden": False, "status": 200, "prediction": 7.0, "age": 30.0}]
