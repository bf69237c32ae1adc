"""The champion's hold-out as training kept it back, with everybody's groups."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from common.errors import ConfigError, InvalidData, StepFailed
from common.stored import as_parquet, parquet_file
from uc5_fairness_docs.subjects import Subject

if TYPE_CHECKING:
    import pandas as pd

    from churn.customers import IntArray
    from churn.slices import Grouping, Groups
    from common.model_versions import Version
    from common.tools import Tools


@dataclass(frozen=True)
class Holdout:
    """Rows that the champion has never seen. `groups` are those of each sensitive column, a row each."""

    frame: "pd.DataFrame"
    labels: "IntArray"
    groups: "Mapping[str, Groups]"
    groupings: "Mapping[str, Grouping]"
    trained_rows: int


def kept_back(tools: "Tools", champion: Subject) -> Holdout:
    """Read the champion's snapshot and keep what training kept back.

    Raises InvalidData for a sensitive group that training had not, ConfigError for a column that is not there.
    """
    from churn.customers import holdout_mask
    from churn.features import as_labels

    uc1 = tools.settings.uc1
    frame = snapshot(tools, champion)
    share, seed = split_of(tools, champion.version)
    ids = frame[uc1.entity] if uc1.entity else range(len(frame))
    held = holdout_mask(ids, share=share, seed=seed)
    groupings, groups = grouped(tools, frame, held)
    labels = as_labels(frame[uc1.label], uc1.positive_label)[held]
    return Holdout(frame[held].reset_index(drop=True), labels, groups, groupings, int((~held).sum()))


def snapshot(tools: "Tools", champion: Subject) -> "pd.DataFrame":
    """The table that the champion learned from, where the version's tag says."""
    uc1 = tools.settings.uc1
    uri = champion.version.tags.get("data_uri", "")
    if not uri:
        raise StepFailed(f"Version {champion.version.version} does not say what it learned from: no tag data_uri.")
    file = parquet_file(tools.minio, uri)
    wanted = {*champion.columns.names, *uc1.sensitive, *filter(None, (uc1.entity, uc1.label))}
    missing = sorted(wanted - set(file.schema_arrow.names))
    if missing or not uc1.label:
        raise ConfigError(
            f"The champion's snapshot has no column {', '.join(missing) or '(uc1.label is empty)'}.",
            "Look at uc1.sensitive, uc1.entity and uc1.label, and at uc1.dropped: what is dropped is not in it.",
        )
    with as_parquet(uri):
        table: pd.DataFrame = file.read().to_pandas()
    return table


def split_of(tools: "Tools", version: "Version") -> tuple[float, int]:
    """Share and seed of the hold-out that the version was trained with: the configuration may have changed since."""
    uc1, said = tools.settings.uc1, tools.mlflow.run_facts(version.run_id).parameters
    return float(said.get("holdout_share", uc1.holdout_share)), int(said.get("seed", uc1.seed))


def grouped(tools: "Tools", frame: "pd.DataFrame", held: Any) -> "tuple[dict[str, Grouping], dict[str, Groups]]":
    """The groups of each sensitive column: found in the training rows, then looked for in the hold-out."""
    from churn.slices import UnseenGroup, learn

    uc1, bins = tools.settings.uc1, tools.settings.uc5.bins
    learned = {name: learn(frame[name][~held], bins.get(name) or ()) for name in uc1.sensitive}
    try:
        return learned, {name: each.groups(frame[name][held]) for name, each in learned.items()}
    except UnseenGroup as error:
        raise InvalidData(
            str(error), "Nothing can be said of a model about people it never saw: add rows, or bins in uc5.bins."
        ) from None
