"""The TDTP worker's four extension points, as plain functions.

Each uses the notifier of its kind in the settings (`[notifiers.telegram]` …), or the one it is given, and raises
PermanentError or PassingError where it did not work.
"""

import uuid
from collections.abc import Mapping
from typing import Any

from orakul.events import utc_now
from orakul.reactions.making import Notifiers
from orakul.reactions.notifier import Message, Notifier, Receipt
from orakul.settings import load_settings

__all__ = ["create_jira_incident", "send_telegram_alert", "trigger_airflow_dag", "upload_to_clickhouse"]


def trigger_airflow_dag(
    result_name: str, *, conf: Mapping[str, Any] | None = None, notifier: Notifier | None = None
) -> Receipt:
    """Start a run of the DAG in the settings, with `{"result_name": …}` and `conf` in its `conf`."""
    event = {"event_type": "pipeline.succeeded", "data": {"result_name": result_name, **(conf or {})}}
    return _send(notifier, "airflow", Message(key=_key(), title=result_name, group=result_name, event=event))


def upload_to_clickhouse(
    result_name: str, *, data: Mapping[str, Any] | None = None, notifier: Notifier | None = None
) -> Receipt:
    """Insert a row that says that the result is there, with `data` in its event."""
    event = {"event_type": "pipeline.succeeded", "data": {"result_name": result_name, **(data or {})}}
    return _send(notifier, "clickhouse", Message(key=_key(), title=result_name, group=result_name, event=event))


def send_telegram_alert(text: str, *, notifier: Notifier | None = None) -> Receipt:
    """Send the text to the chat in the settings."""
    title, _, rest = text.partition("\n")
    return _send(notifier, "telegram", Message(key=_key(), title=title, text=rest, severity="error"))


def create_jira_incident(pipeline_name: str, error_msg: str, *, notifier: Notifier | None = None) -> Receipt:
    """Create an issue for the pipeline's failure; where one is open for it, comment on that."""
    message = Message(
        key=_key(),
        title=f"[TDTP] {pipeline_name} failed",
        text=error_msg,
        severity="error",
        group=f"pipeline {pipeline_name}",
        fields={"pipeline": pipeline_name, "at": utc_now().isoformat(timespec="seconds")},
    )
    return _send(notifier, "jira", message)


def _send(notifier: Notifier | None, kind: str, message: Message) -> Receipt:
    if notifier is not None:
        return notifier.send([message])
    found = Notifiers(load_settings().notifiers).of_kind(kind)
    try:
        return found.send([message])
    finally:
        found.close()


def _key() -> str:
    return str(uuid.uuid4())
