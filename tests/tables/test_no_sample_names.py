"""Nothing knows the sample's columns but the configuration and the code that seeds it: any table is as good."""

import ast
import re
from pathlib import Path

import pytest

from common.config_sources import leaves
from common.paths import ROOT
from common.settings import Settings

NAMES = {
    "tenure_months", "monthly_spend", "support_tickets", "days_since_last_login", "customer_id", "churned",
    "observed_at",
}  # fmt: skip
# Words that a program has other uses for as an identifier (the age of a result): as a text they name a column.
WORDS = {"age", "products", "region", "contract", "gender"}
FILES = sorted(
    path for folder in ("common", "churn", "serving", *(each.name for each in ROOT.glob("uc[0-9]_*")))
    for path in (ROOT / folder).rglob("*.py")
)  # fmt: skip


def words(path: Path) -> set[str]:
    """The sample's columns among a module's identifiers and texts; prose that only mentions one is another text."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            found |= {node.value} & (NAMES | WORDS)
        names = (getattr(node, each, None) for each in ("id", "attr", "arg", "name"))
        found |= {name for name in names if isinstance(name, str)} & NAMES
    return found


def test_no_default_of_a_setting_names_a_table_or_column_of_the_sample() -> None:
    texts = {str(value) for _, value in leaves(Settings().model_dump())}
    named = {
        name for name in {*NAMES, *WORDS, "customers", "customers_latest"} for text in texts if name in words_of(text)
    }
    assert not named


def words_of(text: str) -> set[str]:
    """The words of a list, or of a single value; a path or an address is one word."""
    return set(re.findall(r"[\w./:-]+", text))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_column_of_the_sample_is_named_outside_the_configuration_and_the_seeding_code(path: Path) -> None:
    here = path.relative_to(ROOT).as_posix()
    used = words(path)
    assert not used, f"{here} names {sorted(used)}: that belongs into config.yaml"
