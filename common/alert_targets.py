"""Whom an alert reaches: our own log, a file of JSON lines, an HTTP receiver."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from common import retry
from common.keys import digest_of
from common.logger import get_logger
from common.paths import state_dir

log = get_logger(__name__)
WEBHOOK_SECONDS = (3, 10)
AWAY = (429, 502, 503, 504)


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

        try:
            status = self._posted(alert)
        except requests.RequestException as error:
            raise OSError(f"the receiver does not answer ({type(error).__name__})") from None
        if not 200 <= status < 300:
            raise OSError(f"the receiver answered {status}")

    @retry.http
    def _posted(self, alert: Alert) -> int:
        """One try. Errors are raised anew in words without the URL, because retries are logged."""
        import requests

        headers = {"Idempotency-Key": alert.id}
        try:
            answer = requests.post(
                self._url, json=alert.as_data(), headers=headers, timeout=WEBHOOK_SECONDS, allow_redirects=False
            )
        except requests.RequestException as error:
            raise type(error)("no answer", request=error.request) from None
        if answer.status_code in AWAY:
            raise requests.HTTPError(f"answer {answer.status_code}", request=answer.request, response=answer)
        return answer.status_code
