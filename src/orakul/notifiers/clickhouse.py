"""ClickHouse, by its HTTP interface: each message's event is a row, many rows an insert.

CREATE TABLE orakul_events (key String, at DateTime64(6, 'UTC'), severity LowCardinality(String), title String,
    text String, `group` String, count UInt64, event_type LowCardinality(String), task_id String, fields String,
    event String) ENGINE = MergeTree ORDER BY at
"""

import re
from collections.abc import Sequence
from typing import Any, ClassVar
from urllib.parse import urlencode

import msgspec

from orakul.notifiers.request import ask
from orakul.reactions.notifier import Message, Notifier, Options, PermanentError, Receipt
from orakul.reactions.secret import Secret

__all__ = ["ClickHouseNotifier", "ClickHouseOptions"]

_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)?")


class ClickHouseOptions(Options, frozen=True, kw_only=True):
    """`table` is `table` or `database.table`, with the columns that the module's heading names, or more."""

    url: str
    table: str = "orakul_events"
    username: str = "default"
    password: Secret | None = None


class ClickHouseNotifier(Notifier):
    """Inserts rows. The same batch sent again is known by its token, where the table keeps a deduplication window."""

    kind = "clickhouse"
    Options: ClassVar[type[Options]] = ClickHouseOptions
    batch = 1_000
    apart = True
    options: ClickHouseOptions

    def __init__(self, options: Any) -> None:
        super().__init__(options)
        if not _NAME.fullmatch(self.options.table):
            raise PermanentError("clickhouse: table is a name, or database.table")

    def send(self, messages: Sequence[Message]) -> Receipt:
        """Insert them all, or none."""
        options = self.options
        table = ".".join(f"`{part}`" for part in options.table.split("."))
        asked = {
            "query": f"INSERT INTO {table} FORMAT JSONEachRow",
            "date_time_input_format": "best_effort",
            "input_format_skip_unknown_fields": "1",
            "insert_deduplication_token": f"{messages[0].key}-{len(messages)}",
            "wait_end_of_query": "1",
        }
        headers = {"X-ClickHouse-User": options.username, "Content-Type": "application/x-ndjson"}
        if options.password is not None:
            headers["X-ClickHouse-Key"] = options.password.reveal()
        body = b"".join(msgspec.json.encode(_row(message)) + b"\n" for message in messages)
        address = f"{options.url.rstrip('/')}/?{urlencode(asked)}"
        ask("POST", address, body=body, headers=headers, timeout=options.timeout_seconds, hide=self.hide)
        return Receipt(said=f"{len(messages)} rows inserted")

    @classmethod
    def example(cls, url: str) -> dict[str, Any]:
        """Return options such as somebody would write."""
        return {"url": url, "table": "ops.orakul_events", "username": "orakul", "password": "env:CLICKHOUSE_PASSWORD"}


def _row(message: Message) -> dict[str, Any]:
    return {
        "key": message.key,
        "at": message.at,
        "severity": message.severity,
        "title": message.title,
        "text": message.text,
        "group": message.group,
        "count": message.count,
        "event_type": str(message.event.get("event_type") or ""),
        "task_id": str(message.event.get("task_id") or ""),
        "fields": msgspec.json.encode(dict(message.fields)).decode(),
        "event": msgspec.json.encode(dict(message.event)).decode(),
    }
