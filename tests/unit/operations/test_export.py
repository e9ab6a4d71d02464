"""What is exported holds the figures, in a form that others read."""

import csv
import io
import json
import socket
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from aiosmtpd.controller import Controller
from pyarrow import parquet

from orakul.errors import SettingsError
from orakul.operations import OperationLog, Outcome, configure
from orakul.operations.analyzer import OperationAnalyzer
from orakul.operations.export import export, to_csv, to_html, to_json, to_table, to_xml
from orakul.operations.grouping import GroupedErrorHandler
from orakul.operations.mail import EmailErrorHandler
from orakul.operations.record import read_log
from orakul.settings import OperationsSettings


def failed(name: str = "<b>LOAD</b>", message: str = "no \x00 file & co") -> OperationLog:
    log = read_log(
        {
            "form": "operation",
            "version": 2,
            "operation_id": "1" * 16,
            "root_id": "1" * 32,
            "name": name,
            "outcome": Outcome.ERROR,
            "started_at": "2026-01-01T00:00:00Z",
            "duration_ns": 5_000_000,
            "error_type": "OSError",
            "error_message": message,
        }
    )
    assert isinstance(log, OperationLog)
    return log


@pytest.fixture
def analyzer() -> OperationAnalyzer:
    made = OperationAnalyzer()
    made.add(failed())
    made.add(failed("ok"))
    return made


def test_json_csv_and_xml_hold_the_same_figures(analyzer: OperationAnalyzer) -> None:
    names = {each.name for each in analyzer.statistics()}
    assert {each["name"] for each in json.loads(to_json(analyzer))["statistics"]} == names
    assert {row["name"] for row in csv.DictReader(io.StringIO(to_csv(analyzer)))} == names
    assert {each.get("name") for each in ET.fromstring(to_xml(analyzer))} == names  # noqa: S314 (our own text)


def test_html_shows_names_as_text(analyzer: OperationAnalyzer) -> None:
    page = to_html(analyzer)
    assert "&lt;b&gt;LOAD" in page
    assert "<b>LOAD" not in page


def test_the_ending_of_the_file_names_the_form(analyzer: OperationAnalyzer, tmp_path: Path) -> None:
    export(analyzer, tmp_path / "r.parquet")
    assert {row["name"] for row in parquet.read_table(tmp_path / "r.parquet").to_pylist()} == {"<b>LOAD</b>", "ok"}
    export(analyzer, tmp_path / "r.txt")
    assert (tmp_path / "r.txt").read_text() == to_table(analyzer)
    with pytest.raises(ValueError, match=r"\.parquet"):
        export(analyzer, tmp_path / "r.doc")


class Inbox:
    def __init__(self) -> None:
        self.letters: list[str] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: ARG002, N802 (aiosmtpd's form)
        self.letters.append(envelope.content.decode())
        return "250 OK"


def test_a_storm_of_errors_is_two_letters_over_real_smtp() -> None:
    inbox = Inbox()
    server = Controller(inbox, hostname="127.0.0.1", port=0)
    # Port 0 cannot be asked for by the controller's own readiness check: it connects to what was given.
    server.port = _free_port()
    server.start()
    try:
        handler = EmailErrorHandler(
            ["ops@example.org"],
            sender="orakul@example.org",
            server=f"smtp://127.0.0.1:{server.port}",
            interval=0.5,
        )
        for number in range(500):
            handler.handle_operation_error(failed("LOAD", f"kind {number % 3}"), None)
        handler.close()
    finally:
        server.stop()
    text = "\n".join(inbox.letters)
    assert 1 <= len(inbox.letters) <= 3
    assert "kind 2" in text


def _free_port() -> int:

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def test_messages_that_could_not_be_sent_are_sent_with_the_next() -> None:
    sent: list[str] = []
    tries = []

    def send(subject: str, text: str) -> None:
        tries.append(subject)
        if len(tries) == 1:
            raise OSError("no route")
        sent.append(text)

    handler = GroupedErrorHandler(send, interval=0.05)
    handler.handle_operation_error(failed("LOAD", "boom"), None)
    while not sent:
        time.sleep(0.01)
    handler.close()
    assert "boom" in sent[0]


def test_letters_are_named_in_settings() -> None:
    settings = OperationsSettings(error_handlers=("email",))
    with pytest.raises(SettingsError, match=r"operations\.email_to"):
        configure(settings)
    undo = configure(
        OperationsSettings(error_handlers=("log", "email"), email_to=("ops@example.org",), email_from="o@example.org")
    )
    undo()
