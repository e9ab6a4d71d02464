"""Errors of operations reach people by every notifier of the settings: grouped, limited, and before a program ends."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from counterparties import Asked, Counterparty, counterparty, mail_server
from processes import wait_for

from orakul import extensions
from orakul.errors import SettingsError
from orakul.operations import collector, configure, operation
from orakul.reactions.making import GROUP
from orakul.settings import OperationsSettings

PROGRAM = """
from orakul.operations import configure, operation

configure()
for number in range(30):
    try:
        with operation("LOAD"):
            raise OSError("no disk")
    except OSError:
        pass
    try:
        with operation("SAVE"):
            raise ValueError("no room")
    except ValueError:
        pass
"""


@pytest.fixture
def party() -> Iterator[Counterparty]:
    with counterparty() as found:
        yield found


def house(folder: Path, kind: str, url: str, monkeypatch: pytest.MonkeyPatch, **operations: Any) -> None:
    """Write the settings of a house that has one notifier, called `ops`."""
    monkeypatch.setenv("ORAKUL_CONFIG", str(folder / "orakul.toml"))
    monkeypatch.setenv("ORAKUL_DATA", str(folder / "data"))
    options = extensions.load(GROUP, kind).example(url)
    secret = {"slack": f"{url}/services/secret", "apprise": f"json://{url.removeprefix('http://')}/x"}.get(
        kind, "secret"
    )
    for value in options.values():
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, str) and each.startswith("env:"):
                monkeypatch.setenv(each.removeprefix("env:"), secret)
    lines = ["[operations]", 'error_handlers = ["ops"]', *(f"{name} = {value}" for name, value in operations.items())]
    lines += [
        "[notifiers.ops]",
        f'kind = "{kind}"',
        *(f"{key} = {json.dumps(value)}" for key, value in options.items()),
    ]
    (folder / "orakul.toml").write_text("\n".join(lines))


def answer(asked: Asked) -> tuple[int, Any]:
    if asked.path.endswith("/search/jql"):
        return 200, {"issues": []}
    return 200, {"key": "OPS-1", "dag_run_id": "r", "ok": True, "result": {"message_id": 1}}


@pytest.mark.parametrize("kind", [kind for kind in extensions.names(GROUP) if kind not in {"email", "log"}])
def test_a_program_that_fails_and_ends_has_told_of_it(
    kind: str, party: Counterparty, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house(tmp_path, kind, party.url, monkeypatch)
    party.answer = answer
    subprocess.run([sys.executable, "-c", PROGRAM], check=True, timeout=60, capture_output=True)
    sent = [asked for asked in party.asked if "/search/" not in asked.path]
    told = b" ".join(asked.body for asked in sent).decode()
    assert "LOAD: OSError: no disk" in told
    assert "SAVE: ValueError: no room" in told
    assert len(sent) <= 4, "sixty errors of two kinds are a few messages"


def test_by_e_mail_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with mail_server() as post:
        house(tmp_path, "email", post.url, monkeypatch)
        subprocess.run([sys.executable, "-c", PROGRAM], check=True, timeout=60, capture_output=True)
        assert 1 <= len(post.letters) <= 2
        assert any(b"LOAD" in letter.content for letter in post.letters)


def test_a_message_that_was_not_taken_goes_with_the_next(
    party: Counterparty, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house(tmp_path, "telegram", party.url, monkeypatch, notify_every_seconds=1)
    party.trouble = 500
    undo = configure()
    try:
        with pytest.raises(OSError, match="no disk"), operation("LOAD"):
            raise OSError("no disk")
        collector.flush()
        wait_for(lambda: party.asked, "a message that is refused")
        party.trouble = None
        wait_for(lambda: len(party.asked) > 1, "it goes again")
    finally:
        undo()
    assert "LOAD: OSError: no disk" in party.asked[-1].json["text"]


def test_what_is_no_handler_and_no_notifier_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingsError, match=r"'telegram'.*\[notifiers.telegram\]"):
        configure(OperationsSettings(error_handlers=("telegram",)))
