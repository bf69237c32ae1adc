"""UC1 step 2: make the snapshot a version of the data repository.

Reads    the snapshot of RawCustomers, from object storage
Writes   its bytes to DVC's remote, and one commit, only if they are new, to the data repository
Returns  DataVersion
Raises   Unavailable (exit 69), AccessRefused (77) or ConfigError (78) about the repository or the store

Run it alone:  python uc1_churn_prediction/uc1_02_data_versioning_dvc.py
"""

from typing import TYPE_CHECKING, Any

from common.step import step
from uc1_churn_prediction.results import DataVersion, RawCustomers

if TYPE_CHECKING:
    from common.tools import Tools


@step(
    needs=("dvc", "minio"),
    settings=("uc1.raw_data_path", "dvc.git_url", "dvc.prefix", "dvc.branch", "minio.bucket"),
    deadline_seconds=1800,
)
def run(tools: "Tools", raw: RawCustomers) -> DataVersion:
    """Hand the snapshot to DVC; the object in S3 stays the source, so no kill can lose it."""
    from common import snapshot
    from common.settings import without_credentials

    store, path = tools.minio, tools.settings.uc1.raw_data_path
    file = snapshot.fetch(store, raw.uri, raw.sha256)
    trailers = {"Data-Digest": raw.digest, "Rows": str(raw.rows), "Idempotency-Key": tools.context.key}
    # Dated by the object, not by the clock: a repeated run makes the very same commit.
    date = store.stat(store.key(raw.uri)).modified
    done = tools.dvc.commit(file, path, message=_subject(raw, path), trailers=trailers, date=date)
    tools.context.effect("commit", done.commit, done.created, path=path, md5=done.md5)
    repository = without_credentials(tools.settings.dvc.git_url)
    return DataVersion(raw=raw, path=path, md5=done.md5, commit=done.commit, remote=done.remote, repository=repository)


def observe(tools: "Tools") -> dict[str, Any]:
    """What the data repository has now, and whether its bytes are in S3."""
    return tools.dvc.state(tools.settings.uc1.raw_data_path)


def _subject(raw: RawCustomers, path: str) -> str:
    return f"Version {path}: {raw.rows:,} rows, digest {raw.digest[:12]}"


if __name__ == "__main__":
    from common.cli import main

    main(__file__)
