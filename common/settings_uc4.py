"""The settings of UC4: what is asked about, and how far back is checked. Where lineage goes is the section marquez."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from common.names import Line

Direction = Literal["up", "down", "both"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Uc4(_Part):
    """UC4: lineage of every step, and what depends on what."""

    focus: Line = Field("", description="Dataset, model, service or step that is asked about; empty: UC1's table.")
    direction: Direction = Field("both", description="up: what it is made from; down: what depends on it; or both.")
    depth: int = Field(20, ge=1, le=100, description="How many steps away the picture goes.")
    verify_days: int = Field(30, ge=1, description="How far back it is checked that due = stored.")
    resend_refused: bool = Field(False, description="Offer the events again that the lineage server once refused.")
