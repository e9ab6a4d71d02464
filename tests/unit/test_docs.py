"""Every Python example in the documentation runs, in the order of its page."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
RUN = {"consumers.md", "exports.md", "operations.md", "extending.md", "telemetry.md", "logs.md"}
PAGES = [page for page in sorted(DOCS.glob("*.md")) if page.name in RUN]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_examples_of_a_page_run(page: Path, tmp_path: Path) -> None:
    examples = re.findall(r"^```python\n(.*?)^```", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert examples
    program = tmp_path / "examples.py"
    program.write_text("\n".join(examples), "utf-8")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ORAKUL_")}
    done = subprocess.run(
        [sys.executable, program],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
