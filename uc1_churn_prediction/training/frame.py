"""First component: each labelled row with its customer's features as of its time, and the hold-out set apart."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from churn.customers import check_fit_for_training, holdout_mask
from churn.features import FeatureColumns, as_features, as_labels
from common.errors import ConfigError
from common.feast_client import TIME, FeatureStoreClient, FeatureTable
from common.settings import Settings
from uc1_churn_prediction.feature_table import (
    Roles,
    as_entity,
    as_times,
    publish_features,
    read_feature_table,
    read_roles,
    read_snapshot,
)
from uc1_churn_prediction.results import ROW_NUMBER
from uc1_churn_prediction.training.component import HOLDOUT, LABEL, component, write_json

if TYPE_CHECKING:
    import pandas as pd


def run(snapshot_uri: str, features_uri: str, key: str, frame_path: str, said: str = "") -> None:
    """Write the training frame of a snapshot. Features that are not given are made of the snapshot itself.

    Raises InvalidData where training would be worthless: one class, too few rows, rows without label or time.
    """
    with component(key, said) as (settings, store):
        roles = read_roles(store, features_uri) if features_uri else configured_roles(settings)
        table = (
            read_feature_table(store, settings, features_uri)
            if features_uri
            else publish_features(store, settings, snapshot_uri, roles).table
        )
        asked = asked_rows(read_snapshot(store, snapshot_uri, roles), settings, roles)
        frame = training_frame(settings, FeatureStoreClient(settings), asked, table)
        write_frame(Path(frame_path), frame, table)


def configured_roles(settings: Settings) -> Roles:
    """Which column is what, where no features say it. Raises ConfigError where the configuration is silent too."""
    if not settings.uc1.label:
        raise ConfigError("Training needs uc1.label.", "Set it in config.yaml.")
    return Roles(settings.uc1.entity or ROW_NUMBER, settings.uc1.label, settings.uc1.event_time)


def asked_rows(snapshot: "pd.DataFrame", settings: Settings, roles: Roles) -> "pd.DataFrame":
    """Who is asked about, as of when, and what became of them; sorted, so that row order never matters."""
    import pandas as pd

    asked = pd.DataFrame(
        {
            roles.entity: as_entity(snapshot[roles.entity]),
            TIME: as_times(snapshot, roles.event_time),
            LABEL: as_labels(snapshot[roles.label], settings.uc1.positive_label),
        }
    )
    return asked.sort_values([roles.entity, TIME, LABEL], kind="stable", ignore_index=True)


def training_frame(
    settings: Settings, feast: FeatureStoreClient, asked: "pd.DataFrame", table: FeatureTable
) -> "pd.DataFrame":
    """The model's inputs, label and hold-out mark of every asked row."""
    joined = feast.as_of(table, asked)
    frame = as_features(joined, FeatureColumns(table.numeric, table.categorical))
    frame[LABEL] = joined[LABEL]
    frame[HOLDOUT] = holdout_mask(joined[table.entity], share=settings.uc1.holdout_share, seed=settings.uc1.seed)
    check_fit_for_training(frame[LABEL].to_numpy(), frame[HOLDOUT].to_numpy())
    return frame


def write_frame(place: Path, frame: "pd.DataFrame", table: FeatureTable) -> None:
    """Write frame.parquet, and frame.json that says what is in it."""
    place.mkdir(parents=True, exist_ok=True)
    frame.to_parquet(place / "frame.parquet", index=False)
    columns = FeatureColumns(table.numeric, table.categorical)
    said = {"features_digest": table.digest, "features_uri": table.uri, "rows": len(frame)}
    write_json(place / "frame.json", {"columns": asdict(columns), **said})
