"""The how-to page about one real service: its examples load as they stand, and the one of a database runs."""

import csv
import random
import re
from pathlib import Path

import pytest

from common.config import load_settings
from common.paths import ROOT
from common.settings import Settings
from tests.conftest import EmbeddedPlatform

PAGE = (ROOT / "docs/how-to/one-real-service.md").read_text()
ONE_SERVICE, DATABASE = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def crm(tmp_path: Path) -> Path:
    path = tmp_path / "crm.yaml"
    path.write_text(DATABASE)
    return path


def test_the_overlay_of_one_service_makes_that_one_remote(tmp_path: Path) -> None:
    base = tmp_path / "config.yaml"
    base.write_text((ROOT / "config.yaml").read_text())
    base.with_name("config.development.yaml").write_text(ONE_SERVICE)
    services = load_settings(config_file=base).services()
    assert [name for name, section in services.items() if not section.embedded] == ["minio"]


def test_the_file_of_a_database_names_nothing_of_the_sample(crm: Path) -> None:
    settings = load_settings(config_file=crm)
    assert [name for name, section in settings.services().items() if not section.embedded] == ["postgres"]
    uc1, uc3 = settings.uc1, settings.uc3
    assert (uc1.table, uc3.fresh, uc3.replay.table) == ("accounts", ("accounts",), "")
    assert (uc1.numeric, uc1.categorical, uc1.sensitive) == ((), (), ())
    assert not uc1.expectations.ranges
    assert not uc1.expectations.sets
    assert set(uc1.expectations.required) == {uc1.entity, uc1.label}


@pytest.mark.deep
def test_uc1_extracts_versions_and_validates_such_a_table_with_that_file(
    crm: Path, platform: EmbeddedPlatform, settings: Settings, tmp_path: Path
) -> None:
    file, dice = tmp_path / "accounts.csv", random.Random(1)
    with file.open("w", newline="") as opened:
        rows = csv.writer(opened)
        rows.writerow(["account_id", "seats", "plan", "left"])
        rows.writerows([each, dice.randint(1, 50), dice.choice("abc"), dice.random() < 0.3] for each in range(400))
    loaded = platform.run("-m", "embedded", "load", str(file), "--table", "accounts")
    assert loaded.returncode == 0, loaded.stderr
    there, own = settings.postgres, [f"{section}=realdb" for section in ("minio.bucket", "feast.project", "dvc.prefix")]
    own += [f"postgres.{name}={getattr(there, name)}" for name in ("host", "port", "database", "user", "sslmode")]
    done = platform.run(
        "uc1_churn_prediction/run_pipeline.py", "--config", str(crm), "--until", "03",
        *(part for each in own for part in ("--set", each)),
        MLOPS_POSTGRES__PASSWORD=there.password.get_secret_value(),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert "400 rows" in done.stdout + done.stderr
