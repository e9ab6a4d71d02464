"""The events of defects. What does not fit these classes is refused where it is published."""

from orakul.events import EventType, event_type

__all__ = ["DefectCreated", "DefectDeleted", "DefectStatusChanged", "DefectUpdated"]


@event_type("defect.created")
class DefectCreated(EventType):
    """A defect was reported."""

    defect_id: int
    title: str
    status: str
    priority: str
    project_id: int
    reporter_id: int


@event_type("defect.updated")
class DefectUpdated(EventType):
    """A defect was changed; where its status was, `defect.status_changed` goes before."""

    defect_id: int
    title: str
    updated_by: int


@event_type("defect.status_changed")
class DefectStatusChanged(EventType):
    """A defect has another status."""

    defect_id: int
    old_status: str
    new_status: str
    changed_by: int


@event_type("defect.deleted")
class DefectDeleted(EventType):
    """A defect was deleted."""

    defect_id: int
    deleted_by: int
