"""Requests to judge a canary by: those of the service's own users, or rows that we send."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from common.errors import InvalidData

if TYPE_CHECKING:
    from common.settings import Kserve
    from common.settings_uc2 import Traffic as Section

Rows = Callable[[], Sequence[dict[str, Any]]]


@dataclass
class Sent:
    """What has been sent so far, written by another thread: every request that came to its end is in one count."""

    failed: int = 0
    """Requests that got no answer."""
    waiting: int = 0
    """Requests that are due and wait for a free connection."""
    codes: Counter[int] = field(default_factory=Counter)

    @property
    def by_code(self) -> dict[int, int]:
        """Answers by HTTP code."""
        return dict(self.codes)

    @property
    def requests(self) -> int:
        """Requests, answered or not."""
        return sum(self.by_code.values()) + self.failed


class Traffic(Protocol):
    """Sees to it that the service has requests to answer."""

    def during(self, url: str, service: str, rows: Rows) -> AbstractContextManager[Sent]:
        """Requests while the block runs, to `<url>/v1/models/<service>:predict`; `rows` is called where they are sent.

        Rows are as JSON has them, None for a missing value.
        """


class LiveTraffic:
    """The service has users of its own."""

    @contextmanager
    def during(self, url: str, service: str, rows: Rows) -> Iterator[Sent]:  # noqa: ARG002 (Traffic's names)
        """Nothing is sent."""
        yield Sent()


class ReplayTraffic:
    """The rows are sent over and over, one a request, at the settings' rate."""

    def __init__(self, section: "Section", kserve: "Kserve") -> None:
        self._section, self._ingress_url = section, kserve.ingress_url

    @contextmanager
    def during(self, url: str, service: str, rows: Rows) -> Iterator[Sent]:
        """Send while the block runs. Raises InvalidData where there is no row, or one that JSON cannot express."""
        from common.replay import Replay

        through = (self._ingress_url, {"Host": urlsplit(url).netloc}) if self._ingress_url else (url, {})
        address = f"{through[0].rstrip('/')}/v1/models/{service}:predict"
        sent = Sent()
        replay = Replay(address, through[1], _bodies(rows()), self._section, sent)
        try:
            replay.start()
            yield sent
        finally:
            replay.stop()
        if replay.error is not None:
            raise replay.error


def _bodies(rows: Sequence[dict[str, Any]]) -> list[bytes]:
    if not rows:
        raise InvalidData("There is no row to send to the service.", "Look at traffic.rows.")
    try:
        return [json.dumps({"instances": [row]}, allow_nan=False).encode() for row in rows]
    except (TypeError, ValueError) as error:
        raise InvalidData(f"A row cannot be sent, because JSON cannot express it: {error}.") from None
