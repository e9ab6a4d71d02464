"""What the web application is made of: the parts that `assembly` joins and hands to `create_app`."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from orakul.delivery.room import EventRoom, Replayer
from orakul.events import Event
from orakul.exports.desk import ExportDesk
from orakul.pipelines.room import PipelineRoom
from orakul.reactions.desk import RuleDesk
from orakul.settings import Settings
from orakul.tasks import Fleet, StandingOrders, Task, TaskReader
from orakul.tasks.audit import Audit
from orakul.tasks.bulk import BulkJobs
from orakul.tasks.control import QueueCommand, TaskCommand, Why
from orakul.tasks.depths import QueueDepth
from orakul.tasks.edited import EditedRuns
from orakul.tasks.fleet_figures import FleetFigures
from orakul.tasks.moments import Moments
from orakul.tasks.retention import Retention
from orakul.tasks.room import ControlRoom

__all__ = ["Account", "Accounts", "Commands", "Parts", "StreamPart", "TokenSettings", "WebSettings"]


class Account(Protocol):
    """One of Orakul's own users."""

    @property
    def user_id(self) -> str:
        """Return the id that tasks are owned by."""
        ...

    @property
    def username(self) -> str:
        """Return the name signed in with."""
        ...

    @property
    def role(self) -> str:
        """Return `admin`, `viewer` or `user`."""
        ...


class Accounts(Protocol):
    """Orakul's own users, for a house with no authentication."""

    def authenticate(self, username: str, password: str) -> Account | None:
        """Return the account where name and password are right, in the same time whether or not there is one."""
        ...


class Commands(Protocol):
    """The commands (`tasks/control.py`): each either done, or refused with an error of the family."""

    def why_not_retry(self, task: Task) -> Why | None:
        """Return why the task cannot be retried now, or None where it can."""
        ...

    def why_not_cancel(self, task: Task) -> Why | None:
        """Return why the task cannot be cancelled now, or None where it can."""
        ...

    def retry(self, task_id: str, author: str, owner: str | None = None, reason: str | None = None) -> TaskCommand:
        """Run a failed task again."""
        ...

    def cancel(
        self, task_id: str, author: str, owner: str | None = None, grace: float = 10.0, reason: str | None = None
    ) -> TaskCommand:
        """Cancel a task that waits or runs."""
        ...

    def pause(self, queue: str | None, author: str, reason: str | None = None) -> QueueCommand:
        """Stop the consumption of a queue, or of all."""
        ...

    def resume(self, queue: str | None, author: str, reason: str | None = None) -> QueueCommand:
        """Let a queue, or all, be consumed again."""
        ...


class StreamPart(Protocol):
    """The stream: an ASGI application that finds who asks in `scope["orakul.identity"]`."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one connection."""
        ...

    async def close(self) -> None:
        """End every open connection, and refuse new ones."""
        ...


@dataclass(frozen=True, kw_only=True)
class TokenSettings:
    """Where the house's own tokens come from: at most one of `secret`, `public_key` (PEM) and `jwks_url`.

    Tokens signed with Orakul's own key are good beside them: its own users sign in with those.
    """

    secret: str | None = None
    public_key: str | None = None
    jwks_url: str | None = None
    algorithm: str | None = None
    issuer: str | None = None
    audience: str | None = None
    leeway: float = 10.0
    lifetime: float = 12 * 3600.0
    require_expiry: bool = False


@dataclass(frozen=True, kw_only=True)
class WebSettings:
    """How the web application is to behave.

    `metrics` says who may read `/metrics`; `trusted_proxies` whose forwarded headers are believed (addresses or
    networks, `*` for
    all; empty: nobody's); `frame_ancestors` who may show the page in a frame; `threads` how many routes run at once. A
    worker that is silent for `lease_seconds` is taken for lost.
    """

    secret_key: bytes
    token: TokenSettings = field(default_factory=TokenSettings)
    trace_url: str | None = None
    root_path: str = ""
    metrics: Literal["open", "signed-in", "off"] = "open"
    trusted_proxies: Sequence[str] = ()
    frame_ancestors: Sequence[str] = ()
    locale: str | None = None
    threads: int = 32
    max_body: int = 65_536
    grace_seconds: float = 10.0
    lease_seconds: float = 30.0

    @classmethod
    def of(cls, settings: Settings, secret_key: bytes | str) -> "WebSettings":
        """Return what the settings say of the web application."""
        jwt = settings.jwt
        if isinstance(secret_key, str):
            secret_key = secret_key.encode()
        token = TokenSettings(
            secret=jwt.secret,
            public_key=jwt.public_key,
            jwks_url=jwt.jwks_url,
            algorithm=jwt.algorithm,
            issuer=jwt.issuer,
            audience=jwt.audience,
            leeway=jwt.leeway_seconds,
            require_expiry=jwt.require_expiry,
            lifetime=settings.web.session_hours * 3600,
        )
        return cls(
            secret_key=secret_key,
            token=token,
            trace_url=settings.trace_url,
            root_path=settings.web.root_path,
            metrics=settings.web.metrics,
            trusted_proxies=settings.web.trusted_proxies,
            frame_ancestors=settings.web.frame_ancestors,
            locale=settings.web.language,
            grace_seconds=settings.grace_seconds,
            lease_seconds=settings.lease_seconds,
        )


@dataclass(kw_only=True)
class Parts:
    """The parts, joined. `probes` are asked by `/readyz`: each raises where what it names does not answer.

    `notices` are told there beside: what is amiss and yet keeps nobody from reading, such as a broker that is away.

    `depths` asks the brokers how deep queues are.
    `start` runs before the first request and must not wait for what may be away; `stop` runs after the last.
    """

    settings: WebSettings
    reader: TaskReader
    control: Commands
    orders: StandingOrders
    fleet: Fleet
    accounts: Accounts | None = None
    stream: StreamPart | None = None
    room: ControlRoom | None = None
    moments: Moments | None = None
    retention: Retention | None = None
    depths: Callable[[Sequence[str]], Mapping[str, QueueDepth]] | None = None
    figures: FleetFigures | None = None
    audit: Audit | None = None
    edited: EditedRuns | None = None
    bulk: BulkJobs | None = None
    exports: ExportDesk | None = None
    tell: Callable[[Sequence[Event]], object] | None = None
    events: EventRoom | None = None
    replayer: Replayer | None = None
    rules: RuleDesk | None = None
    pipelines: PipelineRoom | None = None
    probes: Mapping[str, Callable[[], object]] = field(default_factory=dict)
    start: Callable[[], Awaitable[None]] | None = None
    stop: Callable[[], Awaitable[None]] | None = None
    notices: Callable[[], Mapping[str, str]] | None = None
