"""Other people's tables from file to endpoint, with configuration only; and then a canary on one of them."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from common.paths import ROOT
from tests.conftest import EmbeddedPlatform
from tests.tables import public
from tests.tables.own import OwnTable

pytestmark = [pytest.mark.deep, pytest.mark.timeout(600)]  # two minutes of work, on a machine that may be busy
UNCHANGED = dict.fromkeys(("01", "02", "03", "04", "05", "06"), "unchanged")


@pytest.fixture(scope="module")
def awkward(platform: EmbeddedPlatform, tmp_path_factory: pytest.TempPathFactory) -> OwnTable:
    """Names that no identifier may have, no id, a third of the numbers missing, an order of categories."""
    directory = tmp_path_factory.mktemp("tables")
    own = OwnTable("awkward", directory, platform)
    own.load(public.awkward(directory / "awkward.csv", 900), 'my "table" 名')
    own.profile('my "table" 名', entity=None, dropped=["Kunden Nr."], ordered={"Région": ["Île", "Forêt"]},
                gate={"min_roc_auc": 0.6}, expectations={"required": ["label?"]})  # fmt: skip
    own.first = own.results()  # type: ignore[attr-defined]
    return own


def test_any_name_goes_through_every_step_to_a_prediction_by_the_real_names(awkward: OwnTable) -> None:
    served = awkward.first["06"]  # type: ignore[attr-defined]
    assert served["golden_rows"] == 20
    assert served["max_difference"] <= 1e-5
    row = {'Größe "cm"': 190, "select": "where", "Umsatz.€": 120.5, "名前": "田中", "it's": 2, "a/b:c;d": 0.5,
           "Région": "Île"}  # fmt: skip
    tall, unknown = awkward.ask(served, row), awkward.ask(served, {**row, 'Größe "cm"': None, "Région": "Mars"})
    assert 0 < unknown < tall < 1
    assert awkward.ask(served, {**row, 'Größe "cm"': 140}) < tall


def test_without_an_entity_rows_are_known_by_their_number_and_that_is_said(awkward: OwnTable) -> None:
    raw = awkward.first["01"]  # type: ignore[attr-defined]
    assert raw["entity"] == "row_number"
    reports = sorted(awkward.state.glob("runs/*/report.html"))
    assert "none: the number of the row" in reports[-1].read_text()


def test_a_second_run_is_unchanged_and_makes_nothing(awkward: OwnTable) -> None:
    before = awkward.world()
    assert awkward.states() == UNCHANGED
    assert awkward.world() == before


def test_a_canary_of_the_challenger_runs_on_it_too(awkward: OwnTable) -> None:
    command = [sys.executable, str(ROOT / "uc2_ab_testing" / "run_pipeline.py"), "--json", "--version", "2"]
    faster = ("iter8.interval_seconds=1", "uc2.objectives.latency_p95_ms=5000", "uc2.weights=[100]",
              "uc2.objectives.excess_disagreement=0.99", "uc2.min_requests=30", "traffic.source=replay")  # fmt: skip
    settings = [part for each in faster for part in ("--set", each)]
    done = subprocess.run([*command, *settings], env=awkward.env, cwd="/", capture_output=True, text=True, timeout=200)
    said = json.loads(done.stdout)["steps"][-1]["result"] if done.stdout else done.stderr[-2000:]
    assert done.returncode in (0, 3), said
    if done.returncode == 0:
        assert said["verdict"] == "promoted"
    else:  # the trees may be worse beside the champion: then the gate, and nothing else, said no
        assert "gate" in done.stderr, done.stderr[-9000:]
    assert "400" not in done.stderr


PUBLIC = {
    "telco": ("customerID", 0), "bank": ("CustomerId", 0), "cards": ("CLIENTNUM", 2), "marketing": ("row_number", 0),
}  # fmt: skip


@pytest.mark.parametrize("name", PUBLIC)
def test_a_well_known_table_runs_on_the_configuration_that_is_proposed(
    platform: EmbeddedPlatform, tmp_path: Path, name: str
) -> None:
    entity, leaks = PUBLIC[name]
    own = OwnTable(name, tmp_path, platform)
    own.load(getattr(public, name)(tmp_path / f"{name}.csv"), name)
    own.profile(name)
    steps = own.results()
    assert steps["01"]["entity"] == entity
    assert steps["06"]["golden_rows"] == 20
    given_away = [check for check in steps["03"]["checks"] if "does not give the label away" in check["name"]]
    assert len([check for check in given_away if not check["success"]]) == leaks
    assert 0 < own.ask(steps["06"], json.loads(steps["06"]["example"])) < 1


EVENTS = """SELECT kunde, count(*) AS kaeufe, sum(betrag) AS summe, max(betrag) AS groesster,
 avg(betrag) AS mittel, (DATE '2025-12-31' - max(tag)) > 100 AS weg
 FROM events_own WHERE tag < '2025-12-31' GROUP BY kunde"""


def test_a_table_of_events_is_used_through_a_query(platform: EmbeddedPlatform, tmp_path: Path) -> None:
    import numpy as np

    random, own = np.random.default_rng(6), OwnTable("events", tmp_path, platform)

    def events() -> Any:
        for customer in range(600):
            often = 1 + int(random.poisson(6))
            for day in np.sort(random.integers(0, 360, often)):
                yield customer, np.datetime64("2025-01-01") + int(day), round(float(random.exponential(40)), 2)

    own.load(public.write(tmp_path / "events.csv", ("kunde", "tag", "betrag"), events()), "events_own")
    uc1 = own.profile("--query", EVENTS, gate={"min_roc_auc": 0.55})
    assert (uc1["entity"], uc1["label"], uc1["positive_label"]) == ("kunde", "weg", True)
    steps = own.results()
    assert steps["04"]["numeric"] == ["kaeufe", "summe", "groesster", "mittel"]
    assert steps["06"]["golden_rows"] == 20
