"""Counts and groups of errors as SQL: each bounded in rows, whatever the filters."""

# ruff: noqa: S608 (put together from constants and from the conditions made in `paging`; values are parameters)

from collections.abc import Sequence
from datetime import datetime

import msgspec

from orakul.journals.postgres.connection import SCHEMA
from orakul.journals.postgres.paging import Statement, conditions
from orakul.tasks.reader import TaskQuery
from orakul.tasks.status import Status

__all__ = ["TREND_STEPS", "count_statement", "failures_statement", "groups_statement", "trends_statement"]

_MOST_GROUPS = 2_000
_MOST_NAMES, _MOST_NAMED = 20, 50
_MOST_OF_TREND = 2_000
TREND_STEPS = 24


def count_statement(query: TaskQuery, status: Status | None, limit: int) -> Statement:
    """Return the count of the tasks of a status, or of any, that the query's other filters leave, up to a limit."""
    where, values = conditions(msgspec.structs.replace(query, status=() if status is None else (status,)))
    return Statement(
        f"SELECT count(*) FROM (SELECT FROM {SCHEMA}.tasks WHERE {where} LIMIT {limit}) AS bounded", values
    )


def groups_statement(query: TaskQuery, limit: int) -> Statement:
    """Return the groups of errors, one step in their index each, with the first and the last failure of each."""
    where, values = conditions(query)
    of_group = f"FROM {SCHEMA}.tasks t WHERE t.error_key = k.error_key AND {where}"
    text = f"""
    WITH RECURSIVE seen AS (
        (SELECT error_key FROM {SCHEMA}.tasks WHERE error_key IS NOT NULL ORDER BY error_key LIMIT 1)
        UNION ALL
        SELECT (SELECT t.error_key FROM {SCHEMA}.tasks t WHERE t.error_key > seen.error_key
                ORDER BY t.error_key LIMIT 1)
        FROM seen WHERE seen.error_key IS NOT NULL
    )
    SELECT k.error_key, newest.error_type, newest.error_place, newest.error_message, counted.n, oldest.created_at,
           newest.created_at, named.names, newest.task_id
    FROM (SELECT error_key FROM seen WHERE error_key IS NOT NULL LIMIT {_MOST_GROUPS}) AS k
    CROSS JOIN LATERAL (SELECT * {of_group} ORDER BY t.created_at DESC LIMIT 1) AS newest
    CROSS JOIN LATERAL (SELECT * {of_group} ORDER BY t.created_at LIMIT 1) AS oldest
    CROSS JOIN LATERAL (SELECT count(*) AS n FROM (SELECT {of_group} LIMIT {limit}) AS bounded) AS counted
    CROSS JOIN LATERAL (SELECT (array_agg(DISTINCT name))[1:{_MOST_NAMES}] AS names FROM (
        SELECT name {of_group} ORDER BY t.created_at DESC LIMIT {_MOST_NAMED}) AS latest) AS named
    """
    return Statement(text, values * 4)


def failures_statement(query: TaskQuery, limit: int) -> Statement:
    """Return the groups of the latest failures, so many of them at most."""
    where, values = conditions(query)
    text = f"""
    SELECT error_key, (array_agg(error_type ORDER BY created_at DESC))[1],
           (array_agg(error_place ORDER BY created_at DESC))[1],
           (array_agg(error_message ORDER BY created_at DESC))[1], count(*), min(created_at), max(created_at),
           (array_agg(DISTINCT name))[1:{_MOST_NAMES}], (array_agg(task_id ORDER BY created_at DESC))[1]
    FROM (
        SELECT error_key, error_type, error_place, left(error_message, 2000) AS error_message, name, created_at, task_id
        FROM {SCHEMA}.tasks WHERE status = 'failed' AND {where} ORDER BY created_at DESC LIMIT {limit}
    ) AS latest GROUP BY error_key
    """
    return Statement(text, values)


def trends_statement(query: TaskQuery, keys: Sequence[int], since: datetime, until: datetime) -> Statement:
    """Return how many of each group's latest failures were created in each step between two times."""
    where, values = conditions(query)
    text = f"""
    SELECT k.error_key, width_bucket(extract(epoch FROM latest.created_at), %s, %s, {TREND_STEPS}), count(*)
    FROM unnest(%s::bigint[]) AS k (error_key)
    CROSS JOIN LATERAL (SELECT t.created_at FROM {SCHEMA}.tasks t WHERE t.error_key = k.error_key AND {where}
        ORDER BY t.created_at DESC LIMIT {_MOST_OF_TREND}) AS latest
    GROUP BY 1, 2
    """
    return Statement(text, [since.timestamp(), until.timestamp(), list(keys), *values])
