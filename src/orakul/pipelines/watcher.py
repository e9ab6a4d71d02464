"""The watcher: hears all pipelines of one channel, and misses nothing.

What is published is heard at once. What was not heard (before the start, while the connection was lost, or where Redis
cut off a reader) is found by reading the last word kept on each result: after each connection, and every
`look_seconds`. The same run heard twice is one: its ids are made of what was said, and what was told last of each
result is remembered. Connects again for ever, with longer and longer pauses.
"""

import logging
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from hashlib import blake2b
from itertools import islice
from typing import Protocol

from orakul.errors import InvalidEventError, UnavailableError
from orakul.events import Event
from orakul.instruments import counter, gauge, span
from orakul.pipelines.channel import Channel
from orakul.pipelines.message import STATE, PipelineRun, read_message
from orakul.pipelines.recording import broken_event, events_of
from orakul.pipelines.rhythm import History
from orakul.pipelines.rules import DEFAULT, HISTORICAL, Broken, Rule, broken_by, late, rules_for
from orakul.pipelines.words import Language, sentence_of

__all__ = ["PipelineWatcher", "Tell"]

_log = logging.getLogger("orakul.pipelines")

_CONNECTED = counter("orakul_pipelines_connections_total", "Times that the watcher began to hear its channel.")
_LOST = counter("orakul_pipelines_lost_total", "Times that the channel was away.")
_HEARD = counter("orakul_pipelines_messages_total", "Messages of pipelines: taken in, or unreadable.", ("outcome",))
_READ = counter("orakul_pipelines_states_read_total", "Kept states that were read, for what was not heard.")
_LATE = counter("orakul_pipelines_late_total", "Pipelines that were missed at their usual time.")
_LISTEN_SECONDS = 0.5
_LATE_SECONDS = 30.0
_REMEMBERED = 50_000
_SHOWN = 200
_PORTION = 500
_PRINTS = 8
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.2, 30.0


class Record(Protocol):
    """Takes events that happened together, as `Recorder.record_together` does."""

    def __call__(self, *events: Event) -> None: ...


class Tell(Protocol):
    """Is told what the watcher meets."""

    def connected(self, shown: str) -> None:
        """Told when the channel is heard."""

    def lost(self, said: str, pause: float) -> None:
        """Told when the channel is away; it is tried again after so many seconds."""

    def run(self, run: PipelineRun, broken: Sequence[Broken]) -> None:
        """Told of each run, once."""

    def unreadable(self, channel: str, said: str, raw: bytes) -> None:
        """Told of what was no message."""


class _Memory:
    """What is known of one result: prints of what was said last, and its last runs."""

    __slots__ = ("history", "last", "late", "open", "prints", "rules")

    def __init__(self, history: History) -> None:
        self.history = history
        self.prints: deque[bytes] = deque(maxlen=_PRINTS)
        self.last: PipelineRun | None = None
        self.late = False
        self.rules: tuple[str, list[Rule]] = ("", [])
        self.open: dict[tuple[str, datetime | None], str] = {}


class PipelineWatcher:
    """Hears one channel until it is stopped: tells `tell`, and gives events to `record`."""

    def __init__(
        self,
        channel: Channel,
        *,
        record: Record = lambda *_events: None,
        tell: Tell | None = None,
        rules: Sequence[Rule] = DEFAULT,
        known: Callable[[str], Iterable[tuple[datetime, int | None]]] = lambda _name: (),
        look_seconds: float = 15.0,
        language: Language = "ru",
    ) -> None:
        self._channel = channel
        self._record = record
        self._tell = tell
        self._rules = tuple(rules)
        # Earlier runs are a question to the journal for each new name: asked only where a rule looks at them.
        self._known = known if any(rule.kind in HISTORICAL for rule in rules) else lambda _name: ()
        self._look_seconds = look_seconds
        self._language: Language = language
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._memories: OrderedDict[str, _Memory] = OrderedDict()
        self._look_now = threading.Event()
        self.heard = 0
        """Messages heard or found, each once."""
        self.unreadable = 0
        self.trouble: str | None = None
        """Why the channel is not heard now; None where it is."""
        gauge("orakul_pipelines_up", "1 where the channel of the pipelines is heard.", self._is_up)

    def _is_up(self) -> float:
        return int(self.trouble is None)

    def start(self) -> None:
        """Watch, in a thread of its own."""
        self._thread = threading.Thread(target=self.run, name="orakul-pipelines", daemon=True)
        self._thread.start()

    def is_alive(self) -> bool:
        """Say whether it watches."""
        return self._thread is not None and self._thread.is_alive()

    def stop(self, deadline: float = 5.0) -> None:
        """End, within so many seconds."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(deadline)

    def run(self) -> None:
        """Watch, in the caller's thread, until `stop` is called."""
        looker = threading.Thread(target=self._keep_looking, name="orakul-pipeline-states", daemon=True)
        looker.start()
        pause = 0.0
        while not self._stop.wait(pause):
            try:
                self._channel.listen()
                self.trouble = None
                _CONNECTED.add()
                if self._tell is not None:
                    self._tell.connected(self._channel.shown)
                pause = 0.0
                self._look_now.set()
                while not self._stop.is_set():
                    self.take(self._channel.heard(_LISTEN_SECONDS))
            except UnavailableError as error:
                _LOST.add()
                pause = min(max(_SHORTEST_PAUSE, pause * 2), _LONGEST_PAUSE)
                if self._tell is not None:
                    self._tell.lost(str(error), pause)
                elif self.trouble != str(error):
                    _log.warning("%s Trying again, first in %.1f s.", error, pause)
                self.trouble = str(error)
        self._look_now.set()
        looker.join(5.0)
        self._channel.close()

    def take(self, messages: Sequence[tuple[str, bytes]]) -> None:
        """Take messages in, except those that were taken before."""
        events: list[Event] = []
        with span("orakul.pipelines.take", messages=len(messages)):
            for channel, raw in messages:
                events += self._taken(channel, raw)
            if events:
                self._record(*events)

    def _taken(self, channel: str, raw: bytes) -> list[Event]:
        mark = blake2b(raw, digest_size=16).digest()
        try:
            run = read_message(raw, channel)
        except InvalidEventError as error:
            self._take_unreadable(channel, raw, mark, str(error))
            return []
        with self._lock:
            memory = self._memory(run.result_name)
            if mark in memory.prints:
                return []
            memory.prints.append(mark)
            broken = self._note(memory, run)
            task_id = self._task_of(memory, run)
            self.heard += 1
            _HEARD.add(1, "taken")
        if self._tell is not None:
            self._tell.run(run, broken)
        return events_of(run, broken, task_id=task_id, language=self._language)

    def _memory(self, name: str) -> _Memory:
        memory = self._memories.get(name)
        if memory is None:
            memory = self._memories[name] = _Memory(History(self._known(name)))
            if len(self._memories) > _REMEMBERED:
                self._memories.popitem(last=False)
        else:
            self._memories.move_to_end(name)
        return memory

    def _note(self, memory: _Memory, run: PipelineRun) -> list[Broken]:
        if memory.rules[0] != run.pipeline_name:
            memory.rules = run.pipeline_name, rules_for(run, self._rules)
        broken = broken_by(run, memory.rules[1], memory.history)
        if run.ended:
            memory.history.add(run.finished_at or datetime.now(UTC), run.rows_loaded)
            memory.last, memory.late = run, False
        return broken

    @staticmethod
    def _task_of(memory: _Memory, run: PipelineRun) -> str | None:
        """Return the task that was made when the run told of its start, if it did."""
        key = (run.pipeline_name, run.started_at)
        if run.ended:
            return memory.open.pop(key, None)
        if len(memory.open) >= _SHOWN:
            memory.open.clear()
        memory.open[key] = run.ids()[0]
        return None

    def _take_unreadable(self, channel: str, raw: bytes, mark: bytes, said: str) -> None:
        with self._lock:
            memory = self._memory(f"\0{channel.removesuffix(STATE)}")
            if mark in memory.prints:
                return
            memory.prints.append(mark)
            self.unreadable += 1
            _HEARD.add(1, "unreadable")
        if self._tell is not None:
            self._tell.unreadable(channel, said, raw[:_SHOWN])
        else:
            _log.warning("%s: not a message of a pipeline: %s", channel, said)

    # -- what was not heard

    def _keep_looking(self) -> None:
        next_late = time.monotonic() + _LATE_SECONDS
        while not self._stop.is_set():
            self._look_now.wait(min(self._look_seconds, _LATE_SECONDS))
            self._look_now.clear()
            if self._stop.is_set():
                return
            try:
                states = self._channel.states()
                while portion := list(islice(states, _PORTION)):
                    _READ.add(len(portion))
                    self.take(portion)
            except UnavailableError as error:
                _log.debug("the states of pipelines cannot be read now: %s", error)  # the listener says so
            if time.monotonic() >= next_late:
                next_late = time.monotonic() + _LATE_SECONDS
                self._tell_of_silence()

    def _tell_of_silence(self) -> None:
        now = datetime.now(UTC)
        with self._lock:
            found = []
            for memory in self._memories.values():
                run, ended = memory.last, memory.history.last
                if run is None or ended is None or memory.late:
                    continue
                broken = late(memory.rules[1], memory.history.usual(), (now - ended).total_seconds())
                if broken is not None:
                    memory.late = True
                    found.append((run, broken))
        for run, broken in found:
            _LATE.add()
            self._record(broken_event(run, broken, self._language, task_id=run.ids()[0], moment=now))
            _log.warning("%s -> %s: %s", run.pipeline_name, run.result_name, sentence_of(broken, self._language))
