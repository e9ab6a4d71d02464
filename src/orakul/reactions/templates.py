"""Templates of messages: Jinja, in a sandbox that bounds what one may reach, how long it takes and how much it makes.

Templates come from administrators, and yet: one that is wrong, endless or huge must harm nobody.
"""

import sys
import time
from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from orakul.errors import MissingExtraError

if TYPE_CHECKING:
    from jinja2.environment import Template
    from jinja2.sandbox import SandboxedEnvironment

__all__ = ["TemplateError", "check", "render"]

_MOST = 20_000
_LONGEST_VALUE = 100_000
_SECONDS = 1.0


class TemplateError(ValueError):
    """A template is wrong, or what it makes is too long or takes too long."""


@cache
def _environment() -> "SandboxedEnvironment":
    try:
        from jinja2 import StrictUndefined  # noqa: PLC0415 (who has no rules needs no Jinja)
        from jinja2.sandbox import ImmutableSandboxedEnvironment  # noqa: PLC0415 (likewise)
    except ModuleNotFoundError as error:
        raise MissingExtraError("jinja2", "reactions") from error

    class Bounded(ImmutableSandboxedEnvironment):
        """Refuses what makes a short template huge."""

        intercepted_binops = frozenset({"*", "**", "+", "%"})

        def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
            if operator == "**" or (operator in "*%" and not (_is_number(left) and _is_number(right))):
                raise TemplateError(
                    f"{operator} is for numbers here" if operator != "**" else "** is not to be had here"
                )
            return super().call_binop(context, operator, left, right)

    environment = Bounded(undefined=StrictUndefined, autoescape=False, keep_trailing_newline=False)
    for name in ("range", "lipsum", "cycler", "joiner", "namespace"):
        environment.globals.pop(name, None)
    for name in ("center", "indent", "xmlattr", "pprint", "format", "wordwrap", "map", "batch", "slice", "random"):
        environment.filters.pop(name, None)
    environment.filters["minutes"] = lambda seconds: f"{float(seconds) / 60:.1f} min"
    return environment


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and abs(value) < _LONGEST_VALUE * _LONGEST_VALUE


@lru_cache(256)
def _compiled(text: str) -> "Template":
    from jinja2 import TemplateSyntaxError  # noqa: PLC0415 (see above)

    try:
        return _environment().from_string(text)
    except TemplateSyntaxError as error:
        raise TemplateError(f"line {error.lineno}: {error.message}") from error
    except (RecursionError, OverflowError, MemoryError) as error:
        raise TemplateError(f"it cannot be read: {type(error).__name__}") from error


def check(text: str) -> None:
    """Raise TemplateError where the text is no template."""
    if text:
        _compiled(text)


def render(text: str, values: Mapping[str, Any]) -> str:
    """Return what the template makes of the values; raise TemplateError that says what is wrong."""
    template = _compiled(text)
    try:
        return _in_time(lambda: _joined(template, values))
    except TemplateError:
        raise
    except RecursionError as error:
        raise TemplateError("it goes round in circles") from error
    except Exception as error:
        raise TemplateError(str(error) or type(error).__name__) from error


def _joined(template: "Template", values: Mapping[str, Any]) -> str:
    parts, length = [], 0
    for part in template.generate(dict(values)):
        length += len(part)
        if length > _MOST:
            raise TemplateError(f"what it makes is longer than {_MOST:,} characters")
        parts.append(part)
    return "".join(parts).strip()


def _in_time(work: Callable[[], str]) -> str:
    """Do the work in this thread, and end it after a second, wherever in Python it is then."""
    end = time.monotonic() + _SECONDS

    def look(frame: Any, event: str, argument: Any) -> Any:
        del frame, event, argument
        if time.monotonic() > end:
            raise TemplateError(f"it takes longer than {_SECONDS:g} s")
        return look

    before = sys.gettrace()
    sys.settrace(look)
    try:
        return work()
    finally:
        sys.settrace(before)
