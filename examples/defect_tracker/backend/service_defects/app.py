"""Defects: seen by who reported them and by the project's owner; deleted by who reported them. Administrators: all."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header, HTTPException, Query
from pydantic import BaseModel
from sqlalchemy import text
from sqlalchemy.orm import Session

from backend.service_defects.events import DefectCreated, DefectDeleted, DefectStatusChanged, DefectUpdated
from backend.service_defects.projects import owner_of
from backend.shared.database import migrate, session
from backend.shared.identity import Asker, Person
from backend.shared.lists import After, Limit, LongText, Name, page
from backend.shared.logs import set_up_logs
from orakul.delivery import outbox
from orakul.events import EventType

__all__ = ["app"]

FIELDS = "id, title, description, status, priority, project_id, reporter_id, created_at, updated_at"


@asynccontextmanager
async def _lifespan(_app: FastAPI) -> AsyncIterator[None]:
    set_up_logs()
    migrate("defects", Path(__file__).parent / "migrations")
    yield


app = FastAPI(title="Defects", lifespan=_lifespan)
Database = Annotated[Session, Depends(session)]


class DefectForm(BaseModel):
    """What people say of a defect."""

    title: Name
    description: LongText = ""
    status: Name = "Новая"
    priority: Name = "Средний"


class NewDefect(DefectForm):
    """A defect as it is reported."""

    project_id: Annotated[int, Query(ge=1, le=2**62)]


class ChangedDefect(DefectForm):
    """A defect as it is to be; a status or a priority left out stays as it is."""

    status: Name | None = None  # type: ignore[assignment]  # wider on purpose
    priority: Name | None = None  # type: ignore[assignment]  # as above


def _publish(database: Session, person: Person, event: EventType) -> None:
    """Publish within the transaction of the change: the event exists exactly if the change does."""
    outbox.publish(database, event.event(user_id=person.user_id, source="service_defects"))


def _find(database: Session, defect_id: int, person: Person, *, lock: bool = False) -> dict[str, Any]:
    statement = text(
        f"SELECT {FIELDS}, project_owner_id FROM defects.defect WHERE id = :id {'FOR UPDATE' if lock else ''}"
    )
    row = database.execute(statement, {"id": defect_id}).mappings().first()
    if row is None or not person.may_see(row["reporter_id"], row["project_owner_id"]):
        raise HTTPException(404, f"There is no defect {defect_id}, or it is not yours to see.")
    return dict(row)


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "project_owner_id"}


@app.get("/healthz")
def healthz() -> dict[str, str]:
    """Say that the service is there."""
    return {"status": "ok"}


@app.post("/v1/defects/", status_code=201)
def create(
    form: NewDefect, person: Asker, database: Database, authorization: Annotated[str, Header()]
) -> dict[str, Any]:
    """Report a defect of a project that one may see."""
    owner = owner_of(form.project_id, authorization)
    statement = text(
        "INSERT INTO defects.defect (title, description, status, priority, project_id, project_owner_id, reporter_id) "
        f"VALUES (:title, :description, :status, :priority, :project_id, :owner, :reporter) RETURNING {FIELDS}"
    )
    values = {**form.model_dump(), "owner": owner, "reporter": person.user_id}
    defect = dict(database.execute(statement, values).mappings().one())
    created = DefectCreated(
        defect_id=defect["id"],
        title=form.title,
        status=form.status,
        priority=form.priority,
        project_id=form.project_id,
        reporter_id=person.user_id,
    )
    _publish(database, person, created)
    database.commit()
    return defect


@app.get("/v1/defects/")
def listed(
    person: Asker,
    database: Database,
    *,
    project_id: int | None = None,
    status: str | None = None,
    after: After = 0,
    limit: Limit = 50,
) -> dict[str, Any]:
    """Return the defects that one may see, of one project or with one status where asked for."""
    conditions = ["id > :after", "(reporter_id = :person OR project_owner_id = :person OR :all)"]
    values: dict[str, Any] = {"after": after, "person": person.user_id, "all": person.is_admin, "limit": limit + 1}
    for name, value in (("project_id", project_id), ("status", status)):
        if value is not None:
            conditions.append(f"{name} = :{name}")
            values[name] = value
    statement = text(f"SELECT {FIELDS} FROM defects.defect WHERE {' AND '.join(conditions)} ORDER BY id LIMIT :limit")
    rows: Sequence[Any] = database.execute(statement, values).mappings().all()
    return page([dict(row) for row in rows], limit)


@app.get("/v1/defects/{defect_id}")
def one(defect_id: int, person: Asker, database: Database) -> dict[str, Any]:
    """Return a defect."""
    return _shown(_find(database, defect_id, person))


@app.put("/v1/defects/{defect_id}")
def update(defect_id: int, form: ChangedDefect, person: Asker, database: Database) -> dict[str, Any]:
    """Change a defect; a change of its status is an event of its own, before that of the change."""
    before = _find(database, defect_id, person, lock=True)
    values = {"id": defect_id, "title": form.title, "description": form.description}
    values |= {"status": form.status or before["status"], "priority": form.priority or before["priority"]}
    statement = text(
        "UPDATE defects.defect SET title = :title, description = :description, status = :status, "
        f"priority = :priority, updated_at = now() WHERE id = :id RETURNING {FIELDS}"
    )
    defect = dict(database.execute(statement, values).mappings().one())
    if defect["status"] != before["status"]:
        changed = DefectStatusChanged(
            defect_id=defect_id,
            old_status=before["status"],
            new_status=defect["status"],
            changed_by=person.user_id,
        )
        _publish(database, person, changed)
    _publish(database, person, DefectUpdated(defect_id=defect_id, title=form.title, updated_by=person.user_id))
    database.commit()
    return defect


@app.delete("/v1/defects/{defect_id}", status_code=204)
def delete(defect_id: int, person: Asker, database: Database) -> None:
    """Delete a defect that one has reported."""
    defect = _find(database, defect_id, person, lock=True)
    if not person.may_see(defect["reporter_id"]):
        raise HTTPException(403, "Only who reported a defect, or an administrator, may delete it.")
    database.execute(text("DELETE FROM defects.defect WHERE id = :id"), {"id": defect_id})
    _publish(database, person, DefectDeleted(defect_id=defect_id, deleted_by=person.user_id))
    database.commit()
