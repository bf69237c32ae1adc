"""Retraining: fresh rows, UC1's published pipeline, and what its versions are tagged with.

Everything is looked for before it is made. A version is found by the key of the step that had it trained; the tag
`answers_drift` says which window it answers, so that a lost ledger answers no window twice.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from churn.retraining import Answer
from common.errors import StepFailed
from common.minio_errors import NoSuchObject
from common.model_versions import candidate_of, rivals_of
from uc3_drift_retraining.results import DriftReport

if TYPE_CHECKING:
    from common.registry import Version
    from common.settings_uc1 import Gate
    from common.snapshot import Snapshot
    from common.tools import Tools

ANSWERS, SHARE, REPORT, AT = "answers_drift", "drift_share", "drift_report", "answered_at"
DEADLINE_SECONDS = 1800


def answers(tools: "Tools") -> list[Answer]:
    """Every version that drift was answered with, oldest first, whatever became of it."""
    name = tools.settings.uc1.model_name
    versions = tools.mlflow.versions(name)
    waiting = waiting_of(versions, tools.mlflow.champion(name), tools.settings.uc1.gate)
    return [_answer(version, version.version in waiting) for version in versions if ANSWERS in version.tags]


def waiting_of(versions: "Sequence[Version]", champion: "Version | None", gate: "Gate") -> set[str]:
    """Those that a canary may still try. UC2 takes the candidate first: where that has become too bad, none of them.

    A gate that compared it with another champion than today's is asked again, as UC2 does.
    """
    from churn.gates import ModelRules, judge_model

    candidate = candidate_of(versions, champion)
    if candidate and champion and candidate.gate_champion != champion.digest:
        again = judge_model(candidate.metrics, ModelRules(**gate.model_dump()), champion.metrics)
        candidate = candidate if again.passed else None
    return {version.version for version in rivals_of(versions, champion)} if candidate else set()


def _answer(version: "Version", waits: bool) -> Answer:
    tags = version.tags
    at = datetime.fromisoformat(tags.get(AT, "1970-01-01T00:00:00+00:00"))
    return Answer(tags[ANSWERS], version.version, tags.get("data_digest", ""), at, version.state, waits)


def fresh_snapshot(tools: "Tools") -> "Snapshot":
    """The labelled rows of uc3.fresh, or of UC1's source, as UC1's ingestion takes them, beside its own snapshots."""
    from common import snapshot
    from common.source_tables import wanted_from

    uc1 = tools.settings.uc1
    wanted = wanted_from(tools.postgres, uc1, tools.settings.uc3.fresh)
    taken = snapshot.take(
        tools.postgres, tools.minio, wanted, f"{uc1.raw_data_path.removesuffix('.parquet')}-fresh.parquet"
    )
    tools.context.effect("object", taken.uri, taken.created, rows=taken.rows, digest=taken.digest)
    return taken


def registered(tools: "Tools") -> "list[Version]":
    """The versions that this step's key has registered, in the order of uc1.algorithms."""
    by_key = {version.key: version for version in tools.mlflow.versions(tools.settings.uc1.model_name)}
    wanted = (f"{tools.context.key}:{algorithm}" for algorithm in tools.settings.uc1.algorithms)
    return [by_key[key] for key in wanted if key in by_key]


def package_of(tools: "Tools") -> tuple[str, bytes]:
    """UC1's pipeline as it was published last. Raises StepFailed where it never was."""
    from common.kubeflow_client import published_package

    name = tools.settings.uc3.pipeline
    try:
        return published_package(tools.minio, name)
    except NoSuchObject as error:
        raise StepFailed(
            f"No pipeline is published as {name}, so there is nothing to retrain with.",
            "Run UC1 first: python uc1_churn_prediction/run_pipeline.py",
        ) from error


def train(tools: "Tools", package: bytes, snapshot_uri: str, champion: "Version") -> None:
    """Run the pipeline to its end. It makes the features itself. Raises what its component said was wrong."""
    from common.pipeline_errors import error_key, left_error
    from common.pipeline_settings import told

    name, key = tools.settings.uc3.pipeline, tools.context.key
    tools.minio.delete(error_key(name, key))
    arguments = {
        "snapshot_uri": snapshot_uri, "features_uri": "", "key": key, "champion_uri": champion.uri,
        "algorithms": list(tools.settings.uc1.algorithms), "settings": told(tools.settings),
    }  # fmt: skip
    ended = tools.kubeflow.run(name, package, arguments, key=key, deadline_seconds=DEADLINE_SECONDS - 60)
    if not ended.succeeded:
        raise left_error(tools.minio, name, key) or StepFailed(
            f"The pipeline {name} ended as {ended.state}: {ended.error or 'no component said why'}",
            f"Its log is logs/{name}.log in the state directory, or in Kubeflow's page of run {ended.id}.",
        )
    tools.context.effect("pipeline_run", ended.id, pipeline=name)


def tagged(tools: "Tools", versions: "Sequence[Version]", drift: DriftReport, now: datetime) -> "list[Version]":
    """Say on each version what it answers, and let the aliases follow.

    `answers_drift` is written last: what has it is complete.
    """
    said = {REPORT: drift.page or drift.uri, SHARE: f"{drift.share:.4f}", AT: now.astimezone(UTC).isoformat()}
    done = [
        each if ANSWERS in each.tags else tools.mlflow.tag(tools.mlflow.tag(each, **said), **{ANSWERS: drift.window})
        for each in versions
    ]
    tools.mlflow.settle(tools.settings.uc1.model_name)
    return done
