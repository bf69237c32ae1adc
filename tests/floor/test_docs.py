"""The documentation says what the code does."""

import re

import pytest

from common.errors import ExitCode
from common.paths import ROOT
from tests.conftest import EmbeddedPlatform


def test_every_exit_code_is_documented_under_its_name() -> None:
    table = (ROOT / "docs/reference/exit-codes.md").read_text()
    documented = {(int(code), name) for code, name in re.findall(r"^\| (\d+) \| (\w+) \|", table, re.MULTILINE)}
    assert documented == {(code.value, code.name) for code in ExitCode}


def test_every_local_link_of_the_documentation_leads_somewhere() -> None:
    for page in [ROOT / "README.md", *ROOT.glob("docs/**/*.md")]:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_readme_stays_readable_in_one_sitting_and_names_every_script_and_target() -> None:
    readme = (ROOT / "README.md").read_text()
    assert len(readme.splitlines()) < 150
    for script in ROOT.glob("uc*/uc*_*.py"):
        assert script.stem in readme or script.parent.name in readme, script.name
    for target in ("make run", "make test", "make check", "make test-deep", "make bench", "make clean"):
        assert target in readme


def commands_of_the_readme() -> list[str]:
    """Every line of the README's code blocks that starts Python of this project."""
    blocks = re.findall(r"^```\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    lines = [line.split("#")[0].strip() for block in blocks for line in block.splitlines()]
    return sorted({line for line in lines if line.startswith("python ")})


@pytest.mark.parametrize("command", commands_of_the_readme())
def test_every_python_command_of_the_readme_is_understood(command: str, platform: EmbeddedPlatform) -> None:
    arguments = command.split()[1:]
    dry = ["--dry-run"] if arguments[0].endswith(".py") else []
    done = platform.run(*arguments, *dry)
    assert done.returncode == 0, done.stderr + done.stdout
    assert done.stdout.strip()
