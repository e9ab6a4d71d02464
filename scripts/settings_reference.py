"""Print the settings reference, from the settings themselves: `make docs` writes it to docs/settings.md."""

from pathlib import Path
from typing import Literal, get_args, get_origin

from orakul.settings.keys import Key, known, sections

HEAD = """# Settings

<!-- Written by `make docs` from src/orakul/settings; a test holds the two together. -->

Orakul runs without any. What you set goes into `orakul.toml` in the working directory (or the file that `ORAKUL_CONFIG`
names), or into the environment; the environment is stronger than the file, and an option of a command stronger than
both. A wrong key or value is named with its file and line, or its variable, and with the nearest right one. All keys
with their defaults, to copy from: [orakul.toml](orakul.toml).
"""


def kind_of(key: Key) -> str:
    """Return what may be written, for people."""
    choices = [part for part in (key.type, *get_args(key.type)) if get_origin(part) is Literal]
    if choices:
        return " · ".join(f"`{choice}`" for choice in get_args(choices[0]))
    if get_origin(key.type) is dict:
        return "tables (JSON in the environment)"
    if get_origin(key.type) is tuple and get_origin(get_args(key.type)[0]) is dict:
        return "list of tables (JSON in the environment)"
    if get_origin(key.type) is tuple:
        return "list of texts"
    kinds = {int: "whole number", float: "number", bool: "`true` · `false`", Path: "path"}
    return next((name for kind, name in kinds.items() if kind in {key.type, *get_args(key.type)}), "text")


def default_of(key: Key) -> str:
    """Return the default, for people."""
    if key.default is None or key.default == ():
        return "–"
    if isinstance(key.default, bool):
        return f"`{str(key.default).lower()}`"
    if isinstance(key.default, tuple):
        return ", ".join(f"`{part}`" for part in key.default)
    return f"`{key.default}`" if key.default != "" else "–"


def main() -> None:
    """Print it."""
    print(HEAD)
    section = None
    for key in known().values():
        here = key.name.rpartition(".")[0]
        if here != section:
            section = here
            title = f"`[{here}]`\n\n{sections()[here].__doc__}" if here else "General"
            print(f"\n## {title}\n\n| key · variable | value | default | |\n| --- | --- | --- | --- |")
        note = " Secret: shown in no log." if key.secret else ""
        row = f"`{key.name}`<br>`{key.variable}` | {kind_of(key)} | {default_of(key)} | {key.description}{note}"
        print(f"| {row} |")


if __name__ == "__main__":
    main()
