"""The floor's toy pipeline serves here too: it runs without any platform."""

from tests.floor.conftest import toy

__all__ = ["toy"]
