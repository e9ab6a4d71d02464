"""The events of projects. What does not fit these classes is refused where it is published."""

from orakul.events import EventType, event_type

__all__ = ["ProjectCreated", "ProjectDeleted", "ProjectUpdated"]


@event_type("project.created")
class ProjectCreated(EventType):
    """A project was created."""

    project_id: int
    name: str
    owner_id: int


@event_type("project.updated")
class ProjectUpdated(EventType):
    """A project was changed."""

    project_id: int
    name: str
    updated_by: int


@event_type("project.deleted")
class ProjectDeleted(EventType):
    """A project was deleted."""

    project_id: int
    deleted_by: int
