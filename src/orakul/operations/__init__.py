"""A function, watched: what a program did, in what steps, how long, what failed and what is slow."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from orakul.operations.blocks import operation
from orakul.operations.collection import Sink, collector
from orakul.operations.configuration import configure
from orakul.operations.context import CarryingExecutor, OperationContext, carry, carry_into_threads, current_ids
from orakul.operations.formatter import OutputFormatter
from orakul.operations.handlers import ErrorHandler
from orakul.operations.levels import Level, detail_level, set_detail_level
from orakul.operations.record import OperationLog, Outcome, SubOperationLog, read_log
from orakul.operations.steps import annotate, step, watch_calls
from orakul.operations.watching import set_failure_rule

if TYPE_CHECKING:
    from orakul.operations.analyzer import OperationAnalyzer
    from orakul.operations.formatters.json import JSONFormatter
    from orakul.operations.formatters.table import TableFormatter
    from orakul.operations.formatters.tree import TreeFormatter
    from orakul.operations.formatters.xml import XMLFormatter

__all__ = [
    "CarryingExecutor",
    "ErrorHandler",
    "JSONFormatter",
    "Level",
    "OperationAnalyzer",
    "OperationContext",
    "OperationLog",
    "Outcome",
    "OutputFormatter",
    "Sink",
    "SubOperationLog",
    "TableFormatter",
    "TreeFormatter",
    "XMLFormatter",
    "annotate",
    "carry",
    "carry_into_threads",
    "collector",
    "configure",
    "current_ids",
    "detail_level",
    "operation",
    "read_log",
    "set_detail_level",
    "set_failure_rule",
    "step",
    "watch_calls",
]

# What a program that only records does not need is loaded when it is asked for.
_LATER = {
    "JSONFormatter": "orakul.operations.formatters.json",
    "OperationAnalyzer": "orakul.operations.analyzer",
    "TableFormatter": "orakul.operations.formatters.table",
    "TreeFormatter": "orakul.operations.formatters.tree",
    "XMLFormatter": "orakul.operations.formatters.xml",
}


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return getattr(import_module(_LATER[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
