"""Sends customers of another population to the served model, once: a laptop has no users, but it is to see drift.

What is sent, and that it was, is noted beside UC3's reports, so that no later run sends them again.
"""

import time
from typing import TYPE_CHECKING, Any

from common.logger import get_logger
from common.minio_errors import NoSuchObject
from common.registry import Version
from common.serving_manifests import service_name
from uc3_drift_retraining import comparands, sources, windows
from uc3_drift_retraining.results import DriftReport

if TYPE_CHECKING:
    from common.tools import Tools
    from common.traffic import Sent

log = get_logger(__name__)
POLL_SECONDS = 0.25
LOG_SECONDS = 30.0  # how long what was answered may need to appear in the log
QUIET_SECONDS = 5.0  # a model server writes at least every 3 s while it has something to write
ARRIVED = 0.98


def is_due(tools: "Tools") -> bool:
    """True where a population is configured that this model was not asked about, and the model is served alone."""
    uc1, uc3 = tools.settings.uc1, tools.settings.uc3
    if not uc3.replay.table or uc3.current != "log" or _noted(tools).get("window"):
        return False
    return _url(tools) != "" and not tools.kserve.is_in_canary(uc1.namespace, service_name(uc1.model_name))


def unfinished(tools: "Tools") -> str | None:
    """Where in the log the first of the runs began to send that were killed before they were examined; else None."""
    noted = _noted(tools) if tools.settings.uc3.replay.table else {}
    return None if noted.get("window") else noted.get("begun")


def note_found(tools: "Tools") -> None:
    """Note those whom a run had sent and examined, which was killed before it could."""
    last = windows.newest(tools) if unfinished(tools) is not None else None
    if last and last.replayed and last.after == _noted(tools)["after"]:
        note(tools, last)


def wait_until_quiet(tools: "Tools") -> None:
    """Where somebody is to be sent, let the log end first: the last requests of a canary are not those of the moved."""
    if not is_due(tools):
        return
    prediction_log, start = sources.prediction_log(tools), windows.position(tools)
    newest, since, end = "", time.monotonic(), time.monotonic() + LOG_SECONDS
    while time.monotonic() - since < QUIET_SECONDS and time.monotonic() < end:
        names = prediction_log.since(newest or start)
        if names:
            newest, since = names[-1], time.monotonic()
        time.sleep(POLL_SECONDS)


def send(tools: "Tools", champion: Version) -> str | None:
    """Send them and wait until the log has them; returns the position in the log before the first.

    The position is noted first: what a killed run had sent is nobody's window, and all are sent anew. None, and
    nobody is sent, where they are too few for a window.
    """
    asked = rows(tools, champion)
    if len(asked) < tools.settings.uc3.min_rows:
        log.warning("too few moved customers for a window; nobody is sent", rows=len(asked))
        return None
    before, begun = _position(tools), unfinished(tools)
    if begun is not None:
        log.warning("a killed run had begun to send; what the log got since then is left out")
    _note(tools, champion.version, begun=before if begun is None else begun, after=before, window="")
    log.info("sending moved customers", table=tools.settings.uc3.replay.table, rows=len(asked))
    service = service_name(tools.settings.uc1.model_name)
    with tools.traffic.during(_url(tools), service, lambda: asked) as sent:
        answered = _until_sent(tools, sent, len(asked))
    _until_logged(tools, before, int(ARRIVED * answered))
    return before


def take_back(tools: "Tools", champion: Version) -> None:
    """Say that they were not sent after all, where they make no window: whatever the log has is anybody's again."""
    _note(tools, champion.version, window="")


def note(tools: "Tools", report: DriftReport) -> None:
    """Say that they were sent, and examined: no later run sends them again."""
    replay, service = tools.settings.uc3.replay, service_name(report.model_name)
    tools.context.effect("traffic", service, table=replay.table, rows=replay.rows, window=report.window)
    _note(tools, report.champion, window=report.window)  # after its effect: nobody looks here again


def _note(tools: "Tools", champion: str, **more: str) -> None:
    replay = tools.settings.uc3.replay
    tools.minio.put_json(_key(tools), {"table": replay.table, "rows": replay.rows, "champion": champion, **more})


def _noted(tools: "Tools") -> dict[str, Any]:
    try:
        return dict(tools.minio.get_json(_key(tools)))
    except NoSuchObject:
        return {}


def _position(tools: "Tools") -> str:
    """The newest object of the log; "" before the first."""
    names = sources.prediction_log(tools).since(windows.position(tools))
    return names[-1] if names else windows.position(tools)


def rows(tools: "Tools", champion: Version) -> list[dict[str, Any]]:
    """The model's inputs of some customers, the same ones each time, as JSON has them."""
    import sqlalchemy as sa

    uc1, replay, columns = tools.settings.uc1, tools.settings.uc3.replay, comparands.inputs_of(tools, champion).names
    schema, name = tools.postgres.find_table(replay.table)
    # By a hash of the row: tables are mostly in order of time, and the first customers are not like the last.
    order = sa.func.md5(sa.func.concat(*(sa.column(each) for each in [*columns, *filter(None, [uc1.entity])])))
    chosen: Any = sa.select(*(sa.column(each) for each in columns)).select_from(sa.table(name, schema=schema))
    found = tools.postgres.rows(chosen.order_by(order).limit(replay.rows))
    return [{key: _plain(value) for key, value in zip(columns, row, strict=True)} for row in found]


def _until_sent(tools: "Tools", sent: "Sent", wanted: int) -> int:
    """Wait until every row was sent once; returns how many were answered."""
    end = time.monotonic() + 30 + 3 * wanted / tools.settings.traffic.requests_per_second
    while sent.requests < wanted and time.monotonic() < end:
        time.sleep(POLL_SECONDS)
    return sent.by_code.get(sources.ANSWERED, 0)


def _until_logged(tools: "Tools", before: str, wanted: int) -> None:
    prediction_log, end = sources.prediction_log(tools), time.monotonic() + LOG_SECONDS
    while time.monotonic() < end:
        if sources.answered_rows(prediction_log, prediction_log.since(before), wanted) >= wanted:
            return
        time.sleep(POLL_SECONDS)
    log.warning("not all that was sent is in the log yet", wanted=wanted)


def _key(tools: "Tools") -> str:
    return f"{windows.place(tools)}/replayed/{tools.settings.uc3.replay.table}.json"


def _url(tools: "Tools") -> str:
    uc1 = tools.settings.uc1
    live = tools.kserve.live(uc1.namespace, service_name(uc1.model_name)) or {}
    return str(live.get("status", {}).get("url", ""))


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return float(value) if hasattr(value, "as_integer_ratio") else str(value)
