"""Features as of a moment never know the future and lose nobody; what is online is what was written."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa

from common.config import load_settings
from common.errors import ConfigError, InvalidData, StepFailed, Unavailable
from common.feast_client import TIME, FeatureStoreClient, FeatureTable
from common.feast_setup import SCHEMA
from tests.model import people
from tests.model.conftest import World
from uc1_churn_prediction import uc1_04_feature_engineering_feast as step4
from uc1_churn_prediction.feature_table import Roles, publish_features, read_feature_table, read_roles

DAY = pd.Timedelta(days=1)
NOW = pd.Timestamp("2026-06-01", tz="UTC")


def history(world: World, directory: Path) -> FeatureTable:
    """Two customers seen three times each: 90, 30 and 1 days before NOW, with a value that says when."""
    seen = [(who, NOW - days * DAY, float(days)) for who in ("a", "b") for days in (90, 30, 1)]
    frame = pd.DataFrame(seen, columns=["who", TIME, "days"]).astype({"days": "float32"})
    frame[TIME] = frame[TIME].dt.as_unit("us")
    path = directory / "history.parquet"
    frame.to_parquet(path, index=False)
    uri = world.tools("any").minio.publish(f"features/history/{world.name}.parquet", path).uri
    return FeatureTable(
        view="history", service="history-v1", uri=uri, digest="d", entity="who", entity_type="string",
        numeric=("days",), categorical=(), first=NOW - 90 * DAY, last=NOW - DAY,
    )  # fmt: skip


def test_a_feature_of_the_future_never_joins_and_no_asked_row_is_lost(world: World, tmp_path: Path) -> None:
    table = history(world, tmp_path)
    asked = pd.DataFrame(
        [("b", NOW, 1), ("a", NOW - 10 * DAY, 2), ("a", NOW - 60 * DAY, 3), ("a", NOW - 200 * DAY, 4),
         ("stranger", NOW, 5), ("a", NOW - 60 * DAY, 6), ("a", NOW - 30 * DAY, 7)],
        columns=["who", TIME, "row"], index=[7, 6, 5, 4, 3, 2, 1],
    )  # fmt: skip
    asked[TIME] = asked[TIME].dt.as_unit("us")
    joined = FeatureStoreClient(world.settings).as_of(table, asked)
    assert joined["row"].tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert joined.index.tolist() == asked.index.tolist()
    np.testing.assert_array_equal(joined["days"].to_numpy(), [1, 30, 90, np.nan, np.nan, 90, 30])


def test_features_of_the_same_rows_in_another_order_are_the_same_object(world: World) -> None:
    store, frame = world.tools("any").minio, people.subscribers()
    roles = Roles(people.ENTITY, people.LABEL, people.TIME)
    first = publish_features(store, world.settings, world.snapshot(frame).raw.uri, roles).table
    shuffled = world.snapshot(frame.sample(frac=1, random_state=1)).raw.uri
    assert publish_features(store, world.settings, shuffled, roles).table == first
    assert (first.numeric, first.categorical) == (people.NUMERIC, people.CATEGORICAL)
    assert read_feature_table(store, world.settings, first.uri) == first
    assert read_roles(store, first.uri) == roles


def test_the_step_is_done_once_and_seen_when_undone(world: World) -> None:
    tools, valid = world.tools("k1"), world.snapshot(people.subscribers())
    features = step4.run(tools, valid)
    assert features.online_rows == features.rows == len(people.subscribers())
    after = step4.observe(tools)
    assert after["online"] == features.digest
    assert after["offline"] is True
    assert step4.run(tools, valid) == features
    assert step4.observe(tools) == after
    _sql(world, f'DROP TABLE {SCHEMA}."{world.settings.feast.project}_{features.view}"')
    assert step4.observe(tools) != after
    assert step4.run(world.tools("k1"), valid) == features
    assert step4.observe(tools) == after


def test_the_online_store_answers_in_the_asked_order_and_knows_no_strangers(world: World) -> None:
    frame = people.subscribers()
    features = step4.run(world.tools("k1"), world.snapshot(frame))
    table = read_feature_table(world.tools("any").minio, world.settings, features.uri)
    online = world.tools("any").feast.online(table, ["K000007", "nobody", "K000002"])
    assert online[people.ENTITY].tolist() == ["K000007", "nobody", "K000002"]
    assert online["Alter"].tolist()[0] == frame["Alter"][7]
    assert online.iloc[1][list(table.features)].isna().all()


def test_a_customer_who_left_the_table_is_not_answered_for_any_more(world: World) -> None:
    frame, feast = people.subscribers(), world.tools("any").feast
    features = step4.run(world.tools("k1"), world.snapshot(frame))
    stored = f'{SCHEMA}."{world.settings.feast.project}_{features.view}"'
    fewer = step4.run(world.tools("k2"), world.snapshot(frame[frame[people.ENTITY] != "K000007"]))
    table = read_feature_table(world.tools("any").minio, world.settings, fewer.uri)
    gone, kept = feast.online(table, ["K000007", "K000008"])["Alter"].tolist()
    assert np.isnan(gone) or gone is None
    assert kept == frame["Alter"][8]
    assert _sql(world, f"SELECT count(DISTINCT entity_key) FROM {stored}") == [(len(frame) - 1,)]


def test_nobody_is_forgotten_where_the_keys_are_not_those_that_are_stored(world: World) -> None:
    from common.feast_postgres import CopyOnlineStore

    feast = world.tools("any").feast
    features = step4.run(world.tools("k1"), world.snapshot(people.subscribers()))
    view, config = feast._store.get_feature_view(features.view), feast._store.config
    count = f'SELECT count(*) FROM {SCHEMA}."{world.settings.feast.project}_{features.view}"'
    before = _sql(world, count)
    with pytest.raises(StepFailed, match=r"1 entities of .* are not in its online table"):
        CopyOnlineStore().keep_only(config, view, [["K000001"], ["nobody"]])
    assert _sql(world, count) == before


def test_a_changed_customer_is_changed_online_and_a_damaged_value_is_mended(world: World) -> None:
    frame = people.subscribers()
    step4.run(world.tools("k1"), world.snapshot(frame))
    frame.loc[0, "Alter"] = 99
    valid = world.snapshot(frame)
    features = step4.run(world.tools("k2"), valid)
    table = read_feature_table(world.tools("any").minio, world.settings, features.uri)
    assert world.tools("any").feast.online(table, ["K000000"])["Alter"].tolist() == [99.0]
    newest, _ = step4.sampled(world.tools("k2"), table)
    online_table = f'{SCHEMA}."{world.settings.feast.project}_{features.view}"'
    _sql(world, f"DELETE FROM {online_table} WHERE feature_name = 'Alter'")
    with pytest.raises(StepFailed, match="other values than were written, in Alter"):
        step4.refuse_differing(world.tools("k2"), table, newest)
    assert step4.run(world.tools("k2"), valid) == features
    assert step4.differing(world.tools("k2"), table, newest) == []


def test_a_write_that_was_killed_half_way_is_written_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = people.subscribers().assign(**{"Umsatz €": 1.0})
    tools, valid = world.tools("k3"), world.snapshot(frame)
    with monkeypatch.context() as patch:
        patch.setattr(tools.feast._store, "write_to_online_store", _killed)
        with pytest.raises(StepFailed, match="killed"):
            step4.run(tools, valid)
    view = f"{world.name}-features"
    assert world.tools("any").feast.held_online(view) == ""
    assert step4.run(world.tools("k3"), valid).digest == world.tools("any").feast.held_online(view)


def test_the_users_own_aws_profile_and_keys_are_not_looked_at(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "AWS_PROFILE": "nobody",
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_ENDPOINT_URL": "http://nowhere",
    }.items():
        monkeypatch.setenv(name, value)
    valid = world.snapshot(people.subscribers(200, seed=9))
    features = step4.run(world.tools("k6"), valid)
    table = read_feature_table(world.tools("any").minio, world.settings, features.uri)
    asked = pd.DataFrame({people.ENTITY: ["K000001"], TIME: [pd.Timestamp(table.last)]})
    assert FeatureStoreClient(world.settings).as_of(table, asked)["Alter"].notna().all()


def test_a_table_without_times_counts_as_of_one_fixed_moment(world: World) -> None:
    store, frame = world.tools("any").minio, people.subscribers()
    roles = Roles(people.ENTITY, people.LABEL, None)
    table = publish_features(store, world.settings, world.snapshot(frame).raw.uri, roles).table
    assert table.first == table.last
    assert (table.first.year, table.first.utcoffset()) == (2000, pd.Timedelta(0))


def test_a_row_without_a_time_is_refused_and_counted(world: World) -> None:
    frame = people.subscribers()
    frame.loc[[1, 5], people.TIME] = pd.NaT
    with pytest.raises(InvalidData, match=f"2 rows have no time in column '{people.TIME}'"):
        step4.run(world.tools("k4"), world.snapshot(frame))


def test_files_do_where_the_configuration_says_sqlite(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    valid = world.snapshot(people.subscribers(300))
    monkeypatch.setenv("MLOPS_FEAST__ONLINE_STORE", "sqlite")
    settings = load_settings()
    monkeypatch.setenv("MLOPS_STATE_DIR", str(tmp_path))
    tools = World(settings, tmp_path).tools("k5")
    assert step4.run(tools, valid).online_rows == 300
    assert (tmp_path / "feast" / "online.db").exists()
    assert step4.observe(tools)["offline"] is True


def test_a_missing_definitions_file_and_a_dead_server_each_say_what_to_do(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    valid = world.snapshot(people.subscribers(300))
    monkeypatch.setenv("MLOPS_RETRY_SECONDS", "0")
    monkeypatch.setenv("MLOPS_FEAST__REPO_PATH", "nowhere")
    with pytest.raises(ConfigError, match=r"feast.repo_path is 'nowhere'"):
        step4.run(World(load_settings(), world.directory).tools("k"), valid)
    monkeypatch.delenv("MLOPS_FEAST__REPO_PATH")
    dead = world.settings.model_copy(update={"postgres": world.settings.postgres.model_copy(update={"port": 1})})
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:1"):
        step4.run(World(dead, world.directory).tools("k"), valid)


def _killed(*_: object, **__: object) -> None:
    raise RuntimeError("killed")


def _sql(world: World, statement: str) -> list[tuple[object, ...]]:
    engine = sa.create_engine(world.settings.postgres.url(), poolclass=sa.NullPool)
    with engine.begin() as connection:
        done = connection.execute(sa.text(statement))
        return [tuple(row) for row in done] if done.returns_rows else []
