"""Brings a model from object storage to disk, where only whole and verified models ever appear."""

import hashlib
import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from common.settings import Minio

DIGEST = re.compile(r"[0-9a-f]{64}")


class DownloadFailed(Exception):
    """The model could not be brought here; the message says why."""


def fetch(storage_uri: str, models: Path, minio: "Minio") -> Path:
    """The directory <models>/<sha256> with the model of `storage_uri`. Raises DownloadFailed.

    Downloaded aside, verified, then renamed: a crash leaves a temporary directory, never half a model.
    """
    digest = storage_uri.rstrip("/").rpartition("/")[2]
    if not DIGEST.fullmatch(digest):
        raise DownloadFailed(f"{storage_uri} is not pinned: its last segment must be the sha256 of model.onnx.")
    final = models / digest
    if _sha256(final / "model.onnx") == digest:
        return final
    models.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=models, prefix=".tmp-") as name:
        aside = Path(name) / "model"
        aside.mkdir()
        _download(storage_uri, aside, minio)
        actual = _sha256(aside / "model.onnx")
        if actual != digest:
            raise DownloadFailed(
                f"{storage_uri}/model.onnx has sha256 {actual or '(absent)'}, not the one that it is pinned to."
            )
        shutil.rmtree(final, ignore_errors=True)
        aside.rename(final)
    return final


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def _download(storage_uri: str, directory: Path, minio: "Minio") -> None:
    from botocore.exceptions import BotoCoreError, ClientError

    bucket, _, prefix = storage_uri.removeprefix("s3://").rstrip("/").partition("/")
    try:
        client = _client(minio)
        listed = client.list_objects_v2(Bucket=bucket, Prefix=f"{prefix}/").get("Contents", [])
        for entry in listed:
            target = _inside(directory, entry["Key"].removeprefix(f"{prefix}/"))
            target.parent.mkdir(parents=True, exist_ok=True)
            client.download_file(bucket, entry["Key"], str(target))
    except (BotoCoreError, ClientError) as error:
        raise DownloadFailed(f"Failed to fetch model {storage_uri} from {minio.url}: {error}") from error
    if not listed:
        raise DownloadFailed(f"Failed to fetch model. No model found in {storage_uri}.")


def _inside(directory: Path, relative: str) -> Path:
    target = (directory / relative).resolve()
    if not relative or directory.resolve() not in target.parents:
        raise DownloadFailed(f"The object name {relative!r} leads out of the model's directory.")
    return target


def _client(minio: "Minio") -> Any:
    import boto3
    from botocore.config import Config

    config = Config(connect_timeout=3, read_timeout=20, retries={"mode": "standard", "total_max_attempts": 4},
                    s3={"addressing_style": "path"})  # fmt: skip
    return boto3.client("s3", endpoint_url=minio.url, region_name=minio.region, aws_access_key_id=minio.access_key,
                        aws_secret_access_key=minio.secret_key.get_secret_value(), config=config)  # fmt: skip
