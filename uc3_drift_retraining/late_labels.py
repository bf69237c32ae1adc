"""How good the champion turned out to be, where labels of its predictions have arrived meanwhile."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from common.errors import InvalidData
from common.registry import Version
from uc3_drift_retraining import sources

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from churn.findings import Change
    from common.tools import Tools

COLUMNS = ("request_id", "digest", "prediction", "golden", "status")
METRIC = "roc_auc"
FEWEST = 100


def performance(tools: "Tools", champion: Version) -> "Change | None":
    """The metric on predictions whose outcome is known, beside the hold-out's; None where there are none, or too few.

    Raises InvalidData where the query returns other columns than request_id and label.
    """
    if not tools.settings.uc3.late_labels.query or METRIC not in champion.metrics:
        return None
    from churn.features import as_labels
    from churn.performance import against_baseline

    since = datetime.now(UTC) - timedelta(days=tools.settings.uc3.late_labels.days)
    known = answered_with_outcome(tools, champion, since)
    if len(known) < FEWEST or known["label"].nunique() < 2:
        return None
    labels = as_labels(known["label"], tools.settings.uc1.positive_label)
    predicted = known["prediction"].to_numpy("float64")
    return against_baseline(labels, predicted, champion.metrics[METRIC], metric=METRIC, seed=tools.settings.uc1.seed)


def answered_with_outcome(tools: "Tools", champion: Version, since: datetime) -> "pd.DataFrame":
    """The champion's own predictions since then, each with its label; each request once.

    Of the log, which is larger than memory, only those are kept whose outcome is known.
    """
    import pandas as pd
    import pyarrow as pa

    known, log = outcomes(tools, since), sources.prediction_log(tools)
    asked = pa.array(known["request_id"], pa.string())
    names = log.since(f"{since:%Y%m%dT%H%M%S}") if len(asked) else ()
    ours = [ours_among(log.rows(chunk, COLUMNS), champion, asked) for chunk in sources.chunks(names)]
    if not ours:
        return pd.DataFrame({"prediction": [], "label": []})
    predictions = pa.concat_tables(ours).to_pandas().drop_duplicates("request_id")
    return predictions.merge(known, on="request_id", how="inner")


def ours_among(logged: "pa.Table", champion: Version, asked: "pa.Array") -> "pa.Table":
    """The champion's answers to the requests that are asked for."""
    import pyarrow.compute as pc

    answered = sources.answered(logged).select(["request_id", "digest", "prediction"])
    by_champion = pc.equal(answered["digest"], champion.digest)
    return answered.filter(pc.and_(by_champion, pc.is_in(answered["request_id"], value_set=asked)))


def outcomes(tools: "Tools", since: datetime) -> "pd.DataFrame":
    """What the query returns: request_id and label, the last of each request."""
    import pandas as pd
    import sqlalchemy as sa

    found = tools.postgres.rows(sa.text(tools.settings.uc3.late_labels.query), {"since": since})
    if found and not {"request_id", "label"} <= set(found[0]._mapping):
        named = ", ".join(map(str, found[0]._mapping))
        raise InvalidData(f"uc3.late_labels.query returns {named}, not request_id and label.", "Name them with AS.")
    frame = pd.DataFrame([(str(row.request_id), row.label) for row in found], columns=["request_id", "label"])
    return frame.dropna().drop_duplicates("request_id", keep="last")
