"""The settings: one frozen tree."""

from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta

from orakul.settings.section import Section
from orakul.settings.sections import (
    SECRET,
    CelerySettings,
    ElasticsearchSettings,
    EventsSettings,
    ExportSettings,
    JwtSettings,
    OperationsSettings,
    PipelinesSettings,
    PostgresAddress,
    RetentionSettings,
    StreamSettings,
    TelemetrySettings,
    WebAddress,
    WebSettings,
)

__all__ = ["Settings"]

MASKED = (
    "password",
    "passwd",
    "pwd",
    "secret",
    "token",
    "api_key",
    "apikey",
    "access_key",
    "private_key",
    "authorization",
    "cookie",
    "session",
    "credit_card",
    "card_number",
    "cvv",
)


class Settings(Section, frozen=True, kw_only=True):
    """Everything that can be set."""

    data: Annotated[
        Path,
        Meta(
            description="The folder of all that Orakul keeps on disk (embedded database, spool, keys, demo); default "
            "`$XDG_DATA_HOME/orakul`, else `~/.local/share/orakul`."
        ),
    ]
    host: Annotated[str, Meta(description="Address that the web application listens on.")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535, description="Port that it listens on; 0: any free one.")] = 8080
    database_url: Annotated[
        PostgresAddress | None,
        Meta(
            description="Your PostgreSQL (15 or newer), `postgresql://user:password@host/database`; unset: an embedded "
            "server in the data folder.",
            **SECRET,
        ),
    ] = None
    feed_url: Annotated[
        PostgresAddress | None,
        Meta(
            description="PostgreSQL address for the feed's own connection, where `database_url` goes through a pooler "
            "that cannot LISTEN; unset: `database_url`.",
            **SECRET,
        ),
    ] = None
    secret_key: Annotated[
        Annotated[str, Meta(min_length=32)] | None,
        Meta(
            description="Signs sessions and encrypts kept messages, 32 characters or more, the same for the web "
            "application and all workers; unset: made once, in `secret.key` in the data folder.",
            **SECRET,
        ),
    ] = None
    trace_url: Annotated[
        str | None,
        Meta(
            description="Where a trace is shown, with `{trace_id}` in it: `https://jaeger.example.com/trace/{trace_id}`."
        ),
    ] = None
    language: Annotated[
        Literal["ru", "en"] | None,
        Meta(
            description="Language of messages of reactions, and of what the watcher of pipelines says; unset: English,"
            " and Russian as its document shows. That of the page is `web.language`."
        ),
    ] = None
    public_url: Annotated[
        WebAddress | None,
        Meta(description="Where people find this Orakul, `https://orakul.example.com`: links in messages lead there."),
    ] = None
    notifiers: Annotated[
        dict[str, dict[str, Any]],
        Meta(
            description="Whom to tell, each a table `[notifiers.NAME]` with its `kind` and options (docs/reactions.md)."
        ),
    ] = {}  # noqa: RUF012 (msgspec copies it for each)
    rules: Annotated[
        tuple[dict[str, Any], ...],
        Meta(description="When to tell them, each a table `[[rules]]` (docs/reactions.md)."),
    ] = ()
    mask: Annotated[
        tuple[str, ...],
        Meta(description="Arguments whose names contain one of these are masked wherever shown, logged or indexed."),
    ] = MASKED
    lease_seconds: Annotated[
        float, Meta(ge=3, le=3600, description="A worker silent for so long is taken for lost, in seconds.")
    ] = 30.0
    grace_seconds: Annotated[
        float, Meta(ge=0, le=3600, description="Between asking a cancelled task to stop and killing it, in seconds.")
    ] = 10.0
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Meta(description="The least serious of the lines that are logged."),
    ] = "info"
    log_format: Annotated[
        Literal["text", "ecs"],
        Meta(
            description="How lines are written: text for people, or JSON of the Elastic Common Schema (docs/logs.md)."
        ),
    ] = "text"
    jwt: JwtSettings = JwtSettings()
    celery: CelerySettings = CelerySettings()
    events: EventsSettings = EventsSettings()
    pipelines: PipelinesSettings = PipelinesSettings()
    retention: RetentionSettings = RetentionSettings()
    stream: StreamSettings = StreamSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    elasticsearch: ElasticsearchSettings = ElasticsearchSettings()
    web: WebSettings = WebSettings()
    operations: OperationsSettings = OperationsSettings()
    exports: ExportSettings = ExportSettings()

    @property
    def spool(self) -> Path:
        """The folder where processes put events down before they are shipped."""
        return self.data / "spool"
