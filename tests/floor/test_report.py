"""The report of a run: what a person finds in it, and that it stands on nothing but its own folder."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from common.config import load_settings
from common.errors import Unavailable
from common.report import Run
from common.report_page import as_html, index_html
from common.runner import Outcome
from common.step import Section
from tests.floor.conftest import ToyWorld
from tests.floor.toy import results, toy_02_sum

PAGE, GONE = "s3://bucket/a/page.html", "s3://bucket/a/gone.html"


def test_a_step_that_ran_twice_has_two_places_that_the_table_leads_to(toy: ToyWorld) -> None:
    toy.write("1 2 4")
    toy.run("--set", "uc2.version=8", script="run_turns.py")
    (path,) = toy.state.glob("runs/*/report.html")
    page = path.read_text()
    anchors = re.findall(r'<section id="([^"]+)"', page)
    assert len(anchors) == len(set(anchors)) == 8
    assert set(re.findall(r'href="#([^"]+)"', page)) == set(anchors)


def test_a_skipped_step_says_why(toy: ToyWorld) -> None:
    toy.run("--set", "uc2.version=7", script="run_turns.py")
    (path,) = toy.state.glob("runs/*/report.html")
    assert "gate was refused in this run." in path.read_text()


def test_the_index_has_every_run_newest_first_and_leaves_out_what_it_cannot_read(toy: ToyWorld) -> None:
    for version in ("8", "7"):
        toy.run("--version", version, script="run_gate.py")
    broken = toy.state / "runs" / "19990101T000000Z-0000" / "summary.json"
    broken.parent.mkdir()
    broken.write_text("{")
    toy.run("--version", "10", script="run_gate.py")
    index = (toy.state / "runs" / "index.html").read_text()
    links = re.findall(r'href="([^"]+)"', index)
    assert len(links) == 3
    assert links == sorted(links, reverse=True)
    assert all((toy.state / "runs" / link).exists() for link in links)
    assert re.findall(r">(exit 3|good)<", index) == ["good", "exit 3", "good"]


def test_an_index_of_no_runs_is_a_page_too(tmp_path: Path) -> None:
    assert "<h1>Runs</h1>" in index_html(tmp_path)


def test_pages_are_copied_beside_the_report_and_a_lost_one_is_left_out(
    toy: ToyWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fetch(uri: str) -> bytes:
        if uri == GONE:
            raise Unavailable("it is gone")
        return b"<html>of its own</html>"

    section = Section(title="Pages", pages=(("Look", PAGE), ("Lost", GONE)), pictures=(("Drawn", "s3://b/x.svg"),))
    monkeypatch.setattr(results.Total, "sections", lambda self: (section,))
    outcome = Outcome(toy_02_sum.run, "done", 1.0, results.Total(total=6))
    run = Run("r", ["toy"], datetime(2026, 1, 1, tzinfo=UTC), 1.0, (outcome,), 0, load_settings())
    page = as_html(run, fetch, tmp_path)
    (link,) = re.findall(r'class="page" href="([^"]+)"', page)
    assert (tmp_path / link).read_bytes() == b"<html>of its own</html>"
    assert "Lost" not in page
    assert 'src="data:image/svg+xml;base64,' in page
