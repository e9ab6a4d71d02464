"""Operations: statistics by name, bottlenecks, errors and a comparison of two periods, from the journal."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Annotated

import msgspec
from fastapi import APIRouter, Query
from starlette.responses import Response

from orakul.errors import InvalidQueryError
from orakul.operations.analyzer import OperationAnalyzer, differences
from orakul.operations.journalled import trees
from orakul.tasks import Task, TaskQuery, TaskReader
from orakul.web.auth import SignedIn
from orakul.web.document import JsonResponse, answers
from orakul.web.filters import moment
from orakul.web.given import TheParts
from orakul.web.operation_views import OperationReport, bottleneck_kind, error_kind
from orakul.web.query import plain_text, split

__all__ = ["router"]

router = APIRouter(default_response_class=JsonResponse)

MOST = 20_000
"""So many of a period's latest tasks are analyzed; more of them, and the answer says so."""

_A_PAGE = 500


@router.get(
    "/api/operations",
    tags=["overview"],
    summary="What operations did, what is slow, what fails",
    operation_id="operations",
    responses=answers(OperationReport, "The report.", 401, 422, 503),
)
def operations(
    identity: SignedIn,
    parts: TheParts,
    *,
    since: Annotated[str | None, Query(alias="from", description="The beginning; a day before the end.")] = None,
    until: Annotated[str | None, Query(alias="to", description="The end; now.")] = None,
    name: Annotated[str | None, Query(description="The name, or its beginning and `*`.")] = None,
    kind: Annotated[list[str], Query(description="Kinds of tasks: `operation`, unless others are named.")] = [],  # noqa: B006 (FastAPI copies)
    before: Annotated[
        str | None,
        Query(description="Compare with as long a period: `previous`, or the time at which it begins."),
    ] = None,
) -> Response:
    """Return the figures of what came between `from` and `to` and has ended; an ordinary user's, of what is theirs."""
    end = moment("to", until) or datetime.now(UTC)
    begin = moment("from", since) or max(end, datetime.min.replace(tzinfo=UTC) + timedelta(days=1)) - timedelta(days=1)
    if begin >= end:
        raise InvalidQueryError(f"`from` ({begin:%Y-%m-%dT%H:%M:%SZ}) is not before `to` ({end:%Y-%m-%dT%H:%M:%SZ})")
    query = TaskQuery(kind=split(kind) or ["operation"], name=plain_text(name), owner=identity.owner, limit=_A_PAGE)
    analyzer, read, partial = _analyzed(parts.reader, query, begin, end)
    earlier, compared = _earlier(before, begin, end), None
    if earlier is not None:
        other, _, other_partial = _analyzed(parts.reader, query, earlier, earlier + (end - begin))
        partial = partial or other_partial
        compared = differences(other.statistics(), analyzer.statistics())
    return JsonResponse(
        OperationReport(
            since=begin,
            until=end,
            read=read,
            partial=partial,
            statistics=analyzer.statistics(),
            bottlenecks=[bottleneck_kind(each) for each in analyzer.bottlenecks()],
            errors=[error_kind(each) for each in analyzer.errors()],
            before=earlier,
            compared=compared,
        )
    )


def _earlier(before: str | None, begin: datetime, end: datetime) -> datetime | None:
    if not before:
        return None
    try:
        found = begin - (end - begin) if before == "previous" else moment("before", before)
        assert found is not None  # noqa: S101 (not empty)
        _ = found + (end - begin)
    except OverflowError as error:
        raise InvalidQueryError("`before` is no time that there is so long a period after") from error
    return found


def _analyzed(
    reader: TaskReader, query: TaskQuery, begin: datetime, end: datetime
) -> tuple[OperationAnalyzer, int, bool]:
    found, partial = _ended(reader, msgspec.structs.replace(query, since=begin, until=end))
    analyzer = OperationAnalyzer(whole=True)
    for log in trees(found):
        analyzer.add(log)
    return analyzer, len(found), partial


def _ended(reader: TaskReader, query: TaskQuery) -> tuple[list[Task], bool]:
    """Return the tasks that have ended, at most so many of the latest, and whether these are not all."""
    found: list[Task] = []
    looked = 0
    while True:
        page = reader.tasks(query)
        looked += len(page.items)
        found.extend(_finished(page.items))
        if page.partial or (looked >= MOST and page.next):
            return found, True
        if page.next is None:
            return found, False
        query = msgspec.structs.replace(query, cursor=page.next)


def _finished(tasks: Iterable[Task]) -> Iterable[Task]:
    return (task for task in tasks if task.finished_at is not None)
