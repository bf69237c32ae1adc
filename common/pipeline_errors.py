"""What a pipeline's component says was wrong, left where whoever started the pipeline finds it.

Neither exit codes nor types cross a pod's boundary: an error that a person can mend is an object in storage, under the
pipeline's name and the key of the step that started it.
"""

import contextlib
from typing import TYPE_CHECKING

from common import errors
from common.errors import MlopsError
from common.minio_errors import NoSuchObject

if TYPE_CHECKING:
    from common.minio_client import ObjectStore


def error_key(pipeline: str, key: str) -> str:
    """Where a component leaves its error."""
    return f"pipelines/{pipeline}/errors/{key}.json"


def leave_error(store: "ObjectStore", pipeline: str, key: str, error: MlopsError) -> None:
    """Write an error down as the nearest type of common.errors; where the object store failed, the log has to do."""
    kind = next(each.__name__ for each in type(error).__mro__ if getattr(errors, each.__name__, None) is each)
    with contextlib.suppress(MlopsError):
        store.put_json(error_key(pipeline, key), {"kind": kind, "message": error.message, "hint": error.hint})


def left_error(store: "ObjectStore", pipeline: str, key: str) -> MlopsError | None:
    """The error that a component left, as the type it was."""
    try:
        said = store.get_json(error_key(pipeline, key))
    except NoSuchObject:
        return None
    error: MlopsError = getattr(errors, said["kind"])(said["message"], said["hint"])
    return error
