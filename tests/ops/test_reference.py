"""The reference says what the code says."""

import re

from common.config import secrets_of
from common.paths import ROOT
from common.settings import Settings

REFERENCE = ROOT / "docs" / "reference"


def test_every_setting_is_in_the_reference_with_a_description() -> None:
    rows = re.findall(r"^\| `([\w.]+)` \| .* \| .* \| (.*) \|$", (REFERENCE / "config.md").read_text(), re.M)
    described = dict(rows)
    assert len(described) > 100
    assert [path for path, said in described.items() if not said.strip()] == []
    for name, section in Settings().services().items():
        assert {f"{name}.{key}" for key in type(section).model_fields} <= set(described), name
        assert not secrets_of(section), "no default is a secret"


def test_every_script_and_program_is_in_the_reference() -> None:
    page = (REFERENCE / "cli.md").read_text()
    for path in [*ROOT.glob("uc*/uc*_*.py"), *ROOT.glob("uc*/run_pipeline.py")]:
        assert f"## python {path.relative_to(ROOT)}\n" in page
    for path in ROOT.glob("*/__main__.py"):
        assert f"## python -m {path.parent.name}\n" in page


def test_every_file_of_the_state_directory_is_in_the_reference() -> None:
    page = (REFERENCE / "files.md").read_text()
    sources = "\n".join(path.read_text() for path in [*ROOT.glob("common/*.py"), *ROOT.glob("uc*/**/*.py")])
    for name in set(re.findall(r'state_dir\(\) / "([^"]+)"', sources)) | {"ledger.db", "run.lock", "run.json"}:
        assert f"`{name}" in page, name


def test_no_prefix_of_the_bucket_is_in_the_reference_that_nobody_writes() -> None:
    bucket = (REFERENCE / "files.md").read_text().partition("## The bucket")[2]
    sources = "\n".join(
        path.read_text() for part in ("common", "uc*", "serving") for path in ROOT.glob(f"{part}/**/*.py")
    )
    for prefix in re.findall(r"^\| `([\w-]+)/", bucket, re.M):
        assert re.search(rf'["/]{prefix}["/]', sources), prefix


def test_every_sentence_of_the_troubleshooting_page_is_one_that_we_say() -> None:
    sources = "\n".join(
        path.read_text() for part in ("common", "churn", "embedded", "uc*") for path in ROOT.glob(f"{part}/**/*.py")
    )
    page = (ROOT / "docs" / "how-to" / "troubleshooting.md").read_text()
    cells = [line.split(" | ")[0].removeprefix("| ") for line in page.splitlines() if line.startswith("| `")]
    assert len(cells) > 25
    for cell in cells:
        for sentence in cell.split("` / `"):
            for piece in sentence.strip("`").split("…"):
                fixed = piece.strip(" :.(),;'")
                assert len(fixed) < 4 or fixed in sources, f"nobody says {fixed!r}"
