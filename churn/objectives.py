"""What a canary must keep to, and what was seen of it, as types; churn/judging.py holds one against the other."""

from typing import Literal, Self

from pydantic import Field, model_validator

from churn.windows import Arm, Part, Reward, Shadow

State = Literal["holds", "broken", "open"]
ALL = 100


class Rules(Part):
    """The limits, the weights in percent that follow each other, and when evidence is enough."""

    ladder: tuple[int, ...] = Field(min_length=1)
    min_requests: int = Field(ge=1)
    max_windows: int = Field(ge=1)
    error_rate: float = Field(ge=0, lt=1)
    latency_p95_ms: float = Field(gt=0)
    excess_disagreement: float = Field(0.05, ge=0, lt=1)
    expected_disagreement: float = Field(0.0, ge=0, le=1)
    shadow: bool = True
    reward: bool = False
    confidence: float = Field(0.99, gt=0.5, lt=1)

    @model_validator(mode="after")
    def _rising_to_all(self) -> Self:
        if list(self.ladder) != sorted(set(self.ladder)) or self.ladder[0] < 1 or self.ladder[-1] != 100:
            raise ValueError(f"the weights must rise to 100, not {self.ladder}")
        return self

    @property
    def alpha(self) -> float:
        """How often one look may call an objective broken by chance."""
        return (1 - self.confidence) / self.max_windows


class Objective(Part):
    """One objective as judged: `count` of `of` make `value`, whose lower bound is `low`; shares, not percent.

    `refused` of the count are refusals; `champion` is the champion's share in the same windows, while it has traffic.
    """

    name: str
    value: float | None
    limit: float
    low: float | None
    state: State
    count: int
    of: int
    refused: int = 0
    champion: float | None = None

    @property
    def is_shared(self) -> bool:
        """Surely above the limit, but not surely worse than the champion in the same windows: nobody is to blame."""
        return self.state == "open" and self.low is not None and self.low > self.limit


class Window(Part):
    """What was seen between two readings, at a weight in percent; `number` counts from 1.

    `missing` says which metrics were not there, in a sentence; `objectives` are as judged after the window.
    """

    number: int = Field(ge=1)
    weight: int = Field(ge=0, le=100)
    seconds: float = Field(ge=0)
    champion: Arm = Arm()
    candidate: Arm = Arm()
    shadow: Shadow = Shadow()
    reward: Reward | None = None
    missing: str = ""
    objectives: tuple[Objective, ...] = ()
