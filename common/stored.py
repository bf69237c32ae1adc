"""What lies in object storage, opened as what it is said to be: a model, rows, JSON. What is not is refused by name.

Three things are held against each other: the digest that the name says, the one that was noted with the object, and
the bytes. So a body that was cut or changed is found, and one that was exchanged for another, however whole that is.
"""

import contextlib
import hashlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from common.errors import InvalidData
from common.names import DIGEST

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from common.minio_client import Object, ObjectStore

RESTORE = "Restore the object, or delete it and run the step again that makes it."


@dataclass(frozen=True)
class ModelSchema:
    """The inputs of a model in their order, and the probability from which it says yes."""

    numeric: tuple[str, ...]
    categorical: tuple[str, ...]
    threshold: float


@dataclass(frozen=True)
class StoredModel:
    """A model whose bytes are those of its digest."""

    digest: str
    schema: ModelSchema
    onnx: bytes


def open_model(store: "ObjectStore", uri: str, digest: str = "") -> StoredModel:
    """The model in this folder, which has this digest, or the one that the folder is named by.

    Raises InvalidData where the bytes are another's: nothing of them has been loaded then.
    """
    wanted = digest or uri.rsplit("/", 1)[-1]
    onnx = store.get_bytes(store.key(f"{uri}/model.onnx"))
    found = hashlib.sha256(onnx).hexdigest()
    if found != wanted:
        raise InvalidData(
            f"{uri}/model.onnx has SHA-256 {found[:12]}, and the registered model is {wanted[:12]}: it is not loaded.",
            "The stored model was replaced or damaged; restore the object, or run UC1's step 5 again.",
        )
    return StoredModel(wanted, model_schema(store, uri, wanted), onnx)


def model_schema(store: "ObjectStore", uri: str, digest: str = "") -> ModelSchema:
    """What the model in this folder takes, by its schema.json. Raises InvalidData where that is of another model."""
    place, wanted = f"{uri}/schema.json", digest or uri.rsplit("/", 1)[-1]
    said = json_object(store, place, "numeric", "categorical")
    if said.get("digest", wanted) != wanted:
        raise InvalidData(f"{place} is about model {str(said['digest'])[:12]}, not about {wanted[:12]}.", RESTORE)
    try:
        numeric, categorical = (_texts(said[name]) for name in ("numeric", "categorical"))
        return ModelSchema(numeric, categorical, float(said.get("threshold", 0.5)))
    except (TypeError, ValueError):
        raise InvalidData(f"{place} does not list a model's columns.", RESTORE) from None


def json_object(store: "ObjectStore", uri: str, *needed: str) -> dict[str, Any]:
    """A JSON document with these keys. Raises InvalidData for another one."""
    said = store.get_json(store.key(uri))
    missing = [name for name in needed if not isinstance(said, dict) or name not in said]
    if not isinstance(said, dict) or missing:
        raise InvalidData(f"{uri} is not what it should be: it has no {missing[0] if missing else 'keys'}.", RESTORE)
    return said


def rows_of(store: "ObjectStore", uri: str, columns: Sequence[str] | None = None) -> "pa.Table":
    """Rows of a parquet object, all columns or these. Raises InvalidData for a missing column, or for no parquet."""
    file = parquet_file(store, uri)
    missing = sorted(set(columns or ()) - set(file.schema_arrow.names))
    if missing:
        raise InvalidData(f"{uri} has no column {', '.join(missing)}.", "Look at what wrote it, and at uc1's columns.")
    with as_parquet(uri):
        return file.read(columns=None if columns is None else list(columns))


def parquet_file(store: "ObjectStore", uri: str) -> "pq.ParquetFile":
    """A parquet object, fetched whole and verified."""
    import pyarrow.parquet as pq

    key = store.key(uri)
    refuse_exchanged(store, key)
    with as_parquet(uri):
        return pq.ParquetFile(io.BytesIO(store.get_bytes(key)), page_checksum_verification=True)


def download_parquet(store: "ObjectStore", uri: str, path: Path, sha256: str | None = None) -> Path:
    """Fetch a parquet object into `path`, verified. Raises NoSuchObject, InvalidData."""
    import pyarrow.parquet as pq

    key = store.key(uri)
    refuse_exchanged(store, key)
    store.download(key, path, sha256)
    with as_parquet(uri):
        pq.read_metadata(path)
    return path


def refuse_exchanged(store: "ObjectStore", key: str) -> "Object":
    """What is known of an object. Raises InvalidData where its name is a digest, and it holds something else."""
    named, found = PurePosixPath(key).stem, store.stat(key)
    noted = found.metadata.get("digest", "")
    if DIGEST.fullmatch(named) and noted != named:
        holds = f"the content {noted[:12]}" if noted else "something that was not written under this name"
        raise InvalidData(f"{store.uri(key)} holds {holds}.", RESTORE)
    return found


@contextlib.contextmanager
def as_parquet(what: object) -> Iterator[None]:
    """Turn what pyarrow says of a file that is none, or is damaged, into InvalidData about `what`.

    Whether a server answered is another question: errors of S3 pass as they are.
    """
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        if isinstance(error, OSError) and (error.errno is not None or "AWS Error" in str(error)):
            raise
        said = str(error).splitlines()[0].rstrip(".")[:200] if str(error) else type(error).__name__
        raise InvalidData(f"{what} is no parquet file, or a damaged one: {said}.", RESTORE) from error


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise TypeError
    return tuple(value)
