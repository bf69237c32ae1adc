"""The settings of what runs by itself, and of who is told when something is wrong."""

from pydantic import BaseModel, ConfigDict


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Schedules(_Part):
    """When what runs by itself."""


class Alerts(_Part):
    """Who is told of what."""
