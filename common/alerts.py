"""Tells people when something is wrong: rules over named numbers, each said once, to a log, a webhook and a file.

A rule such as "drift_share > high_drift_threshold" has a severity and a cool-down. What was said is noted in object
storage, by rule and subject: another run, on another machine, says no incident twice (deduplication), and nothing new
about the same subject before the cool-down is over. An alert is at least once: one that was sent but not noted is
sent again, and its id lets a receiver tell. An alert that nobody can be told of fails no step; it is told next time.
"""

import operator
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from common.alert_targets import Alert, FileTarget, Incident, LogTarget, Target, WebhookTarget
from common.errors import ConfigError, MlopsError
from common.keys import digest_of
from common.logger import get_logger
from common.minio_errors import NoSuchObject
from common.settings_schedules import CONDITION

if TYPE_CHECKING:
    from common.minio_client import ObjectStore
    from common.settings_schedules import Alerts as Section

__all__ = ["Alert", "Alerts", "Incident", "holds"]

log = get_logger(__name__)
COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    ">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le, "==": operator.eq, "!=": operator.ne,
}  # fmt: skip


class Alerts:
    """`check` holds an incident against the rules, and tells whom it must."""

    def __init__(self, section: "Section", store: "ObjectStore") -> None:
        self._section, self._store = section, store

    def check(self, incident: Incident, now: datetime | None = None) -> tuple[Alert, ...]:
        """Tell every target of each rule that holds and was not told; returns those that somebody was told of.

        Rules about numbers that the incident does not have are passed over.
        """
        now = now or datetime.now(UTC)
        due = (rule for rule in self._section.rules if holds(rule.condition, incident.facts))
        alerts = [Alert(rule.name, rule.severity, rule.condition, now, incident) for rule in due]
        cooldowns = {rule.name: timedelta(minutes=rule.cooldown_minutes) for rule in self._section.rules}
        return tuple(alert for alert in alerts if self._tell(alert, cooldowns[alert.rule]))

    def targets(self) -> tuple[Target, ...]:
        """Everybody who is told, by the configuration."""
        section, found = self._section, list[Target]()
        if section.log:
            found.append(LogTarget())
        if section.file:
            found.append(FileTarget(section.file))
        if url := section.webhook_url.get_secret_value():
            found.append(WebhookTarget(url))
        return tuple(found)

    def _tell(self, alert: Alert, cooldown: timedelta) -> bool:
        noted = self._noted(alert)
        told = [target for target in self.targets() if self._is_due(noted.get(target.name), alert, cooldown)]
        done = [target.name for target in told if self._reached(target, alert)]
        if done:
            stamp = {"at": alert.at_utc.isoformat(), "incident": alert.about.incident}
            self._store.put_json(self._key(alert), {**noted, **dict.fromkeys(done, stamp)})
        return bool(done)

    def _reached(self, target: Target, alert: Alert) -> bool:
        try:
            target.tell(alert)
        except (MlopsError, OSError) as error:
            log.error("an alert reached nobody there", target=target.name, rule=alert.rule, cause=str(error))
            return False
        return True

    def _is_due(self, last: Mapping[str, str] | None, alert: Alert, cooldown: timedelta) -> bool:
        if last is None:
            return True
        is_same = last["incident"] == alert.about.incident
        return not is_same and alert.at_utc >= datetime.fromisoformat(last["at"]) + cooldown

    def _noted(self, alert: Alert) -> dict[str, dict[str, str]]:
        try:
            noted: dict[str, dict[str, str]] = self._store.get_json(self._key(alert))
        except NoSuchObject:
            return {}
        return noted

    def _key(self, alert: Alert) -> str:
        return f"alerts/{digest_of([alert.rule, alert.about.subject])[:32]}.json"


def holds(condition: str, facts: Mapping[str, float]) -> bool:
    """Whether a condition such as "drift_share > 0.5" holds; False where a number that it names is not known."""
    found = re.fullmatch(CONDITION, condition)
    if found is None:
        raise ConfigError(f"The alert condition {condition!r} is not understood.", "Write: number > number or name.")
    name, comparison, limit = found.groups()
    values = [facts.get(name), facts.get(limit) if limit[0].isalpha() else float(limit)]
    known = [value for value in values if value is not None]
    return len(known) == 2 and COMPARISONS[comparison](*known)
