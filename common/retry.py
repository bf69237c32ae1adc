"""Named retry policies: `@retry.database` on the smallest repeatable call, and nowhere a bare retry.

A policy repeats listed errors only (common/transient.py), in 4 tries and 60 seconds in all. It waits with
full jitter, or as long as the server's Retry-After says, logs it, and re-raises the last error as itself.
One layer: clients that retry on their own have that switched off where a policy acts.

MLOPS_RETRY_SECONDS bounds the seconds of every policy and shortens the waits in proportion; 0 keeps the four
tries and removes the waits, for tests.
"""

import functools
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from common import transient
from common.transient import Rule, Verdict, chain

if TYPE_CHECKING:
    from tenacity import RetryCallState, Retrying

TRIES = 4
SECONDS = 60.0
SHORTEST_WAIT_SECONDS = 0.2
LONGEST_WAIT_SECONDS = 10.0

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class Policy:
    """Which errors of one kind of service are worth repeating: a decorator, or `policy.call(function)`."""

    name: str
    rules: tuple[Rule, ...]

    def __call__(self, function: Callable[P, T]) -> Callable[P, T]:
        @functools.wraps(function)
        def repeated(*args: P.args, **kwargs: P.kwargs) -> T:
            return self.call(function, *args, **kwargs)

        return repeated

    def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call `function`, repeating it while it fails with an error that may pass."""
        return self._retrying()(function, *args, **kwargs)

    def verdict(self, error: BaseException) -> Verdict:
        """The first telling answer along the error's chain of causes; what nobody knows is final."""
        for each in chain(error):
            for rule in self.rules:
                answer = rule(each)
                if answer is not None:
                    return answer
        return Verdict.FINAL

    def is_transient(self, error: BaseException) -> bool:
        """True when repeating the call might help: what a client reports as Unavailable."""
        return self.verdict(error) is not Verdict.FINAL

    def _retrying(self) -> "Retrying":
        import tenacity

        seconds = float(os.environ.get("MLOPS_RETRY_SECONDS", SECONDS))
        out_of_time = tenacity.stop_before_delay(seconds) if seconds else tenacity.stop_never
        return tenacity.Retrying(
            retry=self._is_worth_repeating,
            stop=tenacity.stop_after_attempt(TRIES) | out_of_time,
            wait=functools.partial(_wait_seconds, scale=min(seconds / SECONDS, 1.0)),
            before_sleep=self._log_the_wait,
            reraise=True,
        )

    def _is_worth_repeating(self, state: "RetryCallState") -> bool:
        error = state.outcome.exception() if state.outcome else None
        if error is None:
            return False
        verdict = self.verdict(error)
        return verdict is Verdict.RETRY or (verdict is Verdict.ONCE and state.attempt_number == 1)

    def _log_the_wait(self, state: "RetryCallState") -> None:
        from common.logger import get_logger

        error = state.outcome.exception() if state.outcome else None
        get_logger(__name__).warning(
            "waiting before the next try", policy=self.name, call=getattr(state.fn, "__qualname__", "?"),
            attempt=state.attempt_number, wait_seconds=round(state.upcoming_sleep, 2),
            error=type(error).__name__, cause=_without_credentials(error),
        )  # fmt: skip


def _wait_seconds(state: "RetryCallState", *, scale: float) -> float:
    """Full jitter, but never sooner than the server asked for."""
    import tenacity

    if not scale:
        return 0.0
    jitter = tenacity.wait_random_exponential(SHORTEST_WAIT_SECONDS * scale, max=LONGEST_WAIT_SECONDS * scale)
    error = state.outcome.exception() if state.outcome else None
    return max(jitter(state), retry_after_seconds(error))


def retry_after_seconds(error: BaseException | None) -> float:
    """What Retry-After of the response that an error carries asks for (seconds or a date); 0 without one."""
    for each in chain(error):
        for name, value in headers_of(each).items():
            if name.lower() == "retry-after":
                return _seconds(str(value))
    return 0.0


def headers_of(error: BaseException) -> Mapping[str, Any]:
    """The headers of the answer that an error is about; botocore's have names in lower case."""
    response = getattr(error, "response", None)
    if isinstance(response, Mapping):  # botocore
        found = response.get("ResponseMetadata", {}).get("HTTPHeaders")
    else:
        found = getattr(response, "headers", None) or getattr(error, "headers", None)
    return found if isinstance(found, Mapping) else {}


def _seconds(value: str) -> float:
    if value.strip().isdigit():
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return 0.0


def _without_credentials(error: BaseException | None) -> str:
    """The first line of the error, without user info of a URL and without `password=...`."""
    line = next(iter(str(error).splitlines()), "")[:300]
    line = re.sub(r"(\w+://)[^/\s@]+@", r"\1***@", line)
    return re.sub(r"(?i)((?:password|secret|token)\S*\s*[=:]\s*)\S+", r"\1***", line)


_AT_LAST: tuple[Rule, ...] = (transient.ours, transient.operating_system)

database = Policy("database", (transient.postgres, *_AT_LAST))
object_store = Policy("object_store", (transient.botocore, transient.store_command, *_AT_LAST))
http = Policy("http", (transient.http, *_AT_LAST))
kubernetes = Policy("kubernetes", (transient.kubernetes, transient.broken_transport, *_AT_LAST))
# MLflow's client POSTs even its searches: the verb tells nothing, so the repeated call looks for its effect.
mlflow = Policy("mlflow", (transient.mlflow, transient.broken_transport, *_AT_LAST))
feast = Policy("feast", (transient.postgres, transient.arrow, transient.botocore, *_AT_LAST))
git = Policy("git", (transient.git, *_AT_LAST))
