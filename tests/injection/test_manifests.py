"""Any text in any field of a manifest comes back as itself: as YAML, as a crontab's command, as a unit."""

import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from common import schedule_cron, schedule_systemd
from common.errors import ConfigError
from common.names import BadName
from common.schedule_entries import Entry
from common.serving_manifests import Canary, Deployment, checked, inference_service, serving_runtime
from common.settings import Kserve, Minio
from common.settings_schedules import RunAll, Schedules
from tests.injection.corpora import ALL, HTML, SHELL, YAML
from uc6_gitops_deployment import overlay

DIGEST = "ab" * 32
GOOD = Deployment("churn", "models", "7", DIGEST, f"s3://mlops/models/churn/{DIGEST}", "key")
WRITABLE = tuple(text for text in ALL if text.isprintable() or not any("\ud800" <= each <= "\udfff" for each in text))


HARMLESS = {
    "null", "true", "no", "on", "010", "0x10", "1e3", "2026-01-01", "select", "user", "table", "order", "group", "from",
    "ctid", "0", "c0", "x" * 63,
}  # fmt: skip


def shape(document: Any) -> Any:
    """The document with every text taken out: its keys, lists and kinds."""
    if isinstance(document, dict):
        return {key: shape(value) for key, value in document.items()}
    if isinstance(document, list):
        return [shape(value) for value in document]
    return type(document).__name__


def manifests(wanted: Deployment, kserve: Kserve, minio: Minio) -> Iterator[dict[str, Any]]:
    yield inference_service(wanted, kserve, minio)
    yield inference_service(wanted, kserve, minio, Canary(wanted, 10, "latency=1ms"))
    yield serving_runtime(wanted.namespace, kserve, minio)


@pytest.mark.parametrize("corpus", [YAML[::2], pytest.param(WRITABLE, marks=pytest.mark.deep)], ids=["some", "all"])
def test_a_manifest_with_any_text_in_every_field_is_the_same_manifest_when_it_is_read(corpus: tuple[str, ...]) -> None:
    honest = [shape(each) for each in manifests(GOOD, Kserve(service_account="x"), Minio())]
    for text in filter(None, corpus):
        texts = dict.fromkeys(("image", "runtime", "service_account"), text)
        kserve = Kserve.model_construct(**{**Kserve().model_dump(), **texts})
        minio = Minio.model_construct(**{**Minio().model_dump(), "bucket": text, "region": text, "endpoint": "h:1"})
        evil = Deployment("churn", text, text, text, text, text)
        for document, like in zip(manifests(evil, kserve, minio), honest, strict=True):
            (read,) = yaml.safe_load_all(overlay.as_yaml(document))
            assert read == document
            assert shape(read) == like


@pytest.mark.parametrize("field", ["namespace", "version", "digest", "uri"])
def test_no_text_of_a_corpus_is_deployed(field: str) -> None:
    for text in ALL:
        if field == "namespace" and text in HARMLESS:
            continue  # YAML and SQL read more into it than Kubernetes does, and both quote it
        with pytest.raises(BadName) as refused:
            checked(replace(GOOD, **{field: text}), ("s3",), ("mlops",))
        assert refused.value.message.isprintable()
        assert len(refused.value.message) < 400


def test_what_is_meant_is_deployed() -> None:
    assert checked(GOOD, ("s3",), ("mlops",)) == GOOD


def entry(text: str) -> Entry:
    return Entry("run_all", "development", RunAll(), ("--env", "development", "--config", text), 60, "/py", "/root")


@pytest.fixture(scope="module")
def nothing_done(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    where = tmp_path_factory.mktemp("shell")
    yield where
    assert not list(where.iterdir()), "a text was carried out"


LINES = tuple(text for text in (*SHELL, *YAML, *HTML) if "\0" not in text and all(ord(each) > 31 for each in text))


def test_a_crontabs_line_gives_the_text_to_the_script_and_to_nobody_else(nothing_done: Path) -> None:
    asked, wanted = "", list[str]()
    for text in LINES:
        line, words = schedule_cron.line(entry(text)), shlex.join(entry(text).run)
        assert "\n" not in line
        assert words in line.split(" ", 5)[5].replace(r"\%", "%")
        asked, wanted = f"{asked} {words}", [*wanted, *entry(text).run]
    # cron hands the command to /bin/sh: here, a shell is asked what it makes of the words, all at once
    shell = ["/bin/sh", "-c", f"printf '%s\\0' {asked}"]
    printed = subprocess.run(shell, cwd=nothing_done, capture_output=True, timeout=20, check=True)
    assert printed.stdout.decode().split("\0")[:-1] == wanted


def test_a_unit_keeps_every_text_in_its_line() -> None:
    honest = schedule_systemd._service(entry("x")).split("\n")
    for text in LINES:
        unit = schedule_systemd._service(entry(text)).split("\n")
        assert [each.split("=")[0] for each in unit] == [each.split("=")[0] for each in honest]


def test_a_schedule_takes_no_script_namespace_or_time_from_a_corpus() -> None:
    for text in ALL:
        for wrong in ({"run_all": {"script": text}}, {"run_all": {"cron": text}}, {"namespace": f"{text}\n"}):
            with pytest.raises((ValueError, ConfigError)):
                Schedules.model_validate(wrong)
