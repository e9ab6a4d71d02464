"""Who asks: the bearer token that the gateway has given, read by every service."""

import time
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, HTTPException
from fastapi.security import OAuth2PasswordBearer
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from backend.shared import settings

__all__ = ["Asker", "Person", "issue"]

_KEY = OctKey.import_key(settings.SECRET)
_CLAIMS = jwt.JWTClaimsRegistry(sub={"essential": True}, exp={"essential": True})
_HOURS = 12


@dataclass(frozen=True)
class Person:
    """Who is signed in."""

    user_id: int
    username: str
    is_admin: bool

    def may_see(self, *owners: int) -> bool:
        """Return whether a thing of these owners is theirs to see."""
        return self.is_admin or self.user_id in owners


def issue(person: Person) -> str:
    """Return a token for the person."""
    role = "admin" if person.is_admin else "user"
    claims = {"sub": str(person.user_id), "name": person.username, "role": role}
    return jwt.encode({"alg": "HS256"}, claims | {"exp": int(time.time()) + _HOURS * 3600}, _KEY)


def _asker(token: Annotated[str, Depends(OAuth2PasswordBearer(tokenUrl="/v1/auth/token"))]) -> Person:
    try:
        read = jwt.decode(token, _KEY, algorithms=["HS256"])
        _CLAIMS.validate(read.claims)
        return Person(int(read.claims["sub"]), str(read.claims.get("name", "")), read.claims.get("role") == "admin")
    except (JoseError, ValueError) as error:
        raise HTTPException(
            401,
            "The token is not valid or has expired: get a new one from POST /v1/auth/token.",
            headers={"WWW-Authenticate": "Bearer"},
        ) from error


Asker = Annotated[Person, Depends(_asker)]
