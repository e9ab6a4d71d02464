"""Pipelines in the terminal: what the TDTP worker's document shows, in colour, or as lines of JSON."""

import contextlib
import os
import sys
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from orakul.cli.server import orderly_end
from orakul.errors import MissingExtraError, UnavailableError
from orakul.events import Event
from orakul.pipelines import Broken, PipelineRun, PipelineWatcher, read_rules
from orakul.pipelines.channel import Channel
from orakul.pipelines.words import Language, lines_of, sentence_of
from orakul.settings import Settings

if TYPE_CHECKING:
    from orakul.tasks.recorder import Recorder

__all__ = ["Printer", "watch_pipelines"]

_COLOURS = {"event": "1", "success": "32", "failed": "31", "warn": "33", "running": "36", "quiet": "90"}
_RULE = "-" * 55
_WORDS: dict[Language, tuple[str, str]] = {
    "ru": ("Подключен к Redis", "Слушаем события пайплайнов (Ctrl+C для остановки)..."),
    "en": ("Connected to Redis", "Listening for events of pipelines (Ctrl+C to stop)..."),
}


class Printer:
    """Prints what a watcher meets."""

    def __init__(self, *, as_json: bool, language: Language = "ru") -> None:
        self._json = as_json
        self._language: Language = language
        self._coloured = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        self._lost = ""

    def connected(self, shown: str) -> None:
        """Say so, and that Ctrl-C ends it."""
        self._lost = ""
        if self._json:
            return
        connected, listening = _WORDS[self._language]
        self._print("plain", f"[TDTP Orchestrator] {connected} {shown}")
        self._print("plain", f"[TDTP Orchestrator] {listening}")
        self._print("quiet", _RULE)

    def lost(self, said: str, pause: float) -> None:
        """Say so once for each reason; it is tried again without end."""
        if said != self._lost:
            self._lost = said
            print(f"orakul: {said} Trying again, first in {pause:.1f} s.", file=sys.stderr, flush=True)

    def run(self, run: PipelineRun, broken: Sequence[Broken]) -> None:
        """Print a run."""
        if self._json:
            told = [msgspec.to_builtins(each) | {"message": sentence_of(each, self._language)} for each in broken]
            form = msgspec.to_builtins(run) | {"data_quality": told}
            print(msgspec.json.encode(form).decode(), flush=True)
            return
        self._put([self._dressed(tone, line) for tone, line in lines_of(run, broken, self._language)])

    def unreadable(self, channel: str, said: str, raw: bytes) -> None:
        """Warn of what was no message, and go on."""
        shown = raw.decode("utf-8", "backslashreplace").encode("unicode_escape").decode()
        print(f"orakul: {channel}: not a message of a pipeline: {said}: {shown:.80}", file=sys.stderr, flush=True)

    def _dressed(self, tone: str, line: str) -> str:
        colour = _COLOURS.get(tone) if self._coloured else None
        return f"\033[{colour}m{line}\033[0m" if colour else line

    def _print(self, tone: str, line: str) -> None:
        self._put([self._dressed(tone, line)])

    @staticmethod
    def _put(lines: Sequence[str]) -> None:
        """Write lines at once: a run is one write, whatever the number of its lines."""
        with contextlib.suppress(BrokenPipeError):
            print("\n".join(lines), flush=True)


def watch_pipelines(settings: Settings, channel: Channel, *, as_json: bool, record: bool) -> None:
    """Watch until Ctrl-C or SIGTERM: print, and record where there is a journal to record in."""
    language = settings.language or "ru"
    rules = read_rules(settings.pipelines.rules)
    with contextlib.ExitStack() as parts, orderly_end():
        take, known = _journal(settings, parts) if record else (_forget, _nothing)
        watcher = PipelineWatcher(
            channel,
            record=take,
            tell=Printer(as_json=as_json, language=language),
            rules=rules,
            known=known,
            look_seconds=settings.pipelines.look_seconds,
            language=language,
        )
        parts.callback(watcher.stop)
        watcher.start()
        while watcher.is_alive():
            time.sleep(0.5)  # a join that a signal breaks off takes the thread for ended, on Python 3.11


def _forget(*_events: Event) -> None:
    """Record nothing."""


def _nothing(_name: str) -> list[tuple[datetime, int | None]]:
    return []


def _journal(
    settings: Settings, parts: contextlib.ExitStack
) -> tuple[Callable[..., None], Callable[[str], list[tuple[datetime, int | None]]]]:
    """Return what takes events and what knows earlier runs; where nothing of PostgreSQL is installed, neither."""
    from orakul.assembly import open_database

    try:
        from orakul.journals.postgres import PostgresJournal, PostgresPipelines, migrations
        from orakul.tasks.recorder import Recorder

        database = parts.enter_context(open_database(settings))
    except (MissingExtraError, ModuleNotFoundError) as error:
        print(f"orakul: nothing is recorded: {error}", file=sys.stderr, flush=True)
        return _forget, _nothing
    with contextlib.suppress(UnavailableError):  # what is seen waits in the spool until the tables are there
        migrations.upgrade(database.url)
    recorder = Recorder(settings.spool, lambda: PostgresJournal(database.url))
    _ship(recorder, settings, database.url, parts)
    parts.callback(recorder.close, 5.0)
    pipelines = PostgresPipelines(database.url)
    parts.callback(pipelines.connections.close)
    return recorder.record_together, pipelines.known


def _ship(recorder: "Recorder", settings: Settings, url: str, parts: contextlib.ExitStack) -> None:
    """Let a process beside this one carry what is recorded: here, each message waits for the processor it takes."""
    from orakul.tasks.shipping import ShipperProcess

    shipper = ShipperProcess(settings.spool, url)
    try:
        shipper.start()
    except OSError as error:
        print(f"orakul: no process could be started to carry runs to the journal: {error}", file=sys.stderr, flush=True)
        recorder.start()
        return
    recorder.append_only()
    parts.callback(shipper.stop, 10.0)
