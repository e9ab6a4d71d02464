"""Where a script's files grow until they are whole, and how they get their names.

They are written below `<directory>/.orakul/`, on the same file system, in a folder of this attempt alone that is
locked as long as its process lives. When all are whole and on the disk they are renamed, and the manifest is written
last; so a reader sees a file whole or not at all, and a manifest only when all that it names is there. What a killed
process left behind has no lock, and is cleared away by whoever exports into the directory next.
"""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

import msgspec

from orakul.errors import OrakulError
from orakul.exports.file_names import keeps_old, manifest_name
from orakul.exports.part_file import PartFile
from orakul.exports.plan import Group, Plan, Script
from orakul.exports.result import WrittenFile

__all__ = ["HIDDEN", "Staging"]

HIDDEN = ".orakul"


class Staging:
    """The folder of one attempt at one script."""

    def __init__(self, plan: Plan, group: Group, script: Script) -> None:
        self._plan, self._group, self._script = plan, group, script
        self._root = plan.output.directory
        hidden = self._root / HIDDEN
        hidden.mkdir(parents=True, exist_ok=True)
        clean(self._root)
        while True:
            hidden.mkdir(exist_ok=True)  # whoever ended just now may have taken it away
            with contextlib.suppress(FileNotFoundError):
                self.folder = Path(tempfile.mkdtemp(prefix=f"{script.id}-", dir=hidden))
                self._lock = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
                fcntl.flock(self._lock, fcntl.LOCK_EX)
                if self.folder.exists():  # another's cleaning may have come between the making and the lock
                    break
                os.close(self._lock)

    def close(self) -> None:
        """Clear away what was not published."""
        shutil.rmtree(self.folder, ignore_errors=True)
        os.close(self._lock)
        with contextlib.suppress(OSError):  # others are at work in it
            (self._root / HIDDEN).rmdir()

    def publish(self, parts: Sequence[PartFile], started: datetime) -> tuple[tuple[WrittenFile, ...], Path | None]:
        """Give the whole files their names, the manifest last; what an earlier run left under other names goes."""
        manifest = self._root / manifest_name(self._group, self._script)
        with _alone(self._root):
            before = _named_in(manifest, self._root)
            manifest.unlink(missing_ok=True)
            written = self._renamed(parts)
            if not keeps_old(self._plan.output):
                for path in before - {each.path for each in written}:
                    path.unlink(missing_ok=True)
            for folder in {each.path.parent for each in written}:
                _sync(folder)
            if self._plan.output.manifest:
                self._write_manifest(manifest, written, started)
        return tuple(written), manifest if self._plan.output.manifest else None

    def _renamed(self, parts: Sequence[PartFile]) -> list[WrittenFile]:
        written: list[WrittenFile] = []
        try:
            for part in parts:
                path = self._root / part.name
                path.parent.mkdir(parents=True, exist_ok=True)
                part.staged.replace(path)
                facts = {name: getattr(part, name) for name in ("rows", "bytes", "sha256", "variant", "part")}
                written.append(WrittenFile(path=path, **facts))
        except OSError:
            for each in written:  # all or none
                each.path.unlink(missing_ok=True)
            raise
        return written

    def _write_manifest(self, path: Path, written: Sequence[WrittenFile], started: datetime) -> None:
        output = self._plan.output
        form = {
            "plan": self._plan.name,
            "group": self._group.id,
            "script": self._script.id,
            "format": output.format,
            "started_at": started,
            "finished_at": datetime.now(started.tzinfo),
            "rows": sum(each.rows for each in written),
            "bytes": sum(each.bytes for each in written),
            "files": [
                {
                    "name": each.path.relative_to(self._root).as_posix(),
                    "variant": each.variant,
                    "part": each.part,
                    "rows": each.rows,
                    "bytes": each.bytes,
                    "sha256": each.sha256,
                }
                for each in written
            ],
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        staged = self.folder / "manifest.json"
        with staged.open("wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(form), indent=2) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        staged.replace(path)
        _sync(path.parent)


def clean(root: Path) -> None:
    """Clear away what processes left that are no more."""
    for folder in (root / HIDDEN).glob("*/"):
        with contextlib.suppress(OSError):  # somebody else cleans, too
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)


@contextlib.contextmanager
def _alone(root: Path) -> Iterator[None]:
    """Let nobody else publish into the directory for a moment."""
    lock = os.open(root / HIDDEN, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _named_in(manifest: Path, root: Path) -> set[Path]:
    """Return the files that a manifest names, none where it cannot be read: they stay then."""
    try:
        names = [each["name"] for each in msgspec.json.decode(manifest.read_bytes())["files"]]
        found = {(root / name).resolve() for name in names}
    except (OSError, msgspec.DecodeError, KeyError, TypeError):
        return set()
    return {path for path in found if path.is_relative_to(root.resolve())}


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    except OSError as error:
        raise OrakulError(f"{folder} cannot be written to the disk: {error.strerror}") from error
    finally:
        os.close(handle)
