"""What the training pipeline's components share: their settings, the folders between them, and their errors.

Each component runs in a process of its own, here or in a pod, with settings from MLOPS_* variables, and over them
those of the step that started the pipeline. An error that a person can mend is left in object storage under the
step's key, where the step that started the pipeline finds it: neither exit codes nor types cross a pod's boundary.
"""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from churn.customers import UnfitForTraining
from churn.features import FeatureColumns
from common.config import load_settings
from common.errors import InvalidData, MlopsError
from common.kubeflow_local import end_with_runner
from common.minio_client import ObjectStore
from common.pipeline_errors import leave_error
from common.pipeline_settings import as_told
from common.settings import Settings

if TYPE_CHECKING:
    import pandas as pd

NAME = "churn-training"
LABEL, HOLDOUT = "__label__", "__holdout__"
THRESHOLD = 0.5


@contextlib.contextmanager
def component(key: str, said: str = "") -> Iterator[tuple[Settings, ObjectStore]]:
    """Settings and object store of a component; its error, where it is one of ours, is left under `key`.

    `said` is what common.pipeline_settings told of the settings of whoever started the pipeline.
    """
    end_with_runner()
    settings = as_told(load_settings(), said)
    store = ObjectStore(settings.minio)
    try:
        yield settings, store
    except UnfitForTraining as error:
        leave_error(store, NAME, key, InvalidData(str(error)))
        raise
    except MlopsError as error:
        leave_error(store, NAME, key, error)
        raise


def pictures_key(key: str, algorithm: str) -> str:
    """The folder in the bucket that holds the plots of one evaluation."""
    return f"evaluations/{key}/{algorithm}"


def read_frame(place: Path) -> tuple["pd.DataFrame", FeatureColumns]:
    """The training frame, and which of its columns are the model's inputs."""
    import pandas as pd

    said = read_json(place / "frame.json")["columns"]
    columns = FeatureColumns(tuple(said["numeric"]), tuple(said["categorical"]))
    return pd.read_parquet(place / "frame.parquet"), columns


def write_json(path: Path, value: Any) -> None:
    """Write JSON in one form: the same value gives the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False), encoding="utf-8")


def read_json(path: Path) -> Any:
    """Read what `write_json` wrote."""
    return json.loads(path.read_text(encoding="utf-8"))
