"""The parts, joined, and what goes on in their background."""

import contextlib
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from orakul import extensions
from orakul.assembly.chores import Chore
from orakul.assembly.database import Database
from orakul.delivery.relays import Relays
from orakul.errors import BrokerUnavailableError, UnavailableError
from orakul.events import Event
from orakul.events.installed import GROUP, installed_observers
from orakul.exports.desk import ExportDesk, desk_of
from orakul.exports.names import KINDS as EXPORTS
from orakul.pipelines import PipelineWatcher, read_rules
from orakul.reactions.desk import RuleDesk
from orakul.reactions.making import Notifiers
from orakul.reactions.occurrence import KIND as REACTION
from orakul.reactions.rule import rules_of as rules_in
from orakul.reactions.service import Reactions
from orakul.settings import Settings, load_settings
from orakul.tasks.bulk import BulkWork
from orakul.tasks.control import Control
from orakul.tasks.edited import EditedRuns
from orakul.tasks.journal import Journal
from orakul.tasks.leases import Reaper
from orakul.tasks.observed import ObservedRecorder
from orakul.tasks.orders import Fleet
from orakul.tasks.recorder import Recorder
from orakul.tasks.retention import rules_of
from orakul.tasks.runner import Runner
from orakul.tasks.sealing import Sealer, secret_in

if TYPE_CHECKING:
    from orakul.journals.postgres import (
        Connections,
        PostgresAccounts,
        PostgresAudit,
        PostgresBulkJobs,
        PostgresFeed,
        PostgresJournal,
        PostgresOrders,
        PostgresReader,
        PostgresRoom,
    )
    from orakul.journals.postgres.events import PostgresEventRoom
    from orakul.pipelines.channel import Channel
    from orakul.runners.delivery.replaying import BulkReplay

__all__ = ["ORDERS", "Assembly", "assemble", "open_recorder", "pipelines_of", "reactions_of", "runners"]

log = logging.getLogger("orakul")

_UPKEEP_HOURS = 1.0
ORDERS = "repeating standing orders"


@dataclass(kw_only=True)
class Assembly:
    """The parts, joined. `start` and `stop` are for who runs the control room (`orakul serve`)."""

    settings: Settings
    database: Database
    secret: str
    connections: "Connections"
    journal: "PostgresJournal"
    reader: "PostgresReader"
    room: "PostgresRoom"
    orders: "PostgresOrders"
    accounts: "PostgresAccounts"
    feed: "PostgresFeed"
    audit: "PostgresAudit"
    edited: EditedRuns
    bulk: "PostgresBulkJobs"
    control: Control
    runners: Mapping[str, Runner]
    exports: ExportDesk | None = None
    recorder: Recorder | None = None
    relays: Relays | None = None
    reactions: Reactions | None = None
    pipelines: PipelineWatcher | None = None
    _chores: "list[Chore]" = field(default_factory=list)
    _migrated: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        """Begin the background work; waits for the database a few seconds at most."""
        from orakul.journals.postgres import PostgresJournal, migrations  # noqa: PLC0415 (a product)

        url = self.database.url
        self.recorder = Recorder(self.settings.spool, lambda: PostgresJournal(url))
        self.recorder.start()  # ships at once what others left behind
        if self.exports is not None:
            self.exports.launcher.use(self.recorder.record)

        def upgrade() -> float | None:
            migrations.upgrade(url)
            self._migrated.set()
            return _UPKEEP_HOURS * 3600

        # Once before anything is served, so that a first start finds its tables; a database that is away is waited for
        # in the background.
        with contextlib.suppress(UnavailableError):
            upgrade()
        if self.settings.events.broker is not None and self.settings.events.relay:
            recorder = self.recorder
            self.relays = Relays(self.settings, url, lambda events: recorder.record_together(*events))
            self.relays.start()
        self.pipelines = pipelines_of(self.settings, self.connections, self.recorder)
        if self.pipelines is not None:
            self.pipelines.start()
        reaper = Reaper(self.journal, self.orders, lease_seconds=self.settings.lease_seconds)
        self._begin("keeping the tables up to date", upgrade, every=1.0)
        self._begin("looking for lost workers", reaper.sweep, every=min(5.0, self.settings.lease_seconds / 4))
        bulk = BulkWork(self.bulk, self.control, self.reader, self.journal)
        self._begin("commanding many tasks", bulk.step, every=1.0)
        self._begin("finishing interrupted retries", self.control.recover, every=10.0)
        self._begin("adding up what charts show", self.room.rollups.fold, every=2.0)
        self._begin("counting domain events", self.events.fold, every=2.0)
        self._begin("dropping fine steps of old charts", self.room.rollups.forget, every=_UPKEEP_HOURS * 3600)
        self._begin("dropping what is past its retention", self._forget, every=_UPKEEP_HOURS * 3600)
        if self.exports is not None and self.exports.is_set_up:
            self._begin("giving up what killed exports left", self.exports.take_over, every=5.0)
        recorder = self.recorder
        self.reactions = reactions_of(self.settings, url, lambda events: recorder.record_together(*events))
        self._begin("beginning reactions", self._begin_reactions, every=_UPKEEP_HOURS * 3600)
        if not self.runners.keys() <= {*EXPORTS, REACTION}:
            self._begin(ORDERS, self.control.repeat_orders, every=5.0)

    def stop(self) -> None:
        """End the background work, ship what the spool still holds, and leave the database."""
        for chore in self._chores:
            chore.ask_to_stop()
        if self.relays is not None:
            self.relays.stop(5.0)
        if self.reactions is not None and self.reactions.begun:
            self.reactions.stop(5.0)
        if self.pipelines is not None:
            self.pipelines.stop()
        for chore in self._chores:
            chore.join(3.0)  # one that waits for a database that is away ends with the process
        if self.exports is not None:
            self.exports.launcher.close()
        if self.recorder is not None:
            self.recorder.close(5.0)
        self.connections.close()
        self.database.close()

    def notices(self) -> dict[str, str]:
        """Return how it stands with the brokers, where they are set: `ok`, or what they said last."""
        relay = {} if self.relays is None else {"relay": self.relays.trouble or "ok"}
        if self.pipelines is not None:
            relay["pipelines"] = self.pipelines.trouble or "ok"
        telling = next((chore for chore in self._chores if chore.what == ORDERS), None)
        if telling is None:
            return relay
        of_broker = isinstance(telling.failure, BrokerUnavailableError)  # a database that is away is told elsewhere
        return relay | {"broker": telling.trouble or "ok" if of_broker else "ok"}

    def _forget(self) -> None:
        from orakul.journals.postgres import PostgresRetention  # noqa: PLC0415 (a product)

        PostgresRetention(self.connections, rules_of(self.settings)).forget()

    def _begin_reactions(self) -> None:
        """Begin once, now that the tables are there; then forget old deliveries now and again."""
        from orakul.journals.postgres.reactions import PostgresReactions  # noqa: PLC0415 (a product)

        if self.reactions is not None and not self.reactions.begun:
            self.reactions.start()
        PostgresReactions(self.connections).forget(self.settings.retention.events_days)

    @property
    def rules(self) -> RuleDesk:
        """The rules, for the page."""
        from orakul.journals.postgres.reactions import PostgresReactions  # noqa: PLC0415 (a product)

        store, settings = PostgresReactions(self.connections), self.settings
        notifiers, own = Notifiers(settings.notifiers), rules_in(settings.rules)
        return RuleDesk(
            store, notifiers, own, store.past, public_url=settings.public_url, language=settings.language or "en"
        )

    @property
    def events(self) -> "PostgresEventRoom":
        """How domain events fare."""
        from orakul.journals.postgres.events import PostgresEventRoom  # noqa: PLC0415 (a product)

        return PostgresEventRoom(self.connections)

    @property
    def replayer(self) -> "BulkReplay | None":
        """What puts dead letters back; None where no broker of events is set."""
        from orakul.runners.delivery.replaying import BulkReplay  # noqa: PLC0415 (a product)

        runner = self.runners.get("delivery")
        return BulkReplay(runner, self.journal) if isinstance(runner, BulkReplay.runs_on) else None

    def check_database(self) -> None:
        """Raise JournalUnavailableError where the journal cannot be used now."""
        self.connections.run("read", lambda connection: connection.execute("SELECT 1 FROM orakul.tasks LIMIT 1"))

    def _begin(self, what: str, do: Callable[[], Any], *, every: float) -> None:
        # Nothing can be read before the tables are there.
        ready = None if not self._chores else self._migrated
        self._chores.append(Chore(what, do, every=every, ready=ready))
        self._chores[-1].start()


def assemble(settings: Settings, database: Database) -> Assembly:
    """Make the parts on the database; nothing is connected before it is used."""
    from orakul.journals.postgres import (  # noqa: PLC0415 (a product)
        Connections,
        PostgresAccounts,
        PostgresAudit,
        PostgresBulkJobs,
        PostgresFeed,
        PostgresJournal,
        PostgresOrders,
        PostgresReader,
        PostgresRoom,
    )

    connections = Connections(database.url, size=12)
    journal = PostgresJournal(connections)
    reader = PostgresReader(connections)
    orders = PostgresOrders(connections)
    secret = settings.secret_key or secret_in(settings.data)
    known = runners(settings, secret, orders)
    return Assembly(
        settings=settings,
        database=database,
        secret=secret,
        connections=connections,
        journal=journal,
        reader=reader,
        room=PostgresRoom(connections),
        orders=orders,
        accounts=PostgresAccounts(connections),
        feed=PostgresFeed(settings.feed_url or database.url),
        audit=PostgresAudit(connections),
        edited=EditedRuns(journal, reader, orders, known),
        bulk=PostgresBulkJobs(connections),
        control=Control(journal, reader, orders, known),
        runners=known,
        exports=desk_of(known, journal, reader),
    )


def reactions_of(settings: Settings, url: str, record: Callable[[Sequence[Event]], object]) -> Reactions:
    """Return what reads the feed of the database for the rules, and delivers. Raises SettingsError for a wrong rule."""
    from orakul.journals.postgres import Connections, PostgresFeed  # noqa: PLC0415 (a product)
    from orakul.journals.postgres.reactions import PostgresReactions  # noqa: PLC0415 (a product)

    return Reactions(
        PostgresReactions(Connections(url)),
        lambda: PostgresFeed(settings.feed_url or url),
        Notifiers(settings.notifiers),
        rules_in(settings.rules),
        record,
        public_url=settings.public_url,
        language=settings.language or "en",
    )


def pipelines_of(settings: Settings, connections: "Connections", recorder: Recorder) -> PipelineWatcher | None:
    """Return the watcher of the pipelines that the settings name; None where they name none."""
    address = settings.pipelines.redis
    if address is None:
        return None
    from orakul.journals.postgres import PostgresPipelines  # noqa: PLC0415 (a product)

    channel: Channel = extensions.load("orakul.channels", address.partition(":")[0])(address)
    return PipelineWatcher(
        channel,
        record=recorder.record_together,
        rules=read_rules(settings.pipelines.rules),
        known=PostgresPipelines(connections).known,
        look_seconds=settings.pipelines.look_seconds,
        language=settings.language or "ru",
    )


def open_recorder(settings: Settings | None = None) -> Recorder:
    """Return a recorder for a program of your own, into the spool of the data folder.

    It ships to `database_url` where one is set; else `orakul serve` with the same data folder does. Installed observers
    (`orakul.observers`) are told of what it records.
    """
    given = settings or load_settings()
    url = given.database_url

    def journal() -> Journal:
        from orakul.journals.postgres import PostgresJournal  # noqa: PLC0415 (a product)

        return PostgresJournal(url or "")

    observers = installed_observers() if extensions.names(GROUP) else []
    if observers:
        return ObservedRecorder(given.spool, journal, ship=url is not None, observers=observers)
    return Recorder(given.spool, journal, ship=url is not None)


def runners(settings: Settings, secret: str, fleet: Fleet) -> dict[str, Runner]:
    """Return what can be commanded with these settings, by kind of task."""
    sealer = Sealer(secret)
    made = {name: make(settings, sealer, fleet) for name, make in extensions.load_all("orakul.runners").items()}
    return {name: runner for name, runner in made.items() if runner is not None}
