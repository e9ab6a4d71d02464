"""Sealing: what is sealed opens with the same key, for the same task, unchanged; else it says why not."""

import os
import threading
from pathlib import Path

import pytest

from orakul.errors import NotPossibleError
from orakul.tasks.sealing import Sealer, secret_in

SECRET = "s" * 40


def test_what_is_sealed_opens_again() -> None:
    """Any bytes come back, and the sealed form shows nothing of them."""
    sealer = Sealer(SECRET)
    sealed = sealer.seal(b"hunter2" * 100, "task-1")
    assert b"hunter2" not in sealed
    assert Sealer(SECRET).open(sealed, "task-1") == b"hunter2" * 100
    assert sealer.seal(b"x", "task-1") != sealer.seal(b"x", "task-1")


def test_it_opens_for_nobody_else() -> None:
    """Another key, another task, a changed byte, nonsense: an error that says what to do."""
    sealed = Sealer(SECRET).seal(b"content", "task-1")
    with pytest.raises(NotPossibleError, match="ORAKUL_SECRET_KEY"):
        Sealer("t" * 40).open(sealed, "task-1")
    with pytest.raises(NotPossibleError):
        Sealer(SECRET).open(sealed, "task-2")
    with pytest.raises(NotPossibleError):
        Sealer(SECRET).open(sealed[:-1] + bytes([sealed[-1] ^ 1]), "task-1")
    with pytest.raises(NotPossibleError, match="form"):
        Sealer(SECRET).open(b"nonsense", "task-1")


def test_a_forked_child_never_repeats_a_nonce() -> None:
    """Two processes that share a sealer by fork seal with different nonces."""
    sealer = Sealer(SECRET)
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(writer, sealer.seal(b"x", "t")[1:13])
        os._exit(0)
    os.waitpid(pid, 0)
    assert os.read(reader, 12) != sealer.seal(b"x", "t")[1:13]
    os.close(reader)
    os.close(writer)


def test_the_secret_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    """Many who ask at once get the same secret; others on the machine cannot read it."""
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(secret_in(tmp_path / "data"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert len(found) == 8
    assert (tmp_path / "data" / "secret.key").stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == ["secret.key"]


def test_a_damaged_secret_is_named(tmp_path: Path) -> None:
    """An empty key file is an error that says which file."""
    (tmp_path / "secret.key").touch()
    with pytest.raises(NotPossibleError, match=r"secret\.key"):
        secret_in(tmp_path)
