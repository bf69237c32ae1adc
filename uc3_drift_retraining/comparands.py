"""What is compared by which rules: the model's inputs, the reference, the limits; and what cannot be compared."""

from typing import TYPE_CHECKING

from churn.findings import Limits
from common.errors import InvalidData
from common.registry import Version
from common.stored import model_schema
from uc3_drift_retraining import sources
from uc3_drift_retraining.streams import Columns, Stream

if TYPE_CHECKING:
    from common.tools import Tools


def inputs_of(tools: "Tools", champion: Version) -> Columns:
    """What the model takes, as its schema.json says."""
    schema = model_schema(tools.minio, champion.uri, champion.digest)
    return Columns(schema.numeric, schema.categorical)


def columns_of(tools: "Tools", champion: Version) -> Columns:
    """The model's inputs, or the columns that the configuration names in their place."""
    inputs, chosen = inputs_of(tools, champion), tools.settings.uc3.columns
    if not chosen:
        return inputs
    texts = tuple(name for name in chosen if name in (*inputs.categorical, *tools.settings.uc1.categorical))
    return Columns(tuple(name for name in chosen if name not in texts), texts)


def reference_of(tools: "Tools", champion: Version) -> Stream:
    """What the champion was trained on, by its tags; or what the configuration names."""
    named = tools.settings.uc3.reference
    if named != "champion":
        return sources.named(tools, named)
    uri = champion.tags.get("data_uri", "")
    if not uri:
        raise InvalidData(
            f"Version {champion.version} of {champion.name} has no tag data_uri: nobody knows what it learned from.",
            "Set uc3.reference to a table, or to the s3:// URI of a parquet object.",
        )
    return sources.parquet(tools, uri)


def refuse_nothing_in_common(columns: Columns, reference: Stream) -> None:
    """Raise InvalidData where the reference has none of the columns."""
    if not set(columns.names) & reference.columns:
        raise InvalidData(
            f"{reference.name} has none of the columns {', '.join(columns.names)}.", "Look at uc3.reference."
        )


def refuse_texts_for_numbers(columns: Columns, *streams: Stream) -> None:
    """Raise InvalidData where a column that is compared as numbers arrives as something else."""
    from pyarrow import types

    fitting = (types.is_integer, types.is_floating, types.is_boolean, types.is_decimal, types.is_null)
    for stream in streams:
        for name in set(columns.numeric) & stream.columns:
            kind = stream.schema.field(name).type
            if not any(fits(kind) for fits in fitting):
                raise InvalidData(
                    f"Column {name} of {stream.name} is {kind}, and the model takes numbers there.",
                    "Look at what writes it, or name other columns in uc3.columns.",
                )


def limits_of(tools: "Tools") -> Limits:
    """The configured limits of a column."""
    limits = tools.settings.uc3.limits
    return Limits(limits.psi, limits.kl, limits.p_value, corrected=limits.multiple_testing == "holm")


def rules_of(tools: "Tools") -> str:
    """Everything that decides, in words: a report under other rules is no answer for today's."""
    uc3 = tools.settings.uc3
    limits = f"PSI {uc3.limits.psi:g}, KL {uc3.limits.kl:g}, p {uc3.limits.p_value:g} ({uc3.limits.multiple_testing})"
    shares = f"share {uc3.drift_threshold:g}, high {uc3.high_drift_threshold:g}"
    compared = f"; columns {', '.join(uc3.columns)}" if uc3.columns else ""
    against = f"; reference {uc3.reference}" if uc3.reference != "champion" else ""
    return f"{limits}; {shares}{compared}{against}"
