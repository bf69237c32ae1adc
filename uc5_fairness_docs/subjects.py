"""Whose fairness is analysed: the champion, and beside it the version that waits or that it replaced."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from common.errors import InvalidData, StepFailed
from common.logger import get_logger
from common.minio_errors import NoSuchObject
from common.stored import open_model

if TYPE_CHECKING:
    import pandas as pd

    from churn.features import FeatureColumns
    from churn.model import Probabilities
    from common.model_versions import Version
    from common.tools import Tools

log = get_logger(__name__)


@dataclass(frozen=True)
class Subject:
    """A registered version with the bytes that its digest names, opened for scoring."""

    version: "Version"
    columns: "FeatureColumns"
    threshold: float
    onnx: bytes

    @cached_property
    def session(self) -> Any:
        from churn.model import session

        return session(self.onnx)

    def features(self, frame: "pd.DataFrame") -> "pd.DataFrame":
        """The model's inputs of a frame that has at least its columns."""
        from churn.features import as_features

        return as_features(frame, self.columns)

    def score(self, frame: "pd.DataFrame") -> "Probabilities":
        """The probability of yes, a row each."""
        from churn.model import onnx_probabilities

        return onnx_probabilities(self.session, self.features(frame))


def standing(tools: "Tools") -> "Version":
    """The champion. Raises StepFailed where there is none."""
    name = tools.settings.uc1.model_name
    champion = tools.mlflow.champion(name)
    if champion is None:
        raise StepFailed(f"{name} has no champion to analyse.", "Run `python uc1_churn_prediction/run_pipeline.py`.")
    return champion


def beside(tools: "Tools", champion: "Version") -> "Version | None":
    """Whom it is compared with: the candidate, else the newest version that it replaced."""
    versions: Sequence[Version] = tools.mlflow.versions(champion.name)
    replaced = [each for each in versions if each.tags.get("retired_by") == champion.version]
    return tools.mlflow.candidate(champion.name) or max(replaced, key=lambda each: each.number, default=None)


def opened(tools: "Tools", version: "Version") -> Subject:
    """Load the version from object storage. Raises InvalidData where the bytes are not those of its digest."""
    from churn.features import FeatureColumns

    model = open_model(tools.minio, version.uri, version.digest)
    columns = FeatureColumns(model.schema.numeric, model.schema.categorical)
    return Subject(version, columns, model.schema.threshold, model.onnx)


def opened_beside(tools: "Tools", version: "Version | None", columns: Sequence[str]) -> Subject | None:
    """The challenger opened; None, and said, where it cannot be compared: the champion is judged all the same."""
    if version is None:
        return None
    try:
        subject = opened(tools, version)
    except (NoSuchObject, InvalidData) as error:
        log.warning("nobody is compared with the champion", version=version.version, cause=error.message)
        return None
    missing = sorted({*subject.columns.names} - {*columns})
    if missing:
        log.warning("the challenger needs other columns", version=version.version, missing=missing)
    return None if missing else subject
