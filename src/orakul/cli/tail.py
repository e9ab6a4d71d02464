"""`orakul tail`: the live list, in a terminal."""

import os
import random
import sys
import time
from collections import OrderedDict
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from orakul.errors import MissingExtraError, OrakulError, SettingsError
from orakul.settings import load_settings

__all__ = ["command"]

_COLOURS = {"pending": "90", "in_progress": "36", "completed": "32", "failed": "31", "cancelled": "33"}
_LONGEST_PAUSE = 10.0


def command(
    *,
    url: Annotated[
        str | None,
        typer.Option("--url", help="Where Orakul is.  [http://ORAKUL_HOST:ORAKUL_PORT]", show_default=False),
    ] = None,
    token: Annotated[
        str | None,
        typer.Option("--token", help="A bearer token (orakul user token NAME); else --user asks for a password."),
    ] = None,
    user: Annotated[str | None, typer.Option("--user", help="Sign in as one of Orakul's own users.")] = None,
    logs: Annotated[bool, typer.Option("--logs", help="Show the tasks' log lines too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print each event as a line of JSON.")] = False,
) -> None:
    """Show tasks as they move, one line a change. Survives restarts of Orakul without missing a change."""
    try:
        import httpx2
    except ModuleNotFoundError as error:
        raise MissingExtraError("httpx2", "tail") from error
    settings = load_settings()
    url = (url or f"http://{settings.host}:{settings.port}").rstrip("/")
    only = "task,log" if logs else "task"
    with httpx2.Client(base_url=url, timeout=httpx2.Timeout(10, read=60)) as client:
        client.headers["Authorization"] = f"Bearer {token or _sign_in(client, url, user)}"
        changes = Changes()
        for kind, data in _events(client, url, only):
            line = data.decode() if as_json else _line(kind, data) if changes.is_new(kind, data) else ""
            if line:
                print(line, flush=True)


class Changes:
    """Tells a change from a state that was shown already.

    Each event comes with its task as that now is, so a late or overtaken one says a state for the second time.
    """

    def __init__(self, remembered: int = 10_000) -> None:
        self._shown: OrderedDict[str, tuple[Any, ...]] = OrderedDict()
        self._remembered = remembered

    def is_new(self, kind: str, data: bytes) -> bool:
        """Tell whether this is worth a line: a log line, progress, or a state that the task was not in last."""
        import msgspec

        said = msgspec.json.decode(data)
        if kind != "task" or said.get("event_type") == "task.progress":
            return True
        task_id = str(said.get("task_id"))
        state = (said.get("new_status") or said.get("status"), said.get("attempt"), said.get("run"))
        before = self._shown.pop(task_id, None)
        self._shown[task_id] = state
        if len(self._shown) > self._remembered:
            self._shown.popitem(last=False)
        return state != before


def _sign_in(client: Any, url: str, user: str | None) -> str:
    import httpx2

    if user is None:
        raise SettingsError("who asks? Say --user NAME, or --token TOKEN (orakul user token NAME prints one)")
    password = typer.prompt(f"Password of {user}", hide_input=True, err=True)
    try:
        answer = client.post("/v1/auth/token", data={"username": user, "password": password})
    except httpx2.HTTPError as error:
        raise OrakulError(f"{url} does not answer ({error}): is orakul serve running there?") from error
    if answer.status_code != 200:  # noqa: PLR2004 (OK)
        raise OrakulError(f"{url} does not let {user} in: {_detail(answer)}")
    return str(answer.json()["access_token"])


def _events(client: Any, url: str, only: str) -> Iterator[tuple[str, bytes]]:
    """Yield what the stream says, for ever; a lost connection is taken up where it broke."""
    import httpx2

    last, pause, told = "", 0.5, False
    while True:
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last} if last else {})
        try:
            with client.stream("GET", "/api/tasks/subscribe", params={"only": only}, headers=headers) as answer:
                if answer.status_code in {401, 403}:
                    raise OrakulError(f"{url} does not take this token: sign in again (--user NAME)")
                answer.raise_for_status()
                if told:
                    _say("connected again, nothing was missed" if last else "connected")
                pause, told = 0.5, False
                for kind, identifier, data in _parse(answer.iter_lines()):
                    last = identifier or last
                    if kind == "reset":
                        _say("the journal begins anew: older changes are not shown")
                        last = ""
                    elif kind in {"task", "log"}:
                        yield kind, data
        except httpx2.HTTPError as error:
            if not told:
                _say(f"{url} does not answer ({error}); trying again")
            told = True
        time.sleep(pause * random.uniform(0.7, 1.3))  # noqa: S311 (spreads the attempts)
        pause = min(pause * 2, _LONGEST_PAUSE)


def _parse(lines: Iterator[str]) -> Iterator[tuple[str, str, bytes]]:
    """Read Server-Sent Events: `(event, id, data)`."""
    kind, identifier = "message", ""
    data: list[str] = []
    for line in lines:
        if not line:
            if data:
                yield kind, identifier, "\n".join(data).encode()
            kind, identifier, data = "message", "", []
        elif not line.startswith(":"):
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if name == "event":
                kind = value
            elif name == "id":
                identifier = value
            elif name == "data":
                data.append(value)


def _line(kind: str, data: bytes) -> str:
    import msgspec

    said = msgspec.json.decode(data)
    clock = str(said.get("timestamp", ""))[11:23]
    task_id = str(said.get("task_id", ""))
    if kind == "log":
        return f"{clock}  {'':11}  {task_id[:8]}    │ {_plain(said.get('message'))}"
    status = str(said.get("new_status") or said.get("status") or "")
    if said.get("event_type") == "task.progress":
        progress = said.get("progress") or {}
        return f"{clock}  {'':11}  {task_id[:8]}    │ {_plain(' '.join(f'{key}={progress[key]}' for key in progress))}"
    shown = f"{status:<11}"
    if sys.stdout.isatty() and "NO_COLOR" not in os.environ:
        shown = f"\x1b[{_COLOURS.get(status, '0')}m{shown}\x1b[0m"
    parts = [_plain(said.get("name")), f"({_plain(said['user_id'])})" if said.get("user_id") else ""]
    if (said.get("attempt") or 1) > 1:
        parts.append(f"attempt {said['attempt']}")
    if said.get("duration_ms") is not None and status in {"completed", "failed", "cancelled"}:
        parts.append(f"{said['duration_ms'] / 1000:.1f} s")
    if status == "failed" and (error := said.get("error")):
        parts.append(f"{_plain(error.get('type'))}: {_plain(error.get('message'))}"[:160])
    return f"{clock}  {shown}  {task_id[:8]}  {'  '.join(part for part in parts if part)}"


def _plain(value: object) -> str:
    """Return text that cannot command the terminal."""
    text = "" if value is None else str(value)
    return "".join(letter if letter.isprintable() else "·" for letter in text)


def _detail(answer: Any) -> str:
    try:
        return str(answer.json().get("detail"))
    except ValueError:
        return f"status {answer.status_code}"


def _say(text: str) -> None:
    print(f"orakul: {text}", file=sys.stderr, flush=True)
