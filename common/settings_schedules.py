"""The settings of what runs by itself, and of who is told when something is wrong."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Schedules(_Part):
    """When what runs by itself."""


CONDITION = r"\s*([a-z][a-z0-9_]*)\s*(>=|<=|==|!=|>|<)\s*([a-z][a-z0-9_]*|-?[0-9]+(?:\.[0-9]+)?)\s*"


class AlertRule(_Part):
    """When somebody is told, and how loudly."""

    name: str = Field(min_length=1, description="What the alert is called.")
    condition: str = Field(pattern=f"^{CONDITION}$", description="Such as drift_share > 0.5, or of two names.")
    severity: Literal["info", "warning", "critical"] = Field("warning", description="How loudly.")
    cooldown_minutes: float = Field(60, ge=0, description="Nothing new about the same subject before that.")


class Alerts(_Part):
    """Who is told of what."""

    rules: tuple[AlertRule, ...] = Field((), description="What is told.")
    log: bool = Field(True, description="Tell our own log.")
    file: str = Field("", description="Append JSON lines to this file; a relative path is below the state directory.")
    webhook_url: SecretStr = Field(SecretStr(""), description="POST JSON there. Better: MLOPS_ALERTS__WEBHOOK_URL.")

    @field_validator("rules")
    @classmethod
    def _named_once(cls, rules: tuple[AlertRule, ...]) -> tuple[AlertRule, ...]:
        names = [rule.name for rule in rules]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two alert rules are called {twice[0]!r}")
        return rules
