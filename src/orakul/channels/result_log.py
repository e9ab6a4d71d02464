"""The end of an export, told in Redis in the TDTP form: watchers of TDTP pipelines see our exports as theirs.

    SET tdtp:pipeline:<name>:state <JSON> EX <ttl>       for polling
    PUBLISH tdtp:pipeline:<name> <JSON>                  for those that listen

A Redis that is away is warned of in the log; the export does not suffer. A cancelled run is told as failed, since the
form knows no third word.
"""

import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from orakul.errors import MissingExtraError
from orakul.exports.events import RunFinished
from orakul.exports.observer import ExportObserver
from orakul.exports.plan import Plan, ResultLog
from orakul.pipelines.message import CHANNEL, STATE

__all__ = ["RedisResultLog", "message_of"]

_log = logging.getLogger("orakul.exports")

_SECONDS = 3.0
_PORT = 6379


class RedisResultLog(ExportObserver):
    """Tells the end of each run of a plan that has `result_log: {type: redis}`."""

    name = "result_log"

    def __init__(self, plan: Plan) -> None:
        try:
            import redis  # noqa: PLC0415 (an extra)
        except ModuleNotFoundError as error:
            raise MissingExtraError("redis", "redis") from error
        if plan.result_log is None:
            raise ValueError("the plan has no result_log")
        self._plan = plan
        self._log: ResultLog = plan.result_log
        self._redis = redis

    def on_run_finished(self, event: RunFinished) -> None:
        """Set the state and publish it; one transaction, so that who hears of it finds it."""
        message = msgspec.json.encode(message_of(self._plan, event)).decode()
        channel = CHANNEL + self._log.name
        try:
            with self._connect() as connection, connection.pipeline(transaction=True) as both:
                both.set(channel + STATE, message, ex=self._log.ttl)
                both.publish(channel, message)
                both.execute()
        except (self._redis.RedisError, OSError, ValueError) as error:
            _log.warning("The end of run %s was not told at %s: %s", event.run_id, self._log.address, error)

    def _connect(self) -> Any:
        host, _, port = self._log.address.rpartition(":")
        if not host or not port.isdigit():
            host, port = self._log.address, str(_PORT)
        return self._redis.Redis(
            host=host.strip("[]"),
            port=int(port),
            db=self._log.database,
            password=self._log.password,
            socket_connect_timeout=_SECONDS,
            socket_timeout=_SECONDS,
        )


def message_of(plan: Plan, event: RunFinished) -> dict[str, Any]:
    """Return the message of a run's end, in the form of the requirement."""
    began = datetime.fromisoformat(event.started_at).astimezone(UTC)
    duration = round(event.duration_ms)
    well = event.outcome in {"Success", "NoData"}
    message: dict[str, Any] = {
        "pipeline_name": plan.name,
        "result_name": plan.result_log.name if plan.result_log else plan.name,
        "status": "success" if well else "failed",
        "started_at": _moment(began),
        "finished_at": _moment(began + timedelta(milliseconds=duration)),
        "duration_ms": duration,
        "rows_loaded": event.rows_exported,
        "rows_exported": event.rows_exported,
    }
    if not well:
        message["error"] = _error(event)
    return message


def _error(event: RunFinished) -> str:
    if event.error is not None:
        return event.error.message
    if event.outcome == "Cancelled":
        return "cancelled"
    failed = [(group.group_id, script) for group in event.summary for script in group.scripts if script.error]
    return "; ".join(f"{group}/{script.script_id}: {script.error.message}" for group, script in failed if script.error)


def _moment(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
