"""The settings of UC4: where lineage goes."""

from pydantic import BaseModel, ConfigDict


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Uc4(_Part):
    """UC4: lineage of every step."""
