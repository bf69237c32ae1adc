"""Every place that reads an object, and every way in which one lies: refused by name, and nothing made of it."""

import hashlib
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from common import golden, snapshot, stored
from common.digest import digest_of_parquet
from common.errors import ExitCode, InvalidData, MlopsError
from common.kubeflow_client import publish_package, published_package
from common.minio_client import ObjectStore
from common.minio_errors import CorruptedBody
from common.prediction_log import PredictionLog
from common.settings import Settings
from tests.lies.liars import LIES, papers, put
from tests.model import people
from uc1_churn_prediction import feature_table
from uc1_churn_prediction.training import evaluate
from uc2_ab_testing import scoring
from uc3_drift_retraining import comparison, sources

# What nobody can see in the object alone: whole, of its kind, and noted as what it is.
PLAUSIBLE = {
    ("golden.json", "a bit flipped in the middle"),  # the endpoint answers otherwise, and the step fails
    ("golden.json", "another whole one"),
    ("prediction log", "a bit flipped in front"), ("prediction log", "a bit flipped in the middle"),
}  # fmt: skip

POINTS_ELSEWHERE = ("the newest pipeline's name", "with its papers")  # then what it points to is named


@dataclass(frozen=True)
class Place:
    """Where something is read: the object, another whole one of its kind, and who reads it."""

    key: str
    other: bytes
    read: Callable[[], Any]


def rows(seed: int) -> bytes:
    out = io.BytesIO()
    frame = people.subscribers(400, seed)
    table = pa.Table.from_pandas(frame, preserve_index=False)
    pq.write_table(table.drop_columns([people.TIME]), out, compression="zstd", write_page_checksum=True)
    return out.getvalue()


def published(store: ObjectStore, prefix: str, content: bytes, directory: Path) -> str:
    """Under the digest of its rows, as a step does."""
    path = directory / "rows.parquet"
    path.write_bytes(content)
    digest = digest_of_parquet(path)
    return store.publish(f"{prefix}/{digest}.parquet", path, {"digest": digest}).uri


def published_model(store: ObjectStore, name: str, onnx: bytes) -> str:
    digest = hashlib.sha256(onnx).hexdigest()
    said = {"digest": digest, "numeric": ["Alter"], "categorical": ["Tarif"], "threshold": 0.5}
    asked = {"rows": [{"Alter": 1, "Tarif": "klein"}], "probabilities": [len(onnx) / 100]}
    for file, content in (("model.onnx", onnx), ("schema.json", said), ("golden.json", asked)):
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        store.put_bytes(f"{name}/{digest}/{file}", body)
    return store.uri(f"{name}/{digest}")


@pytest.fixture(scope="module")
def places(store: ObjectStore, settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Place]:
    directory = tmp_path_factory.mktemp("honest")
    inferred = settings.uc1.model_copy(update={"numeric": (), "categorical": (), "sensitive": (), "dropped": ()})
    settings = settings.model_copy(update={"uc1": inferred})
    tools: Any = SimpleNamespace(minio=store, settings=settings)
    uri, other_uri = (published(store, "raw", rows(seed), directory) for seed in (1, 2))
    sha256 = store.stat(store.key(uri)).sha256
    features = made_features(store, settings, uri)
    other_features = made_features(store, settings, other_uri)
    model, other_model = (published_model(store, "models", onnx) for onnx in (b"one model", b"two models"))
    package, package_uri = b"pipeline: one\n", publish_package(store, "training", b"pipeline: one\n")
    log = PredictionLog(store, "predictions/models/churn")
    name = "20260102T030405678901Z-v1.parquet"
    store.put_bytes(f"predictions/models/churn/{name}", rows(1))
    version: Any = SimpleNamespace(uri=model, digest=model.rpartition("/")[2])
    of = partial(content, store)
    read_features = partial(feature_table.read_feature_table, store, settings, features)
    return {
        "snapshot, fetched": Place(store.key(uri), of(other_uri), lambda: snapshot.fetch(store, uri, sha256)),
        "snapshot, for features": Place(store.key(uri), of(other_uri), lambda: made_features(store, settings, uri)),
        "snapshot, for training": Place(
            store.key(uri), of(other_uri), lambda: feature_table.read_snapshot(store, uri, ROLES)
        ),
        "snapshot, for a canary": Place(
            store.key(uri), of(other_uri), lambda: scoring.read_rows(store, uri, {"Alter", "Tarif"})
        ),
        "snapshot, after retraining": Place(store.key(uri), of(other_uri), lambda: comparison.read(tools, uri)),
        "snapshot, as drift's reference": Place(
            store.key(uri), of(other_uri), lambda: list(sources.parquet(tools, uri).batches())
        ),
        "features, what they are": Place(store.key(features), of(other_features), read_features),
        "features, for training": Place(
            store.key(features), of(other_features),
            lambda: (feature_table.read_roles(store, features), read_features()),
        ),
        "features, for the online store": Place(
            store.key(features), of(other_features), lambda: list(online(settings, store, read_features()))
        ),
        "model, opened": Place(
            f"{store.key(model)}/model.onnx", of(f"{other_model}/model.onnx"), lambda: stored.open_model(store, model)
        ),
        "model, as gates' champion": Place(
            f"{store.key(model)}/model.onnx", of(f"{other_model}/model.onnx"),
            lambda: evaluate.measured_champion(store, model, people.subscribers(10)),
        ),
        "model, for shadow scores": Place(
            f"{store.key(model)}/model.onnx", of(f"{other_model}/model.onnx"),
            lambda: scoring.scorer(store, model, version.digest),
        ),
        "model, after retraining": Place(
            f"{store.key(model)}/model.onnx", of(f"{other_model}/model.onnx"),
            lambda: comparison.answers(tools, version, people.subscribers(10)),
        ),
        "schema.json": Place(
            f"{store.key(model)}/schema.json", of(f"{other_model}/schema.json"),
            lambda: stored.model_schema(store, model),
        ),
        "golden.json": Place(
            f"{store.key(model)}/golden.json", of(f"{other_model}/golden.json"),
            lambda: golden._golden(store, f"{model}/golden.json"),
        ),
        "pipeline": Place(store.key(package_uri), package + b"more: x\n", lambda: published_package(store, "training")),
        "the newest pipeline's name": Place(
            "pipelines/training/latest.json", b'{"no": "uri"}', lambda: published_package(store, "training")
        ),
        "prediction log": Place(f"predictions/models/churn/{name}", b"PAR1 no PAR1", lambda: log.rows([name])),
    }  # fmt: skip


ROLES = feature_table.Roles(people.ENTITY, people.LABEL, None)


def content(store: ObjectStore, uri: str) -> bytes:
    return store.get_bytes(store.key(uri))


def made_features(store: ObjectStore, settings: Settings, uri: str) -> str:
    return feature_table.publish_features(store, settings, uri, ROLES).table.uri


def online(settings: Settings, store: ObjectStore, table: Any) -> Any:
    from common.feast_client import FeatureStoreClient

    return FeatureStoreClient(settings.model_copy(update={"minio": store.settings})).newest(table)


NAMES = (
    "snapshot, fetched", "snapshot, for features", "snapshot, for training", "snapshot, for a canary",
    "snapshot, after retraining", "snapshot, as drift's reference", "features, what they are",
    "features, for training", "features, for the online store", "model, opened", "model, as gates' champion",
    "model, for shadow scores", "model, after retraining", "schema.json", "golden.json", "pipeline",
    "the newest pipeline's name", "prediction log",
)  # fmt: skip


def test_every_place_is_told_lies(places: dict[str, Place]) -> None:
    assert set(NAMES) == set(places)


# What `make test` tries of every place: what damaged disks, cut uploads and proxies leave, and an exchange.
OFTEN = {
    ("empty", "openly"), ("HTML", "openly"), ("cut in half", "openly"), ("a bit flipped in the middle", "openly"),
    ("another whole one", "openly"), ("another whole one", "with its papers"), ("HTML", "with its papers"),
}  # fmt: skip
CELLS = [
    pytest.param(name, lie, noted, marks=() if (lie, noted) in OFTEN else pytest.mark.deep)
    for name in NAMES
    for lie in LIES
    for noted in ("openly", "with its papers")
    if noted == "openly" or (name, lie) not in PLAUSIBLE
]


@pytest.mark.parametrize(("name", "lie", "noted"), CELLS)
def test_a_lie_is_refused_in_one_sentence_that_names_the_object(
    name: str, lie: str, noted: str, places: dict[str, Place], store: ObjectStore
) -> None:
    place = places[name]
    honest, before = store.get_bytes(place.key), papers(store, place.key)
    told = LIES[lie](honest, place.other)
    there = {each.key for each in store.list("")}
    put(store, place.key, told, before if noted == "openly" else {"sha256": hashlib.sha256(told).hexdigest()})
    try:
        with pytest.raises(MlopsError) as refused:
            place.read()
    finally:
        put(store, place.key, honest, before)
    assert isinstance(refused.value, InvalidData | CorruptedBody), repr(refused.value)
    assert refused.value.exit_code in (ExitCode.BAD_DATA, ExitCode.STEP_FAILED)
    assert place.key in refused.value.message or (name, noted) == POINTS_ELSEWHERE
    assert "\n" not in refused.value.message
    assert {each.key for each in store.list("")} == there
