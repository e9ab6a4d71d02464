"""What a form of CSV comes to: characters, bytes, the first line. Without Arrow: a database may write the rest."""

import codecs
import re
from collections.abc import Sequence

from orakul.exports.plan import Csv

__all__ = ["delimiter_of", "encoding_of", "header_of", "line_end_of", "special_of"]


def delimiter_of(form: Csv) -> str:
    """Return the one character that stands between values."""
    return "\t" if form.delimiter == "tab" else form.delimiter


def line_end_of(form: Csv) -> str:
    """Return what ends a row."""
    return "\r\n" if form.line_end == "crlf" else "\n"


def encoding_of(form: Csv) -> tuple[str, bytes]:
    """Return the encoding's name, without a byte order mark of its own, and the mark that files begin with."""
    name = codecs.lookup(form.encoding).name
    name, bom = {"utf-8-sig": ("utf-8", True), "utf-16": ("utf-16-le", True), "utf-32": ("utf-32-le", True)}.get(
        name, (name, form.bom)
    )
    return name, "\ufeff".encode(name) if bom else b""


def special_of(form: Csv) -> str:
    """Return a pattern of the letters that a value is quoted for."""
    return f'[{re.escape(delimiter_of(form))}"\\r\\n]'


def header_of(form: Csv, names: Sequence[str]) -> bytes:
    """Return what every file begins with: the byte order mark and the line of names, where the plan wants them."""
    encoding, bom = encoding_of(form)
    if not form.header:
        return bom
    special = re.compile(special_of(form))
    every = form.quoting in {"text", "all"}
    cells = [
        '"' + name.replace('"', '""') + '"' if every or special.search(name) or name == form.null else name
        for name in names
    ]
    return bom + (delimiter_of(form).join(cells) + line_end_of(form)).encode(encoding)
