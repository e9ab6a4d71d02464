"""Standing orders and the fleet, read from the journal's tables."""

from collections.abc import Sequence

from orakul.journals.postgres.connection import SCHEMA, Connections
from orakul.tasks.orders import Cancellation, Worker
from orakul.tasks.reader import PausedQueue
from orakul.tasks.storable import key_text

__all__ = ["PostgresOrders"]

# Every statement below is made of constants alone; what is asked for travels as parameters.
_PAUSES = f"SELECT queue, author, timestamp, reason FROM {SCHEMA}.paused_queues WHERE paused ORDER BY queue"  # noqa: S608
_CANCELLATIONS = f"SELECT task_id, attempt, requested_at, author, grace_seconds FROM {SCHEMA}.cancellations"  # noqa: S608
_MESSAGE = f"SELECT sealed FROM {SCHEMA}.messages WHERE task_id = %s"  # noqa: S608
_WORKERS = f"""
SELECT worker, kind, status, started_at, last_seen, pool, concurrency, queues, facts
FROM {SCHEMA}.workers WHERE last_seen > now() - interval '1 day' ORDER BY worker
"""  # noqa: S608
# Tasks in progress on a worker that said good-bye, fell silent, was forgotten (a day ago and more), or began anew under
# the same name while the task ran (a lease ago, so that what the dead process had recorded can still arrive). One whose
# worker never sent a heartbeat (agentless, or of a source that has none) is nobody's to give up.
_ABANDONED = f"""
SELECT t.task_id, t.attempt, t.run, t.worker
FROM {SCHEMA}.workers w JOIN {SCHEMA}.tasks t ON t.worker = w.worker AND t.status = 'in_progress'
WHERE (w.status = 'offline' AND t.updated_at <= w.last_seen)
   OR w.last_seen < now() - make_interval(secs => %s)
   OR (t.started_at < w.started_at AND w.started_at < now() - make_interval(secs => %s))
LIMIT %s
"""  # noqa: S608


class PostgresOrders:
    """Fulfils `tasks.StandingOrders` and `tasks.Fleet`."""

    def __init__(self, connections: Connections | str) -> None:
        self.connections = Connections(connections) if isinstance(connections, str) else connections

    def pauses(self) -> Sequence[PausedQueue]:
        """Return the queues paused now; a pause of all queues has the queue `*`."""
        rows = self.connections.run("read", lambda connection: connection.execute(_PAUSES).fetchall())
        return [PausedQueue(queue=row[0], paused_by=row[1], paused_at=row[2], reason=row[3]) for row in rows]

    def cancellations(self, task_ids: Sequence[str] | None = None) -> Sequence[Cancellation]:
        """Return the open cancellations, all or those of the given tasks."""
        statement, values = f"{_CANCELLATIONS} ORDER BY requested_at", None
        if task_ids is not None:
            if not task_ids:
                return []
            statement = f"{_CANCELLATIONS} WHERE task_id = ANY(%s) ORDER BY requested_at"
            values = ([key_text(task_id) for task_id in task_ids],)
        rows = self.connections.run("read", lambda connection: connection.execute(statement, values).fetchall())
        return [
            Cancellation(task_id=row[0], attempt=row[1], requested_at=row[2], author=row[3], grace_seconds=row[4])
            for row in rows
        ]

    def message(self, task_id: str) -> bytes | None:
        """Return the sealed original message of a task, or None where none is kept."""
        values = (key_text(task_id),)
        row = self.connections.run("read", lambda connection: connection.execute(_MESSAGE, values).fetchone())
        return bytes(row[0]) if row else None

    def workers(self) -> Sequence[Worker]:
        """Return all workers seen in the last day."""
        rows = self.connections.run("read", lambda connection: connection.execute(_WORKERS).fetchall())
        return [
            Worker(
                worker=row[0],
                kind=row[1],
                status=row[2],
                started_at=row[3],
                last_seen=row[4],
                pool=row[5],
                concurrency=row[6],
                queues=tuple(queue for queue in row[7] or () if isinstance(queue, str)),
                facts=row[8] or {},
            )
            for row in rows
        ]

    def abandoned(self, lease_seconds: float, limit: int = 500) -> Sequence[tuple[str, int, int, str]]:
        """Return `(task_id, attempt, run, worker)` of tasks in progress on workers offline, silent, or begun anew."""
        values = (lease_seconds, lease_seconds, limit)
        return self.connections.run("read", lambda connection: connection.execute(_ABANDONED, values).fetchall())
