"""The control room's questions to the journal, in one place."""

from collections.abc import Sequence
from datetime import datetime

from orakul.journals.postgres.connection import SCHEMA, Connections
from orakul.journals.postgres.finding import find_counts, find_errors
from orakul.journals.postgres.insights import insights
from orakul.journals.postgres.rollups import PostgresRollups
from orakul.journals.postgres.saved import PostgresViews
from orakul.tasks.reader import TaskQuery
from orakul.tasks.room import Chart, Counts, ErrorGroups, Insights, QueueFigures, RunningTask, SavedView
from orakul.tasks.storable import key_text

__all__ = ["PostgresRoom"]

_MOST_COUNTED = 1_000
_SHOWN = 20
_RUNNING = f"""
SELECT w.worker, counted.n, first.task_id, first.name, first.started_at
FROM unnest(%s::text[]) AS w (worker)
CROSS JOIN LATERAL (SELECT count(*) AS n FROM (
    SELECT FROM {SCHEMA}.tasks t WHERE t.worker = w.worker AND t.status = 'in_progress' LIMIT {_MOST_COUNTED}) AS few
) AS counted
LEFT JOIN LATERAL (
    SELECT task_id, name, started_at FROM {SCHEMA}.tasks t WHERE t.worker = w.worker AND t.status = 'in_progress'
    LIMIT {_SHOWN}
) AS first ON true
"""  # noqa: S608 (constants)


class PostgresRoom:
    """Fulfils `tasks.room.ControlRoom`."""

    def __init__(self, connections: Connections | str) -> None:
        self.connections = Connections(connections) if isinstance(connections, str) else connections
        self.rollups = PostgresRollups(self.connections)
        self._views = PostgresViews(self.connections)

    def counts(self, query: TaskQuery) -> Counts:
        """Return how many tasks of each status the query's other filters leave, up to 10,000."""
        return find_counts(self.connections, query)

    def errors(self, query: TaskQuery) -> ErrorGroups:
        """Return the failures that the query's filters leave, grouped, the latest groups first."""
        return find_errors(self.connections, query)

    def chart(
        self,
        since: datetime,
        until: datetime,
        *,
        name: str | None = None,
        queue: Sequence[str] = (),
        kind: Sequence[str] = (),
        owner: str | None = None,
    ) -> Chart:
        """Return what happened between two times."""
        return self.rollups.chart(since, until, name=name, queue=queue, kind=kind, owner=owner)

    def insights(self, *, days: int = 7, owner: str | None = None) -> Insights:
        """Return the names that stand out in the last days."""
        return insights(self.rollups, days=days, owner=owner)

    def views(self, user_id: str) -> list[SavedView]:
        """Return the views of a user and those that are shared."""
        return self._views.views(user_id)

    def save_view(self, user_id: str, *, name: str, query: str, columns: Sequence[str], shared: bool) -> SavedView:
        """Keep a view."""
        return self._views.save_view(user_id, name=name, query=query, columns=columns, shared=shared)

    def delete_view(self, user_id: str, view_id: str, *, any_shared: bool = False) -> bool:
        """Drop a view of the user's, or with `any_shared` one that is shared; say whether there was one."""
        return self._views.delete_view(user_id, view_id, any_shared=any_shared)

    def queue_figures(self, queues: Sequence[str]) -> dict[str, QueueFigures]:
        """Return what goes through each queue."""
        return self.rollups.rates(queues) if queues else {}

    def running(self, workers: Sequence[str]) -> dict[str, tuple[int, list[RunningTask]]]:
        """Return how many tasks each worker has in hand (up to 1,000), and the first 20."""
        values = ([key_text(worker) for worker in workers],)
        found: dict[str, tuple[int, list[RunningTask]]] = {}
        for worker, count, task_id, name, started_at in self.connections.run(
            "read", lambda connection: connection.execute(_RUNNING, values).fetchall()
        ):
            tasks = found.setdefault(worker, (count, []))[1]
            if task_id is not None:
                tasks.append(RunningTask(task_id=task_id, name=name, started_at=started_at))
        return found
