"""Settings: where they come from, and what is said of wrong ones."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from orakul.errors import SettingsError
from orakul.settings import Settings, known, load_settings, without_password

ROOT = Path(__file__).parents[2]


def load(tmp_path: Path, toml: str = "", overrides: dict[str, object] | None = None, **environment: str) -> Settings:
    if toml:
        (tmp_path / "orakul.toml").write_text(toml, "utf-8")
    return load_settings(overrides, environment={"HOME": "/home/someone", **environment}, directory=tmp_path)


def complaint(tmp_path: Path, toml: str = "", **environment: str) -> str:
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, toml, **environment)
    return str(caught.value)


def test_with_nothing_set_all_has_a_default(tmp_path: Path) -> None:
    settings = load(tmp_path)
    assert settings.port == 8080
    assert settings.host == "127.0.0.1"
    assert settings.database_url is None
    assert settings.data == Path("/home/someone/.local/share/orakul")
    assert settings.spool == settings.data / "spool"
    assert "password" in settings.mask


def test_the_data_folder_follows_xdg(tmp_path: Path) -> None:
    assert load(tmp_path, XDG_DATA_HOME="/srv/state").data == Path("/srv/state/orakul")


def test_the_environment_is_stronger_than_the_file_and_options_than_both(tmp_path: Path) -> None:
    toml = 'port = 1111\nhost = "::1"\nlease_seconds = 5\n'
    settings = load(tmp_path, toml, {"port": 3333, "host": None}, ORAKUL_PORT="2222", ORAKUL_LEASE_SECONDS="7.5")
    assert (settings.port, settings.host, settings.lease_seconds) == (3333, "::1", 7.5)


@pytest.mark.parametrize("key", known().values(), ids=lambda key: key.name)
def test_every_key_can_be_set_by_its_variable(tmp_path: Path, key: object) -> None:
    samples = {
        "port": "81",
        "mask": "a, b",
        "log_level": "ERROR",
        "jwt.algorithm": "es256",
        "language": "en",
        "web.language": "ru",
    }
    samples |= {"operations.level": "debug", "operations.split_by_thread": "1", "operations.only_failures": "true"}
    samples |= {"operations.record": "true", "telemetry.traces": "true", "telemetry.endpoint": "http://otel:4318"}
    samples |= {"telemetry.metrics": "true", "telemetry.logs": "true", "log_format": "ecs"}
    samples |= {"elasticsearch.url": "https://es:9200"}
    samples |= {"notifiers": '{"ops": {"kind": "telegram"}}', "rules": '[{"name": "r"}]'}
    samples |= {
        "web.metrics": "off",
        "celery.keep_messages": "false",
        "celery.metrics_port": "9808",
        "data": "/x",
        "secret_key": "k" * 32,
    }
    samples |= {"database_url": "postgresql://a/b", "feed_url": "postgres://a/b", "celery.broker": "amqps://a//"}
    samples |= {"jwt.secret": "s" * 32, "jwt.require_expiry": "true"}
    samples |= {"celery.management_url": "https://u:p@mq:15671"}
    samples |= {"pipelines.redis": "rediss://a/0", "pipelines.rules": '[{"kind": "late"}]'}
    samples |= {"events.relay": "false", "events.notify": "true", "events.journal": "false"}
    samples |= {"events.outboxes": "postgresql://a/b", "events.message_bytes": "4096"}
    samples |= {"exports.strict": "1", "exports.run_in": "celery", "exports.at_once": "3", "exports.who": "everybody"}
    numbers = {
        "jwt.leeway_seconds",
        "events.relay_attempts",
        "retention.events_days",
        "retention.logs_days",
        "retention.tasks_days",
        "stream.connections",
    }
    name = key.name  # type: ignore[attr-defined]
    text = samples.get(name) or ("5" if name in numbers or name.endswith(("_seconds", "_hours")) else "https://a.b/c")
    settings = load(tmp_path, **{key.variable: text})  # type: ignore[attr-defined]
    value: object = settings
    for part in name.split("."):
        value = getattr(value, part)
    assert value not in [None, key.default], name  # type: ignore[attr-defined]


def test_lists_are_written_with_commas_in_the_environment(tmp_path: Path) -> None:
    assert load(tmp_path, ORAKUL_MASK="pin, puk ,").mask == ("pin", "puk")


def test_an_empty_variable_is_unset(tmp_path: Path) -> None:
    assert load(tmp_path, 'database_url = "postgresql://a"', ORAKUL_DATABASE_URL="").database_url == "postgresql://a"


def test_relative_paths_of_the_file_start_at_the_file(tmp_path: Path) -> None:
    assert load(tmp_path, 'data = "var"').data == tmp_path / "var"


def test_a_wrong_key_is_named_with_file_line_and_the_nearest_right_one(tmp_path: Path) -> None:
    said = complaint(tmp_path, '# ours\nport = 80\n\n[celery]\nbrokr = "redis://x"\n')
    assert said == f"{tmp_path}/orakul.toml:5: there is no setting celery.brokr; did you mean celery.broker?"


def test_a_key_outside_of_its_section_is_led_into_it(tmp_path: Path) -> None:
    assert complaint(tmp_path, "keep_messages = true").endswith("did you mean celery.keep_messages?")


def test_a_section_given_a_value_is_named(tmp_path: Path) -> None:
    assert "orakul.toml:1: celery is a section" in complaint(tmp_path, 'celery = "redis://x"')


def test_a_wrong_variable_is_named_with_the_nearest_right_one(tmp_path: Path) -> None:
    said = complaint(tmp_path, ORAKUL_DATABSE_URL="x")
    assert said == "environment variable ORAKUL_DATABSE_URL: no such setting; did you mean ORAKUL_DATABASE_URL?"


@pytest.mark.parametrize(
    ("toml", "says"),
    [
        ('port = "eighty"', "orakul.toml:1: port cannot be 'eighty': expected int, got str"),
        ("port = 70000", "orakul.toml:1: port cannot be 70000: expected int <= 65535"),
        ('\nlog_level = "verbos"', "orakul.toml:2: log_level cannot be 'verbos': it is one of debug, info"),
        ('[jwt]\nalgorithm = "hs265"', "orakul.toml:2: jwt.algorithm cannot be 'hs265'"),
        ("mask = [1]", "orakul.toml:1: mask cannot be [1]: expected str, got int"),
        ("data = 3", "orakul.toml:1: data is a path, not 3"),
        ("lease_seconds = 0", "orakul.toml:1: lease_seconds cannot be 0: expected float >= 3.0"),
    ],
)
def test_a_wrong_value_is_named_with_what_it_should_be(tmp_path: Path, toml: str, says: str) -> None:
    assert says in complaint(tmp_path, toml)


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("ORAKUL_DATABASE_URL", "mysql://root:hidden@host/db", "it is a PostgreSQL address, postgresql://…"),
        ("ORAKUL_FEED_URL", "host/db", "it is a PostgreSQL address, postgresql://…"),
        ("ORAKUL_CELERY_BROKER", "redsi://host:6379/0", "it is the address of a broker, redis://… or amqp://…"),
        ("ORAKUL_JWT_SECRET", "short", "expected str of length >= 32"),
    ],
)
def test_an_address_or_secret_of_the_wrong_form_is_named(tmp_path: Path, variable: str, value: str, says: str) -> None:
    name = next(key.name for key in known().values() if key.variable == variable)
    said = complaint(tmp_path, **{variable: value})
    assert said == f"environment variable {variable}: {name} cannot be this secret value: {says}"


def test_the_nearest_right_value_is_told(tmp_path: Path) -> None:
    assert complaint(tmp_path, '[jwt]\nalgorithm = "hs265"').endswith("did you mean HS256?")
    assert complaint(tmp_path, ORAKUL_LOG_LEVEL="warn").endswith("did you mean warning?")


def test_all_wrong_things_are_told_at_once(tmp_path: Path) -> None:
    said = complaint(tmp_path, "prt = 1\nhost = 2\n", ORAKUL_PROT="3")
    assert len(said.splitlines()) == 3


def test_what_is_not_toml_is_told_with_its_line(tmp_path: Path) -> None:
    said = complaint(tmp_path, "port = 1\nhost = \n")
    assert f"{tmp_path}/orakul.toml: not readable as TOML" in said
    assert "line 2" in said


def test_a_named_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    assert f"ORAKUL_CONFIG names {tmp_path}/other.toml" in complaint(tmp_path, ORAKUL_CONFIG="other.toml")


def test_a_named_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text("port = 99")
    assert load(tmp_path, "port = 1", ORAKUL_CONFIG="other.toml").port == 99


def test_what_kubernetes_sets_for_a_service_of_that_name_is_passed_over(tmp_path: Path) -> None:
    environment = {
        "ORAKUL_PORT": "tcp://10.0.0.1:8080",
        "ORAKUL_SERVICE_HOST": "10.0.0.1",
        "ORAKUL_REDIS_PASSWORD": "of the command line",
        "ORAKUL_PORT_8080_TCP_ADDR": "10.0.0.1",
    }
    assert load(tmp_path, **environment).port == 8080


SECRETS = {
    "ORAKUL_DATABASE_URL": "postgresql://me:hunter2@db/orakul",
    "ORAKUL_SECRET_KEY": "hunter2" * 6,
    "ORAKUL_JWT_SECRET": "hunter2" * 6,
    "ORAKUL_CELERY_BROKER": "amqp://me:hunter2@mq//",
}


def test_secrets_show_in_no_repr(tmp_path: Path) -> None:
    settings = load(tmp_path, **SECRETS)
    for text in (repr(settings), str(settings), f"{settings.jwt!r}", repr(settings.celery)):
        assert "hunter2" not in text
    assert "postgresql://me:…@db/orakul" in repr(settings)


def test_secrets_show_in_no_message(tmp_path: Path) -> None:
    said = complaint(tmp_path, '[jwt]\nsecret = ["hunter2"]\n', ORAKUL_SECRET_KEY="hunter2")
    assert "hunter2" not in said
    assert "secret_key cannot be this secret value" in said


def test_passwords_are_taken_out_of_addresses() -> None:
    assert without_password("redis://:pw@h:1/0 and amqp://u:p@h//") == "redis://:…@h:1/0 and amqp://u:…@h//"
    assert without_password("postgresql://u@h/d") == "postgresql://u@h/d"


def test_the_reference_in_the_docs_is_true() -> None:
    script = ROOT / "scripts" / "settings_reference.py"
    made = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True).stdout
    assert (ROOT / "docs" / "settings.md").read_text("utf-8") == made, "run: make docs"


def test_the_example_file_is_valid_and_shows_every_key(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "orakul.toml").read_text("utf-8")
    shown = re.sub(r"(?m)^# ?(\w+ = )", r"\1", text)
    (tmp_path / "orakul.toml").write_text(shown, "utf-8")
    load(tmp_path)
    section, names = "", set()
    for line in shown.splitlines():
        if header := re.fullmatch(r"\[(\w+)\]", line):
            section = header[1] + "."
        elif key := re.match(r"(\w+) = ", line):
            names.add(section + key[1])
    assert names == set(known())
