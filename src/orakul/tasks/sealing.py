"""Sealing: original messages are kept encrypted (AES-256-GCM), and only who has the house's secret key opens them."""

import os
import secrets
import stat
from contextlib import suppress
from itertools import count
from pathlib import Path

from orakul.errors import MissingExtraError, NotPossibleError

__all__ = ["Sealer", "secret_in"]

_FORM = b"\x01"  # the form of what follows; another cipher would be another number
_INFO = b"orakul kept messages"
_OVERHEAD = 1 + 12 + 16  # form, nonce, tag
_SHORTEST_KEY = 32


class Sealer:
    """Seals and opens bytes with a key made from the secret key of the settings."""

    def __init__(self, secret: str) -> None:
        try:
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 (an extra)
            from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415 (an extra)
            from cryptography.hazmat.primitives.kdf.hkdf import HKDF  # noqa: PLC0415 (an extra)
        except ImportError as error:
            raise MissingExtraError("cryptography", "celery") from error
        key = HKDF(algorithm=SHA256(), length=32, salt=None, info=_INFO).derive(secret.encode())
        self._cipher = AESGCM(key)
        self._renew()

    def _renew(self) -> None:
        # A nonce is eight random bytes of this process and a count: no system call for each message, no repeat.
        self._pid = os.getpid()
        self._prefix = secrets.token_bytes(8)
        self._count = count()

    def seal(self, content: bytes, bound_to: str) -> bytes:
        """Return the content encrypted; it opens only for the same `bound_to` (the task's id)."""
        number = next(self._count)
        if self._pid != os.getpid() or number >= 2**32:
            self._renew()
            number = next(self._count)
        nonce = self._prefix + number.to_bytes(4, "big")
        return _FORM + nonce + self._cipher.encrypt(nonce, content, bound_to.encode())

    def open(self, sealed: bytes, bound_to: str) -> bytes:
        """Return the content; raise NotPossibleError where the key is another or the bytes were changed."""
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415 (an extra)

        if sealed[:1] != _FORM or len(sealed) < _OVERHEAD:
            raise NotPossibleError("The kept message is of a form that this version does not know.")
        try:
            return self._cipher.decrypt(sealed[1:13], sealed[13:], bound_to.encode())
        except InvalidTag as error:
            raise NotPossibleError(
                "The kept message does not open with this secret key: set the same ORAKUL_SECRET_KEY for the web "
                "application and all workers."
            ) from error


def secret_in(folder: Path) -> str:
    """Return the secret in `folder/secret.key`, made on first use, readable by its owner only.

    Two processes that make it at once end with the same one: it is written aside and linked into place.
    """
    path = folder / "secret.key"
    with suppress(FileNotFoundError):
        return _read(path)
    folder.mkdir(parents=True, exist_ok=True)
    aside = folder / f"secret.key.{os.getpid()}.{secrets.token_hex(4)}"
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, stat.S_IRUSR | stat.S_IWUSR)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(48))
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(aside, path)
    finally:
        aside.unlink(missing_ok=True)
    return _read(path)


def _read(path: Path) -> str:
    secret = path.read_text("ascii").strip()
    if len(secret) < _SHORTEST_KEY:
        raise NotPossibleError(f"{path} holds no secret of 32 characters or more: remove it, and a new one is made.")
    return secret
