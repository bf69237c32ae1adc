"""The rows that are sent where the service has no users of its own."""

from typing import TYPE_CHECKING, Any

from uc2_ab_testing.results import CanaryDeployment
from uc2_ab_testing.scoring import columns_of, held_out_rows, read_rows

if TYPE_CHECKING:
    import pandas as pd

    from common.tools import Tools

ROWS, SEED = 5000, 0


def rows(tools: "Tools", canary: CanaryDeployment) -> list[dict[str, Any]]:
    """A sample of the configured rows, else of the hold-out of the champion's data, as bodies of requests have them.

    On rows that a model has learned from, it decides otherwise than on those of users whom it does not know.
    """
    from churn.features import as_features

    uc1, inputs = tools.settings.uc1, columns_of(tools.minio, canary.champion.uri)
    columns = list(inputs.names)
    if tools.settings.traffic.rows:
        frame = read_rows(tools.minio, tools.settings.traffic.rows, set(columns))
    else:
        everybody = read_rows(tools.minio, canary.champion.data_uri, {*columns, *([uc1.entity] if uc1.entity else [])})
        frame = everybody[held_out_rows(everybody, uc1)]
    # As the model takes them: a number that the table holds as text would be refused as a request.
    return as_rows(as_features(frame.sample(min(ROWS, len(frame)), random_state=SEED), inputs))


def as_rows(frame: "pd.DataFrame") -> list[dict[str, Any]]:
    """Rows as JSON has them."""
    return [_plain(row) for row in frame.to_dict(orient="records")]


def _plain(row: dict[Any, Any]) -> dict[str, Any]:
    """The row as JSON has it: null for what is not known, no types of numpy."""
    import pandas as pd

    known = {str(name): None if pd.isna(value) else value for name, value in row.items()}
    return {
        name: value if isinstance(value, int | float | str | None) else _json(value) for name, value in known.items()
    }


def _json(value: Any) -> Any:
    number = getattr(value, "item", None)  # a scalar of numpy
    if number:
        return number()
    return float(value) if hasattr(value, "as_integer_ratio") else str(value)
