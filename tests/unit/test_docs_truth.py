"""What the pages name is there: commands, options, variables, make targets, links; and their Python runs."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from orakul.cli import app
from orakul.settings import known

ROOT = Path(__file__).parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "benchmarks").glob("*.md"))]
SNIPPETS = [ROOT / "README.md", ROOT / "docs" / "celery.md", ROOT / "docs" / "getting-started.md"]
OTHERS = {"ORAKUL_CONFIG", "ORAKUL_SKIP_INTERFACE"}
PRELUDE = """
import types
from celery import Celery
app = Celery("docs", broker="memory://")
send_invoice = types.SimpleNamespace(delay=lambda *arguments: None)
"""


def commands() -> list[tuple[str, str]]:
    """Each `orakul …` that stands in a block of shell, with its page."""
    found = set()
    for page in PAGES:
        for block in re.findall(r"^```(?:sh|ini)\n(.*?)^```", page.read_text("utf-8"), re.MULTILINE | re.DOTALL):
            for line in block.splitlines():
                for said in re.findall(r"(?:^|&& |\$\()(orakul [^#|)&]*)", line.strip()):
                    found.add((said.strip(), page.name))
    return sorted(found)


@pytest.mark.parametrize(("said", "page"), commands(), ids=lambda value: value)
def test_every_command_of_a_page_exists_with_its_options(said: str, page: str) -> None:
    assert page
    words = said.split()[1:]
    group = typer.main.get_command(app)
    path = []
    while words and hasattr(group, "commands") and words[0] in group.commands:
        group = group.commands[words[0]]
        path.append(words.pop(0))
    assert path, said
    assert not hasattr(group, "commands"), f"{said}: which one?"
    shown = CliRunner().invoke(app, [*path, "--help"]).output
    for option in (word.partition("=")[0] for word in words if word.startswith("--")):
        assert option in shown, f"{said}: no {option}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_variable_of_a_page_is_a_setting(page: Path) -> None:
    right = {key.variable for key in known().values()} | OTHERS
    named = set(re.findall(r"\bORAKUL_[A-Z_]*[A-Z]\b", page.read_text("utf-8")))
    assert {name for name in named if not name.startswith("ORAKUL_TEST_")} <= right


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_make_target_of_a_page_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    text = page.read_text("utf-8")
    named = {*re.findall(r"`make ([a-z]+)", text), *re.findall(r"^make ([a-z]+)", text, re.MULTILINE)}
    assert named <= targets


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_inside_the_repository_leads_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text("utf-8")):
        if "://" not in link:
            assert (page.parent / link).exists(), f"{page.name}: {link}"


@pytest.mark.parametrize("page", SNIPPETS, ids=lambda page: page.name)
def test_the_examples_of_a_page_run(page: Path, tmp_path: Path) -> None:
    blocks = re.findall(r"^( *)```python\n(.*?)^ *```", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    text = PRELUDE + "\n".join(re.sub(rf"(?m)^{indent}", "", block) for indent, block in blocks)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ORAKUL_")}
    environment = {**clean, "ORAKUL_DATA": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", text], env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "Orakul" not in done.stderr
