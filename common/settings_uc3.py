"""The settings of UC3: what is compared with what, from where on it is drift, and when retraining follows."""

from pydantic import BaseModel, ConfigDict


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Uc3(_Part):
    """UC3: drift of what production saw, and retraining that follows without looping."""
