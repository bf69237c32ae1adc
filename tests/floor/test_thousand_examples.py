"""The properties of names, addresses, keys and digests, which `make test` tries briefly, with a thousand examples each.

Those of the configuration and of the ledger are tried so beside them.
"""

import os
import re
import subprocess
import sys

import pytest

from common.paths import ROOT

PROPERTIES = {
    "names and addresses": ("tests/floor/test_names.py", "passes or rfc_1123", 6),
    "keys": ("tests/floor/test_ledger_machine.py", "key_depends", 1),
    "digests of tables": ("tests/data/test_digest.py", "order_nor_batches or changed_value or row_more", 3),
}


@pytest.mark.deep
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", PROPERTIES)
def test_a_thousand_examples_of_each(name: str) -> None:
    file, which, fewest = PROPERTIES[name]
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-k", which, file]
    environment = {**os.environ, "PROPERTY_EXAMPLES": "1000"}
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stdout[-3000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed, done.stdout[-1000:]
    assert int(passed[1]) >= fewest
