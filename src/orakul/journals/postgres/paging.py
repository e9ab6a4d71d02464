"""A list of tasks as SQL: one text for each combination of filters, read by keyset (design §6).

A filter that is not asked for is not in the text (`$1 IS NULL OR …` would make the plan read everything), and a page
begins where the cursor says, never after counting the rows before it. Rows without a value in the column that is
sorted by come last, in both directions.
"""

import base64
import binascii
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import product
from typing import Any, NamedTuple

import msgspec

from orakul.errors import InvalidQueryError
from orakul.journals.postgres.connection import SCHEMA
from orakul.journals.postgres.rows import LIST_COLUMNS
from orakul.tasks.reader import TaskQuery
from orakul.tasks.status import Status
from orakul.tasks.storable import key_text, short_text

__all__ = [
    "SORTS",
    "Cursor",
    "Searched",
    "Statement",
    "after",
    "check",
    "conditions",
    "cursor_of",
    "page_statement",
    "sample_statement",
    "search_statement",
    "upper_bound",
]

MAX_LIMIT = 500
_MOST_BRANCHES = 12
_AFTER_ALL = "\U0010ffff"

SORTS = {
    "task_id": ("task_id",),
    "created_at": ("created_at", "task_id"),
    "started_at": ("started_at", "task_id"),
    "finished_at": ("finished_at", "task_id"),
    "name": ("name", "created_at", "task_id"),
    "status": ("status", "created_at", "task_id"),
    "kind": ("kind", "created_at", "task_id"),
    "user_id": ("user_id", "created_at", "task_id"),
    "queue": ("queue", "created_at", "task_id"),
}
"""What each sort orders by: the columns of one index, the last of them unique."""

_NULLABLE = frozenset(("started_at", "finished_at", "user_id", "queue"))
_TIMES = frozenset(("created_at", "started_at", "finished_at"))


class Cursor(msgspec.Struct, frozen=True):
    """Where a page begins: after the row with these values of the columns that are sorted by."""

    sort: str
    values: list[str | None]


class Searched(TaskQuery, frozen=True, kw_only=True):
    """A query with more to it: `task_ids` have its text, searched for already; tasks that had ended `ended_by` then."""

    task_ids: Sequence[str] | None = None
    ended_by: datetime | None = None


class Statement(NamedTuple):
    """SQL and its parameters."""

    text: str
    values: list[Any] | dict[str, Any]


def check(query: TaskQuery) -> tuple[str, bool]:
    """Return the column to sort by and whether downwards; raise InvalidQueryError for what cannot be asked."""
    column, descending = query.sort.removeprefix("-"), query.sort.startswith("-")
    if column not in SORTS:
        raise InvalidQueryError(
            f"cannot sort by {query.sort!r}; sorts are {', '.join(SORTS)}, with - in front for down"
        )
    if not 1 <= query.limit <= MAX_LIMIT:
        raise InvalidQueryError(f"limit is {query.limit}; it goes from 1 to {MAX_LIMIT}")
    for status in query.status:
        if status not in Status.__members__.values():
            raise InvalidQueryError(f"no status {status!r}; statuses are {', '.join(Status)}")
    return column, descending


def after(query: TaskQuery) -> Cursor | None:
    """Read the query's cursor; raise InvalidQueryError where it is none, or one of another sort."""
    if not query.cursor:
        return None
    try:
        raw = base64.urlsafe_b64decode(query.cursor + "=" * (-len(query.cursor) % 4))
        cursor = msgspec.json.decode(raw, type=Cursor)
        columns = SORTS[cursor.sort.removeprefix("-")]
        fits = all(_fits(column, value) for column, value in zip(columns, cursor.values, strict=True))
    except (ValueError, KeyError, binascii.Error, msgspec.MsgspecError) as error:
        raise InvalidQueryError("the cursor is not one of ours; begin without it") from error
    if not fits:
        raise InvalidQueryError("the cursor is not one of ours; begin without it")
    if cursor.sort != query.sort:
        raise InvalidQueryError(f"the cursor belongs to sort={cursor.sort}, not to {query.sort}; begin without it")
    return cursor


def cursor_of(sort: str, row: dict[str, Any]) -> str:
    """Return the cursor of the page after this row."""
    values = [row[column] for column in SORTS[sort.removeprefix("-")]]
    texts = [value.isoformat() if isinstance(value, datetime) else value for value in values]
    return base64.urlsafe_b64encode(msgspec.json.encode(Cursor(sort, texts))).decode().rstrip("=")


def page_statement(query: TaskQuery, cursor: Cursor | None, *, missing: bool, limit: int) -> Statement:
    """Return the statement of one page: of the rows with a value in the sorted column, or of those `missing` it."""
    column, descending = check(query)
    columns = SORTS[column]
    if missing:
        columns = columns[1:]
    direction = " DESC" if descending else ""
    # As the indexes have it: see the migration that makes them.
    named = columns if column == "task_id" else (*columns[:-1], 'task_id COLLATE "POSIX"')
    order = ", ".join(f"{name}{direction}" for name in named)
    fixed, fixed_values = _filters(query)
    if missing:
        fixed.append(f"{column} IS NULL")
    elif column in _NULLABLE:
        fixed.append(f"{column} IS NOT NULL")
    if cursor is not None:
        marks = ", ".join("%s::timestamptz" if name in _TIMES else "%s" for name in columns)
        fixed.append(f"({', '.join(named)}) {'<' if descending else '>'} ({marks})")
        fixed_values.extend(cursor.values[1:] if missing else cursor.values)
    branches = [
        _select([*fixed, *conditions], [*fixed_values, *values], order, limit)
        for conditions, values in _choices(query, spread=column == "created_at")
    ]
    if len(branches) == 1:
        return branches[0]
    # Several wanted values of one column, each read in order from its own place in the index, and merged.
    union = " UNION ALL ".join(f"({branch.text})" for branch in branches)
    merged = ", ".join(f"{name}{direction}" for name in columns)
    text = f"SELECT * FROM ({union}) AS branches ORDER BY {merged} LIMIT {limit}"  # noqa: S608 (made here)
    return Statement(text, [value for branch in branches for value in branch.values])


def upper_bound(prefix: str) -> str:
    """Return a text that sorts after all that begin with the prefix."""
    return prefix + _AFTER_ALL


def _fits(column: str, value: str | None) -> bool:
    if value is None:
        return column in _NULLABLE
    if column in _TIMES:
        return datetime.fromisoformat(value).tzinfo is not None
    return "\x00" not in value


def _select(conditions: Sequence[str], values: list[Any], order: str, limit: int) -> Statement:
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    text = f"SELECT {LIST_COLUMNS} FROM {SCHEMA}.tasks{where} ORDER BY {order} LIMIT {limit}"  # noqa: S608 (made here)
    return Statement(text, values)


def _filters(query: TaskQuery) -> tuple[list[str], list[Any]]:
    conditions: list[str] = []
    values: list[Any] = []

    def add(condition: str, *given: Any) -> None:
        conditions.append(condition)
        values.extend(given)

    if query.owner is not None:
        add("user_id = %s", key_text(query.owner) or "")
    for column, wanted, clean in (("name", query.name, short_text), ("user_id", query.user, key_text)):
        if not wanted:
            continue
        if wanted.endswith("*"):
            prefix = clean(wanted[:-1]) or ""
            add(f"{column} >= %s AND {column} < %s", prefix, upper_bound(prefix))
        else:
            add(f"{column} = %s", clean(wanted))
    times = _times(query)
    for condition, value in times:
        add(condition, value)
    if query.error:
        add("error_key = %s", _error_key(query.error))
    if query.text:
        condition, given = _text(query)
        add(condition, *given)
    for condition, more in _further(query):
        add(condition, *more)
    return conditions, values


def _further(query: TaskQuery) -> Iterator[tuple[str, tuple[Any, ...]]]:
    if isinstance(query, Searched) and query.ended_by is not None:
        yield "finished_at <= %s", (query.ended_by,)
    if query.search and (begin := key_text(query.search.strip())):
        yield "task_id >= %s AND task_id < %s", (begin, upper_bound(begin))


def _times(query: TaskQuery) -> list[tuple[str, datetime]]:
    bounds = (("created_at >= %s", query.since), ("created_at < %s", query.until))
    return [(condition, moment) for condition, moment in bounds if moment is not None]


def search_statement(query: TaskQuery, limit: int) -> Statement:
    """Return the statement of the ids of tasks that have the text's words, a tsquery here."""
    times = _times(query)
    where = " AND ".join(["words @@ %s::tsquery", *(condition for condition, _ in times)])
    text = f"SELECT task_id FROM {SCHEMA}.task_words WHERE {where} LIMIT {limit}"  # noqa: S608 (made here)
    return Statement(text, [query.text, *(value for _, value in times)])


def sample_statement(query: TaskQuery, size: int) -> Statement:
    """Return the statement of how many of the latest so many tasks have the text's words."""
    times = _times(query)
    where = f" WHERE {' AND '.join(condition for condition, _ in times)}" if times else ""
    latest = f"SELECT words FROM {SCHEMA}.task_words{where} ORDER BY created_at DESC LIMIT {size}"  # noqa: S608 (made here)
    text = f"SELECT count(*) FROM ({latest}) AS latest WHERE words @@ %s::tsquery"  # noqa: S608 (made here)
    return Statement(text, [*(value for _, value in times), query.text])


def _text(query: TaskQuery) -> tuple[str, list[Any]]:
    if isinstance(query, Searched) and query.task_ids is not None:
        return "task_id = ANY(%s)", [list(query.task_ids)]
    times = _times(query)  # said here too: the words have an index by time of their own
    where = " AND ".join(["words @@ %s::tsquery", *(condition for condition, _ in times)])
    inner = f"SELECT task_id FROM {SCHEMA}.task_words WHERE {where}"  # noqa: S608 (made here)
    return f"task_id IN ({inner})", [query.text, *(value for _, value in times)]


def _error_key(key: str) -> int:
    try:
        number = int(key, 16)
    except ValueError:
        number = -1
    if not 0 <= number < 1 << 64:
        raise InvalidQueryError("`error` is the key of a group of errors: 16 hexadecimal digits, from /api/errors")
    return number - (1 << 64) if number >= 1 << 63 else number


def conditions(query: TaskQuery) -> tuple[str, list[Any]]:
    """Return all filters of the query as one condition on tasks, with what it takes."""
    found, values = _filters(query)
    ((choices, chosen),) = _choices(query, spread=False)
    return " AND ".join([*found, *choices]) or "true", [*values, *chosen]


def _choices(query: TaskQuery, *, spread: bool) -> list[tuple[list[str], list[Any]]]:
    """Return the conditions on columns of which several values may be wanted: one choice a branch of the page."""
    wanted: dict[str, list[str]] = {}
    statuses = {Status(status).value for status in query.status}
    if statuses and len(statuses) < len(Status):
        wanted["status"] = sorted(statuses)
    for column, given in (("kind", query.kind), ("queue", query.queue), ("worker", query.worker)):
        if given:
            wanted[column] = sorted({short_text(value) or "" for value in given})
    if not wanted:
        return [([], [])]
    combinations = list(product(*wanted.values()))
    if len(combinations) == 1 or (spread and len(combinations) <= _MOST_BRANCHES):
        return [([f"{column} = %s" for column in wanted], list(values)) for values in combinations]
    return [([f"{column} = ANY(%s)" for column in wanted], list(wanted.values()))]
