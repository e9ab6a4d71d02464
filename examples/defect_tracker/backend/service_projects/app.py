"""Projects: each belongs to who made it; to others, administrators excepted, it does not exist."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException
from pydantic import BaseModel
from sqlalchemy import text
from sqlalchemy.orm import Session

from backend.service_projects.events import ProjectCreated, ProjectDeleted, ProjectUpdated
from backend.shared.database import migrate, session
from backend.shared.identity import Asker, Person
from backend.shared.lists import After, Limit, LongText, Name, page
from backend.shared.logs import set_up_logs
from orakul.delivery import outbox
from orakul.events import EventType

__all__ = ["app"]

FIELDS = "id, name, description, owner_id, created_at, updated_at"


@asynccontextmanager
async def _lifespan(_app: FastAPI) -> AsyncIterator[None]:
    set_up_logs()
    migrate("projects", Path(__file__).parent / "migrations")
    yield


app = FastAPI(title="Projects", lifespan=_lifespan)
Database = Annotated[Session, Depends(session)]


class ProjectForm(BaseModel):
    """What people say of a project."""

    name: Name
    description: LongText = ""


def _publish(database: Session, person: Person, event: EventType) -> None:
    """Publish within the transaction of the change: the event exists exactly if the change does."""
    outbox.publish(database, event.event(user_id=person.user_id, source="service_projects"))


def _find(database: Session, project_id: int, person: Person, *, lock: bool = False) -> dict[str, Any]:
    statement = text(f"SELECT {FIELDS} FROM projects.project WHERE id = :id {'FOR UPDATE' if lock else ''}")
    row = database.execute(statement, {"id": project_id}).mappings().first()
    if row is None or not person.may_see(row["owner_id"]):
        raise HTTPException(404, f"There is no project {project_id}, or it is not yours.")
    return dict(row)


@app.get("/healthz")
def healthz() -> dict[str, str]:
    """Say that the service is there."""
    return {"status": "ok"}


@app.post("/v1/projects/", status_code=201)
def create(form: ProjectForm, person: Asker, database: Database) -> dict[str, Any]:
    """Create a project of one's own."""
    statement = text(
        "INSERT INTO projects.project (name, description, owner_id) VALUES (:name, :description, :owner) "
        f"RETURNING {FIELDS}"
    )
    values = {**form.model_dump(), "owner": person.user_id}
    project = dict(database.execute(statement, values).mappings().one())
    created = ProjectCreated(project_id=project["id"], name=project["name"], owner_id=person.user_id)
    _publish(database, person, created)
    database.commit()
    return project


@app.get("/v1/projects/")
def listed(person: Asker, database: Database, after: After = 0, limit: Limit = 50) -> dict[str, Any]:
    """Return one's own projects; an administrator, all."""
    statement = text(
        f"SELECT {FIELDS} FROM projects.project WHERE id > :after AND (owner_id = :owner OR :all) "
        "ORDER BY id LIMIT :limit"
    )
    values = {"after": after, "owner": person.user_id, "all": person.is_admin, "limit": limit + 1}
    rows: Sequence[Any] = database.execute(statement, values).mappings().all()
    return page([dict(row) for row in rows], limit)


@app.get("/v1/projects/{project_id}")
def one(project_id: int, person: Asker, database: Database) -> dict[str, Any]:
    """Return a project."""
    return _find(database, project_id, person)


@app.put("/v1/projects/{project_id}")
def update(project_id: int, form: ProjectForm, person: Asker, database: Database) -> dict[str, Any]:
    """Change a project."""
    _find(database, project_id, person, lock=True)
    statement = text(
        "UPDATE projects.project SET name = :name, description = :description, updated_at = now() WHERE id = :id "
        f"RETURNING {FIELDS}"
    )
    project = dict(database.execute(statement, {**form.model_dump(), "id": project_id}).mappings().one())
    _publish(database, person, ProjectUpdated(project_id=project_id, name=form.name, updated_by=person.user_id))
    database.commit()
    return project


@app.delete("/v1/projects/{project_id}", status_code=204)
def delete(project_id: int, person: Asker, database: Database) -> None:
    """Delete a project."""
    _find(database, project_id, person, lock=True)
    database.execute(text("DELETE FROM projects.project WHERE id = :id"), {"id": project_id})
    _publish(database, person, ProjectDeleted(project_id=project_id, deleted_by=person.user_id))
    database.commit()
