"""The reader's statements, by name. Made of constants alone; what is asked for travels as parameters."""

# ruff: noqa: S608 (all is put together from constants, here)

from orakul.journals.postgres.connection import SCHEMA
from orakul.journals.postgres.rows import EVENT_COLUMNS, JOINED_LIST_COLUMNS, LIST_COLUMNS, LOG_COLUMNS, TASK_COLUMNS

__all__ = [
    "AHEAD",
    "CHILDREN",
    "CHILDREN_OF_OWNER",
    "EVENTS",
    "EVENT_TYPES",
    "FEED",
    "FEED_OF_ALL_TIMES",
    "HISTORY",
    "LOGS",
    "NAMES",
    "NAMES_OF_OWNER",
    "NEWEST",
    "OLDEST",
    "OWNER",
    "PAUSED",
    "QUEUES",
    "SORTED",
    "SUMMARY",
    "SUMMARY_OF_OWNER",
    "TASK",
    "TASKS_BY_ID",
    "events_of_types",
]

SORTED = ("task_id", "created_at", "started_at", "finished_at", "name", "status", "kind", "user_id", "queue")

# One task, whole.
TASK = f"SELECT {TASK_COLUMNS} FROM {SCHEMA}.tasks WHERE task_id = %s"

# The rows of some tasks.
TASKS_BY_ID = f"SELECT {LIST_COLUMNS} FROM {SCHEMA}.tasks WHERE task_id = ANY(%s)"

# Whose the task is, and since when there can be events about it (clocks may differ a little): older days are not read.
OWNER = f"SELECT user_id, created_at - interval '1 day' FROM {SCHEMA}.tasks WHERE task_id = %s"

# The events that a task's history is made of.
HISTORY = f"""
SELECT {EVENT_COLUMNS} FROM {SCHEMA}.events
WHERE task_id = %s AND timestamp >= %s AND event_type = ANY(%s) ORDER BY seq LIMIT %s
"""

# A task's log lines from a cursor on.
LOGS = f"""
SELECT {LOG_COLUMNS} FROM {SCHEMA}.logs WHERE task_id = %s AND timestamp >= %s AND seq > %s ORDER BY seq LIMIT %s
"""

_CHILDREN = """
WITH RECURSIVE tree AS (
    SELECT task_id, 1 AS depth FROM {schema}.tasks WHERE parent_id = %s AND task_id <> parent_id{owner}
    UNION ALL
    SELECT t.task_id, tree.depth + 1 FROM tree JOIN {schema}.tasks t ON t.parent_id = tree.task_id
    WHERE t.task_id <> %s{joined_owner}
) CYCLE task_id SET is_cycle USING path, found AS (
    SELECT task_id, min(depth) AS depth
    FROM (SELECT task_id, depth FROM tree WHERE NOT is_cycle LIMIT %s) AS bounded GROUP BY task_id
)
SELECT {columns} FROM found JOIN {schema}.tasks t ON t.task_id = found.task_id
ORDER BY found.depth, t.created_at, t.task_id
"""
# The tasks below a task, level by level; a task that claims to be its own ancestor is met once.
CHILDREN = _CHILDREN.format(schema=SCHEMA, columns=JOINED_LIST_COLUMNS, owner="", joined_owner="")
CHILDREN_OF_OWNER = _CHILDREN.format(
    schema=SCHEMA, columns=JOINED_LIST_COLUMNS, owner=" AND user_id = %s", joined_owner=" AND t.user_id = %s"
)

# The oldest seq that is still kept; looks into every partition.
OLDEST = f"""
SELECT coalesce(least((SELECT min(seq) FROM {SCHEMA}.events), (SELECT min(seq) FROM {SCHEMA}.logs)), 0)
"""

# The newest seq that was given out.
NEWEST = f"SELECT coalesce(max(last_seq), 0) FROM {SCHEMA}.batches"

_SUMMARY = """
SELECT (SELECT count(*) FROM (SELECT FROM {schema}.tasks WHERE status = 'pending'{owner} LIMIT %s) AS queued),
       (SELECT count(*) FROM (SELECT FROM {schema}.tasks WHERE status = 'in_progress'{owner} LIMIT %s) AS active),
       coalesce(sum(completed), 0)::bigint, coalesce(sum(failed), 0)::bigint, coalesce(sum(timed), 0)::bigint,
       coalesce(sum(micros), 0)::double precision, ({newest})
FROM {schema}.ended_by_minute WHERE owner = %s AND minute > now() - interval '24 hours'
"""
# The header's figures: bounded counts of what is open, and the last 1,440 minutes of what ended.
SUMMARY = _SUMMARY.format(schema=SCHEMA, newest=NEWEST, owner="")
SUMMARY_OF_OWNER = _SUMMARY.format(schema=SCHEMA, newest=NEWEST, owner=" AND user_id = %s")

# The queues that are not consumed.
PAUSED = f"SELECT queue, author, timestamp, reason FROM {SCHEMA}.paused_queues WHERE paused ORDER BY queue"

# The journal from a cursor on.
EVENTS = f"SELECT {EVENT_COLUMNS} FROM {SCHEMA}.events WHERE seq > %s ORDER BY seq LIMIT %s"


def events_of_types(count: int) -> str:
    """Return the statement of the journal from a cursor on, of that many types, each read from its own index range."""
    one = f"(SELECT {EVENT_COLUMNS} FROM {SCHEMA}.events WHERE event_type = %s AND seq > %s ORDER BY seq LIMIT %s)"
    return f"SELECT * FROM ({' UNION ALL '.join([one] * count)}) AS found ORDER BY seq LIMIT %s"


def _distinct(column: str, table: str, first: str = "", later: str = "") -> str:
    """Return the CTE `seen` of a column's distinct values: one step in the index for each, not one for each row."""
    return f"""
    seen AS (
        (SELECT {column} FROM {SCHEMA}.{table} WHERE {column} IS NOT NULL{first} ORDER BY {column} LIMIT 1)
        UNION ALL
        SELECT (SELECT t.{column} FROM {SCHEMA}.{table} t WHERE t.{column} > seen.{column}{later}
                ORDER BY t.{column} LIMIT 1)
        FROM seen WHERE seen.{column} IS NOT NULL
    )"""


# The types of event that occur.
EVENT_TYPES = f"""
WITH RECURSIVE {_distinct("event_type", "events")} SELECT event_type FROM seen WHERE event_type IS NOT NULL LIMIT %s
"""

# The names of tasks with a prefix.
NAMES = f"""
WITH RECURSIVE {_distinct("name", "tasks", " AND name >= %s AND name < %s", " AND t.name < %s")}
SELECT name FROM seen WHERE name <> '' LIMIT %s
"""

# The names of an owner's latest tasks.
NAMES_OF_OWNER = f"""
SELECT DISTINCT name
FROM (SELECT name FROM {SCHEMA}.tasks WHERE user_id = %s ORDER BY created_at DESC LIMIT 5000) AS latest
WHERE name >= %s AND name < %s AND name <> '' ORDER BY name LIMIT %s
"""

# The queues that tasks, workers or pauses name, with bounded counts of what waits and runs.
QUEUES = f"""
WITH RECURSIVE {_distinct("queue", "tasks")}, known AS (
    SELECT queue FROM (SELECT queue FROM seen WHERE queue IS NOT NULL LIMIT %s) AS bounded
    UNION SELECT queue FROM {SCHEMA}.paused_queues WHERE paused AND queue <> '*'
    UNION SELECT q FROM {SCHEMA}.workers, json_array_elements_text(queues) AS q WHERE status = 'online'
)
SELECT queue,
       (SELECT count(*) FROM (SELECT FROM {SCHEMA}.tasks t WHERE t.queue = k.queue AND status = 'pending'
                              LIMIT %s) AS pending),
       (SELECT count(*) FROM (SELECT FROM {SCHEMA}.tasks t WHERE t.queue = k.queue AND status = 'in_progress'
                              LIMIT %s) AS running)
FROM known k ORDER BY queue
"""

# What is ahead of a cursor: the times between which the next batches lie, the last seq of them, and whether this is
# known of all that is ahead (the batches before the cursor are still there).
AHEAD = f"""
SELECT min(oldest), max(newest), max(last_seq),
       EXISTS (SELECT FROM {SCHEMA}.batches WHERE last_seq <= %(after)s)
FROM (SELECT * FROM {SCHEMA}.batches WHERE last_seq > %(after)s ORDER BY last_seq LIMIT %(limit)s) AS next
"""

_FEED = """
SELECT f.*, {task_columns}
FROM (
    SELECT * FROM (
        (SELECT {event_columns}, NULL::integer AS attempt, NULL AS level, NULL AS logger, NULL AS message
         FROM {schema}.events WHERE seq > %(after)s AND seq <= %(last)s{times} ORDER BY seq LIMIT %(limit)s)
        UNION ALL
        (SELECT seq, timestamp, NULL, NULL, task_id, NULL, NULL, NULL, NULL, NULL, NULL, attempt, level, logger, message
         FROM {schema}.logs WHERE seq > %(after)s AND seq <= %(last)s{times} ORDER BY seq LIMIT %(limit)s)
    ) AS both_kinds ORDER BY seq LIMIT %(limit)s
) AS f LEFT JOIN {schema}.tasks t ON t.task_id = f.task_id
ORDER BY f.seq
"""
# The feed: events and log lines after a cursor, up to a seq that is known to be there, as one list, each with its
# task's row as it is now; in the partitions between two times, or in all.
FEED = _FEED.format(
    schema=SCHEMA,
    task_columns=JOINED_LIST_COLUMNS,
    event_columns=EVENT_COLUMNS,
    times=" AND timestamp BETWEEN %(oldest)s AND %(newest)s",
)
FEED_OF_ALL_TIMES = _FEED.format(schema=SCHEMA, task_columns=JOINED_LIST_COLUMNS, event_columns=EVENT_COLUMNS, times="")
