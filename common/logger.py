"""Log lines: for people on a terminal, JSON otherwise; the run and the step in each; no secret in any.

Everything goes to stderr. stdout belongs to data.
"""

import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from structlog.typing import EventDict, Processor, WrappedLogger

HIDDEN = "**********"
_secrets: set[str] = set()
_forms: list[str] = []  # of all of them, the longest first: one secret may be a part of another


class _Logger:
    """structlog's logger, imported at the first line logged: it costs more than all else that --help needs."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, method: str) -> Any:
        import structlog

        return getattr(structlog.stdlib.get_logger(self._name), method)


def get_logger(name: str) -> Any:
    """A structlog logger: log.info("uploaded", key=key, bytes=size)."""
    return _Logger(name)


def hide(*secrets: str) -> None:
    """From now on these values are replaced in every log line and every error that we print, however written."""
    from common.secret_forms import forms

    new = {secret for secret in secrets if len(secret) >= 4} - _secrets
    if new:
        _secrets.update(new)
        known = set(_forms).union(*map(forms, new))
        _forms[:] = sorted(known, key=len, reverse=True)


def without_secrets(text: str) -> str:
    """The text with every hidden value replaced."""
    for form in _forms:
        text = text.replace(form, HIDDEN)
    return text


@contextmanager
def bound(**values: str) -> Iterator[None]:
    """Add values such as run and step to every line logged inside."""
    import structlog

    with structlog.contextvars.bound_contextvars(**values):
        yield


def configure(verbosity: int = 0) -> None:
    """Send logs to stderr. verbosity: -1 warnings only, 0 info, 1 or more everything, third parties' included."""
    import structlog

    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_formatter(shared))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.DEBUG if verbosity > 1 else logging.WARNING)
    for ours in (
        "common",
        "churn",
        "embedded",
        "serving",
        "run_all",
        "uc1_churn_prediction",
        "uc2_ab_testing",
        "uc3_drift_retraining",
        "uc4_data_lineage",
        "uc5_fairness_docs",
        "uc6_gitops_deployment",
        "__main__",
    ):
        logging.getLogger(ours).setLevel(_level(verbosity))
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level, structlog.stdlib.add_logger_name, *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
    )  # fmt: skip
    logging.captureWarnings(True)  # what Python would print by itself, it would print with the secrets in it
    threading.excepthook = _log_failed_thread


def _log_failed_thread(failed: "threading.ExceptHookArgs") -> None:
    if failed.exc_value is not None and not isinstance(failed.exc_value, SystemExit):
        name = failed.thread.name if failed.thread else ""
        get_logger(__name__).error("a thread failed", thread=name, exc_info=failed.exc_value)


def _level(verbosity: int) -> int:
    return logging.WARNING if verbosity < 0 else logging.DEBUG if verbosity > 0 else logging.INFO


def _formatter(shared: "list[Processor]") -> logging.Formatter:
    import structlog

    human = sys.stderr.isatty()
    last: list[Processor] = [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.format_exc_info,
        _hide_secrets,
        _for_people() if human else structlog.processors.JSONRenderer(default=str),
    ]
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name], processors=last
    )


def _for_people() -> "Processor":
    import structlog

    renderer = structlog.dev.ConsoleRenderer(pad_event_to=0, sort_keys=False)

    def render(logger: "WrappedLogger", name: str, event: "EventDict") -> str:
        """The clock is enough on a terminal, and the step's name says where; the run's id is in the files."""
        event["timestamp"] = str(event.get("timestamp", ""))[11:19]
        event.pop("logger", None)
        event.pop("run", None)
        return str(renderer(logger, name, event))

    return render


def _hide_secrets(_: "WrappedLogger", __: str, event: "EventDict") -> "EventDict":
    return {key: _clean(value) for key, value in event.items()}


def _clean(value: Any) -> Any:
    if isinstance(value, bool | int | float) or value is None:
        return value
    if isinstance(value, dict):
        return {str(key): _clean(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(item) for item in value]
    return without_secrets(str(value))
