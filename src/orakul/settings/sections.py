"""The sections of the settings, each key with its type, default and description."""

from typing import Annotated, Any, Literal

from msgspec import Meta

from orakul.settings.section import Section

__all__ = [
    "SECRET",
    "BrokerAddress",
    "CelerySettings",
    "ElasticsearchSettings",
    "EventsSettings",
    "ExportSettings",
    "JwtSettings",
    "OperationsSettings",
    "PipelinesSettings",
    "PostgresAddress",
    "RetentionSettings",
    "StreamSettings",
    "TelemetrySettings",
    "WebAddress",
    "WebSettings",
]

SECRET = {"extra_json_schema": {"secret": True}}

# What an address must begin with; the title is what is said where it does not.
PostgresAddress = Annotated[str, Meta(pattern="^postgres(ql)?://", title="a PostgreSQL address, postgresql://…")]
BrokerAddress = Annotated[
    str,
    Meta(
        pattern=r"^(rediss?|redis\+socket|sentinel|amqps?|pyamqp|memory)://",
        title="the address of a broker, redis://… or amqp://…",
    ),
]
WebAddress = Annotated[str, Meta(pattern="^https?://", title="an address, https://…")]


class JwtSettings(Section, frozen=True, kw_only=True):
    """The tokens of your house's own authentication: give one of secret, public key and JWKS address."""

    secret: Annotated[
        Annotated[str, Meta(min_length=32)] | None,
        Meta(description="Shared secret of HS256 tokens, 32 bytes or more.", **SECRET),
    ] = None
    public_key: Annotated[
        str | None, Meta(description="Public key of RS256 or ES256 tokens: PEM text, or the path of a PEM file.")
    ] = None
    jwks_url: Annotated[str | None, Meta(description="Address of the key set (JWKS) of your identity provider.")] = None
    algorithm: Annotated[
        Literal["HS256", "RS256", "ES256"] | None,
        Meta(description="The only algorithm accepted; by default HS256 with a secret, RS256 and ES256 otherwise."),
    ] = None
    issuer: Annotated[str | None, Meta(description="The `iss` that a token must carry; unset: any.")] = None
    audience: Annotated[str | None, Meta(description="The `aud` that a token must carry; unset: any.")] = None
    leeway_seconds: Annotated[int, Meta(ge=0, le=600, description="How far clocks may differ, in seconds.")] = 30
    require_expiry: Annotated[
        bool,
        Meta(description="Refuse tokens without `exp`: one that never expires stays good after it was stolen."),
    ] = False


class CelerySettings(Section, frozen=True, kw_only=True):
    """The Celery fleet."""

    broker: Annotated[
        BrokerAddress | None,
        Meta(
            description="Broker that commands (retry, cancel, pause) go to, `redis://…` or `amqp://…`; unset: the web "
            "application sends none to Celery.",
            **SECRET,
        ),
    ] = None
    management_url: Annotated[
        Annotated[str, Meta(pattern="^(off$|https?://)", title="an address, http://…:15672, or off")] | None,
        Meta(
            description="Management API of RabbitMQ, which knows more of queues than AMQP tells: "
            "`https://user:password@host:15671`. Without a user: the broker's. Unset: tried at the broker's host, port "
            "15672 (`amqps`: 15671); `off`: not asked.",
            **SECRET,
        ),
    ] = None
    keep_messages: Annotated[
        bool,
        Meta(description="Keep the original message of each task, encrypted, so that a failed one can be run again."),
    ] = True
    metrics_port: Annotated[
        int,
        Meta(
            ge=0,
            le=65535,
            description="Each worker serves `/metrics` for Prometheus at this port; 0: none. Workers of one "
            "host need one each.",
        ),
    ] = 0
    metrics_host: Annotated[
        str, Meta(description="Address that it listens on; `0.0.0.0`: all, for a Prometheus on another host.")
    ] = "127.0.0.1"


class EventsSettings(Section, frozen=True, kw_only=True):
    """Domain events: the outbox, the relay, the broker."""

    broker: Annotated[
        Annotated[str, Meta(pattern=r"^[a-z][a-z0-9+.-]*://", title="the address of a broker, amqp://…")] | None,
        Meta(
            description="Broker that domain events go through: `amqp://…`, `redis://…`, `kafka://…`; unset: they stay "
            "in the outbox.",
            **SECRET,
        ),
    ] = None
    outboxes: Annotated[
        tuple[PostgresAddress, ...],
        Meta(description="Databases whose outbox is relayed; empty: `database_url` only.", **SECRET),
    ] = ()
    relay: Annotated[
        bool, Meta(description="Relay inside `orakul serve` too, where a broker is set; else `orakul run relay` does.")
    ] = True
    notify: Annotated[
        bool,
        Meta(
            description="Wake the relay by NOTIFY in each transaction that publishes: milliseconds instead of up to a "
            "second, for about half of the commits a second that many writers at once can make."
        ),
    ] = False
    journal: Annotated[
        bool, Meta(description="Enter relayed events in the journal, so that they are in the control room.")
    ] = True
    relay_attempts: Annotated[
        int, Meta(ge=1, le=1000, description="An event that the broker has refused so often is laid aside.")
    ] = 10
    message_bytes: Annotated[
        int, Meta(ge=1024, le=128 * 1024 * 1024, description="A larger event is laid aside instead of relayed.")
    ] = 4 * 1024 * 1024


class PipelinesSettings(Section, frozen=True, kw_only=True):
    """Data pipelines that report over Redis (TDTP), watched by `orakul serve`, `run watch` or `watch tdtp`."""

    redis: Annotated[
        Annotated[str, Meta(pattern=r"^(rediss?|unix)://", title="the address of a Redis, redis://host:6379/0")] | None,
        Meta(
            description="Redis that pipelines report to: `redis://user:password@host:6379/0`, `rediss://` with TLS; "
            "unset: `orakul serve` watches none.",
            **SECRET,
        ),
    ] = None
    rules: Annotated[
        tuple[dict[str, Any], ...],
        Meta(
            description="Rules of data quality, each a table `[[pipelines.rules]]` (docs/pipelines.md); empty: rows "
            "that were loaded and not exported are warned of."
        ),
    ] = ()
    look_seconds: Annotated[
        float, Meta(ge=1, le=3600, description="The kept states are read this often, for what was not heard.")
    ] = 15.0


class RetentionSettings(Section, frozen=True, kw_only=True):
    """How long things are kept; what is older is dropped whole, day by day."""

    events_days: Annotated[
        int, Meta(ge=1, le=3650, description="Events, and with them the histories of tasks, in days.")
    ] = 30
    logs_days: Annotated[int, Meta(ge=1, le=3650, description="Log lines of tasks, in days.")] = 14
    tasks_days: Annotated[int, Meta(ge=0, le=3650, description="Ended tasks, in days; 0: as long as events.")] = 0
    kinds: Annotated[
        tuple[str, ...],
        Meta(description="Ended tasks of single kinds, as `KIND=DAYS`: `export=365`."),
    ] = ()


class StreamSettings(Section, frozen=True, kw_only=True):
    """The live stream."""

    connections: Annotated[
        int, Meta(ge=1, description="Open streams at once; the next one is told to come back later.")
    ] = 5000
    heartbeat_seconds: Annotated[
        float, Meta(gt=0, le=55, description="A sign of life goes to each stream this often, in seconds.")
    ] = 15.0


class ElasticsearchSettings(Section, frozen=True, kw_only=True):
    """Where lines of ECS are sent, beside standard error; for those without Filebeat (docs/logs.md)."""

    url: Annotated[
        WebAddress | None,
        Meta(description="Address of Elasticsearch, `https://host:9200`; unset: no lines are sent.", **SECRET),
    ] = None
    api_key: Annotated[str | None, Meta(description="API key: `id:key`, or as Elasticsearch encodes it.", **SECRET)] = (
        None
    )
    token: Annotated[str | None, Meta(description="Bearer token, in place of an API key.", **SECRET)] = None
    ca_file: Annotated[
        str | None, Meta(description="Certificate (PEM) of your own authority; unset: those that the system trusts.")
    ] = None
    data_stream: Annotated[str, Meta(min_length=1, description="The data stream that lines go to.")] = (
        "logs-orakul-default"
    )


class TelemetrySettings(Section, frozen=True, kw_only=True):
    """Orakul's own traces, metrics and logs, to an OpenTelemetry collector; its variables (`OTEL_…`) hold as well."""

    traces: Annotated[
        bool,
        Meta(description="Send spans of what `orakul serve`, `run`, `consume` and `export` do: OTLP over HTTP."),
    ] = False
    metrics: Annotated[bool, Meta(description="Send metrics too, over OTLP; `/metrics` is there for Prometheus.")] = (
        False
    )
    logs: Annotated[bool, Meta(description="Send the lines of Orakul's own log too, over OTLP.")] = False
    endpoint: Annotated[
        WebAddress | None,
        Meta(
            description="Address of the collector, `http://localhost:4318`; unset: `OTEL_EXPORTER_OTLP_ENDPOINT`, then "
            "that one."
        ),
    ] = None
    service: Annotated[
        str, Meta(min_length=1, description="The service's name in traces and logs; `OTEL_SERVICE_NAME` is stronger.")
    ] = "orakul"
    environment: Annotated[
        str | None, Meta(description="The environment, such as `production`: `service.environment` of lines of ECS.")
    ] = None


class WebSettings(Section, frozen=True, kw_only=True):
    """The web application and what stands before it."""

    root_path: Annotated[str, Meta(description="The path below which a proxy shows Orakul, such as `/orakul`.")] = ""
    trusted_proxies: Annotated[
        tuple[str, ...],
        Meta(description="Addresses or networks of proxies whose forwarded headers are believed; `*`: all."),
    ] = ()
    frame_ancestors: Annotated[
        tuple[str, ...], Meta(description="Origins that may show the page in a frame; empty: none.")
    ] = ()
    metrics: Annotated[Literal["open", "signed-in", "off"], Meta(description="Who may read `/metrics`.")] = "open"
    session_hours: Annotated[
        float, Meta(gt=0, le=24 * 90, description="How long a sign-in of Orakul's own users holds, in hours.")
    ] = 12.0
    language: Annotated[
        Literal["ru", "en"] | None, Meta(description="Language of the page; unset: that of the browser.")
    ] = None


class OperationsSettings(Section, frozen=True, kw_only=True):
    """What a program's `@operation`s record, and where they are written (`orakul.operations.configure`)."""

    level: Annotated[
        Literal["minimal", "standard", "detailed", "debug"],
        Meta(description="The least important operations that are recorded; those that fail are recorded always."),
    ] = "standard"
    levels: Annotated[
        tuple[str, ...], Meta(description="Levels of single operations, as `PATTERN=LEVEL`: `LOAD_*=debug`.")
    ] = ()
    outputs: Annotated[
        tuple[str, ...],
        Meta(
            description="Where records go, as `FORMATTER:PLACE`: formatters are table, tree, json, xml, ecs and "
            "those of other packages, places `stderr`, `stdout` or a file: `table:stderr`, `json:operations.jsonl`."
        ),
    ] = ()
    split_by_thread: Annotated[bool, Meta(description="Give each thread a file of its own.")] = False
    record: Annotated[
        bool, Meta(description="Record operations as tasks in the journal, so that they are in the control room.")
    ] = False
    only_failures: Annotated[bool, Meta(description="Write only what failed.")] = False
    error_handlers: Annotated[
        tuple[str, ...],
        Meta(
            description="Who is told of failures, by name: `log`, `email`, the `[notifiers.NAME]` of this file, and "
            "those of other packages."
        ),
    ] = ()
    email_to: Annotated[tuple[str, ...], Meta(description="Who gets the letters of the error handler `email`.")] = ()
    email_from: Annotated[str | None, Meta(description="The sender of those letters.")] = None
    email_server: Annotated[
        str, Meta(description="The mail server: `smtp://user:password@host:port`, or `smtps://`.", **SECRET)
    ] = "smtp://localhost:25"
    notify_every_seconds: Annotated[
        float, Meta(ge=1, description="At most one message of a notifier in so many seconds, likewise.")
    ] = 300.0
    email_every_seconds: Annotated[
        float, Meta(ge=1, description="At most one letter in so many seconds; errors in between go together.")
    ] = 300.0


class ExportSettings(Section, frozen=True, kw_only=True):
    """Exports: where the plans are, who is told, where the work is done."""

    plans: Annotated[
        tuple[str, ...],
        Meta(description="Folders of export plans (YAML) that the page offers; empty: only `orakul export` runs some."),
    ] = ()
    observers: Annotated[
        tuple[str, ...],
        Meta(description="Observers of exports, as `module:object`, beside those that installed packages bring."),
    ] = ()
    strict: Annotated[
        bool, Meta(description="Tell observers before the export goes on, and stop it where one of them fails.")
    ] = False
    run_in: Annotated[
        Literal["auto", "process", "celery"],
        Meta(
            description="Where an export from the page runs: in the process of `orakul serve`, or as a task "
            "`orakul.export` of the Celery fleet; `auto`: of the fleet where a worker takes from the queue."
        ),
    ] = "auto"
    queue: Annotated[str, Meta(min_length=1, description="The queue of the Celery fleet that exports are sent to.")] = (
        "celery"
    )
    at_once: Annotated[
        int, Meta(ge=1, le=64, description="How many exports run at once in the process of `orakul serve`.")
    ] = 2
    who: Annotated[
        Literal["admin", "everybody"],
        Meta(description="Who may see the plans and start exports from the page; viewers never start any."),
    ] = "admin"
