"""The floor's toy world is used here too."""

from tests.floor.conftest import toy

__all__ = ["toy"]
