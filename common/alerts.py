"""Tells people when something is wrong: rules over named numbers, each said once, to a log, a webhook and a file.

A rule such as "drift_share > high_drift_threshold" has a severity and a cool-down. What was said is noted in object
storage, by rule and subject: another run, on another machine, says no incident twice (deduplication), and nothing new
about the same subject before the cool-down is over. An alert is at least once: one that was sent but not noted is
sent again, and its id lets a receiver tell. An alert that nobody can be told of fails no step; it is told next time.
"""

import json
import operator
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

from common import retry
from common.errors import ConfigError, MlopsError
from common.keys import digest_of
from common.logger import get_logger
from common.minio_errors import NoSuchObject
from common.paths import state_dir
from common.settings_schedules import CONDITION

if TYPE_CHECKING:
    from common.minio_client import ObjectStore
    from common.settings_schedules import Alerts as Section

log = get_logger(__name__)
WEBHOOK_SECONDS = (3, 10)
COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    ">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le, "==": operator.eq, "!=": operator.ne,
}  # fmt: skip


@dataclass(frozen=True)
class Incident:
    """What happened: to whom, which one (a window, a version), in a sentence, with numbers to judge it by."""

    subject: str
    incident: str
    text: str
    facts: Mapping[str, float]
    link: str = ""


@dataclass(frozen=True)
class Alert:
    """A rule that holds of an incident. `id` is the same whenever the same is said again."""

    rule: str
    severity: str
    condition: str
    at_utc: datetime
    about: Incident

    @property
    def id(self) -> str:
        return digest_of([self.rule, self.about.subject, self.about.incident])[:32]

    def as_data(self) -> dict[str, Any]:
        """What a receiver is sent. `text` is the key that chat programs show."""
        about = self.about
        return {
            "id": self.id, "rule": self.rule, "severity": self.severity, "condition": self.condition,
            "at": self.at_utc.isoformat(timespec="seconds"), "subject": about.subject, "incident": about.incident,
            "text": f"[{self.severity}] {about.subject}: {about.text}", "facts": dict(about.facts), "link": about.link,
        }  # fmt: skip


class Target(Protocol):
    """Somebody who can be told. Raises MlopsError or OSError where that failed."""

    name: str

    def tell(self, alert: Alert) -> None:
        """Tell."""


class LogTarget:
    """Our own log, which is on stderr and wherever that is collected."""

    name = "log"

    def tell(self, alert: Alert) -> None:
        """Write a line, as loud as the alert."""
        said = alert.as_data()
        speak = log.error if alert.severity == "critical" else log.warning if alert.severity == "warning" else log.info
        speak("alert", **{key: said[key] for key in ("rule", "severity", "subject", "text", "link")})


class FileTarget:
    """A file of JSON lines; a relative path is below the state directory."""

    name = "file"

    def __init__(self, path: str) -> None:
        self._path = state_dir() / path

    def tell(self, alert: Alert) -> None:
        """Append one line, in one write, durably."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, (json.dumps(alert.as_data(), ensure_ascii=False) + "\n").encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


class WebhookTarget:
    """An HTTP receiver of JSON. Its URL is a secret: with many services it is all that one needs to write there."""

    name = "webhook"

    def __init__(self, url: str) -> None:
        self._url = url

    def tell(self, alert: Alert) -> None:
        """POST it, repeated where the receiver may be back in a moment; anything but 2xx is an error."""
        import requests

        headers = {"Idempotency-Key": alert.id}

        @retry.http
        def post() -> "requests.Response":
            answer = requests.post(
                self._url, json=alert.as_data(), headers=headers, timeout=WEBHOOK_SECONDS, allow_redirects=False
            )
            if answer.status_code in (429, 502, 503, 504):
                answer.raise_for_status()
            return answer

        try:
            status = post().status_code
        except requests.RequestException as error:
            raise OSError(f"the receiver does not answer ({type(error).__name__})") from None
        if not 200 <= status < 300:
            raise OSError(f"the receiver answered {status}")


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
