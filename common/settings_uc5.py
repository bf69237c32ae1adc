"""The settings of UC5: how fairness is judged, and what the model card cannot know by itself."""

from pydantic import BaseModel, ConfigDict


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Uc5(_Part):
    """UC5: fairness and the model card."""
