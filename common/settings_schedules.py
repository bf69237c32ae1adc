"""The settings of what runs by itself, and of who is told when something is wrong."""

import re
from pathlib import PurePosixPath
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from common import cron_expression
from common.names import DnsLabel

# It goes into crontabs, units and manifests.
SCRIPT_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./-]*\.py")
SCRIPT = "The script, as a path in this repository."
WHEN = "When: minute, hour, day, month and weekday, as cron reads them."
DEADLINE = "After so many seconds the run is stopped: SIGTERM, and SIGKILL half a minute later."


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Schedule(_Part):
    """One script that runs by itself."""

    enabled: bool = Field(True, description="Is it installed at all?")
    script: str = Field(description=SCRIPT)
    cron: str = Field(description=WHEN)
    deadline_seconds: int = Field(ge=60, description=DEADLINE)
    heartbeat_url: SecretStr = Field(
        SecretStr(""), description="Asked (GET) after each success, and only then; empty: nobody waits for it."
    )

    @field_validator("cron")
    @classmethod
    def _understood(cls, text: str) -> str:
        return cron_expression.checked(text)

    @field_validator("script")
    @classmethod
    def _in_this_repository(cls, text: str) -> str:
        path = PurePosixPath(text)
        if path.is_absolute() or ".." in path.parts or not SCRIPT_NAME.fullmatch(text):
            raise ValueError("it must be a Python script in this repository, such as run_all.py")
        return text

    @field_validator("heartbeat_url")
    @classmethod
    def _over_http(cls, url: SecretStr) -> SecretStr:
        if url.get_secret_value() and not url.get_secret_value().startswith(("http://", "https://")):
            raise ValueError("it must begin with https:// or http://")
        return url


class Drift(Schedule):
    """Does production still look like what the champion was trained on?"""

    script: str = Field("uc3_drift_retraining/uc3_01_drift_detection_evidently.py", description=SCRIPT)
    cron: str = Field("0 * * * *", description=WHEN)
    deadline_seconds: int = Field(3000, ge=60, description=DEADLINE)


class Retraining(Schedule):
    """Drift again, and the answer to it where it asks for one."""

    script: str = Field("uc3_drift_retraining/run_pipeline.py", description=SCRIPT)
    cron: str = Field("0 2 * * *", description=WHEN)
    deadline_seconds: int = Field(3 * 3600, ge=60, description=DEADLINE)


class RunAll(Schedule):
    """Every use case in order."""

    script: str = Field("run_all.py", description=SCRIPT)
    cron: str = Field("0 6 * * *", description=WHEN)
    deadline_seconds: int = Field(4 * 3600, ge=60, description=DEADLINE)


class Schedules(_Part):
    """When what runs by itself: `python -m common schedule` writes it for cron, systemd or Kubernetes."""

    time_zone: str = Field("UTC", pattern=r"^[A-Za-z0-9_+\-/]+$", description="The zone that `cron` is meant in.")
    wait_lock_seconds: int = Field(1800, ge=0, description="How long a run may wait for another to end.")
    late_seconds: int = Field(1800, ge=60, description="Kubernetes: a start that is missed by more is skipped.")
    namespace: DnsLabel = Field("mlops", description="Kubernetes: the namespace of the CronJobs (deploy/k8s).")
    drift: Drift = Drift()
    retraining: Retraining = Retraining()
    run_all: RunAll = RunAll()

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        try:
            return ZoneInfo(name).key
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"{name!r} is no time zone, such as UTC or Europe/Berlin") from None

    @property
    def entries(self) -> dict[str, Schedule]:
        """The schedules that are enabled, by name."""
        return {name: schedule for name, schedule in self.known.items() if schedule.enabled}

    @property
    def known(self) -> dict[str, Schedule]:
        """All of them, by name."""
        return {"drift": self.drift, "retraining": self.retraining, "run_all": self.run_all}


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
