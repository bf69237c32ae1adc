"""Where nothing can be traced, what traces is skipped, and says why."""

from collections.abc import Iterator

import pytest

from tests.kill import ptrace
from tests.kill.zygote import Zygote


@pytest.fixture(autouse=True, scope="session")
def _traceable() -> None:
    if why := ptrace.missing():
        pytest.skip(why)


@pytest.fixture(scope="module")
def light(_traceable: None) -> Iterator[Zygote]:
    """Forks what needs no heavy library."""
    with Zygote(("tests.kill.effects", "common.session", "jinja2", "filelock", "psutil")) as zygote:
        yield zygote
