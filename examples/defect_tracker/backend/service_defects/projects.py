"""What this service asks the service of projects: whether a project is there for who asks, and whose it is."""

import httpx2
from fastapi import HTTPException

from backend.shared import settings

__all__ = ["owner_of"]

_client = httpx2.Client(base_url=settings.PROJECTS_URL, timeout=5.0, trust_env=False)


def owner_of(project_id: int, authorization: str) -> int:
    """Return the owner of a project that the bearer of the token may see."""
    try:
        answer = _client.get(f"/v1/projects/{project_id}", headers={"Authorization": authorization})
    except httpx2.HTTPError as error:
        raise HTTPException(503, "The service of projects does not answer: try again in a moment.") from error
    if answer.status_code == 404:  # noqa: PLR2004 (not found)
        raise HTTPException(422, f"project_id: there is no project {project_id}, or it is not yours.")
    if answer.is_error:
        raise HTTPException(503, f"The service of projects answered {answer.status_code}: try again in a moment.")
    return int(answer.json()["owner_id"])
