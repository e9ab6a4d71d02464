"""The embedded server's cluster: made, configured, and cleared of what a dead server left."""

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from orakul.errors import JournalUnavailableError
from orakul.journals.postgres.place import Place, Programs

__all__ = ["USER", "clear_leftovers", "configure", "initialise", "is_ready", "version_of"]

USER = "orakul"

# For a small machine that has other work to do. Durability is not among the things to save on.
_CONFIGURATION = """\
# Written by Orakul at every start. Your own settings: ALTER SYSTEM, or below the include in postgresql.conf.
shared_buffers = '128MB'
work_mem = '8MB'
maintenance_work_mem = '64MB'
effective_cache_size = '1GB'
max_connections = 200
synchronous_commit = on
max_wal_size = '1GB'
checkpoint_timeout = '15min'
random_page_cost = 1.1
jit = off
max_parallel_workers_per_gather = 1
timezone = 'UTC'
log_timezone = 'UTC'
log_checkpoints = off
log_autovacuum_min_duration = -1
password_encryption = 'scram-sha-256'
"""
_PROVIDER_SINCE = 17  # the built-in one: sorts by code point and still knows the case of every alphabet
_ITERATIONS_SINCE = 16


def initialise(place: Place, programs: Programs) -> None:
    """Make the cluster beside its place, then put it there whole: a start that was killed leaves nothing half-made."""
    _require_account(place)
    fresh = place.home / "cluster.new"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir()
    place.own(fresh)
    inlet = place.own(Path(tempfile.mkdtemp(prefix="password-", dir=place.home)))
    try:
        password = inlet / "password"
        password.write_text(_new_password(place))
        place.own(password)
        options = ["--encoding=UTF8", "--locale=C", "--data-checksums", "--auth=scram-sha-256", "--no-instructions"]
        if programs.major >= _PROVIDER_SINCE:
            options += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        if programs.major >= _ITERATIONS_SINCE:
            options += ["--set=scram_iterations=1"]  # the password is 192 random bits: there is nothing to stretch
        _run_as_account(place, programs["initdb"], "-D", str(fresh), "-U", USER, f"--pwfile={password}", *options)
    finally:
        shutil.rmtree(inlet, ignore_errors=True)
    main = fresh / "postgresql.conf"
    main.write_text(f"{main.read_text()}\ninclude_if_exists = 'orakul.conf'\n")
    fresh.rename(place.cluster)


def configure(place: Place, programs: Programs) -> None:
    """Write our settings, and make sure that the password is known."""
    path = place.cluster / "orakul.conf"
    path.write_text(_CONFIGURATION)
    place.own(path)
    if not (place.folder / "password").exists():  # lost with a partial restore: the cluster is ours all the same
        text = f"ALTER ROLE {USER} PASSWORD '{_new_password(place)}'\n"
        _run_as_account(place, programs["postgres"], "--single", "-D", str(place.cluster), "template1", text=text)


def version_of(cluster: Path) -> int | None:
    """Return the major version of the PostgreSQL that made the cluster; None where there is no cluster."""
    try:
        return int((cluster / "PG_VERSION").read_text())
    except FileNotFoundError:
        return None


def is_ready(cluster: Path, postmaster: int) -> bool:
    """Say whether this server process takes connections: as `pg_ctl` does, by the eighth line of its pid file."""
    try:
        lines = (cluster / "postmaster.pid").read_text().splitlines()
    except OSError:
        return False
    return len(lines) > 7 and lines[0] == str(postmaster) and lines[7].strip() == "ready"  # noqa: PLR2004 (line 8)


def clear_leftovers(cluster: Path) -> None:
    """Stop what a killed supervisor may have left running in the cluster, and remove a pid file that tells of nobody.

    PostgreSQL refuses to start when the pid in its file is alive, even if it is another program's by now, as is
    usual in a container started anew. Here it is known whether it is: no supervisor runs, so whoever works in
    the cluster's folder is a leftover, and who does not is somebody else.
    """
    if not Path("/proc/self/cwd").exists():
        return  # not Linux: PostgreSQL's own check stands
    for number, patience in ((signal.SIGINT, 10.0), (signal.SIGQUIT, 10.0), (signal.SIGKILL, 5.0)):
        end = time.monotonic() + patience
        left = _working_in(cluster)
        for pid in left:
            with contextlib.suppress(OSError):
                os.kill(pid, number)
        while left and time.monotonic() < end:
            time.sleep(0.02)
            left = _working_in(cluster)
        if not left:
            (cluster / "postmaster.pid").unlink(missing_ok=True)
            return
    raise JournalUnavailableError(f"processes {_working_in(cluster)} still work in {cluster} and cannot be stopped")


def _working_in(cluster: Path) -> list[int]:
    real = cluster.resolve()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if (entry / "cwd").readlink() == real and "postgres" in (entry / "comm").read_text():
                    found.append(int(entry.name))
    return found


def _require_account(place: Place) -> None:
    """Say what to do where the user of this process has no account: initdb refuses to work for a bare number."""
    uid = place.account.uid if place.account else os.geteuid()
    try:
        pwd.getpwuid(uid)
    except KeyError as error:
        raise JournalUnavailableError(
            f"PostgreSQL cannot make a database for user {uid}, who has no account on this system (a container started "
            "with --user?). Add one to /etc/passwd, start as another user, or set ORAKUL_DATABASE_URL."
        ) from error


def _new_password(place: Place) -> str:
    """Make up a password and keep it where only the user of this program can read it."""
    made = secrets.token_urlsafe(24)
    path = place.folder / "password"
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(made)
    return made


def _run_as_account(place: Place, *command: str, text: str = "") -> None:
    """Run one of PostgreSQL's programs as the server's account."""
    account = place.account
    identity: dict[str, Any] = {}
    if account:
        identity = {"user": account.uid, "group": account.gid, "extra_groups": []}
    done = subprocess.run(  # noqa: S603 (PostgreSQL's own program)
        command,
        input=text.encode(),
        capture_output=True,
        check=False,
        cwd="/",
        umask=0o077,
        env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"},
        **identity,
    )
    if done.returncode:
        said = (done.stderr or done.stdout).decode(errors="replace").strip()
        raise JournalUnavailableError(f"{Path(command[0]).name} could not prepare {place.cluster}: {said}")
