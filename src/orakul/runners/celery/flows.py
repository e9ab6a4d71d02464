"""Operations and tasks in one flow: what a task does by operations stands below it, in the context it was sent from.

Only ids and plain facts travel, in a header. Costs a look into a dictionary where the program uses no operations.
"""

import sys
from collections.abc import Mapping
from typing import Any

__all__ = ["OPERATION", "begin_flow", "end_flow", "flow_here"]

OPERATION = "orakul_operation"
"""Ids and facts of the operation that published the task."""


def flow_here() -> dict[str, Any] | None:
    """Return what the header is to hold, or None outside of any operation."""
    if "orakul.operations.context" not in sys.modules:
        return None
    from orakul.operations.context import OperationContext  # noqa: PLC0415 (only where the program uses operations)

    return OperationContext.to_ids() or None


def begin_flow(told: Any, task_id: str, user: str | None) -> Any:
    """Let operations from here on stand below the task; return what `end_flow` takes."""
    if "orakul.operations.context" not in sys.modules:
        return None
    from orakul.operations.context import OperationContext, frame, ids  # noqa: PLC0415 (as above)

    trace, facts = ids.next(), {}
    if isinstance(told, Mapping) and isinstance(told.get("trace"), str):
        trace, facts = int(told["trace"], 16), dict(told.get("facts") or {})
    facts.update({"task_id": task_id} | ({"user": user} if user is not None else {}))
    return frame.set((trace, 0, OperationContext(**facts)))


def end_flow(token: Any) -> None:
    """End that."""
    if token is not None:
        from orakul.operations.context import reset  # noqa: PLC0415 (as above)

        reset(token)
