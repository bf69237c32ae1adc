"""The settings of UC5: how fairness is judged, and what the model card cannot know by itself."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Owner(_Part):
    """Who answers for the model."""

    name: str = Field(min_length=1, description="A person or a team.")
    contact: str = Field("", description="How to reach them.")


class Risk(_Part):
    """What may go wrong when the model is used, and what is done about it."""

    name: str = Field(min_length=1, description="The risk.")
    mitigation: str = Field("", description="What is done about it.")


class Card(_Part):
    """What only people know of a model. What is left empty is shown as missing."""

    overview: str = Field("", description="The model in one sentence.")
    documentation: str = Field("", description="What it does and how it is used.")
    owners: tuple[Owner, ...] = Field((), description="Who answers for it.")
    license: str = Field("", description="SPDX identifier, or `proprietary`.")
    users: tuple[str, ...] = Field((), description="Who is meant to use it.")
    use_cases: tuple[str, ...] = Field((), description="What it is meant for.")
    limitations: tuple[str, ...] = Field((), description="Where it is not to be relied upon.")
    tradeoffs: tuple[str, ...] = Field((), description="What was given up for what.")
    risks: tuple[Risk, ...] = Field((), description="What may go wrong, and what is done about it.")
    references: tuple[str, ...] = Field((), description="URLs to read more.")
    citation: str = Field("", description="How to cite the model.")


class Limits(_Part):
    """Limits of one sensitive column, in place of those for every column."""

    max_demographic_parity_difference: float | None = Field(None, ge=0, le=1, description="Null: the general one.")
    max_equalized_odds_difference: float | None = Field(None, ge=0, le=1, description="Null: the general one.")


class Uc5(_Part):
    """UC5: is the champion fair on its hold-out, and what is there to know of it."""

    max_demographic_parity_difference: float = Field(
        0.1, ge=0, le=1, description="How far apart the groups' shares of yes may be."
    )
    max_equalized_odds_difference: float = Field(
        0.1, ge=0, le=1, description="How far apart the groups' hit rates, or their false alarm rates, may be."
    )
    limits: dict[str, Limits | None] = Field(
        {}, description="Column of uc1.sensitive: limits of its own; null takes out what a lower layer says."
    )
    confidence: float = Field(0.95, gt=0.5, lt=1, description="Of the intervals; and how sure a refusal must be.")
    refuse_by: Literal["interval", "point"] = Field(
        "interval", description="interval: what is surely above a limit is refused; point: what was measured above it."
    )
    min_group_rows: int = Field(200, ge=1, description="Groups of fewer hold-out rows are marked as small.")
    bins: dict[str, tuple[float, ...] | None] = Field(
        {}, description="Column of uc1.sensitive: where its groups of numbers begin; without, or null: quartiles."
    )
    show_people: bool = Field(
        False, description="Put real customers of the hold-out on the page, to try things on; true in development."
    )
    cost_ratio: float = Field(5, gt=0, description="What a missed churner costs, in false alarms.")
    sbom: bool = Field(True, description="Put a bill of materials of the environment beside the card.")
    card: Card = Card()

    @model_validator(mode="after")
    def _rising(self) -> Self:
        for column, edges in self.bins.items():
            if edges is not None and (not edges or list(edges) != sorted(set(edges))):
                raise ValueError(f"uc5.bins.{column} must be numbers that rise, not {list(edges)}")
        return self

    def limits_of(self, column: str) -> dict[str, float]:
        """The limit of each criterion for a column."""
        own = self.limits.get(column) or Limits()
        parity, odds = own.max_demographic_parity_difference, own.max_equalized_odds_difference
        return {
            "demographic_parity": self.max_demographic_parity_difference if parity is None else parity,
            "equalized_odds": self.max_equalized_odds_difference if odds is None else odds,
        }
