"""The settings of UC6: what is promoted where, and who must have approved it."""

from pydantic import BaseModel, ConfigDict


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Uc6(_Part):
    """UC6: GitOps."""
