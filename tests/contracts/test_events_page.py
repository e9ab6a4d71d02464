"""The examples of docs/events.md run, in their order, on a real database; its commands are there."""

import os
import re
import subprocess
import sys
from pathlib import Path

import psycopg

PAGE = Path(__file__).parents[2] / "docs" / "events.md"


def test_the_examples_run_and_what_they_publish_is_in_the_outbox(database_url: str, tmp_path: Path) -> None:
    program = tmp_path / "shop_events.py"
    examples = re.findall(r"^```python\n(.*?)^```", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    program.write_text("\n".join(examples), "utf-8")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ORAKUL_")}
    environment |= {"DATABASE_URL": database_url, "ORAKUL_DATABASE_URL": database_url, "ORAKUL_DATA": str(tmp_path)}

    def run(*command: str) -> str:
        done = subprocess.run(
            [sys.executable, *command],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    run(str(program))
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            "SELECT event_type, ordering_key, envelope ->> 'version' FROM orakul.outbox ORDER BY seq"
        ).fetchall()
        assert rows == [("defect.status_changed", "defect:42", "2"), ("defect.created", "defect:42", None)]
        connection.execute(
            "INSERT INTO orakul.outbox_dead (seq, event_id, event_type, ordering_key, envelope, last_error, created_at)"
            " SELECT 1, gen_random_uuid(), 'defect.deleted', 'defect:1', '{}', 'it is too large', now()"
        )
    assert '"defect.status_changed"' in run("-m", "orakul", "events", "asyncapi", "shop_events")
    assert "it is too large" in run("-m", "orakul", "events", "aside")
    assert "1 events are in the outbox again" in run("-m", "orakul", "events", "aside", "--back")
    assert "no event is laid aside" in run("-m", "orakul", "events", "aside")
