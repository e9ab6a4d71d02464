"""A function, watched: what a program did, in what steps, how long, what failed and what is slow."""

from orakul.operations.collection import Sink, collector
from orakul.operations.configuration import configure
from orakul.operations.context import CarryingExecutor, OperationContext, carry, carry_into_threads, current_ids
from orakul.operations.levels import Level, detail_level, set_detail_level
from orakul.operations.record import OperationLog, Outcome, SubOperationLog, read_log
from orakul.operations.steps import annotate, step, watch_calls
from orakul.operations.watching import operation, set_failure_rule

__all__ = [
    "CarryingExecutor",
    "Level",
    "OperationContext",
    "OperationLog",
    "Outcome",
    "Sink",
    "SubOperationLog",
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
