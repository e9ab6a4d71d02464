"""Lines of ECS into Elasticsearch by its bulk API, for those without Filebeat.

    set_up_logs("shop", also=[ElasticsearchHandler("https://es.example.com:9200", api_key=os.environ["ES_API_KEY"])])

The lines go to the data stream `logs-orakul-default`, each with an id of its own, so that one sent twice (the answer
was lost) is there once. The work waits for nothing: what the queue has no room for, and what Elasticsearch refuses, is
counted (`orakul_telemetry_dropped_total`) and told of once in a while on the other handlers.
"""

import base64
import email.utils
import encodings.idna  # noqa: F401 (loaded by the first look-up of a name otherwise: see `_Bulk._open`)
import gzip
import itertools
import logging
import os
import random
import ssl
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote, unquote, urlsplit

import msgspec

from orakul import __version__
from orakul.errors import MissingExtraError, SettingsError
from orakul.telemetry.logs import ECSLogFormatter
from orakul.telemetry.pump import Pump

__all__ = ["DATA_STREAM", "ElasticsearchHandler"]

DATA_STREAM = "logs-orakul-default"

log = logging.getLogger(__name__)

_SHORTEST, _LONGEST, _MOST_ASKED = 0.5, 30.0, 300.0
_SAY_EVERY = 60.0
_SHOWN = 300
_AGAIN = frozenset({408, 425, 429})
_THERE, _TOO_LARGE, _SERVER = 409, 413, 500
_FILTER = "errors,items.create.status,items.create.error.type,items.create.error.reason"

_Line = tuple[str, bytes]
_NAME = "elasticsearch"


class _NotOurs(logging.Filter):
    """Lets httpx2 tell of other people's requests only."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.threadName != f"orakul-{_NAME}"


_not_ours = _NotOurs()


class ElasticsearchHandler(logging.Handler):
    """Sends records to Elasticsearch in a thread of its own: each process, and each forked child, by itself.

    `url` may have a user and password in it, and a path; else give `api_key` (`id:key`, or encoded as Elasticsearch
    gives it) or `token`. `ca_file` is the certificate of your own authority. At most `most` lines and `most_bytes`
    wait; the end of the process waits `exit_seconds`.
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        token: str | None = None,
        ca_file: str | Path | None = None,
        data_stream: str = DATA_STREAM,
        level: int = logging.NOTSET,
        most: int = 20_000,
        most_bytes: int = 32 * 1024 * 1024,
        batch_bytes: int = 1024 * 1024,
        every: float = 1.0,
        timeout: float = 10.0,
        exit_seconds: float = 3.0,
    ) -> None:
        super().__init__(level)
        self._exit_seconds = exit_seconds
        keys = {"api_key": api_key, "token": token}
        self._bulk = _Bulk(url, keys, _trust(ca_file), data_stream, timeout)
        self._pump = self._bulk.pump = Pump(
            _NAME, self._bulk.ship, most=most, most_bytes=most_bytes, batch_bytes=batch_bytes, every=every
        )
        self._default = ECSLogFormatter()
        self._ids = _Ids()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._bulk.forget)

    def __repr__(self) -> str:
        return f"<ElasticsearchHandler {self._bulk.where}>"

    def emit(self, record: logging.LogRecord) -> None:
        """Queue a record."""
        if self._pump.is_mine or self._pump.refuses():
            return  # what the sending itself tells is for the other handlers
        try:
            formatter = self.formatter if isinstance(self.formatter, ECSLogFormatter) else self._default
            line = formatter.format(record).encode()
            self._pump.put((self._ids.next(), line), len(line) + 60)
        except Exception:  # noqa: BLE001 (logging's way: told on standard error, where `logging.raiseExceptions`)
            self.handleError(record)

    def drain(self, seconds: float) -> bool:
        """Send what is queued; say whether all of it went within the time."""
        return self._pump.drain(seconds)

    def close(self) -> None:
        """Send what is queued within the time that the end may take."""
        self._pump.close(self._exit_seconds)
        super().close()


class _Ids:
    """Ids of lines: growing, so that Elasticsearch finds them quickly, and unlike those of any other process."""

    def __init__(self) -> None:
        self._seed()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._seed)

    def _seed(self) -> None:
        self._prefix = f"{time.time_ns() // 1_000_000:012x}{os.urandom(6).hex()}"
        self._count = itertools.count()

    def next(self) -> str:
        return f"{self._prefix}-{next(self._count):x}"


class _Refused(Exception):  # noqa: N818 (a state of affairs)
    """The whole request will never be taken."""


class _Passing(Exception):  # noqa: N818 (a state of affairs)
    """It will be taken later."""

    def __init__(self, said: str, after: float | None = None) -> None:
        super().__init__(said)
        self.after = after


class _TooLarge(Exception):  # noqa: N818 (a state of affairs)
    """It will be taken in parts."""


class _Bulk:
    """The bulk API of one Elasticsearch."""

    pump: Pump[_Line]

    def __init__(
        self,
        url: str,
        keys: dict[str, str | None],
        trust: ssl.SSLContext | Literal[True],
        data_stream: str,
        timeout: float,
    ) -> None:
        try:
            import httpx2  # noqa: PLC0415 (an extra)
        except ImportError as error:
            raise MissingExtraError("httpx2", "elasticsearch") from error
        self._http = httpx2
        logging.getLogger("httpx2").addFilter(_not_ours)
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise SettingsError("the address of Elasticsearch is https://host:9200, or http:// …")
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        self.where = f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port else "") + parts.path.rstrip("/")
        self._target = f"{self.where}/{quote(data_stream, safe='')}/_bulk?filter_path={_FILTER}"
        self._headers = {
            "Content-Type": "application/x-ndjson",
            "Content-Encoding": "gzip",
            "User-Agent": f"orakul/{__version__}",
            **_authorization(parts.username, parts.password, **keys),
        }
        self._trust = trust
        self._timeout = timeout
        self._client = self._open()
        self._wait = _SHORTEST
        self._said: dict[str, float] = {}
        self._was_away = False

    def _open(self) -> Any:
        """Return a client; the first is made with the handler, so that all it imports is imported in the main thread.

        Whoever forks while another thread imports leaves the child with an import that never ends.
        """
        return self._http.Client(verify=self._trust, timeout=self._timeout)

    def forget(self) -> None:
        """Leave the connections to the parent: this is a forked child."""
        self._client = None
        self._wait, self._was_away = _SHORTEST, False

    # -- in the pump's thread

    def ship(self, lines: list[_Line]) -> None:
        """Send the lines, as often as it takes, and tell the pump what became of each."""
        todo = [lines]
        while todo:
            part = todo.pop()
            try:
                again, after = self._send(part)
            except _TooLarge:
                if len(part) == 1:
                    self.pump.lost(1, "too_large")
                    self._say("too_large", f"a line of {len(part[0][1]):,} bytes is too large for it")
                else:
                    half = len(part) // 2
                    todo += [part[half:], part[:half]]
                continue
            except _Refused as refused:
                self.pump.lost(len(part), "refused")
                self._say("refused", f"{refused}; such lines are dropped")
                continue
            except _Passing as passing:
                self._was_away = True
                self._say("away", f"{passing}; trying again")
                again, after = part, passing.after
            else:
                if not again and self._was_away:
                    self._was_away = False
                    self._said.pop("away", None)
                    log.info("Elasticsearch at %s takes lines again", self.where)
            if not again:
                self._wait = _SHORTEST
            elif self._wait_for(after):
                todo.append(again)
            else:
                self.pump.lost(len(again) + sum(map(len, todo)), "ended")
                return

    def _wait_for(self, after: float | None) -> bool:
        """Wait as long as was asked for, or a little longer each time; say whether there is time for another try."""
        seconds = self._wait * random.uniform(0.7, 1.3)  # noqa: S311 (so that processes do not come all at once)
        self._wait = min(self._wait * 2, _LONGEST)
        return self.pump.pause(seconds if after is None else max(seconds, min(after, _MOST_ASKED)))

    def _send(self, lines: list[_Line]) -> tuple[list[_Line], float | None]:
        """Send once; return those to be sent again."""
        body = b"".join(
            part for line_id, line in lines for part in (b'{"create":{"_id":"', line_id.encode(), b'"}}\n', line, b"\n")
        )
        if self._client is None:
            self._client = self._open()
        try:
            answer = self._client.post(self._target, content=gzip.compress(body, 1), headers=self._headers)
        except self._http.HTTPError as error:
            raise _Passing(f"it is not reached: {str(error)[:_SHOWN] or type(error).__name__}") from None
        status = answer.status_code
        if status == _TOO_LARGE:
            raise _TooLarge
        if status in _AGAIN or status >= _SERVER:
            raise _Passing(f"it answers {status}", _seconds(answer.headers.get("retry-after")))
        if not answer.is_success:
            raise _Refused(f"it answers {status}: {_reason(answer.content)}")
        return self._sort(lines, answer.content), None

    def _sort(self, lines: list[_Line], content: bytes) -> list[_Line]:
        """Tell the lines that were taken from those that were not, and return those that may be yet."""
        try:
            answer = msgspec.json.decode(content)
            items = [next(iter(item.values())) for item in answer["items"]]
            statuses = [int(item["status"]) for item in items]
        except (ValueError, KeyError, TypeError, AttributeError, StopIteration):
            raise _Refused("what answers is no bulk API of Elasticsearch; is the address right?") from None
        if len(items) != len(lines):
            raise _Refused("it answers of other lines than it was sent")
        again: list[_Line] = []
        taken = 0
        for line, status, item in zip(lines, statuses, items, strict=True):
            if status < 300 or status == _THERE:  # noqa: PLR2004 (2xx; and what came before and whose answer was lost)
                taken += 1
            elif status in _AGAIN or status >= _SERVER:
                again.append(line)
            else:
                error = item.get("error") or {}
                self.pump.lost(1, "rejected")
                kind = str(error.get("type"))[:100]
                self._say(
                    f"rejected {kind}", f"it rejects a line ({status} {kind}: {str(error.get('reason'))[:_SHOWN]})"
                )
        self.pump.sent(taken)
        return again

    def _say(self, kind: str, text: str) -> None:
        """Tell the other handlers, of each kind of trouble once a minute."""
        now = time.monotonic()
        if len(self._said) > 100:  # noqa: PLR2004 (kinds of errors are few; should they not be, this is bounded)
            self._said.clear()
        if now - self._said.get(kind, -_SAY_EVERY) >= _SAY_EVERY:
            self._said[kind] = now
            log.warning("Elasticsearch at %s: %s", self.where, text)


def _authorization(user: str | None, password: str | None, api_key: str | None, token: str | None) -> dict[str, str]:
    given = [name for name, value in (("user", user), ("api_key", api_key), ("token", token)) if value]
    if len(given) > 1:
        raise SettingsError(f"give one way to sign in to Elasticsearch, not {' and '.join(given)}")
    if user:
        pair = f"{unquote(user)}:{unquote(password or '')}"
        return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
    if api_key:
        encoded = base64.b64encode(api_key.encode()).decode() if ":" in api_key else api_key
        return {"Authorization": f"ApiKey {_header(encoded, 'api_key')}"}
    return {"Authorization": f"Bearer {_header(token, 'token')}"} if token else {}


def _header(value: str, name: str) -> str:
    if not (value.isascii() and value.isprintable() and " " not in value):
        raise SettingsError(
            f"the {name} of Elasticsearch holds characters that it cannot have: copied with a line's end?"
        )
    return value


def _trust(ca_file: str | Path | None) -> ssl.SSLContext | Literal[True]:
    if ca_file is None:
        return True
    try:
        return ssl.create_default_context(cafile=str(ca_file))
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(
            f"the certificate of Elasticsearch's authority, {ca_file}, cannot be used: {error}"
        ) from None


def _seconds(text: str | None) -> float | None:
    """Return what a Retry-After header asks for, in seconds: it gives them, or a date."""
    if not text:
        return None
    if text.strip().isdecimal():
        return float(text)
    try:
        return max(0.0, (email.utils.parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return None


def _reason(content: bytes) -> str:
    try:
        error = msgspec.json.decode(content)["error"]
        text = f"{error['type']}: {error['reason']}" if isinstance(error, dict) else str(error)
    except (ValueError, KeyError, TypeError):
        text = " ".join(content[: 4 * _SHOWN].decode("utf-8", "replace").split())
    return text[:_SHOWN]
