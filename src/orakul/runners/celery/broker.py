"""Short talks with the broker: connect, say one thing, hang up; each bounded, none tried twice.

A command is worth a few seconds of waiting, no more. The sockets have time limits of their own, and the whole talk
happens in a thread that is left behind at the deadline (a name server may hang where no socket option reaches). A talk
left behind publishes nothing afterwards: it asks before it does.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from kombu import Connection, Exchange, Producer
from kombu.utils.url import maybe_sanitize_url

from orakul.errors import BrokerUnavailableError, NotPossibleError
from orakul.runners.celery.originals import Original

__all__ = ["Broker"]

CONNECT_SECONDS = 3.0
TALK_SECONDS = 3.0
DEADLINE_SECONDS = 5.0

_SOCKET_OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "redis": {
        "socket_connect_timeout": CONNECT_SECONDS,
        "socket_timeout": TALK_SECONDS,
        "retry_on_timeout": False,
        "max_retries": 1,
    },
    "amqp": {
        "confirm_publish": True,
        "read_timeout": TALK_SECONDS,
        "write_timeout": TALK_SECONDS,
        "max_retries": 1,
    },
}


class _Given(threading.Event):
    """Set when nobody waits for the talk any more."""

    def check(self) -> None:
        if self.is_set():
            raise TimeoutError("nobody waits for this any more")


class Broker:
    """One broker, by its URL. Its methods raise BrokerUnavailableError within a few seconds."""

    def __init__(
        self, url: str, transport_options: Mapping[str, Any] | None = None, control_exchange: str = "celery"
    ) -> None:
        self.url = url
        self.shown = maybe_sanitize_url(url)
        self._options = dict(transport_options or {})
        self._pidbox = Exchange(f"{control_exchange}.pidbox", type="fanout", durable=False, delivery_mode="transient")

    def publish(self, message: Original) -> None:
        """Publish a task's message; NotPossibleError where it cannot reach any queue."""

        def talk(connection: Connection, given: _Given) -> None:
            producer = Producer(connection.default_channel)
            amqp = connection.transport.driver_type == "amqp"
            exchange, routing_key = message.exchange, message.routing_key
            if not amqp and message.queue:
                # The virtual transports know no bindings of exchanges that nobody declared here: name the queue.
                exchange, routing_key = "", message.queue
            options: dict[str, Any] = {
                name: value for name, value in message.properties.items() if value is not None and name in _PROPERTIES
            }
            options.setdefault("delivery_mode", 2)
            if amqp:
                options |= {"mandatory": True, "timeout": TALK_SECONDS}
            given.check()
            try:
                producer.publish(
                    message.body.decode() if message.is_text else message.body,
                    content_type=message.content_type,
                    content_encoding=message.content_encoding,
                    headers=dict(message.headers),
                    exchange=exchange,
                    routing_key=routing_key,
                    retry=False,
                    **options,
                )
            except connection.channel_errors as error:
                raise NotPossibleError(
                    f"the broker has no way from exchange {exchange!r} with routing key {routing_key!r} to a queue: "
                    f"{error}"
                ) from error

        self.talk(talk)

    def broadcast(self, command: str, arguments: Mapping[str, Any], destination: Sequence[str] | None = None) -> None:
        """Send a remote-control command to all workers, or to those named; nobody is waited for."""
        form = {
            "method": command,
            "arguments": dict(arguments),
            "destination": list(destination) if destination is not None else None,
            "pattern": None,
            "matcher": None,
        }

        def talk(connection: Connection, given: _Given) -> None:
            producer = Producer(connection.default_channel)
            given.check()
            producer.publish(
                form,
                exchange=self._pidbox.name,
                declare=[self._pidbox],
                headers={"clock": 0, "expires": time.time() + 60},
                serializer="json",
                retry=False,
            )

        self.talk(talk)

    def connection(self) -> Connection:
        """Return a connection, not yet open, whose sockets have time limits."""
        kind = "redis" if self.url.startswith(("redis", "valkey", "sentinel")) else "amqp"
        known = _SOCKET_OPTIONS[kind] if self.url.startswith(("redis", "sentinel", "amqp", "pyamqp")) else {}
        options = {**known, **self._options}
        return Connection(self.url, connect_timeout=CONNECT_SECONDS, transport_options=options)

    def talk(self, what: Callable[[Connection, _Given], None], deadline: float = DEADLINE_SECONDS) -> None:
        """Run `what` with an open connection; raise BrokerUnavailableError where it does not end in time."""
        given = _Given()
        failed: list[BaseException] = []

        def run() -> None:
            connection = self.connection()
            try:
                connection.connect()
                what(connection, given)
            except BaseException as error:  # noqa: BLE001 (it is raised again by the one who waits)
                failed.append(error)
            finally:
                _hang_up(connection)

        thread = threading.Thread(target=run, name="orakul-broker-talk", daemon=True)
        thread.start()
        thread.join(deadline)
        if thread.is_alive():
            given.set()
            raise BrokerUnavailableError(f"{self.shown} did not answer within {deadline:g} s: is the broker up?")
        if failed:
            error = failed[0]
            if isinstance(error, NotPossibleError):
                raise error
            raise BrokerUnavailableError(
                f"{self.shown} does not take commands: {type(error).__name__}: {error}"
            ) from error


_PROPERTIES = frozenset(
    ("priority", "reply_to", "correlation_id", "delivery_mode", "message_id", "type", "app_id", "user_id", "timestamp")
)


def _hang_up(connection: Connection) -> None:
    # What was to be said is said; a broken line may stay broken.
    with suppress(Exception):
        connection.release()
