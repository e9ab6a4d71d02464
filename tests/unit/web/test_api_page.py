"""The page about the API says what the code does."""

import json
import re
from pathlib import Path
from typing import Any, cast

from orakul.web.app import create_app
from orakul.web.parts import Parts, WebSettings

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
NONE = cast("Any", None)


def document() -> dict[str, Any]:
    settings = WebSettings(secret_key=bytes(32))
    return create_app(Parts(settings=settings, reader=NONE, control=NONE, orders=NONE, fleet=NONE)).openapi()


def test_each_kind_of_problem_is_on_the_page_and_no_other() -> None:
    written = set()
    for file in (ROOT / "src" / "orakul" / "web").rglob("*.py"):
        text = file.read_text(encoding="utf-8")
        written |= set(re.findall(r'(?:ProblemError|_refusal)\(\s*\d{3},\s*"([a-z-]+)"', text))
        written |= set(re.findall(r'Error, \d{3}, "([a-z-]+)"\)', text))
        written |= set(re.findall(r'\d{3}: \("([a-z-]+)", "', text))
        written |= set(re.findall(r"urn:orakul:problem:([a-z-]+)", text))
    table = PAGE[PAGE.index("| status | `type`") : PAGE.index("## The stream")]
    assert written == set(re.findall(r"`([a-z]+(?:-[a-z]+)*)`", table)) - {"type", "urn:orakul:problem:", "errors"}


def test_each_address_on_the_page_is_one_of_the_document() -> None:
    paths = document()["paths"]
    for method, path in re.findall(r"`(GET|POST|DELETE) (/[^`?]*)`", PAGE):
        assert method.lower() in paths[path], path


def test_the_document_in_the_clone_is_the_one_that_is_served() -> None:
    kept = json.loads((ROOT / "frontend" / "openapi.json").read_text(encoding="utf-8"))
    assert kept == json.loads(json.dumps(document())), "python -m orakul.web.openapi > frontend/openapi.json"


def test_the_document_is_complete() -> None:
    for path, operations in document()["paths"].items():
        for method, operation in operations.items():
            name = f"{method} {path}"
            assert operation["summary"], name
            assert operation["description"], name
            assert operation["tags"], name
            assert operation["operationId"].isidentifier(), name
            for parameter in operation.get("parameters", ()):
                assert parameter.get("description"), f"{name} {parameter['name']}"
            if path.startswith("/api"):
                assert operation["security"] == [{"bearer": []}, {"cookie": []}], name
                assert "401" in operation["responses"], name
