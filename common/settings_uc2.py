"""The settings of UC2: which version goes canary, how its share grows, what it must keep to, what traffic it sees."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from common import faults
from common.errors import ConfigError
from common.uris import TableOrUri


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Objectives(_Part):
    """What the canary must keep to: the limits of the user's service level."""

    error_rate: float = Field(
        0.01, ge=0, lt=1, description="Share answered with 5xx, or refused (4xx) beyond the champion's share."
    )
    latency_p95_ms: float = Field(100, gt=0, description="95 of 100 requests are answered within so many ms.")
    excess_disagreement: float = Field(
        0.05, ge=0, lt=1, description="Share of other decisions than the champion's, beyond that on the hold-out."
    )


class Reward(_Part):
    """What the canary is good for, such as conversions: optional."""

    query: str = Field(
        "", description="SELECT returning version, users, conversions since :since; empty: no reward is judged."
    )


class Uc2(_Part):
    """UC2: a canary that is promoted when it is good and rolled back when it is not."""

    version: int | None = Field(None, ge=1, strict=True, description="Version to try; null: the registry's candidate.")
    initial_percent: int = Field(10, ge=1, le=100, description="Share of requests that the canary starts with.")
    weights: tuple[int, ...] = Field((25, 50, 100), min_length=1, description="Shares that follow; the last is 100.")
    min_requests: int = Field(50, ge=1, description="Requests that the canary must have answered at each share.")
    confidence: float = Field(0.99, gt=0.5, lt=1, description="How sure we must be that an objective is broken.")
    shadow_share: float = Field(
        1.0, ge=0, le=1, description="Share of the canary's requests that the champion scores too; 0: none."
    )
    inject: str = Field("", description="Make the canary bad: latency=300ms, errors=5% or wrong=20%, or several.")
    objectives: Objectives = Objectives()
    reward: Reward = Reward()

    @field_validator("inject")
    @classmethod
    def _understood(cls, text: str) -> str:
        try:
            faults.parse(text)
        except ConfigError as error:
            raise ValueError(error.message.rstrip(".")) from None
        return text

    @model_validator(mode="after")
    def _rising(self) -> Self:
        ladder = self.ladder
        if list(ladder) != sorted(set(ladder)) or ladder[-1] != 100:
            raise ValueError(f"uc2.initial_percent and uc2.weights must rise to 100, not {', '.join(map(str, ladder))}")
        return self

    @property
    def ladder(self) -> tuple[int, ...]:
        """Every share that the canary gets, in order, in percent."""
        return (self.initial_percent, *(each for each in self.weights if each != self.initial_percent))


MOST_WINDOWS = 300  # an experiment's state has to fit into an annotation: 256 KiB


class Iter8(_Part):
    """The Iter8 Experiment that UC2 creates."""

    interval_seconds: float = Field(10, gt=0, description="Length of a window.")
    iterations_per_loop: int = Field(10, ge=1, description="Windows in a loop.")
    max_loops: int = Field(3, ge=1, description="Loops after which an undecided experiment ends, without promotion.")
    decides: bool = Field(False, description="An Iter8 controller runs there and decides; else our monitor does.")

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if self.max_windows > MOST_WINDOWS:
            raise ValueError(
                f"iter8.iterations_per_loop x iter8.max_loops is {self.max_windows} windows, and {MOST_WINDOWS} can "
                "be kept; raise iter8.interval_seconds for a longer experiment"
            )
        return self

    @property
    def max_windows(self) -> int:
        """Windows after which an experiment ends."""
        return self.iterations_per_loop * self.max_loops


class Traffic(_Part):
    """Whose requests the canary is judged by."""

    source: Literal["live", "replay"] = Field("live", description="live: the service's own; replay (laptop): we send.")
    rows: TableOrUri = Field("", description="s3:// URI of a snapshot to replay; empty: the champion's hold-out.")
    requests_per_second: float = Field(200, gt=0, description="Rate of the replay.")
    connections: int = Field(16, ge=1, description="Connections of the replay.")
