"""Lines of ECS: what is in them, whatever is logged; what is never in them."""

import io
import json
import logging
import os
import sys
from collections.abc import Callable
from typing import Any

import pytest
import structlog

from orakul.errors import OrakulError
from orakul.events.context import enter_user, leave_user
from orakul.events.work import Work, look_for_work
from orakul.operations import operation
from orakul.telemetry.correlation import correlated
from orakul.telemetry.ecs import MOST_BYTES
from orakul.telemetry.logs import ECSLogFormatter, ECSRenderer
from orakul.telemetry.logs_setup import set_up_logs

running: list[Work] = []
look_for_work(lambda: running[-1] if running else None)


def caught(error: Exception, tell: Callable[..., Any]) -> None:
    try:
        raise error  # noqa: TRY301 (to have a traceback)
    except Exception:  # noqa: BLE001 (whatever it is)
        tell("failed")


class Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(ECSLogFormatter("shop", environment="test"))
        self.found: list[dict[str, Any]] = []
        self.raw: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        line = self.format(record)
        assert "\n" not in line
        assert len(line.encode()) <= MOST_BYTES
        self.raw.append(line)
        self.found.append(json.loads(line))


@pytest.fixture
def lines() -> Any:
    handler = Lines()
    log.addHandler(handler)
    yield handler
    log.removeHandler(handler)


log = logging.Logger("ecs-shop")  # noqa: LOG001 (not in the tree: pytest's own handlers break where ours must not)


def test_a_line_has_the_first_fields_in_the_order_of_the_specification(lines: Lines) -> None:
    log.info("hello %s", "you")
    line = lines.found[0]
    assert list(line)[:4] == ["@timestamp", "log.level", "message", "ecs.version"]
    assert (line["message"], line["log.level"], line["service.name"]) == ("hello you", "info", "shop")
    assert line["service.environment"] == "test"
    assert line["@timestamp"].endswith("Z")
    assert line["log.origin.file.name"] == "test_ecs_logs.py"
    assert line["log.origin.function"] == test_a_line_has_the_first_fields_in_the_order_of_the_specification.__name__
    assert line["process.pid"]
    assert line["process.thread.name"]


def test_a_line_knows_its_task_its_user_its_trace_and_its_request(lines: Lines) -> None:
    @operation("pay")
    def pay() -> None:
        log.info("paid")

    running.append(Work(task_id="t-1", kind="celery", name="shop.pay", attempt=2, queue="q", worker="w@h", user_id="7"))
    token = enter_user("8")
    try:
        with correlated("req-1"):
            pay()
    finally:
        leave_user(token)
        running.clear()
    line = lines.found[0]
    task = {name.rpartition(".")[2]: value for name, value in line.items() if name.startswith("orakul.task.")}
    assert task == {"id": "t-1", "kind": "celery", "name": "shop.pay", "attempt": 2, "queue": "q", "worker": "w@h"}
    assert (line["user.id"], line["http.request.id"]) == ("7", "req-1")
    assert len(line["trace.id"]) == 32
    assert len(line["span.id"]) == 16


def test_the_span_that_is_current_is_the_lines(lines: Lines) -> None:
    from opentelemetry.sdk.trace import TracerProvider

    with TracerProvider().get_tracer("x").start_as_current_span("s") as span:
        log.info("inside")
    found = span.get_span_context()
    assert lines.found[0]["trace.id"] == f"{found.trace_id:032x}"
    assert lines.found[0]["span.id"] == f"{found.span_id:016x}"


def test_an_error_has_type_message_and_the_end_of_a_long_trace(lines: Lines) -> None:
    caught(ValueError("x" * 60_000), log.exception)
    line = lines.found[0]
    assert line["error.type"] == "ValueError"
    assert line["error.message"].startswith("xxx")
    assert line["error.stack_trace"].startswith("Traceback")
    assert "characters left out" in line["error.stack_trace"]


def test_what_is_added_is_text_below_labels_or_a_field_of_the_schema(lines: Lines) -> None:
    added = {"order": 7, "event.action": "paid", "event.duration": 12, "some.thing": {"a": 1}, "none": None}
    log.info("x", extra=added)
    line = lines.found[0]
    assert line["labels"] == {"order": "7", "some_thing": '{"a": 1}'}
    assert (line["event.action"], line["event.duration"]) == ("paid", 12)


def test_secrets_are_masked_where_they_are_named_and_where_they_stand(lines: Lines) -> None:
    log.info("signs in with hunter22", extra={"password": "hunter22", "deep": {"api_key": "k-12345"}})
    log.info("as %(user)s with %(token)s", {"user": "ann", "token": "tok-98765"})
    log.info("to postgresql://ann:s3cr3t@db/shop")
    running.append(Work(task_id="t", kind="celery", secrets=("s3same",)))
    try:
        log.error("was given s3same")
    finally:
        running.clear()
    raw = "".join(lines.raw)
    for secret in ("hunter22", "k-12345", "tok-98765", "s3cr3t", "s3same"):
        assert secret not in raw
    assert lines.found[2]["message"] == "to postgresql://ann:•••@db/shop"


class Hostile:
    def __str__(self) -> str:
        raise RuntimeError("no")

    __repr__ = __str__


def test_nothing_that_is_logged_breaks_the_line(lines: Lines) -> None:
    knot: dict[str, Any] = {}
    knot["self"] = knot
    log.info("%d", "seven")
    log.info("%s", Hostile())
    log.info(Hostile())
    log.info("knot", extra={"knot": knot, "hostile": Hostile(), "nan": float("nan"), "bytes": b"\xff\x00", "\ud800": 1})
    log.info("nul \0 and \ud800 and\nnew line")
    log.info("x" * 10_000_000)
    log.info("much", extra={f"k{n}": "ё" * 5_000 for n in range(500)})
    caught(type("Odd", (Exception,), {"__str__": lambda _: 1 / 0})(), log.exception)
    assert len(lines.found) == 8
    assert "arguments do not fit" in lines.found[0]["message"]
    assert lines.found[5]["message"].endswith("more characters]")
    assert all(line["log.logger"] == "ecs-shop" for line in lines.found)


def test_a_line_of_uvicorns_access_log_is_told_apart_and_its_query_masked() -> None:
    record = logging.LogRecord(
        "uvicorn.access", logging.INFO, "x.py", 1, '%s - "%s %s HTTP/%s" %d',
        ("10.0.0.7:4321", "GET", "/orders?token=t-secret-9&page=2", "1.1", 200), None,
    )  # fmt: skip
    text = ECSLogFormatter("shop").format(record)
    line = json.loads(text)
    assert (line["http.request.method"], line["url.path"], line["http.response.status_code"]) == ("GET", "/orders", 200)
    assert (line["client.ip"], line["client.port"]) == ("10.0.0.7", 4321)
    assert "t-secret-9" not in text
    assert line["url.query"] == "token=•••&page=2"


def test_structlog_renders_a_line_by_itself() -> None:
    out = io.StringIO()
    logger = structlog.wrap_logger(
        structlog.PrintLogger(out), processors=[structlog.processors.add_log_level, ECSRenderer("shop")]
    )
    logger.warning("paid", order=7, password="hunter22", name="clash")
    caught(KeyError("gone"), logger.exception)
    first, second = map(json.loads, out.getvalue().splitlines())
    assert (first["message"], first["log.level"]) == ("paid", "warning")
    assert first["labels"] == {"order": "7", "password": "•••", "name": "clash"}
    assert (second["log.level"], second["error.type"]) == ("error", "KeyError")


def test_one_call_is_enough_for_both_and_can_be_undone() -> None:
    out = io.StringIO()
    before = list(logging.getLogger().handlers)
    structlog.reset_defaults()
    setup = set_up_logs("shop", stream=out, celery=False)
    try:
        logging.getLogger("plain").info("one", extra={"order": 1})
        structlog.get_logger("rich").info("two %s", "three", order=2, name="clash", args="clash")
        structlog.get_logger("rich").debug("not told")
    finally:
        setup.undo()
    one, two = map(json.loads, out.getvalue().splitlines())
    assert (one["message"], one["labels"]) == ("one", {"order": "1"})
    assert (two["message"], two["log.logger"]) == ("two three", "rich")
    assert two["labels"] == {"order": "2", "name": "clash", "args": "clash"}
    assert two["log.origin.file.name"] == "test_ecs_logs.py"
    assert logging.getLogger().handlers == before
    assert sys.excepthook is sys.__excepthook__
    assert not structlog.is_configured()


def test_uvicorns_loggers_are_followed_also_when_it_sets_them_up_later() -> None:
    import uvicorn

    out = io.StringIO()
    setup = set_up_logs("shop", stream=out, celery=False)
    try:
        uvicorn.Config(lambda *_: None)
        logging.getLogger("uvicorn.error").info("started")
    finally:
        setup.undo()
    assert [json.loads(line)["message"] for line in out.getvalue().splitlines()] == ["started"]


@pytest.mark.parametrize(("wrong", "said"), [({"format": "json"}, "ecs or text"), ({"level": "loud"}, "warning")])
def test_what_is_set_up_wrongly_is_said_and_changes_nothing(wrong: dict[str, Any], said: str) -> None:
    before = list(logging.getLogger().handlers)
    with pytest.raises(OrakulError, match=said):
        set_up_logs("shop", celery=False, **wrong)
    assert logging.getLogger().handlers == before


def test_a_handler_that_is_given_again_goes_on() -> None:
    class Closable(Lines):
        closed = False

        def close(self) -> None:
            self.closed = True
            super().close()

    further = Closable()
    set_up_logs("shop", stream=io.StringIO(), celery=False, also=[further])
    setup = set_up_logs("shop", stream=io.StringIO(), celery=False, also=[further])
    try:
        logging.getLogger("plain").info("one")
        assert [line["message"] for line in further.found] == ["one"]
        assert not further.closed
    finally:
        setup.undo()
    assert further.closed


def test_what_is_no_number_does_not_take_the_place_of_one(lines: Lines) -> None:
    log.info("one", extra={"process.pid": "abc", "event.severity": float("nan"), "server.port": 8080})
    assert (lines.found[0]["process.pid"], lines.found[0]["server.port"]) == (os.getpid(), 8080)
    assert "event.severity" not in lines.found[0]
    assert lines.found[0]["labels"] == {"process_pid": "abc", "event_severity": "nan"}
