"""The lineage server is started beside what a run needs, and missed by nobody."""

import pytest

from common import platform
from common.config import load_settings
from common.errors import Unavailable
from common.settings import Settings

Started = list[list[str]]


@pytest.fixture
def settings(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("MLOPS_STATE_DIR", str(tmp_path))
    return load_settings()


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Started:
    """What was asked to start; nothing answers before."""
    asked: Started = []
    monkeypatch.setattr(platform, "answers", lambda settings, name: False)
    monkeypatch.setattr(platform, "_start", asked.append)
    return asked


def test_it_is_started_with_what_a_run_needs(settings: Settings, started: Started) -> None:
    assert platform.ensure_up(settings, {"postgres"}, welcome={"marquez"})
    assert started == [["marquez", "postgres"]]


def test_a_run_that_needs_nothing_starts_nothing(settings: Settings, started: Started) -> None:
    assert not platform.ensure_up(settings, set(), welcome={"marquez"})
    assert started == []


def test_its_absence_is_no_reason_to_refuse(
    settings: Settings, started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "answers", lambda settings, name: name != "marquez")
    assert not platform.ensure_up(settings, {"postgres"}, no_start=True, welcome={"marquez"})
    assert started == []


def test_where_it_does_not_come_up_the_rest_does(
    settings: Settings, started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(names: list[str]) -> None:
        started.append(names)
        if "marquez" in names:
            raise Unavailable("It did not start.")

    monkeypatch.setattr(platform, "_start", broken)
    assert platform.ensure_up(settings, {"minio"}, welcome={"marquez"})
    assert started == [["marquez", "minio", "postgres"], ["minio"]]
