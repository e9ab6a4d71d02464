"""The parts of the application, as dependencies of the routes."""

from typing import Annotated, cast

from fastapi import Depends, Request

from orakul.web.doorkeeper import Doorkeeper
from orakul.web.parts import Parts
from orakul.web.ready import Readiness
from orakul.web.tokens import Tokens

__all__ = ["TheDoor", "TheParts", "TheReadiness", "TheTokens"]


async def _parts(request: Request) -> Parts:
    return cast("Parts", request.app.state.parts)


async def _tokens(request: Request) -> Tokens:
    return cast("Tokens", request.app.state.tokens)


async def _door(request: Request) -> Doorkeeper:
    return cast("Doorkeeper", request.app.state.door)


async def _readiness(request: Request) -> Readiness:
    return cast("Readiness", request.app.state.readiness)


TheParts = Annotated[Parts, Depends(_parts)]
TheTokens = Annotated[Tokens, Depends(_tokens)]
TheDoor = Annotated[Doorkeeper, Depends(_door)]
TheReadiness = Annotated[Readiness, Depends(_readiness)]
