"""What the tests of UC4 share: a hand-written ledger and the platform's lineage server. The floor's toy pipeline serves
here too: it runs without any platform.
"""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import EmbeddedPlatform
from tests.floor.conftest import toy
from tests.uc4.story import Story

__all__ = ["toy"]


@pytest.fixture
def story(tmp_path: Path) -> Iterator[Story]:
    told = Story(tmp_path, f"relay-{uuid.uuid4().hex[:8]}")
    yield told
    told.ledger.close()


@pytest.fixture
def server(platform: EmbeddedPlatform) -> str:
    return str(platform.addresses()["marquez"]["url"])
