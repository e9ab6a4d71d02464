"""XML of an operation, well-formed whatever the data holds.

XML 1.0 has no form for most control characters and for lone surrogates, not even escaped. Text that holds any is
written as JSON text, where they are escapes, and marked `encoding="json"`; `read_xml` undoes that, so that every
value comes back as it was.
"""

import json
import re
from typing import Any
from xml.etree import ElementTree as ET

import msgspec

from orakul.operations.formatter import OutputFormatter
from orakul.operations.record import OperationLog, SubOperationLog, read_log

__all__ = ["XMLFormatter", "read_xml"]

# What XML 1.0 §2.2 forbids, and the carriage return, which a parser would turn into a line feed.
_UNSPEAKABLE = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class XMLFormatter(OutputFormatter):
    """One `<operation>` element an operation; children nest."""

    def __init__(self, *, indent: bool = True) -> None:
        self._indent = indent

    def format_operation_log(self, operation_log: OperationLog) -> str:
        """Return the record as XML."""
        root = _element(msgspec.to_builtins(operation_log, enc_hook=repr))
        if self._indent:
            _indent_containers(root)
        return ET.tostring(root, encoding="unicode")


def _element(form: dict[str, Any]) -> ET.Element:
    element = ET.Element(form["form"])
    for name, value in form.items():
        if name in {"form", "children"} or value is None or value == {}:
            continue
        if isinstance(value, dict | list):
            child = ET.SubElement(element, name, {"encoding": "json"})
            child.text = _speakable(json.dumps(value, ensure_ascii=False))
        elif isinstance(value, str):
            child = ET.SubElement(element, name)
            if _UNSPEAKABLE.search(value):
                child.set("encoding", "json")
                child.text = _speakable(json.dumps(value))
            else:
                child.text = value
        else:
            child = ET.SubElement(element, name, {"encoding": "json"})
            child.text = json.dumps(value)
    if form.get("children"):
        children = ET.SubElement(element, "children")
        children.extend(_element(child) for child in form["children"])
    return element


def _speakable(text: str) -> str:
    return _UNSPEAKABLE.sub(lambda found: json.dumps(found.group())[1:-1], text)


def _indent_containers(element: ET.Element, depth: int = 0) -> None:
    # Space goes between elements only, never into one that holds text.
    if len(element) == 0:
        return
    element.text = "\n" + "  " * (depth + 1)
    for child in element:
        _indent_containers(child, depth + 1)
        child.tail = "\n" + "  " * (depth + 1)
    element[-1].tail = "\n" + "  " * depth


def read_xml(text: str) -> OperationLog | SubOperationLog:
    """Read what XMLFormatter wrote; raise ValueError where it is something else."""
    try:
        root = ET.fromstring(text)  # noqa: S314 (our own files; expat bounds entity expansion)
    except ET.ParseError as error:
        raise ValueError(f"not the XML of an operation: {error}") from error
    return read_log(_form(root))


def _form(element: ET.Element) -> dict[str, Any]:
    form: dict[str, Any] = {"form": element.tag}
    for child in element:
        if child.tag == "children":
            form["children"] = [_form(each) for each in child]
        elif child.get("encoding") == "json":
            form[child.tag] = json.loads(child.text or "null")
        else:
            form[child.tag] = child.text or ""
    return form
