"""What the watcher of pipelines says when something is wrong: one clear sentence, and it keeps trying."""

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest
from certificates import Authority
from servers import Process, RedisServer, free_port, wait_for
from stacks import Stack

from orakul.channels.redis import RedisChannel
from orakul.journals.postgres import PostgresReader
from orakul.tasks import TaskQuery

ORAKUL = [sys.executable, "-m", "orakul"]
CONNECTED = "Подключен к Redis"


def environment(folder: Path, **more: str) -> dict[str, str]:
    return {**os.environ, "ORAKUL_DATA": str(folder), **more}


def test_a_refused_sign_in_is_said_once_and_tried_until_it_is_right(
    spawn: Callable[..., Process], own_redis: Callable[[], RedisServer], data_dir: Path
) -> None:
    import redis

    server = own_redis()
    with redis.Redis.from_url(server.url) as connection:
        connection.config_set("requirepass", "another")
        command = [*ORAKUL, "watch", "tdtp", "--port", str(server.port), "--password", "mistaken", "--no-journal"]
        process = spawn(command, env=environment(data_dir), cwd=data_dir)
        wait_for(lambda: "refuses the sign-in" in process.text(), "the refusal to be said")
        refused = connection.info("errorstats")  # type: ignore[union-attr]
        wait_for(lambda: connection.info("errorstats") != refused, "another try")
        assert process.text().count("refuses the sign-in") == 1
        assert "Are user and password right?" in process.text()
        assert "mistaken" not in process.text()
        assert "Traceback" not in process.text()
        connection.config_set("requirepass", "mistaken")
        wait_for(lambda: CONNECTED in process.text(), "the watcher to come in")
    assert process.stop(signal.SIGINT) == 0


def test_redis_away_is_said_once_and_waited_for(
    spawn: Callable[..., Process], own_redis: Callable[[], RedisServer], data_dir: Path
) -> None:
    server = own_redis()
    server.kill9()
    process = spawn([*ORAKUL, "watch", "tdtp", "--url", server.url, "--no-journal"], env=environment(data_dir))
    wait_for(lambda: "does not answer" in process.text(), "the trouble to be said")
    server.start()
    wait_for(lambda: CONNECTED in process.text(), "the watcher to find it")
    assert process.text().count("does not answer") == 1
    assert "Is it running, and is the address right?" in process.text()
    assert "Traceback" not in process.text()


def test_a_wrong_rule_is_named_when_the_watcher_starts(spawn: Callable[..., Process], data_dir: Path) -> None:
    (data_dir / "orakul.toml").write_text(
        '[pipelines]\nredis = "redis://127.0.0.1:1/0"\n[[pipelines.rules]]\nkind = "rows_lots"\n'
    )
    configured = environment(data_dir, ORAKUL_CONFIG=str(data_dir / "orakul.toml"))
    for command in (["watch", "tdtp", "--no-journal"], ["run", "watch"]):
        process = spawn([*ORAKUL, *command], env=configured, cwd=data_dir)
        wait_for(lambda one=process: not one.alive, f"{command} to end")
        assert "pipelines.rules, rule 1: there is no kind 'rows_lots'; did you mean 'rows_lost'?" in process.text()
        assert "Traceback" not in process.text()


def test_serve_refuses_a_wrong_rule_and_names_file_line_and_rule(
    spawn: Callable[..., Process], data_dir: Path, database_url: str
) -> None:
    """A rule that cannot be kept is not passed over in silence: the control room does not start with half of them."""
    good = '[[rules]]\nname = "one"\nnotify = ["ops"]\nwhen = {event = "task.failed"}\n\n'
    for text, said in (
        (
            f'{good}[[rules]]\nname = "two"\nnotify = ["ops"]\nwhen = {{evnt = "x"}}\n',
            "orakul.toml:6: rules: the rule 'two': there is no when.evnt; did you mean event?",
        ),
        (
            '[[pipelines.rules]]\nkind = "late"\n[[pipelines.rules]]\nkind = "rows_lost"\nthreshold = -1\n',
            "orakul.toml:3: pipelines.rules, rule 2: the threshold is -1, and must not be negative",
        ),
    ):
        (data_dir / "orakul.toml").write_text(text)
        more = {
            "ORAKUL_DATABASE_URL": database_url,
            "ORAKUL_PORT": str(free_port()),
            "ORAKUL_PIPELINES_REDIS": "redis://a",
        }
        configured = environment(data_dir, **more)
        process = spawn([*ORAKUL, "serve"], env=configured, cwd=data_dir)
        wait_for(lambda one=process: not one.alive, "serve to end")
        assert said in process.text()
        assert "Traceback" not in process.text()
        assert process.wait() != 0


def test_the_watcher_speaks_english_where_it_is_told_to(
    spawn: Callable[..., Process], own_redis: Callable[[], RedisServer], data_dir: Path
) -> None:
    import redis

    server = own_redis()
    command = [*ORAKUL, "watch", "tdtp", "--port", str(server.port), "--no-journal", "--lang", "en"]
    process = spawn(command, env=environment(data_dir), cwd=data_dir)
    wait_for(lambda: "Connected to Redis" in process.text(), "the watcher to come in")
    told = {"pipeline_name": "p", "status": "success", "rows_loaded": 3, "rows_exported": 1}
    with redis.Redis.from_url(server.url) as connection:
        wait_for(connection.pubsub_numpat, "the watcher to listen")
        connection.publish("tdtp:pipeline:R", json.dumps(told))
    wait_for(lambda: "WARN — 2 rows dropped by a validator or filter" in process.text(), "the warning")


def test_run_watch_records_what_the_settings_name(
    spawn: Callable[..., Process], own_redis: Callable[[], RedisServer], data_dir: Path, database_url: str
) -> None:
    import redis

    server = own_redis()
    more = {"ORAKUL_DATABASE_URL": database_url, "ORAKUL_PIPELINES_REDIS": server.url}
    process = spawn([*ORAKUL, "run", "watch"], env=environment(data_dir, **more), cwd=data_dir)
    with redis.Redis.from_url(server.url) as connection:
        told = {"pipeline_name": "p", "result_name": "R", "status": "success", "finished_at": "2025-11-18T10:00:02Z"}
        connection.set("tdtp:pipeline:R:state", json.dumps(told))
    reader = PostgresReader(database_url)

    def recorded() -> bool:
        return len(reader.tasks(TaskQuery(kind=["pipeline"])).items) == 1

    wait_for(recorded, "the run to be recorded", timeout=60)
    assert process.stop(signal.SIGTERM) == 0


def test_serve_says_on_readyz_that_it_does_not_hear_the_pipelines(make_stack: Callable[..., Stack]) -> None:
    stack = make_stack(ORAKUL_PIPELINES_REDIS=f"redis://:hidden@127.0.0.1:{free_port()}/0")

    def noticed() -> bool:
        return "does not answer" in httpx2.get(f"{stack.url}/readyz", timeout=10).text

    wait_for(noticed, "the notice")
    answer = httpx2.get(f"{stack.url}/readyz", timeout=10)
    assert answer.status_code == 200  # the control room is ready without them
    assert "hidden" not in answer.text


def test_addresses_are_those_of_redis_py() -> None:
    assert RedisChannel("rediss://u:p%40ss@redis.example.com:6380/2").shown == "redis.example.com:6380"
    assert RedisChannel("redis://localhost").shown == "localhost:6379"
    assert "p@ss" not in RedisChannel("unix://:p@/run/redis.sock").shown


class TlsRedis(RedisServer):
    """A Redis that speaks TLS alone."""

    authority: Authority

    def command(self) -> list[str]:
        return [
            *super().command(),
            *("--port", "0", "--tls-port", str(self.port), "--tls-auth-clients", "no"),
            *("--tls-cert-file", str(self.authority.certificate), "--tls-key-file", str(self.authority.key)),
            *("--tls-ca-cert-file", str(self.authority.file)),
        ]

    def answers(self) -> bool:
        import redis

        try:
            with redis.Redis(port=self.port, ssl=True, ssl_ca_certs=str(self.authority.file)) as connection:
                return bool(connection.ping())
        except redis.RedisError:
            return False


@pytest.fixture
def tls_redis(tmp_path: Path) -> Iterator[TlsRedis]:
    TlsRedis.authority = Authority(tmp_path)
    server = TlsRedis(tmp_path / "redis")
    try:
        server.start()
        yield server
    finally:
        server.stop()


def test_redis_over_tls_is_heard_where_its_authority_is_trusted(
    spawn: Callable[..., Process], tls_redis: TlsRedis, data_dir: Path, tmp_path: Path
) -> None:
    import redis

    port, right, other = str(tls_redis.port), tls_redis.authority.file, Authority(tmp_path, "other").file
    watch = [*ORAKUL, "watch", "tdtp", "--no-journal"]
    by_flags = spawn([*watch, "--port", port, "--tls", "--tls-ca", str(right)], env=environment(data_dir))
    by_url = spawn([*watch, "--url", f"rediss://localhost:{port}/0?ssl_ca_certs={right}"], env=environment(data_dir))
    for trusting in (by_flags, by_url):
        wait_for(lambda one=trusting: CONNECTED in one.text(), "the watcher to come in")
    with redis.Redis(port=tls_redis.port, ssl=True, ssl_ca_certs=str(right)) as connection:
        connection.publish("tdtp:pipeline:R", json.dumps({"pipeline_name": "p", "status": "success"}))
    for trusting in (by_flags, by_url):
        wait_for(lambda one=trusting: "[EVENT] p -> R" in one.text(), "the run to be heard")
    for options in (["--tls"], ["--tls", "--tls-ca", str(other)]):
        process = spawn([*watch, "--port", port, *options], env=environment(data_dir))
        wait_for(lambda one=process: "a certificate that is not trusted" in one.text(), "the distrust to be said")
        assert "--tls-ca FILE" in process.text()
        assert CONNECTED not in process.text()
        assert "Traceback" not in process.text()


def test_options_that_do_not_go_together_are_said(spawn: Callable[..., Process], data_dir: Path) -> None:
    for options, said in (
        (["--user", "ann"], "the user 'ann' needs a password: say --password, or set ORAKUL_REDIS_PASSWORD"),
        (["--tls-ca", "ca.pem"], "--tls-ca is for --tls"),
        (["--tls", "--tls-ca", "nowhere.pem"], "there is no file nowhere.pem"),
        (["--url", "redis://localhost", "--host", "other"], "leave out --host"),
    ):
        process = spawn([*ORAKUL, "watch", "tdtp", *options], env=environment(data_dir), cwd=data_dir)
        wait_for(lambda one=process: not one.alive, "it to end")
        assert said in process.text()
        assert "Traceback" not in process.text()
